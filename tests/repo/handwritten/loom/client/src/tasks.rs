//! The tasks of `written:loom`, which are also exported to C and C++.

use std::cell::Cell;

use chimaera::{Pod, Serialize, SerializeInPlace, ShmElement, ShmString, ShmVec};

#[path = "../../autogen/loom_layouts.rs"]
mod layouts;

/// A range of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Serialize)]
#[repr(C)]
pub struct Extent {
    /// The first block.
    pub start: u64,
    /// Number of blocks.
    pub blocks: u32,
    /// Padding; zero.
    pub reserved: u32,
}

/// A named range.
#[derive(ShmElement, SerializeInPlace)]
#[repr(C)]
pub struct Entry {
    /// Its name.
    pub name: ShmString,
    /// Its range.
    pub extent: Cell<Extent>,
    /// Its weights.
    pub weights: ShmVec<f32>,
}

/// Changes every field.
#[chimaera::task]
pub struct TurnTask {
    /// In and out.
    #[chi(inout)]
    pub text: ShmString,
    /// In and out.
    #[chi(inout)]
    pub words: ShmVec<ShmString>,
    /// In and out.
    #[chi(inout)]
    pub extents: ShmVec<Extent>,
    /// In and out.
    #[chi(inout)]
    pub entry: Entry,
    /// In and out.
    #[chi(inout)]
    pub entries: ShmVec<Entry>,
    /// In and out.
    #[chi(inout)]
    pub total: Cell<u64>,
}

/// Fails.
#[chimaera::task]
pub struct FailTask {
    /// In: 1 to fail with a panic.
    #[chi(in)]
    pub thrown: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
    /// In.
    #[chi(in)]
    pub why: ShmString,
}

/// Has the C++ module turn a text.
#[chimaera::task]
pub struct RelayTask {
    /// In: the name of the C++ module's pool.
    #[chi(in)]
    pub store: ShmString,
    /// In.
    #[chi(in)]
    pub text: ShmString,
    /// In: number of concurrent calls.
    #[chi(in)]
    pub width: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
    /// In: the reason why the other module shall fail afterwards, if not empty.
    #[chi(in)]
    pub why: ShmString,
    /// Out.
    #[chi(out)]
    pub answers: ShmVec<ShmString>,
}
