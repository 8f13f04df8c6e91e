//! What a runtime's workers count, and what they need for it.

use std::sync::atomic::{AtomicBool, Ordering};

use chimaera_metrics::Trace;

use super::coarse::Coarse;
use super::count::Count;
use super::scale::Scale;
use super::slow::SlowLog;
use super::trace::Tracer;
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
    /// The time, about.
    pub(crate) coarse: Coarse,
    /// The tasks of late that took long.
    pub(crate) slow: SlowLog,
    /// The recording of a trace.
    pub(crate) tracer: Tracer,
    /// Every task is to be measured.
    measures_all: AtomicBool,
    workers: Box<[WorkerCounters]>,
}

impl Metrics {
    /// Those of so many workers.
    pub(crate) fn new(workers: usize, budget: &'static Budget) -> Metrics {
        let tracer = Tracer::new(workers);
        let workers = (0..workers).map(|_| WorkerCounters::default()).collect();
        let (slow, measures_all) = (SlowLog::new(), AtomicBool::new(false));
        let (scale, coarse) = (Scale::new(), Coarse::default());
        Metrics { scale, budget, coarse, slow, tracer, measures_all, workers }
    }

    /// Whether every task is to be measured, as it was asked for.
    pub(crate) fn measures_all(&self) -> bool {
        self.measures_all.load(Ordering::Relaxed)
    }

    /// Whether workers have to measure every task: also while a trace is recorded.
    pub(crate) fn must_measure_all(&self) -> bool {
        self.measures_all() || self.tracer.is_on()
    }

    /// What was recorded of a trace since the last time, as [`Tracer::read`] says.
    pub(crate) fn read_trace(&self, recording: u64, most: usize, end: bool) -> Option<Trace> {
        self.tracer.read(recording, most, end, self.scale.rate())
    }

    /// Changes that. The workers must be told.
    pub(crate) fn measure_all(&self, all: bool) {
        self.measures_all.store(all, Ordering::Relaxed);
    }

    /// How many ticks so many nanoseconds are.
    pub(crate) fn ticks(&self, ns: u64) -> u64 {
        self.scale.ticks(ns)
    }

    /// How many nanoseconds so many ticks take.
    pub(crate) fn ns(&self, ticks: u64) -> u64 {
        self.scale.ns(ticks)
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
