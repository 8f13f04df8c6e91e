//! The table of the pools that are open for tasks.

use std::sync::Arc;

use chimaera_abi::chi_pool_id;

use super::pool::Pool;

/// The pools that are open for tasks, by slot. Replaced as a whole; a worker keeps using the
/// version that it has until it sees a newer one.
#[derive(Default)]
pub(crate) struct PoolTable {
    slots: Vec<Option<Arc<Pool>>>,
}

impl PoolTable {
    pub(crate) fn in_slot(&self, slot: u32) -> Option<&Arc<Pool>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get(&self, id: chi_pool_id) -> Option<&Pool> {
        let pool = self.slots.get(id.major_ as usize)?.as_ref()?;
        (pool.id.minor_ == id.minor_).then_some(pool)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.slots.iter().flatten()
    }

    /// A copy of the table with one slot changed.
    pub(crate) fn with(&self, slot: u32, pool: Option<Arc<Pool>>) -> PoolTable {
        let mut slots = self.slots.clone();
        let slot = slot as usize;
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = pool;
        PoolTable { slots }
    }
}
