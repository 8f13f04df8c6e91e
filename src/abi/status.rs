//! Status codes: one list of their numbers, names and texts.

use core::ffi::CStr;

/// The outcome of a call or of a task: `CHI_OK`, an error code of this header, or a status of a
/// module.
///
/// Numbers from `CHI_MODULE_STATUS` up belong to modules: their methods may return them with any
/// meaning, and Chimaera passes them on unchanged.
pub type chi_status = i32;

/// Declares the status codes, and the functions that map each of them. The C header is generated
/// from the same list by a script that reads it line by line: each line is `NAME = number,
/// "text";`.
macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: i32 = $number;)*

        /// Every status code of Chimaera, with its name and its text.
        pub const STATUSES: &[(chi_status, &str, &str)] = &[$(($name, stringify!($name), $text)),*];

        /// The name of a status code, for example `"CHI_NO_POOL"`; `None` for any other number.
        pub const fn status_name(status: chi_status) -> Option<&'static str> {
            match status {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }

        /// As [`status_name`], for C.
        pub const fn status_name_c(status: chi_status) -> Option<&'static CStr> {
            match status {
                $($name => Some(with_zero(concat!(stringify!($name), "\0"))),)*
                _ => None,
            }
        }

        /// A short description of a status code, for use where there is no message.
        pub const fn status_text(status: chi_status) -> &'static str {
            match status {
                $($name => $text,)*
                _ => "a status defined by the module",
            }
        }
    };
}

const fn with_zero(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("one zero, at the end"),
    }
}

statuses! {
    /// Success.
    CHI_OK = 0, "success";
    /// A method failed: it threw, panicked or returned this status. The message says why.
    CHI_FAILED = 1, "the method failed";
    /// An argument or a task is malformed.
    CHI_INVALID = 2, "an argument or the task is malformed";
    /// No pool has this name or id; it may have been destroyed.
    CHI_NO_POOL = 3, "there is no such pool";
    /// The module has no method with this number.
    CHI_NO_METHOD = 4, "the module has no such method";
    /// The module declares this method as unsupported (`-1` in `chimaera_mod.yaml`), or the
    /// function is not available here.
    CHI_UNSUPPORTED = 5, "the container does not support this method";
    /// No module with this name is loaded.
    CHI_NO_MODULE = 6, "there is no such module";
    /// The name is taken by a pool of another module, or by one with other parameters.
    CHI_EXISTS = 7, "the name is already taken";
    /// The segment is full. Deleting tasks and freeing buffers makes space.
    CHI_NO_SPACE = 8, "the segment is full";
    /// Larger than the whole segment, or than another limit.
    CHI_TOO_LARGE = 9, "larger than the segment can hold";
    /// The submission ring is full. It empties as the runtime accepts tasks: try again.
    CHI_RING_FULL = 10, "the submission ring is full";
    /// The timeout passed first. The task continues.
    CHI_TIMEOUT = 11, "timed out";
    /// No runtime is running, or it has stopped.
    CHI_UNAVAILABLE = 12, "the runtime is not available";
    /// Not permitted for this user or this caller.
    CHI_DENIED = 13, "permission denied";
    /// Client, runtime or module have incompatible versions.
    CHI_VERSION = 14, "incompatible versions";
    /// The process was forked after it connected; only the parent may use the session.
    CHI_FORKED = 15, "the session belongs to the parent process";
    /// `chi_init` has not been called, or has failed.
    CHI_NOT_INITIALIZED = 16, "chi_init has not been called";
    /// The task never ran, or ended early: it was cancelled, its pool was destroyed, its client has
    /// gone, or the runtime is stopping.
    CHI_CANCELLED = 17, "the task was cancelled";
    /// The requested item, such as a key, does not exist.
    CHI_NOT_FOUND = 18, "not found";
    /// An operating system call failed; the message has the reason.
    CHI_IO = 19, "an operating system call failed";
    /// Still in use: for example, the task is in flight.
    CHI_BUSY = 20, "still in use";
    /// A bug in Chimaera. Please report it with the message.
    CHI_INTERNAL = 21, "internal error: this is a bug in Chimaera";
    /// The task's deadline passed before the task was complete.
    CHI_DEADLINE = 22, "the task's deadline has passed";
    /// Deadlock: tasks wait for each other in a cycle, which the message describes. This one was
    /// chosen to fail.
    CHI_DEADLOCK = 23, "deadlock: tasks are waiting for each other";
    /// The method caused a fault that it cannot catch: it overflowed its stack, or caused a signal
    /// such as SIGSEGV. Or it was not called, because its container has been in quarantine since
    /// another task caused one.
    CHI_FAULT = 24, "the method crashed or overflowed its stack";
    /// The node that has the container was lost. The message says whether the task may have run.
    CHI_NODE_LOST = 25, "the node that has the container was lost";
}

/// The first number that modules may use for their own statuses.
pub const CHI_MODULE_STATUS: i32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_name_and_text_by_number() {
        for (number, &(status, name, text)) in STATUSES.iter().enumerate() {
            assert_eq!(status as usize, number);
            assert_eq!(status_name(status), Some(name));
            assert_eq!(status_name_c(status).map(CStr::to_bytes), Some(name.as_bytes()));
            assert_eq!(status_text(status), text);
        }
        assert_eq!(status_name(CHI_MODULE_STATUS), None);
        assert_eq!(status_text(CHI_MODULE_STATUS), "a status defined by the module");
    }
}
