//! What is counted and measured of a method of a pool.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Mutex;

use chimaera_abi::chi_status;
use once_cell::race::OnceBox;

use super::count::Count;
use super::histogram::{Distribution, Histogram};
use super::per_worker::PerWorker;
use super::timing::{Stage, Timing};
use super::worker::{Metrics, OwnMetrics};
use crate::sys::{lock, Charge, Exhausted, Use};

/// How many statuses are told apart for each method and worker.
const STATUSES: usize = 32;

/// What one worker counts of a method.
#[repr(align(64))]
#[derive(Default)]
struct Counters {
    /// Tasks that have ended.
    calls: Count,
    /// Those of them that have failed.
    failed: Count,
    /// `calls` when a task was measured last.
    measured: Count,
    bytes_in: Count,
    bytes_out: Count,
    /// How often a task was put into the queue of a lane, and taken out.
    queued: Count,
    unqueued: Count,
    /// How often a task was suspended, and went on or ended.
    suspended: Count,
    resumed: Count,
    detail: OnceBox<Detail>,
}

/// What one worker counts of a method that has failed, or that has been measured.
struct Detail {
    /// Statuses, from the first, each with how many tasks have failed with it.
    statuses: [(AtomicI32, Count); STATUSES],
    stages: [Histogram; Stage::COUNT],
    charge: Mutex<Charge>,
}

impl Counters {
    /// `None` if there is no memory for it in the budget now.
    fn detail(&self, metrics: &Metrics) -> Option<&Detail> {
        let begin = || {
            let charge = metrics.budget.charge(Use::Pools, size_of::<Detail>() as u64)?;
            Ok::<_, Exhausted>(Box::new(Detail {
                statuses: Default::default(),
                stages: Default::default(),
                charge: Mutex::new(charge),
            }))
        };
        self.detail.get_or_try_init(begin).ok()
    }

    fn count_failure(&self, metrics: &Metrics, status: chi_status) {
        self.failed.add(1);
        let Some(detail) = self.detail(metrics) else { return };
        for (known, count) in &detail.statuses {
            match known.load(Ordering::Relaxed) {
                0 => known.store(status, Ordering::Relaxed),
                other if other != status => continue,
                _ => {}
            }
            return count.add(1);
        }
    }
}

impl Detail {
    fn measure(&self, stage: Stage, ns: u64, weight: u64) {
        let may_grow = || lock(&self.charge).grow(Histogram::ROW_COST).is_ok();
        self.stages[stage as usize].add(ns, weight, may_grow);
    }
}

/// What is counted and measured of a method of a pool.
#[derive(Default)]
pub(crate) struct MethodMetrics(PerWorker<Counters>);

/// What has been counted and measured of a method so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodTotals {
    /// Tasks that have ended.
    pub(crate) calls: u64,
    /// Those of them that have failed.
    pub(crate) failed: u64,
    /// Those of them whose statuses are known, by status.
    pub(crate) statuses: BTreeMap<chi_status, u64>,
    /// Tasks that are in a lane, and have not started.
    pub(crate) queued: u64,
    /// Tasks that are suspended.
    pub(crate) suspended: u64,
    /// Bytes of bodies, strings and vectors that came from clients.
    pub(crate) bytes_in: u64,
    /// Those that went back to them.
    pub(crate) bytes_out: u64,
    /// The times that tasks have spent in each stage, by its number.
    pub(crate) stages: [Distribution; Stage::COUNT],
}

impl MethodMetrics {
    /// A task ends, or a run of it.
    #[inline(always)]
    pub(crate) fn end(&self, own: OwnMetrics<'_>) {
        self.0.of(own).calls.add(1);
    }

    /// A task that is counted as one that ends fails.
    pub(crate) fn fail(&self, own: OwnMetrics<'_>, status: chi_status) {
        self.0.of(own).count_failure(own.all, status);
    }

    /// A task is put into the queue of a lane.
    pub(crate) fn queue(&self, own: OwnMetrics<'_>) {
        self.0.of(own).queued.add(1);
    }

    /// A task is taken out of the queue of a lane.
    pub(crate) fn unqueue(&self, own: OwnMetrics<'_>) {
        self.0.of(own).unqueued.add(1);
    }

    /// A task is suspended.
    #[inline]
    pub(crate) fn suspend(&self, own: OwnMetrics<'_>) {
        self.0.of(own).suspended.add(1);
    }

    /// A task that is suspended goes on, or ends.
    #[inline]
    pub(crate) fn resume(&self, own: OwnMetrics<'_>) {
        self.0.of(own).resumed.add(1);
    }

    /// Counts the bytes that come with a task.
    pub(crate) fn take(&self, own: OwnMetrics<'_>, bytes: u64) {
        self.0.of(own).bytes_in.add(bytes);
    }

    /// Counts the bytes that a task returns.
    pub(crate) fn give(&self, own: OwnMetrics<'_>, bytes: u64) {
        self.0.of(own).bytes_out.add(bytes);
    }

    /// A measured task has ended, and its results have been delivered.
    #[cold]
    pub(crate) fn measure(&self, own: OwnMetrics<'_>, timing: &Timing) {
        let (took, counters) = (timing.took(), self.0.of(own));
        // It stands for all that have ended since the last one.
        let calls = counters.calls.get();
        let weight = calls.wrapping_sub(counters.measured.get());
        counters.measured.set(calls);
        let ns = |ticks| own.all.scale.ns(ticks);
        own.add_busy(ns(took.running).saturating_mul(weight));
        let Some(detail) = counters.detail(own.all) else { return };
        let measure = |stage, ticks| detail.measure(stage, ns(ticks), weight);
        if let Some(ring) = took.ring {
            measure(Stage::Ring, ring);
        }
        measure(Stage::Lane, took.lane);
        measure(Stage::Running, took.running);
        if took.suspended > 0 {
            measure(Stage::Suspended, took.suspended);
        }
        measure(Stage::Total, took.total);
    }

    /// What has been counted and measured so far. A task that ends meanwhile may be counted in one number and not
    /// yet in another.
    pub(crate) fn totals(&self) -> MethodTotals {
        let mut totals = MethodTotals::default();
        for one in self.0.all() {
            let Some(detail) = one.detail.get() else { continue };
            for (status, count) in &detail.statuses {
                let count = count.get();
                if count > 0 {
                    *totals.statuses.entry(status.load(Ordering::Relaxed)).or_default() += count;
                }
            }
            for (stage, to) in detail.stages.iter().zip(&mut totals.stages) {
                stage.add_to(to);
            }
        }
        let sum = |of: fn(&Counters) -> &Count| {
            self.0.all().iter().fold(0_u64, |sum, one| sum.wrapping_add(of(one).get()))
        };
        totals.calls = sum(|one| &one.calls);
        totals.failed = sum(|one| &one.failed);
        // First how many are no longer there, so that none of those counted then is missing in the others.
        let (unqueued, resumed) = (sum(|one| &one.unqueued), sum(|one| &one.resumed));
        totals.queued = sum(|one| &one.queued).saturating_sub(unqueued);
        totals.suspended = sum(|one| &one.suspended).saturating_sub(resumed);
        totals.bytes_in = sum(|one| &one.bytes_in);
        totals.bytes_out = sum(|one| &one.bytes_out);
        totals
    }
}
