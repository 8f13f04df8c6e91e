//! Exceptions that leave the constructors of a library while it is loaded.
//!
//! The frames of the dynamic linker are between a constructor and the code that loads its library.
//! The linker holds locks, which an exception passing through it would leave locked. So the
//! exception ends at the linker's frame: execution continues as if the constructor had returned.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;

use super::backtrace::{
    _Unwind_Backtrace, _Unwind_GetCFA, UnwindContext, URC_NORMAL_STOP, URC_NO_REASON,
};
use super::thrown::Exception;
pub(crate) use super::thrown::Thrown;

/// `_Unwind_Reason_Code`, <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html>.
const URC_HANDLER_FOUND: c_int = 6;
const URC_CONTINUE_UNWIND: c_int = 8;
/// `_Unwind_Action`.
const UA_SEARCH_PHASE: c_int = 1;
const UA_FORCE_UNWIND: c_int = 8;

type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

extern "C" {
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
    fn _Unwind_GetGR(context: *mut UnwindContext, index: c_int) -> usize;
    /// Calls `open(path, flags)`. Its personality is `personality`.
    fn chimaera_open_guarded(path: *const c_char, flags: c_int, open: Open) -> *mut c_void;
    /// Resumes execution in a frame of the stack.
    fn chimaera_continue(registers: *const Registers) -> !;
}

/// The DWARF numbers of the registers that a call preserves.
#[cfg(target_arch = "x86_64")]
const PRESERVED: [c_int; 6] = [3, 6, 12, 13, 14, 15];
#[cfg(target_arch = "aarch64")]
const PRESERVED: [c_int; 19] =
    [19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 72, 73, 74, 75, 76, 77, 78, 79];

/// Where a frame resumes once its callee has returned.
#[repr(C)]
struct Registers {
    sp: usize,
    pc: usize,
    preserved: [usize; PRESERVED.len()],
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .text.chimaera_constructors,\"ax\",@progbits",
    ".globl chimaera_open_guarded",
    ".hidden chimaera_open_guarded",
    ".type chimaera_open_guarded,@function",
    "chimaera_open_guarded:",
    ".cfi_startproc",
    // pcrel | sdata4
    ".cfi_personality 0x1b, {personality}",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "call rdx",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".size chimaera_open_guarded, . - chimaera_open_guarded",
    ".globl chimaera_continue",
    ".hidden chimaera_continue",
    ".type chimaera_continue,@function",
    "chimaera_continue:",
    "mov rsp, [rdi]",
    "mov rax, [rdi + 8]",
    "mov rbx, [rdi + 16]",
    "mov rbp, [rdi + 24]",
    "mov r12, [rdi + 32]",
    "mov r13, [rdi + 40]",
    "mov r14, [rdi + 48]",
    "mov r15, [rdi + 56]",
    "jmp rax",
    ".size chimaera_continue, . - chimaera_continue",
    ".popsection",
    personality = sym personality,
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".pushsection .text.chimaera_constructors,\"ax\",@progbits",
    ".globl chimaera_open_guarded",
    ".hidden chimaera_open_guarded",
    ".type chimaera_open_guarded,@function",
    "chimaera_open_guarded:",
    ".cfi_startproc",
    // pcrel | sdata4
    ".cfi_personality 0x1b, {personality}",
    "stp x29, x30, [sp, -16]!",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset x29, -16",
    ".cfi_offset x30, -8",
    "mov x29, sp",
    "blr x2",
    "ldp x29, x30, [sp], 16",
    ".cfi_restore x29",
    ".cfi_restore x30",
    ".cfi_def_cfa_offset 0",
    "ret",
    ".cfi_endproc",
    ".size chimaera_open_guarded, . - chimaera_open_guarded",
    ".globl chimaera_continue",
    ".hidden chimaera_continue",
    ".type chimaera_continue,@function",
    "chimaera_continue:",
    "ldp x9, x10, [x0]",
    "ldp x19, x20, [x0, 16]",
    "ldp x21, x22, [x0, 32]",
    "ldp x23, x24, [x0, 48]",
    "ldp x25, x26, [x0, 64]",
    "ldp x27, x28, [x0, 80]",
    "ldr x29, [x0, 96]",
    "ldp d8, d9, [x0, 104]",
    "ldp d10, d11, [x0, 120]",
    "ldp d12, d13, [x0, 136]",
    "ldp d14, d15, [x0, 152]",
    "mov sp, x9",
    "br x10",
    ".size chimaera_continue, . - chimaera_continue",
    ".popsection",
    personality = sym personality,
);

