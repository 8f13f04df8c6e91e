//! Blocks of private memory that tasks own.

use std::alloc::Layout;

use chimaera_abi::CHI_NO_SPACE;
use chimaera_ipc::large;

use crate::failure::Failure;
use crate::sys::{Budget, Charge, Exhausted, Use};

/// What blocks are aligned to.
const ALIGN: usize = 64;

/// The bytes that a block is charged beyond its size, for the bookkeeping of the allocator and the
/// owner.
const OVERHEAD: u64 = 64 + ALIGN as u64;

/// Why a block cannot be allocated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoMemory {
    /// The runtime's budget has no room for it.
    Budget(Exhausted),
    /// The operating system is out of memory.
    System,
}

impl From<NoMemory> for Failure {
    fn from(why: NoMemory) -> Failure {
        match why {
            NoMemory::Budget(exhausted) => Failure::new(CHI_NO_SPACE, exhausted.to_string()),
            NoMemory::System => {
                Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task")
            }
        }
    }
}

/// A block of private memory, freed when it is dropped.
pub(crate) struct PrivateBlock {
    data: *mut u8,
    size: usize,
    allocated: *mut u8,
    layout: Layout,
    _charge: Charge,
}

impl PrivateBlock {
    /// Allocates a zeroed block of `size` bytes, at least one, aligned to 64.
    pub(crate) fn new(
        size: usize,
        budget: &'static Budget,
        of: Use,
    ) -> Result<PrivateBlock, NoMemory> {
        // Aligned here: an allocator that is asked for zeroed memory need not touch what the kernel has just
        // zeroed, unless it is asked for more than its own alignment.
        let room = size.checked_add(ALIGN).ok_or(NoMemory::System)?;
        let layout = Layout::from_size_align(room, 16).map_err(|_| NoMemory::System)?;
        let charge = budget.charge(of, size as u64 + OVERHEAD).map_err(NoMemory::Budget)?;
        // SAFETY: the layout's size is not zero.
        let allocated = unsafe { std::alloc::alloc_zeroed(layout) };
        if allocated.is_null() {
            return Err(NoMemory::System);
        }
        // SAFETY: there are `size` and `ALIGN` bytes, and at most `ALIGN` come before an aligned one.
        let data = unsafe { allocated.add(allocated.align_offset(ALIGN)) };
        large::expect(data, size);
        Ok(PrivateBlock { data, size, allocated, layout, _charge: charge })
    }

    pub(crate) fn data(&self) -> *mut u8 {
        self.data
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Drop for PrivateBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.allocated, self.layout) }
    }
}
