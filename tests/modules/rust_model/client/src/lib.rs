//! The task of `test:model` in C++ and `test:rust_model` in Rust, modules whose methods wait, compute, call
//! themselves and fail.

pub mod events;

use std::cell::Cell;

use chimaera::PoolId;

/// The name of the module in C++.
pub const MODULE: &str = "test:model";
/// The name of the module in Rust.
pub const RUST: &str = "test:rust_model";

/// Lanes of each module's first queue, which is for tasks of low latency.
pub const LANES: u32 = 8;
/// Lanes of the second one of the module in Rust, for those of high latency.
pub const LATE_LANES: u32 = 2;

/// Method: suspends itself for `value` nanoseconds.
pub const SLEEP: u32 = 10;
/// Method: computes for `value` nanoseconds and never yields. `result`: its worker.
pub const COMPUTE: u32 = 11;
/// Method: counts a tick, after `value` nanoseconds of sleep.
pub const TICK: u32 = 12;
/// Method: gives the number of ticks.
pub const TICKS: u32 = 13;
/// Method: calls itself `width` times at once, `value` levels deep, and counts the leaves.
pub const TREE: u32 = 14;
/// Method: computes until it is cancelled.
pub const ASK: u32 = 15;
/// Method: recurses for ever.
pub const OVERFLOW: u32 = 16;
/// Method: waits for its own end. Only in C++: there is no such handle in Rust.
pub const OWN_END: u32 = 17;
/// Method: calls SLEEP, or the method `width` when that is not 0, in the pool `other`.
pub const CALL: u32 = 18;
/// Method: has a monitor. `value` 1: it throws; 2: chooses a lane that does not exist (Rust: of another
/// pool); 3: chooses the lane `width`. It says that the task will run for `width` nanoseconds.
pub const MONITORED: u32 = 19;
/// Method: counts a tick, and fails once there are `value`.
pub const FAIL: u32 = 20;
/// Method: yields `value` times.
pub const YIELD: u32 = 21;
/// Method: takes the container's lock, counts a tick, and sleeps for `value` nanoseconds with it.
pub const LOCK: u32 = 22;
/// Method: writes "a line" to the log.
pub const LOG: u32 = 23;
/// Method: yields for ever in as many of the `numbered` pools as `width` says, and waits for that.
pub const SPREAD: u32 = 24;

/// Method, in C++ only: waits for a sleep of `value` nanoseconds, or with 0 for that of another task.
pub const SHARE: u32 = 25;
/// Only in C++: says why it fails, and sleeps `width` nanoseconds before it does.
pub const FAIL_LATE: u32 = 26;
/// Only in C++: looks for a pool that is not there, sleeps `width` nanoseconds, and says why it failed.
pub const LAST_ERROR: u32 = 27;

/// The name of a pool that SPREAD goes to, from 1.
pub fn numbered(number: u64) -> String {
    format!("model {number}")
}

/// The task of all of them. In SLEEP, COMPUTE, TICK, and ASK, a `width` above 0 chooses a lane.
#[chimaera::task]
pub struct ValueTask {
    /// In.
    pub value: Cell<u64>,
    /// In.
    pub width: Cell<u64>,
    /// Out.
    pub result: Cell<u64>,
    /// In.
    pub other: Cell<PoolId>,
}
