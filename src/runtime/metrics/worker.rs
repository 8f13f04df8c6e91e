//! What a runtime's workers count, and what they need for it.

use super::count::Count;
use super::scale::Scale;
use crate::sys::Budget;

/// What one worker counts.
#[repr(align(64))]
#[derive(Default)]
struct WorkerCounters {
    busy_ns: Count,
}

/// What a runtime's workers count, and what they need for it.
pub(crate) struct Metrics {
    pub(super) scale: Scale,
    pub(super) budget: &'static Budget,
    workers: Box<[WorkerCounters]>,
}

impl Metrics {
    /// Those of so many workers.
    pub(crate) fn new(workers: usize, budget: &'static Budget) -> Metrics {
        let workers = (0..workers).map(|_| WorkerCounters::default()).collect();
        Metrics { scale: Scale::new(), budget, workers }
    }

    /// What the worker with this index, and nobody else, writes.
    #[inline(always)]
    pub(crate) fn of(&self, worker: u32) -> OwnMetrics<'_> {
        OwnMetrics { all: self, worker: worker as usize }
    }

    /// About how long the worker with this index has run tasks, in nanoseconds: those that have ended, extrapolated
    /// from those that were measured.
    pub(crate) fn busy_ns(&self, worker: u32) -> u64 {
        self.workers[worker as usize].busy_ns.get()
    }
}

/// What a worker writes itself. Only for its own thread.
#[derive(Clone, Copy)]
pub(crate) struct OwnMetrics<'a> {
    pub(super) all: &'a Metrics,
    pub(super) worker: usize,
}

impl OwnMetrics<'_> {
    /// How many workers there are.
    pub(super) fn workers(self) -> usize {
        self.all.workers.len()
    }

    /// Counts the time of tasks.
    pub(super) fn add_busy(self, ns: u64) {
        self.all.workers[self.worker].busy_ns.add(ns);
    }
}
