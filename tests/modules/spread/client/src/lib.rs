//! The tasks of `test:spread`, in C++, and `test:spread_rust`: modules of which pools have several
//! containers, alike in all that they do.

use std::cell::Cell;

use chimaera::{ShmBytes, ShmString, ShmVec};

/// The module in C++.
pub const MODULE: &str = "test:spread";
/// The module in Rust.
pub const RUST_MODULE: &str = "test:spread_rust";

/// The status of what fails because it was told to.
pub const FAULT: i32 = 1077;

/// The numbers of the modules' methods.
#[allow(non_snake_case)]
pub mod Method {
    /// `WhereTask`: says which container runs it, and how many live in the process.
    pub const WHERE: u32 = 10;
    /// `GatherTask`: has an aggregation.
    pub const GATHER: u32 = 11;
    /// `SteerTask`: has a monitor, which does as the task says.
    pub const STEER: u32 = 12;
    /// `NapTask`: yields.
    pub const NAP: u32 = 13;
}

/// `kWhere`.
#[chimaera::task]
pub struct WhereTask {
    /// Out: the container.
    pub container: Cell<u32>,
    /// Out: how many containers its pool has.
    pub count: Cell<u32>,
    /// Out: how many containers of the module there are.
    pub alive: Cell<u32>,
    /// Out: the depth of the task below its root.
    pub depth: Cell<u32>,
    /// In, out: the container's number is added to it.
    pub text: ShmString,
}

/// `kGather`.
#[chimaera::task]
pub struct GatherTask {
    /// In: the containers, as bits, that fail with `FAULT` and `"told to fail"`.
    pub failing: Cell<u64>,
    /// In: not 0 when the aggregation lets failures pass.
    pub lenient: Cell<u32>,
    /// In: the container plus 1 at whose replica the aggregation fails with `FAULT`; 0: nowhere.
    pub stumble: Cell<u32>,
    /// Out: the sum of the numbers of the containers that succeeded.
    pub sum: Cell<u64>,
    /// Out: how many replicas succeeded.
    pub good: Cell<u32>,
    reserved: u32,
    /// In.
    pub text: ShmString,
    /// Out: the text and the number of each container that succeeded.
    pub words: ShmVec<ShmString>,
    /// Out: their numbers.
    pub numbers: ShmVec<u32>,
    /// In, out: each replica finds what the caller put there, and writes something else.
    pub notes: ShmVec<ShmString>,
    /// In, out: as `notes`.
    pub bytes: ShmBytes,
}

/// What the monitor of `SteerTask` does in its global schedule.
#[allow(non_snake_case)]
pub mod Steer {
    /// Nothing.
    pub const LEAVE: u32 = 0;
    /// Names the container of the value.
    pub const TO_ID: u32 = 1;
    /// Names the container that the value falls to.
    pub const TO_HASH: u32 = 2;
    /// Names all.
    pub const EVERYWHERE: u32 = 3;
    /// Names a kind of query that there is not.
    pub const NONSENSE: u32 = 4;
    /// Throws, or panics, `"lost"`.
    pub const THROW: u32 = 5;
}

/// `kSteer`.
#[chimaera::task]
pub struct SteerTask {
    /// In: one of `Steer`.
    pub how: Cell<u32>,
    /// In.
    pub value: Cell<u32>,
    /// Out: the container that asked.
    pub container: Cell<u32>,
    /// Out: the container whose monitor was asked, plus 1; 0 when none was.
    pub asked: Cell<u32>,
}

/// `kNap`.
#[chimaera::task]
pub struct NapTask {
    /// In: how often it yields.
    pub times: Cell<u64>,
    /// In.
    pub text: ShmString,
}
