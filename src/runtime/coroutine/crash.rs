//! Crashes: faults in module code that need not end the process. If all frames from the fault up to
//! the runtime's belong to modules, no other code is in the middle of an operation, and the
//! coroutine returns at once, as it does when its stack overflows. In all other cases the state of
//! the process is unknown.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

use super::stack::{self, Ended};
use crate::sys::backtrace::{self, Frame};
use crate::sys::demangle::demangle;
use crate::sys::fault::Fault;
use crate::sys::objects::{self, Owner};
use crate::sys::signal;

/// A fault in the code of a module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    signal: libc::c_int,
    address: Option<usize>,
    /// The innermost frame of the module.
    code: Frame,
}

thread_local! {
    /// The latest crash on this thread.
    static LATEST: Cell<Option<Crash>> = const { Cell::new(None) };
}

/// Whether all pools whose code runs on the calling thread allow that code to be abandoned. May do
/// only what a signal handler may.
pub(super) type MayGiveUp = fn() -> bool;

static MAY_GIVE_UP: OnceLock<MayGiveUp> = OnceLock::new();
/// The process whose coroutines these are; a child that a module forks just ends.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Whether the code running on the calling thread may be abandoned.
pub(super) fn may_give_up() -> bool {
    let process = PROCESS.load(Ordering::Relaxed);
    MAY_GIVE_UP.get().is_none_or(|ask| process == std::process::id() && ask())
}

/// Installs the handlers, once per process.
pub(crate) fn install(may_give_up: MayGiveUp) {
    static ONCE: Once = Once::new();
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    ONCE.call_once(|| {
        let _ = MAY_GIVE_UP.set(may_give_up);
        for number in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP] {
            signal::handle(number, on_fault);
        }
    });
}

impl Crash {
    /// Takes the crash that has just ended a coroutine of this thread.
    pub(crate) fn take() -> Option<Crash> {
        LATEST.take()
    }
}

/// In a message: `SIGSEGV at 0x8 in Parse+0x1c (libparser.so+0x2f1c)`.
impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", signal::name(self.signal))?;
        if let Some(address) = self.address {
            write!(f, " at {address:#x}")?;
        }
        let mut code = String::new();
        backtrace::describe(self.code, &mut code)?;
        write!(f, " in {}", demangle(&code))
    }
}

/// Makes the coroutine of the interrupted code return. False if that code must not be abandoned.
///
/// # Safety
/// Must be called in a handler of the fault.
unsafe fn on_fault(fault: &mut Fault) -> bool {
    if fault.is_sent() {
        return false;
    }
    let Some(trap) = stack::trap().filter(|trap| trap.handler.stack_ptr_in_bounds(fault.sp()))
    else {
        return false;
    };
    let Some(code) = find_code(fault, |sp| trap.handler.stack_ptr_in_bounds(sp)) else {
        return false;
    };
    if !may_give_up() {
        return false;
    }
    LATEST.set(Some(Crash { signal: fault.signal(), address: fault.address(), code }));
    // SAFETY: the fault is on the stack of this thread's running coroutine, in code of a module,
    // whose frames are abandoned. What the runtime's frames on this stack own is found through the
    // task's record, or was moved there before the module was called.
    unsafe { stack::divert(fault.context(), &trap.handler, Ended::Crashed) };
    true
}

/// The innermost frame, if it belongs to a module and all others on the stack belong to modules or
/// the runtime.
fn find_code(fault: &mut Fault, is_on_stack: impl Fn(usize) -> bool) -> Option<Frame> {
    let mut first = None;
    let mut called_by_runtime = false;
    let mut all = true;
    let left = backtrace::walk_from(fault, |frame| {
        if !frame.interrupted && !is_on_stack(frame.sp) {
            return false;
        }
        let pc = if frame.interrupted { frame.pc } else { frame.pc - 1 };
        match objects::owner(pc) {
            Some(Owner::Module) => {
                first.get_or_insert(frame);
            }
            // The innermost frame must not be the runtime's, which may be in the middle of any
            // operation.
            Some(Owner::Runtime) if first.is_some() => called_by_runtime = true,
            _ => all = false,
        }
        all
    });
    (all && left && called_by_runtime).then_some(first).flatten()
}
