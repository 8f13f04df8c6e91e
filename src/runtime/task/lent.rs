//! Published memory that methods lend to tasks.

use std::sync::Arc;

use chimaera_abi::*;

use crate::published::Block;
use crate::session::{Lease, Place, Session};

/// A block that a method has lent to a task.
struct Lent {
    block: Arc<Block>,
    /// The lease of the task's client on it.
    lease: Option<Lease>,
}

/// The blocks that methods have lent to a task.
#[derive(Default)]
pub(crate) struct LentBlocks {
    blocks: Vec<Lent>,
    /// The client could map published memory in which there are results.
    is_offered: bool,
    /// With how many to look next which are needed.
    prune_at: usize,
}

/// So many are kept without looking.
const LEAST_PRUNED: usize = 16;

/// Whether a pointer of a client is into published memory.
#[inline]
pub(super) fn is_published(shm: chi_shm_ptr) -> bool {
    shm >> CHI_SHM_PUBLISHED_SHIFT == CHI_SHM_PUBLISHED
}

impl LentBlocks {
    /// Makes a string or vector of the task refer to `len` bytes at `offset` of a block, which is kept. False if they are
    /// not in the block.
    pub(crate) fn lend(
        &mut self,
        block: Arc<Block>,
        offset: u64,
        len: u64,
        vector: &mut chi_shm_vector,
    ) -> bool {
        if offset >= block.size() || len > block.size() - offset {
            return false;
        }
        let data = block.data().as_ptr().wrapping_add(offset as usize);
        self.blocks.push(Lent { block, lease: None });
        vector.shm_ = CHI_SHM_PUBLISHED << CHI_SHM_PUBLISHED_SHIFT;
        (vector.data_, vector.size_, vector.capacity_) = (data.cast(), len, 0);
        true
    }

    /// Drops the blocks that the task's strings and vectors do not refer to any more, once there are so many that it is
    /// worth it: a task may run again and again. `each` calls the function for the address of each string and vector.
    pub(super) fn prune(&mut self, each: impl FnOnce(&mut dyn FnMut(*const u8))) {
        if self.blocks.len() < self.prune_at.max(LEAST_PRUNED) {
            return;
        }
        let mut addresses = Vec::new();
        each(&mut |address| addresses.push(address as u64));
        addresses.sort_unstable();
        self.blocks.retain(|lent| {
            let start = lent.block.data().as_ptr() as u64;
            let first = addresses.partition_point(|address| *address < start);
            addresses.get(first).is_some_and(|address| address - start < lent.block.size())
        });
        self.prune_at = 2 * self.blocks.len();
    }

    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// For how many there is room without an allocation.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.blocks.capacity()
    }

    /// Whether an address is in one of them.
    pub(super) fn has(&self, data: *const u8) -> bool {
        self.blocks.iter().any(|lent| lent.block.find(data, 0).is_some())
    }

    /// Takes over those of another task, with what refers to them.
    pub(super) fn append(&mut self, other: &mut LentBlocks) {
        self.blocks.append(&mut other.blocks);
    }

    /// Releases all of them, but keeps room for as many as most tasks have.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.blocks.shrink_to(4);
        self.is_offered = false;
        self.prune_at = 0;
    }

    /// Leases bytes in one of them for the client. Returns where it reads them, as a shared pointer and as an address in its
    /// process; `None` if they have to be copied.
    pub(super) fn lease(
        &mut self,
        session: &Session,
        data: *const u8,
        len: u64,
    ) -> Option<(chi_shm_ptr, u64)> {
        let lent = self.blocks.iter_mut();
        let (lent, offset) =
            lent.filter_map(|lent| lent.block.find(data, len).map(|at| (lent, at))).next()?;
        match session.leases.place(lent.block.segment(), lent.block.offset() + offset, len) {
            Place::Mapped { shm, address } => {
                if lent.lease.is_none() {
                    lent.lease = session.leases.begin(&lent.block, session.mapping.layout().size);
                }
                lent.lease.is_some().then_some((shm, address))
            }
            Place::NotMapped { is_offered } => {
                self.is_offered |= is_offered;
                None
            }
        }
    }

    /// Whether the client could map published memory, from which results were copied. Says so once.
    pub(super) fn take_offer(&mut self) -> bool {
        std::mem::take(&mut self.is_offered)
    }

    /// The leases of the client, which from now on are the caller's. The blocks stay: the module's `Del` runs after that.
    pub(super) fn take_leases(&mut self) -> Vec<Lease> {
        self.blocks.iter_mut().filter_map(|lent| lent.lease.take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::Area;
    use crate::sys::Budget;

    fn none() -> chi_shm_vector {
        // SAFETY: all zeroes are an empty vector.
        unsafe { std::mem::zeroed() }
    }

    fn address(vector: &chi_shm_vector) -> *const u8 {
        vector.data_.cast::<u8>().cast_const()
    }

    /// A task that runs again and again keeps what it needs, however close together blocks are, and not much more.
    #[test]
    fn blocks_are_kept_as_long_as_something_refers_to_them() {
        let area = Area::new(Budget::endless());
        let block = || Arc::new(area.alloc(1024).expect("there is memory"));
        let (first, second) = (block(), block());
        assert_eq!(first.offset() + first.size(), second.offset(), "they are adjacent");
        let (mut kept, mut changing, mut lent) = (none(), none(), LentBlocks::default());
        assert!(lent.lend(first.clone(), 24, 1000, &mut kept));
        assert!(lent.lend(second, 0, 1024, &mut changing));
        for _ in 0..1000 {
            lent.prune(|f| [&kept, &changing].into_iter().for_each(|it| f(address(it))));
            assert!(lent.lend(block(), 0, 1000, &mut changing));
            assert!(lent.has(address(&kept)) && lent.has(address(&changing)));
            assert!(lent.blocks.len() <= LEAST_PRUNED + 1, "{}", lent.blocks.len());
        }
        assert_eq!(Arc::strong_count(&first), 2);
        assert!(!lent.has(address(&kept).wrapping_add(1000)), "that is the next block");
        for (offset, len) in [(0, 1025), (1, 1024), (1024, 0), (1025, 0), (u64::MAX, 1)] {
            assert!(!lent.lend(first.clone(), offset, len, &mut changing), "{offset} {len}");
        }
        drop(lent);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
