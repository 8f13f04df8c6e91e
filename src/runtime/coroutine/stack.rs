//! The stacks of tasks, and the handling of their overflow.
//!
//! Below each stack are guard pages. When a method reaches them, the SIGSEGV handler makes its
//! coroutine return at once, without unwinding, and the task ends with `CHI_FAULT`. Whatever the
//! method's frames held is lost to its module. If the guard page is reached not by the module's
//! code but by the C library's or the runtime's, called near the end of the stack, that code may be
//! in the middle of an operation on process-wide state. So it gets the page and continues, until
//! the module's own code reaches the next one.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Once;

use crate::sys::fault::Fault;
use crate::sys::signal;
use corosensei::stack::{Stack, StackPointer, STACK_ALIGNMENT};
use corosensei::trap::CoroutineTrapHandler;

const PAGE: usize = 4096;
/// Bytes of the guard pages below a stack.
const GUARD: usize = 16 * PAGE;
/// Bytes of a worker's signal stack.
const SIGNAL_STACK: usize = 64 * 1024;

/// How a coroutine's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The body returned.
    Returned,
    /// The body overflowed its stack.
    Overflowed,
}

/// A stack with its guard pages.
pub(crate) struct TaskStack {
    limit: usize,
    base: usize,
}

// SAFETY: both ends are page-aligned addresses of one private mapping that lives as long as `self`
// and includes the guard pages.
unsafe impl Stack for TaskStack {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.base).expect("nothing is mapped at null")
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.limit).expect("nothing is mapped at null")
    }
}

impl TaskStack {
    /// Maps a stack of `size` bytes, rounded up to whole pages.
    pub(crate) fn new(size: usize) -> io::Result<TaskStack> {
        const { assert!(PAGE.is_multiple_of(STACK_ALIGNMENT)) };
        let size = size.next_multiple_of(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: a new mapping at an address that the kernel chooses aliases nothing.
        let limit =
            unsafe { libc::mmap(ptr::null_mut(), GUARD + size, libc::PROT_NONE, flags, -1, 0) };
        if limit == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let limit = limit as usize;
        let stack = TaskStack { limit, base: limit + GUARD + size };
        // SAFETY: the range is the part above the guard pages of the mapping just made, which
        // nothing uses yet.
        let opened = unsafe {
            let usable = (limit + GUARD) as *mut libc::c_void;
            libc::mprotect(usable, size, libc::PROT_READ | libc::PROT_WRITE)
        };
        match opened {
            0 => Ok(stack),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for TaskStack {
    fn drop(&mut self) {
        // SAFETY: the range is the whole mapping that `new` made, and nothing uses the stack any
        // more.
        unsafe {
            libc::munmap(self.limit as *mut libc::c_void, self.base - self.limit);
        }
    }
}

/// What the handler needs to know of a thread's running coroutine.
#[derive(Clone, Copy)]
pub(crate) struct Trap {
    pub(crate) handler: CoroutineTrapHandler<Ended>,
    pub(crate) limit: usize,
}

thread_local! {
    static TRAP: Cell<Option<Trap>> = const { Cell::new(None) };
}

/// Calls `f`, which resumes a coroutine, with the coroutine's trap set.
#[inline]
pub(crate) fn with_trap<R>(trap: Trap, f: impl FnOnce() -> R) -> R {
    TRAP.set(Some(trap));
    let result = f();
    TRAP.set(None);
    result
}

/// The code of the objects that must not be interrupted for good in the middle of an operation: the
/// C library, the dynamic linker, and the object that contains the runtime.
static SHARED_CODE: [(AtomicUsize, AtomicUsize); 16] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 16];

fn is_shared_code(address: usize) -> bool {
    SHARED_CODE.iter().any(|(start, end)| {
        (start.load(Ordering::Relaxed)..end.load(Ordering::Relaxed)).contains(&address)
    })
}

/// Called for each loaded object; notes the code of those that contain one of the addresses in
/// `data`.
unsafe extern "C" fn note_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the dynamic linker passes a valid description; `data` is the array that
    // `note_shared_code` passes.
    unsafe {
        let wanted = &*data.cast::<[usize; 3]>();
        let headers = std::slice::from_raw_parts((*info).dlpi_phdr, (*info).dlpi_phnum.into());
        let code = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0);
        let ranges = code.map(|header| {
            let start = ((*info).dlpi_addr + header.p_vaddr) as usize;
            start..start + header.p_memsz as usize
        });
        let ranges: Vec<_> = ranges.collect();
        if wanted.iter().any(|address| ranges.iter().any(|range| range.contains(address))) {
            for range in ranges {
                let free = SHARED_CODE.iter().find(|(_, end)| end.load(Ordering::Relaxed) == 0);
                if let Some((start, end)) = free {
                    start.store(range.start, Ordering::Relaxed);
                    end.store(range.end, Ordering::Relaxed);
                }
            }
        }
    }
    0
}

fn note_shared_code() {
    // Zero if there is no dynamic linker, as in a static program.
    // SAFETY: the call only reads the vector.
    let linker = unsafe { libc::getauxval(libc::AT_BASE) } as usize;
    let mut wanted =
        [libc::malloc as *const () as usize, note_shared_code as *const () as usize, 0];
    // The address of any function of the linker serves to find its code.
    wanted[2] = if linker == 0 { 0 } else { libc::dl_iterate_phdr as *const () as usize };
    // SAFETY: the callback has the required type, and `wanted` outlives the call and is what it
    // expects.
    unsafe {
        libc::dl_iterate_phdr(Some(note_object), wanted.as_mut_ptr().cast());
    }
}

/// Installs the handler, once per process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        note_shared_code();
        signal::handle(libc::SIGSEGV, on_overflow);
    });
}

