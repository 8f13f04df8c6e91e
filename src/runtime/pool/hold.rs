//! A hold: tasks of some pools wait while their containers are replaced.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chimaera_abi::chi_pool_id;

use super::pool::Pool;
use crate::sys::lock;

/// Pools whose tasks wait. Those of roots that have tasks in one of them are let in, because the tasks in
/// it may be waiting for them.
pub(crate) struct Hold {
    pub(crate) pools: Vec<Arc<Pool>>,
    roots: Mutex<HashSet<u64>>,
    /// How many workers have not reported the roots of their suspended tasks.
    awaited: AtomicUsize,
}

impl Hold {
    /// Holds the tasks of these pools, of which those of `workers` workers have to be looked at. If one
    /// of them takes no tasks, returns its name; the hold then has to be released as well.
    pub(crate) fn begin(pools: Vec<Arc<Pool>>, workers: usize) -> (Arc<Hold>, Result<(), String>) {
        let awaited = AtomicUsize::new(workers);
        let hold = Arc::new(Hold { pools, roots: Mutex::default(), awaited });
        for pool in &hold.pools {
            for container in pool.containers() {
                container.set_hold(Some(hold.clone()));
                if !container.admission.hold() {
                    return (hold.clone(), Err(pool.name().to_owned()));
                }
            }
        }
        (hold, Ok(()))
    }

    /// Whether the tasks of this pool are held.
    pub(crate) fn has(&self, pool: chi_pool_id) -> bool {
        self.pools.iter().any(|held| held.id == pool)
    }

    /// Notes that a task of this root is in one of the pools.
    pub(crate) fn add_root(&self, root: u64) {
        lock(&self.roots).insert(root);
    }

    pub(crate) fn has_root(&self, root: u64) -> bool {
        lock(&self.roots).contains(&root)
    }

    /// Records that a worker has reported its roots. True for the last one.
    pub(crate) fn reported(&self) -> bool {
        self.awaited.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// How many tasks are in the pools.
    pub(crate) fn in_flight(&self) -> u64 {
        self.pools.iter().map(|pool| pool.in_flight()).sum()
    }

    /// Lets nothing more in, if no task is in the pools any more.
    pub(crate) fn settle(&self) -> bool {
        if self.in_flight() > 0 {
            return false;
        }
        let all = || self.pools.iter().flat_map(|pool| pool.containers());
        all().for_each(|container| container.admission.settle());
        let settled = self.in_flight() == 0;
        if !settled {
            all().for_each(|container| container.admission.unsettle());
        }
        settled
    }
}

/// The end of a hold: each worker submits the tasks that it holds, before any that comes later.
pub(crate) struct Release {
    pub(crate) pools: Vec<Arc<Pool>>,
    awaited: AtomicUsize,
}

impl Release {
    /// Opens these pools for the tasks that `workers` workers hold.
    pub(crate) fn begin(pools: Vec<Arc<Pool>>, workers: usize) -> Arc<Release> {
        for container in pools.iter().flat_map(|pool| pool.containers()) {
            container.admission.release();
            container.set_hold(None);
        }
        Arc::new(Release { pools, awaited: AtomicUsize::new(workers) })
    }

    /// Records that a worker holds no more tasks of the pools. The last one makes them live.
    pub(crate) fn done(&self) {
        if self.awaited.fetch_sub(1, Ordering::AcqRel) == 1 {
            let all = self.pools.iter().flat_map(|pool| pool.containers());
            all.for_each(|container| container.admission.end_release());
        }
    }
}
