//! Status codes.

/// The outcome of a call or of a task: `CHI_OK`, another of the codes of this header, or a module's own.
///
/// Numbers from `CHI_MODULE_STATUS` up belong to modules, which may return them from their methods
/// as they like; Chimaera passes them on unchanged.
pub type chi_status = i32;

/// It worked.
pub const CHI_OK: i32 = 0;
/// A method failed: it threw, panicked, or said so. The message tells why.
pub const CHI_FAILED: i32 = 1;
/// An argument or a task is malformed.
pub const CHI_INVALID: i32 = 2;
/// No pool has this name or id (it may have been destroyed).
pub const CHI_NO_POOL: i32 = 3;
/// The module has no method of this number.
pub const CHI_NO_METHOD: i32 = 4;
/// The module declares this method as unsupported (`-1` in `chimaera_mod.yaml`), or it cannot be
/// called from here.
pub const CHI_UNSUPPORTED: i32 = 5;
/// No module of this name is loaded.
pub const CHI_NO_MODULE: i32 = 6;
/// The name is taken, by a pool of another module or with other parameters.
pub const CHI_EXISTS: i32 = 7;
/// The segment has no room left. Deleting tasks and freeing buffers makes room again.
pub const CHI_NO_SPACE: i32 = 8;
/// Larger than the segment (or a limit) could ever hold.
pub const CHI_TOO_LARGE: i32 = 9;
/// The submission ring is full. Waiting makes room.
pub const CHI_RING_FULL: i32 = 10;
/// The bound passed before it was done. The task goes on.
pub const CHI_TIMEOUT: i32 = 11;
/// There is no runtime, or it has ended.
pub const CHI_UNAVAILABLE: i32 = 12;
/// Not allowed for this user or from this place.
pub const CHI_DENIED: i32 = 13;
/// The two sides speak different versions.
pub const CHI_VERSION: i32 = 14;
/// The process was forked after it connected; only the parent may use the session.
pub const CHI_FORKED: i32 = 15;
/// `chi_init` has not been called, or has not succeeded.
pub const CHI_NOT_INITIALIZED: i32 = 16;
/// The task never ran, or ended early: it was cancelled, its pool was destroyed, its client has gone, or
/// the runtime is stopping.
pub const CHI_CANCELLED: i32 = 17;
/// What was asked for is not there (a key, for example).
pub const CHI_NOT_FOUND: i32 = 18;
/// The operating system refused something; the message has its reason.
pub const CHI_IO: i32 = 19;
/// It is in use: a task in flight, say.
pub const CHI_BUSY: i32 = 20;
/// A defect in Chimaera itself. Please report it with the message.
pub const CHI_INTERNAL: i32 = 21;
/// The task's deadline passed before it was done.
pub const CHI_DEADLINE: i32 = 22;
/// Tasks wait for each other in a circle; the message names them. This one was chosen to fail.
pub const CHI_DEADLOCK: i32 = 23;
/// The method did something that no language catches: it overflowed its stack.
pub const CHI_FAULT: i32 = 24;
/// The first number that a module may use for statuses of its own.
pub const CHI_MODULE_STATUS: i32 = 1000;

/// The name of a status code, `"CHI_NO_POOL"` for example, or `None` for a number without one.
pub const fn status_name(status: chi_status) -> Option<&'static str> {
    Some(match status {
        CHI_OK => "CHI_OK",
        CHI_FAILED => "CHI_FAILED",
        CHI_INVALID => "CHI_INVALID",
        CHI_NO_POOL => "CHI_NO_POOL",
        CHI_NO_METHOD => "CHI_NO_METHOD",
        CHI_UNSUPPORTED => "CHI_UNSUPPORTED",
        CHI_NO_MODULE => "CHI_NO_MODULE",
        CHI_EXISTS => "CHI_EXISTS",
        CHI_NO_SPACE => "CHI_NO_SPACE",
        CHI_TOO_LARGE => "CHI_TOO_LARGE",
        CHI_RING_FULL => "CHI_RING_FULL",
        CHI_TIMEOUT => "CHI_TIMEOUT",
        CHI_UNAVAILABLE => "CHI_UNAVAILABLE",
        CHI_DENIED => "CHI_DENIED",
        CHI_VERSION => "CHI_VERSION",
        CHI_FORKED => "CHI_FORKED",
        CHI_NOT_INITIALIZED => "CHI_NOT_INITIALIZED",
        CHI_CANCELLED => "CHI_CANCELLED",
        CHI_NOT_FOUND => "CHI_NOT_FOUND",
        CHI_IO => "CHI_IO",
        CHI_BUSY => "CHI_BUSY",
        CHI_INTERNAL => "CHI_INTERNAL",
        CHI_DEADLINE => "CHI_DEADLINE",
        CHI_DEADLOCK => "CHI_DEADLOCK",
        CHI_FAULT => "CHI_FAULT",
        _ => return None,
    })
}

/// One sentence that says what a status code means, for use where there is no message.
pub const fn status_text(status: chi_status) -> &'static str {
    match status {
        CHI_OK => "success",
        CHI_FAILED => "the method failed",
        CHI_INVALID => "an argument or the task is malformed",
        CHI_NO_POOL => "there is no such pool",
        CHI_NO_METHOD => "the module has no such method",
        CHI_UNSUPPORTED => "the container does not support this method",
        CHI_NO_MODULE => "there is no such module",
        CHI_EXISTS => "the name is already taken",
        CHI_NO_SPACE => "the segment is full",
        CHI_TOO_LARGE => "larger than the segment can hold",
        CHI_RING_FULL => "the submission ring is full",
        CHI_TIMEOUT => "the time ran out",
        CHI_UNAVAILABLE => "the runtime is not available",
        CHI_DENIED => "permission denied",
        CHI_VERSION => "the two sides speak different versions",
        CHI_FORKED => "the session belongs to the parent process",
        CHI_NOT_INITIALIZED => "chi_init has not been called",
        CHI_CANCELLED => "the task was cancelled",
        CHI_NOT_FOUND => "not found",
        CHI_IO => "the operating system refused",
        CHI_BUSY => "still in use",
        CHI_INTERNAL => "a defect in Chimaera",
        CHI_DEADLINE => "the task's deadline has passed",
        CHI_DEADLOCK => "tasks wait for each other in a circle",
        CHI_FAULT => "the method overflowed its stack",
        _ => "a status of the module's own",
    }
}
