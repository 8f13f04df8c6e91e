//! The process's handlers of SIGBUS and SIGSEGV: the runtime's own first, then whoever was there before.

use std::mem::MaybeUninit;

/// Handles a fault; false when it is somebody else's. It may do only what a signal handler may.
pub(crate) type Handler = unsafe fn(*mut libc::siginfo_t, *mut libc::c_void) -> bool;

/// A handler of the runtime's, and the process's own that was there before.
struct Handling {
    ours: Option<Handler>,
    previous: MaybeUninit<libc::sigaction>,
}

const NONE: Handling = Handling { ours: None, previous: MaybeUninit::zeroed() };
/// For SIGBUS and SIGSEGV.
static mut HANDLING: [Handling; 2] = [NONE, NONE];

/// Has `ours` handle SIGBUS or SIGSEGV before the handler that is there. Each once for the process.
pub(crate) fn handle(signal: libc::c_int, ours: Handler) {
    // SAFETY: the handler does only what a signal handler may, and its entry is written before it can
    // run, once.
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
        // What runs on this thread may be about to ask for the reason of a call of its own.
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
