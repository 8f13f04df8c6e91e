//! The process's handlers of SIGBUS and SIGSEGV: the runtime's own first, then the one that was
//! installed before.

use std::mem::MaybeUninit;

/// Handles a fault; returns false if the fault is not its own. It may do only what a signal handler
/// may.
pub(crate) type Handler = unsafe fn(*mut libc::siginfo_t, *mut libc::c_void) -> bool;

/// The runtime's handler of a signal, and the handler that it replaced.
struct Handling {
    ours: Option<Handler>,
    previous: MaybeUninit<libc::sigaction>,
}

const NONE: Handling = Handling { ours: None, previous: MaybeUninit::zeroed() };
/// The entry of SIGBUS, then that of SIGSEGV.
static mut HANDLING: [Handling; 2] = [NONE, NONE];

/// Installs `ours` in front of the present handler of SIGBUS or SIGSEGV, at most once per signal
/// and process.
pub(crate) fn handle(signal: libc::c_int, ours: Handler) {
    // SAFETY: `ours` does only what a signal handler may, and the entry is written once, before the
    // handler can run.
    unsafe {
        let entry = &mut *entry(signal);
        entry.ours = Some(ours);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, entry.previous.as_mut_ptr());
    }
}

fn entry(signal: libc::c_int) -> *mut Handling {
    let all: *mut [Handling; 2] = &raw mut HANDLING;
    // SAFETY: the index is 0 or 1.
    unsafe { all.cast::<Handling>().add(usize::from(signal == libc::SIGSEGV)) }
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes valid pointers; everything called here may be called in a handler. The
    // entry was written before the handler was installed.
    unsafe {
        // The interrupted code may be about to read the errno of a call of its own.
        let reason = *libc::__errno_location();
        let entry = entry(signal);
        if (*entry).ours.is_some_and(|ours| ours(info, context)) {
            *libc::__errno_location() = reason;
            return;
        }
        let previous = (*entry).previous.as_ptr();
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
    }
}
