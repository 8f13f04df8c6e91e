//! The tasks of `written:loom`, for C and C++ too.

use std::cell::Cell;

use chimaera::{Pod, Serialize, SerializeInPlace, ShmElement, ShmString, ShmVec};

#[path = "../../autogen/loom_layouts.rs"]
mod layouts;

/// A part of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Serialize)]
#[repr(C)]
pub struct Extent {
    /// Where it begins.
    pub start: u64,
    /// How much it is.
    pub blocks: u32,
    /// Zero.
    pub reserved: u32,
}

/// A named part.
#[derive(ShmElement, SerializeInPlace)]
#[repr(C)]
pub struct Entry {
    /// Its name.
    pub name: ShmString,
    /// Where it lies.
    pub extent: Cell<Extent>,
    /// What it weighs.
    pub weights: ShmVec<f32>,
}

/// Changes a bit of everything.
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
    /// In: 1 when it shall be by a panic.
    #[chi(in)]
    pub thrown: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
    /// In.
    #[chi(in)]
    pub why: ShmString,
}

/// Has the module in C++ turn a text.
#[chimaera::task]
pub struct RelayTask {
    /// In: the name of that module's pool.
    #[chi(in)]
    pub store: ShmString,
    /// In.
    #[chi(in)]
    pub text: ShmString,
    /// In: how many calls are under way at once.
    #[chi(in)]
    pub width: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
    /// In: what the other module is then to fail of, if anything.
    #[chi(in)]
    pub why: ShmString,
    /// Out.
    #[chi(out)]
    pub answers: ShmVec<ShmString>,
}
