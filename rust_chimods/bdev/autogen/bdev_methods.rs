//! The methods of `chimaera:bdev`.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kRecover`.
    pub const RECOVER: u32 = 3;
    /// `kAllocate`: Allocates blocks.
    pub const ALLOCATE: u32 = 10;
    /// `kFree`: Frees blocks.
    pub const FREE: u32 = 11;
    /// `kRead`: Reads blocks.
    pub const READ: u32 = 12;
    /// `kWrite`: Writes blocks.
    pub const WRITE: u32 = 13;
    /// `kFlush`: Makes completed writes, allocations and releases durable.
    pub const FLUSH: u32 = 14;
    /// `kStats`: Gets the device's properties and counters.
    pub const STATS: u32 = 15;
    /// `kGrow`: Adds blocks to a device in a file.
    pub const GROW: u32 = 16;
    /// `kRelease`: Frees the blocks of an owner.
    pub const RELEASE: u32 = 17;
}
