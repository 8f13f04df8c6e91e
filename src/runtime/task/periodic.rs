//! A worker's periodic tasks between two runs. They are in its run queue, so that another worker
//! can take them over when a method blocks this one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Instant;

use chimaera_abi::chi_pool_id;

use super::cancel_reason::CancelReason;
use super::record::Record;

/// The times of stopped tasks are dropped once there are more than about this many.
const MANY: usize = 64;

/// A periodic task between two runs.
pub(crate) struct Resting {
    /// Its number on its worker.
    pub(crate) number: u64,
    /// When it runs next.
    pub(crate) at: Instant,
    pub(crate) record: Box<Record>,
}

// SAFETY: the task is not running, and its owner is its only user.
unsafe impl Send for Resting {}

/// Periodic tasks between two runs, by number.
#[derive(Default)]
pub(crate) struct PeriodicTasks {
    tasks: HashMap<u64, (Instant, Box<Record>)>,
    /// When each is due. A task that has stopped is no longer in `tasks`.
    times: BinaryHeap<Reverse<(Instant, u64)>>,
    last: u64,
}

impl PeriodicTasks {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// A number that no other task of this worker has had.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(crate) fn insert(&mut self, task: Resting) {
        let Resting { number, at, record } = task;
        self.tasks.insert(number, (at, record));
        self.times.push(Reverse((at, number)));
        if self.times.len() > MANY + 2 * self.tasks.len() {
            self.times.retain(|Reverse((_, number))| self.tasks.contains_key(number));
        }
    }

    /// Takes a task; `None` if it has stopped in the meantime.
    pub(crate) fn take(&mut self, number: u64) -> Option<Box<Record>> {
        self.tasks.remove(&number).map(|(_, record)| record)
    }

    /// The number of a task that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        while self.next().is_some_and(|at| at <= now) {
            let Reverse((_, number)) = self.times.pop()?;
            if self.tasks.contains_key(&number) {
                return Some(number);
            }
        }
        None
    }

    /// When the next task is due, or would be due if it had not stopped.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.times.peek().map(|Reverse((at, _))| *at)
    }

    /// Whether there is a task with this number for which `f` holds.
    pub(crate) fn is(&self, number: u64, f: impl FnOnce(&Record) -> bool) -> bool {
        self.tasks.get(&number).is_some_and(|(_, record)| f(record))
    }

    /// The tasks for which `reason` gives a reason to stop, with that reason.
    pub(crate) fn to_stop(
        &self,
        reason: impl Fn(&Record) -> Option<CancelReason>,
    ) -> Vec<(u64, CancelReason)> {
        let tasks = self.tasks.iter();
        tasks.filter_map(|(number, (_, record))| Some((*number, reason(record)?))).collect()
    }

    /// Whether there are held tasks of this pool.
    pub(crate) fn holds_for(&mut self, pool: chi_pool_id) -> bool {
        self.tasks.values().any(|(_, record)| record.is_held_for(pool))
    }

    /// The numbers of the held tasks of this pool, in the order in which they came.
    pub(crate) fn held_for(&self, pool: chi_pool_id) -> Vec<u64> {
        self.numbers_if(|record| record.is_held_for(pool))
    }

    /// The numbers of all held tasks, in the order in which they came.
    pub(crate) fn all_held(&self) -> Vec<u64> {
        self.numbers_if(|record| record.container.is_null())
    }

    fn numbers_if(&self, is_one: impl Fn(&Record) -> bool) -> Vec<u64> {
        let those = self.tasks.iter().filter(|(_, (_, record))| is_one(record));
        let mut numbers: Vec<u64> = those.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The numbers of the sessions that have held tasks here.
    pub(crate) fn sessions_held(&self) -> HashSet<u64> {
        let held = self.tasks.values().filter(|(_, record)| record.container.is_null());
        held.map(|(_, record)| record.session).collect()
    }

    /// Takes the tasks out of this pool, which is then not counting them. They go on waiting here.
    pub(crate) fn take_out_of(&mut self, pool: chi_pool_id) {
        self.tasks.values_mut().for_each(|(_, record)| record.leave_pool(pool));
    }

    /// Takes such tasks, in the order in which they came.
    pub(crate) fn take_if(&mut self, is_one: impl Fn(&Record) -> bool) -> Vec<Resting> {
        let tasks = self.tasks.extract_if(|_, (_, record)| is_one(record));
        let mut tasks: Vec<_> =
            tasks.map(|(number, (at, record))| Resting { number, at, record }).collect();
        self.times.retain(|Reverse((_, number))| self.tasks.contains_key(number));
        tasks.sort_unstable_by_key(|task| task.number);
        tasks
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::task::{Origin, SpareRecords};

    #[test]
    fn tasks_are_due_in_order_and_stopped_ones_leave_no_times_behind() {
        let spare = SpareRecords::new(crate::sys::Budget::endless());
        let mut tasks = PeriodicTasks::default();
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        for round in 0..10_000 {
            let number = tasks.number();
            let record = spare.take(Origin::Internal);
            tasks.insert(Resting { number, at: after(round), record });
            if round % 1000 != 0 {
                spare.put(tasks.take(number).expect("it has not stopped"));
            }
        }
        assert!(tasks.times.len() <= MANY + 20, "{}", tasks.times.len());
        assert_eq!(tasks.due(after(999)), Some(1));
        assert_eq!(tasks.due(after(999)), None);
        assert_eq!(tasks.due(after(2000)), Some(1001));
        let rest = tasks.take_if(|_| true);
        assert_eq!(rest.len(), 10, "those that were due are still there until they are taken");
        assert!(rest.windows(2).all(|two| two[0].number < two[1].number), "in their order");
        assert!(tasks.is_empty() && tasks.next().is_none());
        rest.into_iter().for_each(|task| spare.put(task.record));
    }
}
