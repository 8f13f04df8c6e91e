//! What is counted and measured of a method of a pool.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Mutex;

use chimaera_abi::chi_status;
use once_cell::race::OnceBox;

use super::count::Count;
use super::histogram::{Distribution, Histogram};
use super::per_worker::PerWorker;
use super::timing::{Stage, StandsFor, Timing, Took};
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
    /// The tasks that have been measured, or for which a measured one stands.
    measured: Count,
    /// The same of those of which it was known when they were submitted.
    submitted: Count,
    bytes_in: Count,
    bytes_out: Count,
    /// How often a task was put into the queue of a lane, and taken out.
    queued: Count,
    unqueued: Count,
    /// Tasks that have been suspended.
    suspended: Count,
    /// Those of them that have ended.
    ended: Count,
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
        if let Some(detail) = self.detail.get() {
            return Some(detail);
        }
        // What is left is for pools.
        if metrics.budget.is_tight(Use::Pools) {
            return None;
        }
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

/// What is counted and measured of a method of a pool. Clones count the same.
#[derive(Clone, Default)]
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
    /// Tasks that have been suspended, and have not ended: some of them may be running again.
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

    /// A task fails before it has been routed. That is counted if other tasks of the method have been: those who may not
    /// call it do not make it take memory.
    pub(crate) fn refuse(&self, own: OwnMetrics<'_>, status: chi_status) {
        if self.is_used() {
            let counters = self.0.of(own);
            // No measured task stands for it.
            let all = [&counters.calls, &counters.measured, &counters.submitted];
            all.into_iter().for_each(|count| count.add(1));
            counters.count_failure(own.all, status);
        }
    }

    /// Whether any task has been counted.
    pub(crate) fn is_used(&self) -> bool {
        !self.0.all().is_empty()
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

    /// A task is suspended for the first time.
    pub(crate) fn suspend(&self, own: OwnMetrics<'_>) {
        self.0.of(own).suspended.add(1);
    }

    /// A task that has been suspended ends.
    pub(crate) fn end_suspended(&self, own: OwnMetrics<'_>) {
        self.0.of(own).ended.add(1);
    }

    /// Counts the bytes that come with a task.
    pub(crate) fn take(&self, own: OwnMetrics<'_>, bytes: u64) {
        self.0.of(own).bytes_in.add(bytes);
    }

    /// Counts the bytes that a task returns.
    pub(crate) fn give(&self, own: OwnMetrics<'_>, bytes: u64) {
        self.0.of(own).bytes_out.add(bytes);
    }

    /// A measured task has ended, and its results have been delivered. Returns how long it took.
    #[cold]
    pub(crate) fn measure(&self, own: OwnMetrics<'_>, timing: &Timing) -> Took {
        let (took, counters) = (timing.took(own.all), self.0.of(own));
        let weigh = |counted: &Count| {
            let calls = counters.calls.get();
            match timing.stands_for {
                StandsFor::All => {
                    let weight = calls.saturating_sub(counted.get());
                    counted.set(calls.max(counted.get()));
                    weight
                }
                StandsFor::Itself => {
                    counted.add(1);
                    1
                }
            }
        };
        let weight = weigh(&counters.measured);
        let submitted = took.ring.zip(took.total);
        let submitted = submitted.map(|times| (times, weigh(&counters.submitted)));
        own.add_busy(took.running.saturating_mul(weight));
        let Some(detail) = counters.detail(own.all) else { return took };
        detail.measure(Stage::Lane, took.lane, weight);
        detail.measure(Stage::Running, took.running, weight);
        if took.suspended > 0 {
            detail.measure(Stage::Suspended, took.suspended, weight);
        }
        if let Some(((ring, total), weight)) = submitted {
            detail.measure(Stage::Ring, ring, weight);
            detail.measure(Stage::Total, total, weight);
        }
        took
    }

    /// What all workers have counted together.
    fn sum(&self, of: fn(&Counters) -> &Count) -> u64 {
        self.0.all().iter().fold(0, |sum, one| sum.wrapping_add(of(one).get()))
    }

    /// How many tasks are in a lane, and how many have been suspended and have not ended.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let sum = |of| self.sum(of);
        // First how many are no longer there, so that none of those counted then is missing in the others.
        let (unqueued, ended) = (sum(|one| &one.unqueued), sum(|one| &one.ended));
        let queued = sum(|one| &one.queued).saturating_sub(unqueued);
        (queued, sum(|one| &one.suspended).saturating_sub(ended))
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
        let sum = |of| self.sum(of);
        totals.calls = sum(|one| &one.calls);
        totals.failed = sum(|one| &one.failed);
        (totals.queued, totals.suspended) = self.waiting();
        totals.bytes_in = sum(|one| &one.bytes_in);
        totals.bytes_out = sum(|one| &one.bytes_out);
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Budget, MemorySource};

    /// How many tasks the histograms of running and total are about.
    fn counted(method: &MethodMetrics) -> [u64; 2] {
        let stages = method.totals().stages;
        [Stage::Running, Stage::Total]
            .map(|stage| stages[stage as usize].buckets().map(|(_, count)| count).sum())
    }

    fn end_one(method: &MethodMetrics, own: OwnMetrics<'_>, timing: Option<&Timing>) {
        method.end(own);
        let _ = timing.map(|timing| method.measure(own, timing));
    }

    #[test]
    fn a_task_that_was_chosen_at_random_stands_for_those_before_it() {
        let (metrics, method) = (Metrics::new(1, Budget::endless()), MethodMetrics::default());
        let own = metrics.of(0);
        let mut random = Timing::default();
        random.submit(false);
        (0..99).for_each(|_| end_one(&method, own, None));
        end_one(&method, own, Some(&random));
        assert_eq!(counted(&method), [100, 100]);
        end_one(&method, own, Some(&random));
        assert_eq!(counted(&method), [101, 101]);
    }

    /// Otherwise all tasks of a method would seem to take as long as the few that say that they do, or that come first
    /// after a pause.
    #[test]
    fn a_task_that_was_chosen_for_what_it_is_stands_for_itself() {
        let (metrics, method) = (Metrics::new(1, Budget::endless()), MethodMetrics::default());
        let own = metrics.of(0);
        let (mut long, mut random) = (Timing::default(), Timing::default());
        for _ in 0..10 {
            (0..9).for_each(|_| end_one(&method, own, None));
            long.reset();
            long.measure_anyway(false);
            end_one(&method, own, Some(&long));
        }
        assert_eq!(counted(&method), [10, 0], "nobody knows when they were submitted");
        random.submit(false);
        end_one(&method, own, Some(&random));
        assert_eq!(counted(&method), [101, 101]);
    }

    #[test]
    fn what_is_refused_takes_no_memory_and_no_time() {
        let (metrics, method) = (Metrics::new(1, Budget::endless()), MethodMetrics::default());
        let own = metrics.of(0);
        method.refuse(own, 13);
        assert!(!method.is_used() && method.totals().calls == 0);
        let mut random = Timing::default();
        random.submit(false);
        end_one(&method, own, Some(&random));
        (0..1000).for_each(|_| method.refuse(own, 13));
        end_one(&method, own, Some(&random));
        let totals = method.totals();
        assert_eq!((totals.calls, totals.failed, counted(&method)), (1002, 1000, [2, 2]));
        assert_eq!(totals.statuses, [(13, 1000)].into());
    }

    /// Without memory in the budget, calls and failures are counted all the same.
    #[test]
    fn without_memory_there_are_counts() {
        let budget = Budget::new(16 << 10, MemorySource::Configured, 1 << 30);
        let (metrics, method) = (Metrics::new(1, budget), MethodMetrics::default());
        let own = metrics.of(0);
        let charge = budget.charge(Use::Pools, budget.most() - 100).unwrap();
        let mut random = Timing::default();
        random.submit(false);
        end_one(&method, own, Some(&random));
        method.fail(own, 1);
        let totals = method.totals();
        assert_eq!((totals.calls, totals.failed, totals.statuses.len()), (1, 1, 0));
        assert_eq!(counted(&method), [0, 0]);
        drop(charge);
        end_one(&method, own, Some(&random));
        assert_eq!(counted(&method), [1, 1]);
    }

    /// More statuses than there is room for are counted together.
    #[test]
    fn statuses_are_bounded() {
        let (metrics, method) = (Metrics::new(2, Budget::endless()), MethodMetrics::default());
        (0..1000).for_each(|status| method.fail(metrics.of(0), 1000 + status));
        method.fail(metrics.of(1), 1999);
        let totals = method.totals();
        assert_eq!((totals.failed, totals.statuses.len()), (1001, STATUSES + 1));
        assert_eq!(totals.statuses[&1999], 1);
    }
}
