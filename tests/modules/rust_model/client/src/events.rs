//! The methods of `test:events` in C++ and `test:rust_events` in Rust, whose tasks wait for what threads
//! set and devices tell. Each takes a [`ValueTask`](crate::ValueTask).

/// The name of the module in C++.
pub const MODULE: &str = "test:events";
/// The name of the module in Rust.
pub const RUST: &str = "test:rust_events";

/// Method: has a thread set an event after `value` nanoseconds, and waits for it: `width` 0, or 1 without
/// interruption, or 2 for an hour. `result`: 1.
pub const SIGNALLED: u32 = 10;
/// Method: has a thread set an event after `value` nanoseconds, or never when that is 0, and waits for it
/// for `width` nanoseconds. `result`: 1 when it was set in time.
pub const TIMED: u32 = 11;
/// Method: sets an event twice and waits for it twice, the second time for `value` nanoseconds. `result`: 1
/// when that one was set, too.
pub const EARLY: u32 = 12;
/// Method: waits for the container's event, without interruption when `width` is 1.
pub const WAIT: u32 = 13;
/// Method: gives the number of tasks in WAIT.
pub const WAITING: u32 = 14;
/// Method: sets the container's event, on a thread when `width` is 1.
pub const SET: u32 = 15;
/// Method: has its worker look at a descriptor that a thread writes to after `value` nanoseconds, and waits
/// until it was seen. The first `width` looks fail. `result`: how often the worker has looked.
pub const POLL: u32 = 16;
/// Method: `result` is 1 when the worker looked at something while that was armed, for `value` nanoseconds,
/// and not afterwards.
pub const ARM: u32 = 17;
/// Method: tries events and pollers on a thread, and pollers of what cannot be watched. `result`: a bit for
/// each attempt that was refused as it should be: all five.
pub const ELSEWHERE: u32 = 18;
