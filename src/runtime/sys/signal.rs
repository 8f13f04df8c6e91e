//! The process's handlers of fatal signals: the runtime's own first, in the order in which they
//! were installed, then the one that was installed before.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use super::fault::Fault;
use super::lock;

/// Handles a fault; returns false if the next handler must. It may do only what a signal handler
/// may.
pub(super) type Handler = unsafe fn(&mut Fault) -> bool;

/// The signals that can have handlers, with their names: those of faults, then others that end a
/// process by default.
const SIGNALS: [(libc::c_int, &str); 17] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGSYS, "SIGSYS"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGPWR, "SIGPWR"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGSTKFLT, "SIGSTKFLT"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGXCPU, "SIGXCPU"),
];
/// How many handlers of the runtime's own a signal can have.
const MOST: usize = 4;

/// The runtime's handlers of a signal, and the handler that they replaced.
struct Handling {
    /// Each is a `Handler`, or 0.
    ours: [AtomicUsize; MOST],
    previous: UnsafeCell<MaybeUninit<libc::sigaction>>,
}

// SAFETY: `previous` is written once, under a lock, before the handler that reads it is installed.
unsafe impl Sync for Handling {}

static HANDLING: [Handling; SIGNALS.len()] = [const {
    Handling {
        ours: [const { AtomicUsize::new(0) }; MOST],
        previous: UnsafeCell::new(MaybeUninit::zeroed()),
    }
}; SIGNALS.len()];

fn handling(signal: libc::c_int) -> Option<&'static Handling> {
    SIGNALS.iter().position(|(other, _)| *other == signal).map(|index| &HANDLING[index])
}

/// The signals that the kernel sends for what a thread has just done. Handlers for these signals
/// are not replaced but asked first; the others are sent by timers and processes, and mean the end
/// only if nobody handles or ignores them.
pub(crate) fn of_faults() -> impl Iterator<Item = libc::c_int> {
    SIGNALS.iter().take_while(|(other, _)| *other != libc::SIGALRM).map(|(signal, _)| *signal)
}

/// Whether a signal is one of those.
pub(crate) fn is_of_fault(signal: libc::c_int) -> bool {
    of_faults().any(|fault| fault == signal)
}

/// Whether a signal has its default action.
pub(super) fn has_default(signal: libc::c_int) -> bool {
    // SAFETY: all zero is a valid `sigaction`, which lives until the call returns; the call changes
    // nothing else.
    let (found, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(signal, std::ptr::null(), &mut action), action)
    };
    found == 0 && action.sa_sigaction == libc::SIG_DFL
}

/// All signals that can have handlers.
pub(super) fn all() -> impl Iterator<Item = libc::c_int> {
    SIGNALS.iter().map(|(signal, _)| *signal)
}

/// The name of a signal.
pub(crate) fn name(signal: libc::c_int) -> &'static str {
    SIGNALS.iter().find(|(other, _)| *other == signal).map_or("a signal", |(_, name)| name)
}

/// Installs `ours` after the handlers of the signal that were installed here, and ahead of the one
/// that the process had before.
///
/// # Panics
/// If the signal is not in `SIGNALS`, or already has `MOST` handlers.
pub(crate) fn handle(signal: libc::c_int, ours: Handler) {
    static ADDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = lock(&ADDING);
    let handling = handling(signal).expect("the signal is one of SIGNALS");
    let free = |slot: &&AtomicUsize| slot.load(Ordering::Relaxed) == 0;
    let slot = handling.ours.iter().find(free).expect("the signal has fewer than MOST handlers");
    let is_first = std::ptr::eq(slot, &handling.ours[0]);
    slot.store(ours as usize, Ordering::Release);
    if is_first {
        // SAFETY: the handler does only what a signal handler may, and nothing reads `previous`
        // before it is installed.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            // A handler that faults is entered again, and then skips the step that faulted.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, handling.previous.get().cast());
        }
    }
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes valid pointers; everything called here may be called in a handler.
    // The entry was written before the handler was installed.
    unsafe {
        // The interrupted code may be about to read the errno of a call of its own.
        let reason = *libc::__errno_location();
        let Some(handling) = handling(signal) else { return };
        let mut fault = Fault::new(signal, info, context.cast());
        for slot in &handling.ours {
            let ours = slot.load(Ordering::Acquire);
            if ours != 0 && std::mem::transmute::<usize, Handler>(ours)(&mut fault) {
                *libc::__errno_location() = reason;
                return;
            }
        }
        let previous = (*handling.previous.get()).as_ptr();
        match (*previous).sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                // Without a handler, the access faults again and ends the process.
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &default, std::ptr::null_mut());
            }
            handler if (*previous).sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(libc::c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
        // A signal that was sent does not recur when the handler returns. The previous handler may
        // also have restored the default action, as that of Rust's standard library does.
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now);
        let recurs = is_of_fault(signal) && !fault.is_sent();
        if !recurs && now.sa_sigaction == libc::SIG_DFL {
            libc::raise(signal);
        }
    }
}
