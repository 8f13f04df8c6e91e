//! All that a hand-written task can have.

use std::cell::Cell;

use chimaera::{DomainQuery, Pod, PoolId, ShmBytes, ShmElement, ShmString, ShmVec, TaskNode};

#[path = "../autogen/mod_name_layouts.rs"]
mod layouts;

/// What this struct is takes so many words that its comment does not fit into a line of a header, which
/// has at most a hundred columns.
#[chimaera::task]
pub struct FirstTask {
    /// In.
    pub entry: Entry,
    pub entries: ShmVec<Entry>,
    pub rows: ShmVec<ShmVec<i16>>,
    pub blobs: chimaera::ShmVec<ShmBytes>,
    pub r#type: std::cell::Cell<u8>,
    pub cache: Cell<PoolId>,
    asked: Cell<DomainQuery>,
    node: Cell<TaskNode>,
    extents: Cell<[Extent; 2]>,
}

/// Has no method.
#[chimaera::task(crate = chimaera)]
pub struct OtherTask;

#[derive(ShmElement)]
#[repr(C)]
pub struct Entry {
    pub name: ShmString,
    pub extent: Cell<Extent>,
    pub weights: ShmVec<f32>,
    pub flag: Cell<u8>,
}

/// Where a part lies.
#[derive(Clone, Copy, Pod)]
#[repr(C)]
pub struct Extent {
    pub start: u64,
    pub digest: [u8; 20],
    reserved: u32,
}

/// Not for tasks.
pub struct Private {
    pub text: String,
}
