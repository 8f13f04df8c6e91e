//! Everything that a hand-written task can contain.

use std::cell::Cell;

use chimaera::{
    DomainQuery, Pod, PoolId, SerializeInPlace, ShmBytes, ShmElement, ShmString, ShmVec, TaskNode,
};

#[path = "../autogen/mod_name_layouts.rs"]
mod layouts;

/// What this struct is takes so many words that its comment does not fit into a line of a header, which
/// has at most a hundred columns.
#[chimaera::task]
pub struct FirstTask {
    /// In.
    #[chi(in)]
    pub entry: Entry,
    #[chi(inout)]
    pub entries: ShmVec<Entry>,
    #[chi(out)]
    pub rows: ShmVec<ShmVec<i16>>,
    #[chi(in)]
    pub blobs: chimaera::ShmVec<ShmBytes>,
    #[chi(in)]
    pub r#type: std::cell::Cell<u8>,
    #[chi(skip)]
    pub cache: Cell<PoolId>,
    #[chi(in)]
    asked: Cell<DomainQuery>,
    #[chi(in)]
    node: Cell<TaskNode>,
    #[chi(out)]
    extents: Cell<[Extent; 2]>,
}

/// Has no method.
#[chimaera::task(crate = chimaera)]
pub struct OtherTask;

#[derive(ShmElement, SerializeInPlace)]
#[repr(C)]
pub struct Entry {
    pub name: ShmString,
    pub extent: Cell<Extent>,
    pub weights: ShmVec<f32>,
    pub flag: Cell<u8>,
}

/// Where a part lies.
#[derive(Clone, Copy, Pod, chimaera::Serialize)]
#[repr(C)]
pub struct Extent {
    pub start: u64,
    pub digest: [u8; 20],
    #[chi(skip)]
    reserved: u32,
}

/// Not for tasks.
pub struct Private {
    pub text: String,
}
