//! A worker's periodic tasks that are between two runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::cancel_reason::CancelReason;
use super::record::Record;

/// Periodic tasks between two runs, by number.
#[derive(Default)]
pub(crate) struct PeriodicTasks {
    tasks: RefCell<HashMap<u64, Box<Record>>>,
    next: Cell<u64>,
}

impl PeriodicTasks {
    /// A number that no periodic task of this worker has had.
    pub(crate) fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    pub(crate) fn insert(&self, number: u64, record: Box<Record>) {
        self.tasks.borrow_mut().insert(number, record);
    }

    /// `None` if the task has been stopped meanwhile.
    pub(crate) fn take(&self, number: u64) -> Option<Box<Record>> {
        self.tasks.borrow_mut().remove(&number)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.tasks.borrow().contains_key(&number)
    }

    /// Whether the task with this number is here and `f` holds for it.
    pub(crate) fn is(&self, number: u64, f: impl FnOnce(&Record) -> bool) -> bool {
        self.tasks.borrow().get(&number).is_some_and(|record| f(record))
    }

    /// The tasks for which `reason` gives a reason to stop, with that reason.
    pub(crate) fn to_stop(
        &self,
        reason: impl Fn(&Record) -> Option<CancelReason>,
    ) -> Vec<(u64, CancelReason)> {
        let tasks = self.tasks.borrow();
        tasks.iter().filter_map(|(number, record)| Some((*number, reason(record)?))).collect()
    }
}
