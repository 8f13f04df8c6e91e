//! Status codes: one list of their numbers, names and texts.

use core::ffi::CStr;

/// The outcome of a call or of a task: `CHI_OK`, another of the codes of this header, or a module's own.
///
/// Numbers from `CHI_MODULE_STATUS` up belong to modules, which may return them from their methods
/// as they like; Chimaera passes them on unchanged.
pub type chi_status = i32;

/// Declares the status codes, and the functions that know all of them. The header is made of the same
/// list, by a script that reads its lines: each is `NAME = number, "text";`.
macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: i32 = $number;)*

        /// Every status code of Chimaera's own, with its name and its text.
        pub const STATUSES: &[(chi_status, &str, &str)] = &[$(($name, stringify!($name), $text)),*];

        /// The name of a status code, `"CHI_NO_POOL"` for example, or `None` for a number without one.
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

        /// One sentence that says what a status code means, for use where there is no message.
        pub const fn status_text(status: chi_status) -> &'static str {
            match status {
                $($name => $text,)*
                _ => "a status of the module's own",
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
    /// It worked.
    CHI_OK = 0, "success";
    /// A method failed: it threw, panicked, or said so. The message tells why.
    CHI_FAILED = 1, "the method failed";
    /// An argument or a task is malformed.
    CHI_INVALID = 2, "an argument or the task is malformed";
    /// No pool has this name or id (it may have been destroyed).
    CHI_NO_POOL = 3, "there is no such pool";
    /// The module has no method of this number.
    CHI_NO_METHOD = 4, "the module has no such method";
    /// The module declares this method as unsupported (`-1` in `chimaera_mod.yaml`), or it cannot be
    /// called from here.
    CHI_UNSUPPORTED = 5, "the container does not support this method";
    /// No module of this name is loaded.
    CHI_NO_MODULE = 6, "there is no such module";
    /// The name is taken, by a pool of another module or with other parameters.
    CHI_EXISTS = 7, "the name is already taken";
    /// The segment has no room left. Deleting tasks and freeing buffers makes room again.
    CHI_NO_SPACE = 8, "the segment is full";
    /// Larger than the segment (or a limit) could ever hold.
    CHI_TOO_LARGE = 9, "larger than the segment can hold";
    /// The submission ring is full. Waiting makes room.
    CHI_RING_FULL = 10, "the submission ring is full";
    /// The bound passed before it was done. The task goes on.
    CHI_TIMEOUT = 11, "the time ran out";
    /// There is no runtime, or it has ended.
    CHI_UNAVAILABLE = 12, "the runtime is not available";
    /// Not allowed for this user or from this place.
    CHI_DENIED = 13, "permission denied";
    /// The two sides speak different versions.
    CHI_VERSION = 14, "the two sides speak different versions";
    /// The process was forked after it connected; only the parent may use the session.
    CHI_FORKED = 15, "the session belongs to the parent process";
    /// `chi_init` has not been called, or has not succeeded.
    CHI_NOT_INITIALIZED = 16, "chi_init has not been called";
    /// The task never ran, or ended early: it was cancelled, its pool was destroyed, its client has gone, or
    /// the runtime is stopping.
    CHI_CANCELLED = 17, "the task was cancelled";
    /// What was asked for is not there (a key, for example).
    CHI_NOT_FOUND = 18, "not found";
    /// The operating system refused something; the message has its reason.
    CHI_IO = 19, "the operating system refused";
    /// It is in use: a task in flight, say.
    CHI_BUSY = 20, "still in use";
    /// A defect in Chimaera itself. Please report it with the message.
    CHI_INTERNAL = 21, "a defect in Chimaera";
    /// The task's deadline passed before it was done.
    CHI_DEADLINE = 22, "the task's deadline has passed";
    /// Tasks wait for each other in a circle; the message names them. This one was chosen to fail.
    CHI_DEADLOCK = 23, "tasks wait for each other in a circle";
    /// The method did something that no language catches: it overflowed its stack.
    CHI_FAULT = 24, "the method overflowed its stack";
}

/// The first number that a module may use for statuses of its own.
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
        assert_eq!(status_text(CHI_MODULE_STATUS), "a status of the module's own");
    }
}
