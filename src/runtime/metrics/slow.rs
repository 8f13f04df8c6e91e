//! The tasks of late that took long.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

use chimaera_ipc::ticks;
use chimaera_metrics::SlowTask;

use crate::sys::lock;

/// How many are kept.
const KEPT: usize = 256;
/// Among how many of the last ones a task is sought that has ended a moment ago.
const MANY: usize = 32;
/// How long a task takes to be noted, unless somebody says otherwise, in nanoseconds.
const THRESHOLD_NS: u64 = 10_000_000;

/// The tasks of late that took long.
pub(crate) struct SlowLog {
    threshold_ns: AtomicU64,
    noted: AtomicU64,
    /// The last ones, the oldest first, each with when it ended, in ticks.
    last: Mutex<VecDeque<(u64, SlowTask)>>,
}

impl SlowLog {
    pub(super) fn new() -> SlowLog {
        SlowLog {
            threshold_ns: AtomicU64::new(THRESHOLD_NS),
            noted: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// How long a task must take to be noted, in nanoseconds.
    pub(crate) fn threshold_ns(&self) -> u64 {
        self.threshold_ns.load(Ordering::Relaxed)
    }

    /// Changes that.
    pub(crate) fn set_threshold_ns(&self, ns: u64) {
        self.threshold_ns.store(ns, Ordering::Relaxed);
    }

    /// Notes a task that has ended now.
    pub(crate) fn note(&self, task: SlowTask) {
        self.noted.fetch_add(1, Ordering::Relaxed);
        let mut last = lock(&self.last);
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back((ticks::now(), task));
    }

    /// Notes a task that has ended a moment ago, unless it was noted when it ended.
    /// `ns` turns ticks into nanoseconds.
    pub(crate) fn note_unless_known(&self, task: SlowTask, ns: impl Fn(u64) -> u64) {
        let now = ticks::now();
        // One that ended before this one began, or about then, is another.
        let is_it = |(ended, other): &(u64, SlowTask)| {
            ns(now.saturating_sub(*ended)) < task.total_ns / 2
                && (other.root, other.depth) == (task.root, task.depth)
                && (&other.pool, &other.method) == (&task.pool, &task.method)
        };
        if !lock(&self.last).iter().rev().take(MANY).any(is_it) {
            self.note(task);
        }
    }

    /// How many there have been, and the last ones, the oldest first, with how long ago each ended, in ticks.
    pub(crate) fn last(&self) -> (u64, Vec<(u64, SlowTask)>) {
        let last = lock(&self.last);
        let now = ticks::now();
        let ago = |ended: u64| now.saturating_sub(ended);
        let last = last.iter().map(|(ended, task)| (ago(*ended), task.clone())).collect();
        (self.noted.load(Ordering::Relaxed), last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept() {
        let slow = SlowLog::new();
        for root in 0..KEPT as u64 + 10 {
            slow.note(SlowTask { root, ..SlowTask::default() });
        }
        let (noted, last) = slow.last();
        assert_eq!((noted, last.len()), (KEPT as u64 + 10, KEPT));
        assert_eq!((last[0].1.root, last[KEPT - 1].1.root), (10, KEPT as u64 + 9));
        assert!(last.windows(2).all(|two| two[0].0 >= two[1].0));
    }

    #[test]
    fn a_task_that_was_noted_when_it_ended_is_not_noted_again() {
        let slow = SlowLog::new();
        let task = |root| SlowTask { root, total_ns: 1_000_000_000, ..SlowTask::default() };
        slow.note(task(1));
        slow.note_unless_known(task(1), |ticks| ticks);
        assert_eq!(slow.last().0, 1);
        slow.note_unless_known(task(2), |ticks| ticks);
        assert_eq!(slow.last().0, 2);
        // The one that is known ended before this one began.
        slow.note_unless_known(task(1), |_| 2_000_000_000);
        assert_eq!(slow.last().0, 3);
    }
}
