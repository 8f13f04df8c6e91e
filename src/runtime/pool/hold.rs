//! A hold: a pool's tasks wait while its containers are replaced.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::pool::Pool;
use crate::sys::lock;

/// A pool whose tasks wait. Those of roots that have tasks in it are let in, because the tasks in it
/// may be waiting for them.
pub(crate) struct Hold {
    pub(crate) pool: Arc<Pool>,
    roots: Mutex<HashSet<u64>>,
    /// How many workers have not reported the roots of their suspended tasks.
    awaited: AtomicUsize,
}

impl Hold {
    pub(super) fn new(pool: Arc<Pool>, workers: usize) -> Hold {
        Hold { pool, roots: Mutex::default(), awaited: AtomicUsize::new(workers) }
    }

    /// Notes that a task of this root is in the pool.
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
}

/// The end of a hold: each worker submits the tasks that it holds, before any that comes later.
pub(crate) struct Release {
    pub(crate) pool: Arc<Pool>,
    awaited: AtomicUsize,
}

impl Release {
    pub(super) fn new(pool: Arc<Pool>, workers: usize) -> Release {
        Release { pool, awaited: AtomicUsize::new(workers) }
    }

    /// Records that a worker holds no more tasks of the pool. The last one makes it live.
    pub(crate) fn done(&self) {
        if self.awaited.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pool.containers().iter().for_each(|container| container.admission.end_release());
        }
    }
}
