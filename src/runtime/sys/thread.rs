//! Threads that panic, and that are there or not.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs the body of a thread. If it panics, returns the message of the panic.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| message(&*payload))
}

/// Runs the body of a worker's thread and aborts the process if it panics, which is always a bug.
/// The tasks on that worker would hang forever, whereas clients learn at once that a runtime has
/// died.
pub(crate) fn or_abort(work: impl FnOnce()) {
    if let Err(why) = caught(work) {
        tracing::error!("a worker panicked: {why}; this is a bug, and the process aborts");
        std::process::abort();
    }
}

// Of the C library, declared in pthread.h.
extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
}

/// From now on, the calling thread does not end because it is cancelled (`pthread_cancel`). Returns what
/// [`leave`] takes. `[any thread, signal handlers]`
pub(crate) fn stay() -> libc::c_int {
    /// `PTHREAD_CANCEL_DISABLE`.
    const DISABLE: libc::c_int = 1;
    let mut before = 0;
    // SAFETY: the number lives until the call returns.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    before
}

/// The calling thread may be cancelled again, if it could be before [`stay`].
pub(crate) fn leave(before: libc::c_int) {
    // SAFETY: the state is one that the C library has returned.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
}

/// The kernel's number of the calling thread.
pub(crate) fn number() -> i32 {
    // SAFETY: it has no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// The name of the calling thread, up to its first zero byte. `[any thread, signal handlers]`
pub(crate) fn name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: the kernel writes at most 16 bytes, the last of which is zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// Whether the calling thread is the one that the process began with. `[any thread, signal handlers]`
pub(crate) fn is_main() -> bool {
    // SAFETY: it has no preconditions.
    number() == unsafe { libc::getpid() }
}

/// Whether this process has a thread of this number.
pub(crate) fn exists(number: i32) -> bool {
    // SAFETY: signal 0 is sent to nobody; only whether it could be is told.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), number, 0) };
    sent == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The message of a panic.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_returned_with_their_messages() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(caught(|| panic!("number {}", 7)), Err::<(), _>("number 7".to_owned()));
        assert_eq!(caught(|| std::panic::panic_any(7)), Err::<(), _>("no message".to_owned()));
    }
}
