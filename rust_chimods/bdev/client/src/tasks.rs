//! The tasks of the module. `autogen/bdev_tasks_c.h` and `autogen/bdev_tasks.h`, for C and C++, are
//! generated from this file.

use std::cell::Cell;

use chimaera::{Pod, Serialize, ShmBytes, ShmVec};

#[path = "../../autogen/bdev_layouts.rs"]
mod layouts;

/// A contiguous range of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Serialize)]
#[repr(C)]
pub struct Extent {
    /// The first block.
    pub block: u64,
    /// Number of blocks, at least one.
    pub count: u64,
}

/// The properties of a device, and its counters since its pool was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Serialize)]
#[repr(C)]
pub struct Stats {
    /// Block size in bytes.
    pub block_size: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of blocks that are not allocated.
    pub free_blocks: u64,
    /// How blocks are transferred, an `Engine`.
    pub engine: u64,
    /// Reads that succeeded.
    pub reads: u64,
    /// Writes that succeeded.
    pub writes: u64,
    /// Flushes that succeeded.
    pub flushes: u64,
    /// Bytes of successful reads.
    pub read_bytes: u64,
    /// Bytes of successful writes.
    pub written_bytes: u64,
    /// Reads, writes and flushes that failed in the operating system.
    pub errors: u64,
}

/// `kAllocate`: allocates blocks.
#[chimaera::task]
pub struct AllocateTask {
    /// In: number of blocks.
    #[chi(in)]
    pub count: Cell<u64>,
    /// In: who owns the blocks. 0 means nobody: they stay allocated until they are freed. Those of
    /// an owner are free again when the owner is released, and when the device is opened again.
    #[chi(in)]
    pub owner: Cell<u64>,
    /// Out: the blocks, in as few extents as possible.
    #[chi(out)]
    pub extents: ShmVec<Extent>,
}

/// `kFree`: frees blocks.
#[chimaera::task]
pub struct FreeTask {
    /// In.
    #[chi(in)]
    pub extents: ShmVec<Extent>,
}

/// `kRead`: reads blocks.
#[chimaera::task]
pub struct ReadTask {
    /// In: the first block.
    #[chi(in)]
    pub block: Cell<u64>,
    /// In: number of blocks.
    #[chi(in)]
    pub count: Cell<u64>,
    /// Out: their bytes. If the field already points to enough space, such as a buffer that the
    /// caller attached, they are written there.
    #[chi(out)]
    pub data: ShmBytes,
}

/// `kWrite`: writes blocks.
#[chimaera::task]
pub struct WriteTask {
    /// In: the first block.
    #[chi(in)]
    pub block: Cell<u64>,
    /// In: whole blocks.
    #[chi(in)]
    pub data: ShmBytes,
}

/// `kFlush`: makes completed writes, allocations and releases durable.
#[chimaera::task]
pub struct FlushTask {}

/// `kStats`: gets the device's properties and counters.
#[chimaera::task]
pub struct StatsTask {
    /// Out.
    #[chi(out)]
    pub stats: Cell<Stats>,
}

/// `kGrow`: adds blocks to a device in a file.
#[chimaera::task]
pub struct GrowTask {
    /// In: the number of blocks that the device shall have; 0 means as many as its file has room
    /// for.
    #[chi(in)]
    pub blocks: Cell<u64>,
    /// Out: the number of blocks that it has now.
    #[chi(out)]
    pub total: Cell<u64>,
}

/// `kRelease`: frees the blocks of an owner.
#[chimaera::task]
pub struct ReleaseTask {
    /// In: the owner, which is not 0.
    #[chi(in)]
    pub owner: Cell<u64>,
    /// Out: the number of blocks that were freed.
    #[chi(out)]
    pub blocks: Cell<u64>,
}
