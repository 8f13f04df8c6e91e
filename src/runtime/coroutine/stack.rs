//! The stacks of tasks, and the handling of their overflow.
//!
//! Below each stack is a guard: several MiB of addresses without memory. When a method reaches it,
//! the SIGSEGV handler makes the coroutine return at once, without unwinding, and the task ends
//! with `CHI_FAULT`. Whatever the method's frames held is lost to its module.
//!
//! If it is not the module's code that reaches the guard, but the C library's or the runtime's,
//! called near the end of the stack, that code may be in the middle of an operation on process-wide
//! state. So it is given memory from a reserve, the upper part of the guard, and continues; but it
//! returns to `end_here` instead of the module's code, and the coroutine returns then. A stack
//! whose guard has been touched is not used again, however its task ended.
//!
//! A function whose frame is smaller than the guard cannot skip it, even if it touches none of the
//! pages in between. One with a larger frame that does not probe its pages can.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr;
use std::sync::{Once, OnceLock};

use super::crash::may_give_up;
use crate::sys::backtrace;
use crate::sys::fault::Fault;
use crate::sys::objects::{self, Owner};
use crate::sys::signal;
use corosensei::stack::{Stack, StackPointer, STACK_ALIGNMENT};
use corosensei::trap::CoroutineTrapHandler;

const PAGE: usize = 4096;
/// Bytes of the guard below the reserve, which never have memory.
const GUARD: usize = 4 << 20;
/// Bytes of the reserve between the guard and the stack, for code that must not be interrupted.
const RESERVE: usize = 2 << 20;
/// How much of the reserve such code is given below the address that it has touched.
const PORTION: usize = 256 << 10;
/// How far below the stack pointer code may access its stack.
const BELOW: usize = PAGE;
/// Bytes of a worker's signal stack.
const SIGNAL_STACK: usize = 64 * 1024;

/// x86 flags that are clear at the start of every function.
#[cfg(target_arch = "x86_64")]
const DIRECTION: i64 = 1 << 10;
#[cfg(target_arch = "x86_64")]
const ALIGNMENT: i64 = 1 << 18;

/// How a coroutine's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The body returned.
    Returned,
    /// The body returned because its stack must not be used again.
    Spent,
    /// The body overflowed its stack.
    Overflowed,
    /// The body faulted.
    Crashed,
}

/// A stack with its guard.
pub(super) struct TaskStack {
    limit: usize,
    base: usize,
}

// SAFETY: both ends are page-aligned addresses of one private mapping that lives as long as `self`
// and includes the guard.
unsafe impl Stack for TaskStack {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.base).expect("nothing is mapped at null")
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.limit).expect("nothing is mapped at null")
    }
}

impl TaskStack {
    /// How many bytes of addresses a stack of `size` bytes takes.
    pub(super) fn mapped(size: usize) -> usize {
        GUARD + RESERVE + size.next_multiple_of(PAGE)
    }

    /// Maps a stack of `size` bytes, rounded up to whole pages.
    pub(super) fn new(size: usize) -> io::Result<TaskStack> {
        const { assert!(PAGE.is_multiple_of(STACK_ALIGNMENT)) };
        let size = size.next_multiple_of(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        let below = GUARD + RESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses aliases nothing.
        let limit =
            unsafe { libc::mmap(ptr::null_mut(), below + size, libc::PROT_NONE, flags, -1, 0) };
        if limit == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let limit = limit as usize;
        let stack = TaskStack { limit, base: limit + below + size };
        // SAFETY: the range is the part above the reserve of the mapping just made, which nothing
        // uses yet.
        let opened = unsafe {
            let usable = (limit + below) as *mut libc::c_void;
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
pub(super) struct Trap {
    pub(super) handler: CoroutineTrapHandler<Ended>,
    pub(super) limit: usize,
    /// Set when the guard is touched. Lives as long as the coroutine.
    pub(super) touched: *const Cell<bool>,
}

thread_local! {
    static TRAP: Cell<Option<Trap>> = const { Cell::new(None) };
}

/// The trap of this thread's running coroutine.
pub(super) fn trap() -> Option<Trap> {
    // A thread that is ending has no thread-locals, and no coroutine.
    TRAP.try_with(Cell::get).ok().flatten()
}

/// Calls `f`, which resumes a coroutine, with the coroutine's trap set.
#[inline]
pub(super) fn with_trap<R>(trap: Trap, f: impl FnOnce() -> R) -> R {
    TRAP.set(Some(trap));
    let result = f();
    TRAP.set(None);
    result
}

/// Whether the code at this address must not be abandoned in the middle of an operation, because it
/// belongs to the C library, the dynamic linker or the runtime.
fn is_shared_code(address: usize) -> bool {
    matches!(objects::owner(address), Some(Owner::System | Owner::Runtime))
}

/// Installs the handlers, once per process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        objects::look();
        backtrace::prepare();
        signal::handle(libc::SIGSEGV, on_overflow);
        signal::handle(libc::SIGILL, on_return);
    });
}

thread_local! {
    /// This thread has a signal stack of the runtime's.
    static IS_PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread has a signal stack of the runtime's.
pub(crate) fn is_prepared() -> bool {
    IS_PREPARED.get()
}

/// Gives the calling thread, a worker or the main one, a signal stack: a signal cannot be handled on a stack that
/// has no room left. The mapping is never freed: destructors of modules run until the very end of a thread.
pub(crate) fn prepare_thread() -> io::Result<()> {
    IS_PREPARED.set(false);
    add_signal_stack()?;
    IS_PREPARED.set(true);
    Ok(())
}

/// The key by which a thread of a module finds its signal stack; nothing if there are no keys left.
static SIGNAL_STACK_OF: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// Gives the calling thread, one of a module, a signal stack that is freed when it has ended.
pub(crate) fn prepare_thread_of_module() {
    let key = SIGNAL_STACK_OF.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the key lives until the call returns, and the function as long as the process.
        let made = unsafe { libc::pthread_key_create(&mut key, Some(free_signal_stack)) };
        (made == 0).then_some(key)
    });
    // Without memory or a key, an overflow of its stack ends the process without last words.
    let Some(key) = key else { return };
    if let Ok(stack) = add_signal_stack() {
        // SAFETY: the key exists as long as the process. If there is no memory, the stack stays.
        unsafe { libc::pthread_setspecific(*key, stack) };
    }
}

