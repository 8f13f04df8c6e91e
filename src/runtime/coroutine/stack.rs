//! The stacks of tasks, and what happens when a method overflows one.
//!
//! Below a stack lie pages that nobody may touch. A method that reaches them is taken off its coroutine:
//! the handler of SIGSEGV lets the coroutine return at once, without unwinding, and the task ends with
//! `CHI_FAULT`. What the method held in its frames is lost to its module. When it is not the module's
//! code that reaches the page but the C library's or the runtime's, called at the very end of the stack,
//! that code may be in the middle of something that all depend on; so it gets the page, and goes on,
//! until the module's own code reaches the next one.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Once;

use crate::sys::signal;
use corosensei::stack::{Stack, StackPointer, STACK_ALIGNMENT};
use corosensei::trap::CoroutineTrapHandler;

const PAGE: usize = 4096;
/// Pages below a stack that nobody may touch.
const GUARD: usize = 16 * PAGE;
/// Bytes of the stack on which a worker's signals are handled.
const SIGNAL_STACK: usize = 64 * 1024;

/// How a coroutine's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It returned.
    Returned,
    /// It reached the end of its stack.
    Overflowed,
}

/// A stack.
pub(crate) struct TaskStack {
    limit: usize,
    base: usize,
}

// SAFETY: both ends are addresses of one private mapping that lives as long as `self`, whole pages, and
// the guard pages are inside.
unsafe impl Stack for TaskStack {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.base).expect("nothing is mapped at null")
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.limit).expect("nothing is mapped at null")
    }
}

impl TaskStack {
    /// A stack of this many bytes, rounded up to whole pages.
    pub(crate) fn new(size: usize) -> io::Result<TaskStack> {
        const { assert!(PAGE.is_multiple_of(STACK_ALIGNMENT)) };
        let size = size.next_multiple_of(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: a fresh mapping at an address that the kernel chooses aliases nothing.
        let limit =
            unsafe { libc::mmap(ptr::null_mut(), GUARD + size, libc::PROT_NONE, flags, -1, 0) };
        if limit == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let limit = limit as usize;
        let stack = TaskStack { limit, base: limit + GUARD + size };
        // SAFETY: the upper part of the mapping just made.
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
        // SAFETY: the mapping that `new` made; failure would mean that it was not mapped.
        unsafe {
            libc::munmap(self.limit as *mut libc::c_void, self.base - self.limit);
        }
    }
}

/// What the handler needs to know of the coroutine that runs on a thread.
#[derive(Clone, Copy)]
pub(crate) struct Trap {
    pub(crate) handler: CoroutineTrapHandler<Ended>,
    pub(crate) limit: usize,
}

thread_local! {
    static TRAP: Cell<Option<Trap>> = const { Cell::new(None) };
}

/// Runs a coroutine with its trap set.
#[inline]
pub(crate) fn with_trap<R>(trap: Trap, f: impl FnOnce() -> R) -> R {
    TRAP.set(Some(trap));
    let result = f();
    TRAP.set(None);
    result
}

/// The code of objects that must not be left in the middle of something: the C library, the dynamic
/// linker, and the one that the runtime is in.
static SHARED_CODE: [(AtomicUsize, AtomicUsize); 16] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 16];

fn is_shared_code(address: usize) -> bool {
    SHARED_CODE.iter().any(|(start, end)| {
        (start.load(Ordering::Relaxed)..end.load(Ordering::Relaxed)).contains(&address)
    })
}

/// Called for each loaded object: notes the code of those that hold one of the addresses in `data`.
unsafe extern "C" fn note_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the linker passes a valid description; `data` is what `note_shared_code` passes.
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
    // The base of the dynamic linker, from the auxiliary vector, is the start of its code or below it.
    // SAFETY: the call only reads the vector.
    let linker = unsafe { libc::getauxval(libc::AT_BASE) } as usize;
    let mut wanted =
        [libc::malloc as *const () as usize, note_shared_code as *const () as usize, 0];
    // The linker's own code: any function of it will do.
    wanted[2] = if linker == 0 { 0 } else { libc::dl_iterate_phdr as *const () as usize };
    // SAFETY: the callback fits, and gets what it expects.
    unsafe {
        libc::dl_iterate_phdr(Some(note_object), wanted.as_mut_ptr().cast());
    }
}

/// Installs the handler, once for the process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        note_shared_code();
        signal::handle(libc::SIGSEGV, on_overflow);
    });
}

/// Gives the calling thread, a worker, a stack for its signals, which must not be handled on a stack
/// that has no room left. It lasts as long as the process.
pub(crate) fn prepare_thread() -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping, given to the kernel and to nobody else.
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

/// Handles a fault at the end of a task's stack. False when it is something else.
///
/// # Safety
/// To be called in a handler of SIGSEGV with what the kernel passed.
unsafe fn on_overflow(info: *mut libc::siginfo_t, context: *mut libc::c_void) -> bool {
    // SAFETY: by the caller's promise.
    let address = unsafe { (*info).si_addr() } as usize;
    // A thread that is ending has no coroutine.
    let Ok(Some(trap)) = TRAP.try_with(Cell::get) else { return false };
    if !(trap.limit..trap.limit + GUARD).contains(&address) {
        return false;
    }
    // SAFETY: by the caller's promise.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let (code, stack) = registers(context);
    if is_shared_code(code) {
        let page = address & !(PAGE - 1);
        // SAFETY: a page of the guard of the stack that is running.
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
    unsafe { divert(context, &trap.handler) };
    true
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> (usize, usize) {
    let registers = &context.uc_mcontext.gregs;
    (registers[libc::REG_RIP as usize] as usize, registers[libc::REG_RSP as usize] as usize)
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
fn registers(context: &libc::ucontext_t) -> (usize, usize) {
    (context.uc_mcontext.pc as usize, context.uc_mcontext.sp as usize)
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
