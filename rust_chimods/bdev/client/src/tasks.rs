//! The tasks of the module, for C and C++ too: `autogen/bdev_tasks_c.h` and `autogen/bdev_tasks.h` come
//! from this file.

use std::cell::Cell;

use chimaera::{Pod, Serialize, ShmBytes, ShmVec};

#[path = "../../autogen/bdev_layouts.rs"]
mod layouts;

/// Blocks that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Serialize)]
#[repr(C)]
pub struct Extent {
    /// The first block.
    pub block: u64,
    /// How many, at least one.
    pub count: u64,
}

/// What a device is, and what it has done since its pool was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Serialize)]
#[repr(C)]
pub struct Stats {
    /// Bytes of a block.
    pub block_size: u64,
    /// How many blocks there are.
    pub blocks: u64,
    /// How many of them are not allocated.
    pub free_blocks: u64,
    /// How blocks are moved, an `Engine`.
    pub engine: u64,
    /// Reads that succeeded.
    pub reads: u64,
    /// Writes that succeeded.
    pub writes: u64,
    /// Flushes that succeeded.
    pub flushes: u64,
    /// Bytes of the reads that succeeded.
    pub read_bytes: u64,
    /// Bytes of the writes that succeeded.
    pub written_bytes: u64,
    /// Reads, writes and flushes that the operating system refused.
    pub errors: u64,
}

/// `kAllocate`: allocates blocks.
#[chimaera::task]
pub struct AllocateTask {
    /// In: how many blocks.
    #[chi(in)]
    pub count: Cell<u64>,
    /// Out: the blocks, in as few extents as there are.
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
    /// In: how many blocks.
    #[chi(in)]
    pub count: Cell<u64>,
    /// Out: their bytes. They go where the field points already, when there is room: to a buffer that
    /// the caller attached.
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

/// `kFlush`: makes what was written last, also when the machine loses its power.
#[chimaera::task]
pub struct FlushTask {}

/// `kStats`: tells what the device is and did.
#[chimaera::task]
pub struct StatsTask {
    /// Out.
    #[chi(out)]
    pub stats: Cell<Stats>,
}