/// Called when the thread-local objects of a thread are gone, in each of the rounds in which the C library calls
/// destructors of keys: the stack is freed in the last one.
unsafe extern "C" fn free_signal_stack(stack: *mut libc::c_void) {
    /// `PTHREAD_DESTRUCTOR_ITERATIONS`.
    const ROUNDS: u8 = 4;
    thread_local!(static ROUND: Cell<u8> = const { Cell::new(1) });
    if ROUND.get() < ROUNDS {
        ROUND.set(ROUND.get() + 1);
        if let Some(Some(key)) = SIGNAL_STACK_OF.get() {
            // SAFETY: the key exists as long as the process.
            unsafe { libc::pthread_setspecific(*key, stack) };
        }
        return;
    }
    let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: the stack is a mapping of this size that was made for this thread, which uses it no more. The program's
    // own `sigaltstack` lets a thread that is not prepared disable its stack.
    unsafe {
        if libc::sigaltstack(&none, ptr::null_mut()) == 0 {
            libc::munmap(stack, SIGNAL_STACK);
        }
    }
}

/// Adds a signal stack to the calling thread.
fn add_signal_stack() -> io::Result<*mut libc::c_void> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, which only the kernel uses, and which is unmapped only if the kernel
    // has refused it.
    unsafe {
        let at = libc::mmap(ptr::null_mut(), SIGNAL_STACK, prot, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = libc::stack_t { ss_sp: at, ss_flags: 0, ss_size: SIGNAL_STACK };
        let done = libc::sigaltstack(&stack, ptr::null_mut());
        let error = io::Error::last_os_error();
        if done != 0 {
            libc::munmap(at, SIGNAL_STACK);
            return Err(error);
        }
        Ok(at)
    }
}

/// Handles a fault in the guard of the running stack. False for any other fault, and if nothing can
/// be done about it.
///
/// # Safety
/// Must be called in a SIGSEGV handler.
unsafe fn on_overflow(fault: &mut Fault) -> bool {
    let Some(address) = fault.address() else { return false };
    let Some(trap) = trap() else { return false };
    let (reserve, stack) = (trap.limit + GUARD, trap.limit + GUARD + RESERVE);
    // Code that is far from the end of its stack has got here through a bad pointer.
    let is_end = (trap.limit..stack).contains(&address) && address + BELOW >= fault.sp();
    if !is_end || !trap.handler.stack_ptr_in_bounds(fault.sp()) {
        return false;
    }
    // SAFETY: the coroutine is running, so its context exists.
    unsafe { (*trap.touched).set(true) };
    if is_shared_code(fault.pc()) {
        if address < reserve {
            return false;
        }
        let from = address.saturating_sub(PORTION).max(reserve) & !(PAGE - 1);
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the range is part of the reserve of the running stack, where nothing else has
        // been stored.
        if unsafe { libc::mprotect(from as *mut libc::c_void, stack - from, prot) } != 0 {
            return false;
        }
        // SAFETY: this is the handler of a fault on the trap's stack.
        unsafe { end_at_return(fault, &trap) };
        return true;
    }
    if !may_give_up() {
        return false;
    }
    // SAFETY: the fault is on the stack of this thread's running coroutine, in code of a module,
    // whose frames are abandoned. What the runtime's frames on this stack own is found through the
    // task's record, or was moved there before the module was called.
    unsafe { divert(fault.context(), &trap.handler, Ended::Overflowed) };
    true
}

