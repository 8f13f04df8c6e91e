//! The task of `test:locks` in C++ and `test:rust_locks` in Rust, modules for the tests of locks.

use std::cell::Cell;

use chimaera::ShmString;

/// The name of the module in C++.
pub const CPP: &str = "test:locks";
/// The name of the module in Rust.
pub const RUST: &str = "test:rust_locks";

/// The status of what must not happen under a lock.
pub const BROKEN: i32 = 1050;

/// The numbers of the modules' methods.
#[allow(non_snake_case)]
pub mod Method {
    /// `number` times: takes the lock, and with it adds to a counter in a way that needs a lock, or as a
    /// reader sees whether somebody else does. `result`: the counter.
    pub const COUNT: u32 = 10;
    /// Takes the lock, and waits for such a task in the next lane, `number` times nested; each adds to
    /// the counter. `text`: the workers that they ran on.
    pub const NEST: u32 = 11;
    /// Takes the lock, notes `number`, waits until it has been let go, and ends as `how` says.
    pub const HOLD: u32 = 12;
    /// Lets go all holders of numbers up to `number`.
    pub const LET_GO: u32 = 13;
    /// `text`: the numbers that holders noted, in their order.
    pub const NOTES: u32 = 14;
    /// Takes the mutex within `number` nanoseconds, and gives it back.
    pub const TIMED: u32 = 15;
    /// `result`: 1 when the lock could be taken without waiting. It is given back.
    pub const TRY: u32 = 16;
    /// Frees the lock `Lock::OWN`. Only in C++.
    pub const FREE: u32 = 17;
}

/// Which lock, and how.
#[allow(non_snake_case)]
pub mod Lock {
    /// None.
    pub const NONE: u32 = 0;
    /// The container's mutex.
    pub const MUTEX: u32 = 1;
    /// The container's other lock, as a reader.
    pub const READ: u32 = 2;
    /// The container's other lock, as a writer.
    pub const WRITE: u32 = 3;
    /// A mutex that all pools of the module have in common.
    pub const COMMON: u32 = 4;
    /// A mutex that can be freed. Only for holders that give it back at their end, and only in C++.
    pub const OWN: u32 = 5;
}

/// How a holder ends.
#[allow(non_snake_case)]
pub mod How {
    /// Gives the lock back.
    pub const GUARD: u32 = 0;
    /// Throws or panics, without a guard.
    pub const THROW: u32 = 1;
    /// Returns, without a guard.
    pub const LEAK: u32 = 2;
    /// Gives it back twice. Only in C++.
    pub const TWICE: u32 = 3;
}

/// The task of all methods.
#[chimaera::task]
pub struct LockTask {
    /// In.
    pub lock: Cell<u32>,
    /// In: the lane to run in, below [`LANES`].
    pub lane: Cell<u32>,
    /// In.
    pub number: Cell<u64>,
    /// In.
    pub how: Cell<u32>,
    reserved: u32,
    /// Out.
    pub result: Cell<u64>,
    /// Out.
    pub text: ShmString,
}

/// How many lanes a container has.
pub const LANES: u32 = 8;