thread_local! {
    /// The first exception that has left a constructor, and an instruction of that constructor.
    static FIRST: Cell<Option<(*mut Exception, usize)>> = const { Cell::new(None) };
}

/// Loads a library, as `dlopen` does, and returns its handle or the linker's error message. Also
/// returns the first exception that left a constructor of that library or of one that it links; the
/// constructor is treated as if it had returned.
///
/// # Safety
/// As for `dlopen`: the library's constructors and destructors may do anything.
pub(crate) unsafe fn open(
    path: &CStr,
    flags: c_int,
) -> (Result<*mut c_void, String>, Option<Thrown>) {
    FIRST.set(None);
    // SAFETY: the path is a C string, and exceptions do not leave the function. Only frames of
    // the C library are between its own and the linker's. None of these needs cleaning up, because
    // none of them sees the exception.
    let handle = unsafe { chimaera_open_guarded(path.as_ptr(), flags, libc::dlopen) };
    let opened = if handle.is_null() { Err(last_error()) } else { Ok(handle) };
    // SAFETY: the personality stores an exception that nothing else handles.
    (opened, FIRST.take().map(|(exception, pc)| unsafe { Thrown::new(exception, pc) }))
}

fn last_error() -> String {
    // SAFETY: the call has no preconditions, and its result is valid until this thread's next call.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the dynamic linker gives no reason".to_owned();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Reports that exceptions are handled at the frame of `chimaera_open_guarded` and, once all inner
/// frames have been cleaned up, resumes in the linker's frame.
unsafe extern "C" fn personality(
    _version: c_int,
    actions: c_int,
    _class: u64,
    exception: *mut Exception,
    _context: *mut UnwindContext,
) -> c_int {
    if actions & UA_FORCE_UNWIND != 0 {
        // `pthread_exit`: not an exception, and not to be stopped.
        return URC_CONTINUE_UNWIND;
    }
    let Some((registers, pc)) = find_linker() else { return URC_CONTINUE_UNWIND };
    if actions & UA_SEARCH_PHASE != 0 {
        return URC_HANDLER_FOUND;
    }
    if FIRST.get().is_none() {
        FIRST.set(Some((exception, pc)));
    }
    // SAFETY: the linker's frame is still on the stack, further up than this function's. All frames
    // between them have been unwound, and the registers are those after its callee has returned.
    unsafe { chimaera_continue(&registers) }
}

/// The innermost frame of the dynamic linker on this stack, and an instruction of its callee.
fn find_linker() -> Option<(Registers, usize)> {
    struct Search {
        linker: usize,
        callee: usize,
        found: Option<(Registers, usize)>,
    }
    extern "C" fn on_frame(context: *mut UnwindContext, data: *mut c_void) -> c_int {
        // SAFETY: the unwinder passes a valid context, and `data` as it was passed below.
        let search = unsafe { &mut *data.cast::<Search>() };
        // SAFETY: as above.
        let pc = unsafe { _Unwind_GetIP(context) };
        if base_of(pc) != Some(search.linker) {
            search.callee = pc;
            return URC_NO_REASON;
        }
        // SAFETY: as above; the unwinder knows all registers that calls preserve.
        let registers = unsafe {
            Registers {
                sp: _Unwind_GetCFA(context),
                pc,
                preserved: PRESERVED.map(|number| _Unwind_GetGR(context, number)),
            }
        };
        search.found = Some((registers, search.callee));
        URC_NORMAL_STOP
    }
    // SAFETY: the call only reads the auxiliary vector. 0 means that the linker was started as a
    // program.
    let linker = unsafe { libc::getauxval(libc::AT_BASE) } as usize;
    let mut search = Search { linker, callee: 0, found: None };
    if linker != 0 {
        // SAFETY: the function has the required type, and gets the data that it expects.
        unsafe { _Unwind_Backtrace(on_frame, ptr::from_mut(&mut search).cast()) };
    }
    search.found
}

/// The address at which the object that contains an address is loaded.
fn base_of(address: usize) -> Option<usize> {
    // SAFETY: all zero is a valid `Dl_info`.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: `info` lives until the call returns.
    let found = unsafe { libc::dladdr(address as *const c_void, &mut info) };
    (found != 0).then_some(info.dli_fbase as usize)
}