/// Makes the interrupted code, which must not be abandoned, return to `end_here` instead of to the
/// code that may be. If that return address cannot be found, the code continues in the reserve.
///
/// # Safety
/// Must be called in the handler of a fault on the stack of the trap's coroutine.
unsafe fn end_at_return(fault: &mut Fault, trap: &Trap) {
    let mut callee = fault.sp();
    let mut found = None;
    backtrace::walk_from(fault, |frame| {
        let must_finish = frame.interrupted || is_shared_code(frame.pc - 1);
        if !must_finish {
            found = Some((frame.pc, callee..frame.sp));
        }
        callee = frame.sp;
        must_finish && trap.handler.stack_ptr_in_bounds(callee)
    });
    let Some((pc, frame)) = found else { return };
    if trap.handler.stack_ptr_in_bounds(frame.start) && trap.handler.stack_ptr_in_bounds(frame.end)
    {
        // SAFETY: the range is a frame of the interrupted stack whose function returns to `pc`.
        unsafe { redirect_return(fault, frame, pc) };
    }
}

/// Where functions return to instead of to abandoned code.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
extern "C" fn end_here() {
    std::arch::naked_asm!("ud2")
}

/// Where functions return to instead of to abandoned code.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
extern "C" fn end_here() {
    std::arch::naked_asm!("udf #0")
}

/// Handles a return to `end_here`. False for any other fault.
///
/// # Safety
/// Must be called in a SIGILL handler.
unsafe fn on_return(fault: &mut Fault) -> bool {
    let Some(trap) = trap() else { return false };
    let sp = fault.sp();
    if fault.pc() != end_here as *const () as usize || !trap.handler.stack_ptr_in_bounds(sp) {
        return false;
    }
    if !may_give_up() {
        return false;
    }
    // SAFETY: as in `on_overflow`; the abandoned code is the caller of the function that has just
    // returned.
    unsafe { divert(fault.context(), &trap.handler, Ended::Overflowed) };
    true
}

/// Makes the function of a frame return to `end_here`, if its return address, `pc`, is where the
/// unwind tables place it: at the end of the frame.
///
/// # Safety
/// The range must be a frame of the interrupted stack.
#[cfg(target_arch = "x86_64")]
unsafe fn redirect_return(_: &mut Fault, frame: Range<usize>, pc: usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        let at = (frame.end - size_of::<usize>()) as *mut usize;
        if at.read() == pc {
            at.write(end_here as *const () as usize);
        }
    }
}

/// Makes the function of a frame return to `end_here`, if its return address, `pc`, is found
/// exactly once in the frame, or only in its register.
///
/// # Safety
/// The range must be a frame of the interrupted stack.
#[cfg(target_arch = "aarch64")]
unsafe fn redirect_return(fault: &mut Fault, frame: Range<usize>, pc: usize) {
    let end_here = end_here as *const () as usize;
    let is_innermost = fault.sp() == frame.start;
    // SAFETY: by the caller's promise.
    unsafe {
        let mut words = frame.step_by(size_of::<usize>()).map(|at| at as *mut usize);
        match (words.find(|at| at.read() == pc), words.find(|at| at.read() == pc)) {
            (Some(at), None) => at.write(end_here),
            (None, _) if is_innermost && fault.context().uc_mcontext.regs[30] == pc as u64 => {
                fault.context().uc_mcontext.regs[30] = end_here as u64;
            }
            _ => {}
        }
    }
}

/// Changes the registers so that the coroutine returns `ended` once the signal handler returns.
///
/// # Safety
/// The context must be that of a fault on the stack of the handler's coroutine, whose code is
/// abandoned.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn divert(
    context: &mut libc::ucontext_t,
    handler: &CoroutineTrapHandler<Ended>,
    ended: Ended,
) {
    // SAFETY: by the caller's promise.
    let found = unsafe { handler.setup_trap_handler(move || ended) };
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_RIP as usize] = found.rip as i64;
    registers[libc::REG_RSP as usize] = found.rsp as i64;
    registers[libc::REG_RBP as usize] = found.rbp as i64;
    registers[libc::REG_RDI as usize] = found.rdi as i64;
    registers[libc::REG_RSI as usize] = found.rsi as i64;
    // The code may have been in the middle of a backward copy, or have had alignment checked.
    registers[libc::REG_EFL as usize] &= !(DIRECTION | ALIGNMENT);
}

#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn divert(
    context: &mut libc::ucontext_t,
    handler: &CoroutineTrapHandler<Ended>,
    ended: Ended,
) {
    // SAFETY: by the caller's promise.
    let found = unsafe { handler.setup_trap_handler(move || ended) };
    let registers = &mut context.uc_mcontext;
    (registers.pc, registers.sp) = (found.pc, found.sp);
    (registers.regs[0], registers.regs[1]) = (found.x0, found.x1);
    (registers.regs[29], registers.regs[30]) = (found.x29, found.lr);
}