/// Gives the calling thread, a worker, a signal stack: a signal cannot be handled on a stack that
/// has no room left. The mapping is never freed.
pub(crate) fn prepare_thread() -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, which only the kernel uses and which is never unmapped.
    let done = unsafe {
        let at = libc::mmap(ptr::null_mut(), SIGNAL_STACK, prot, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = libc::stack_t { ss_sp: at, ss_flags: 0, ss_size: SIGNAL_STACK };
        libc::sigaltstack(&stack, ptr::null_mut())
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Handles a fault in the guard pages of the running stack. False for any other fault.
///
/// # Safety
/// To be called in a handler of SIGSEGV.
unsafe fn on_overflow(fault: &mut Fault) -> bool {
    let Some(address) = fault.address() else { return false };
    // A thread that is ending has no coroutine.
    let Ok(Some(trap)) = TRAP.try_with(Cell::get) else { return false };
    if !(trap.limit..trap.limit + GUARD).contains(&address) {
        return false;
    }
    let (code, stack) = (fault.pc(), fault.sp());
    if is_shared_code(code) {
        let page = address & !(PAGE - 1);
        // SAFETY: the page is a guard page of the running stack, on which nothing has been stored.
        return unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            libc::mprotect(page as *mut libc::c_void, PAGE, prot) == 0
        };
    }
    if !trap.handler.stack_ptr_in_bounds(stack) {
        return false;
    }
    // SAFETY: the fault is on the stack of the coroutine that runs on this thread, in code of a module,
    // whose frames are given up; what the runtime's frames on this stack hold is found in the task's
    // record, or was handed to it before the module was called.
    unsafe { divert(fault.context(), &trap.handler) };
    true
}

#[cfg(target_arch = "x86_64")]
unsafe fn divert(context: &mut libc::ucontext_t, handler: &CoroutineTrapHandler<Ended>) {
    // SAFETY: by the caller's promise.
    let found = unsafe { handler.setup_trap_handler(|| Ended::Overflowed) };
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_RIP as usize] = found.rip as i64;
    registers[libc::REG_RSP as usize] = found.rsp as i64;
    registers[libc::REG_RBP as usize] = found.rbp as i64;
    registers[libc::REG_RDI as usize] = found.rdi as i64;
    registers[libc::REG_RSI as usize] = found.rsi as i64;
}

#[cfg(target_arch = "aarch64")]
unsafe fn divert(context: &mut libc::ucontext_t, handler: &CoroutineTrapHandler<Ended>) {
    // SAFETY: by the caller's promise.
    let found = unsafe { handler.setup_trap_handler(|| Ended::Overflowed) };
    let registers = &mut context.uc_mcontext;
    (registers.pc, registers.sp) = (found.pc, found.sp);
    (registers.regs[0], registers.regs[1]) = (found.x0, found.x1);
    (registers.regs[29], registers.regs[30]) = (found.x29, found.lr);
}
