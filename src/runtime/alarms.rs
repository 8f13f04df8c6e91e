//! What a worker has to do at a time.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Something that is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// The end of a fiber's wait.
    Wake { fiber: u32, turn: u32 },
    /// The next run of a periodic task.
    Run { number: u64 },
}

/// A worker's alarms. An alarm is never taken back: whoever it is for knows whether it still matters.
#[derive(Default)]
pub(crate) struct Alarms {
    heap: RefCell<BinaryHeap<Reverse<(Instant, Alarm)>>>,
}

impl Alarms {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.borrow().is_empty()
    }

    pub(crate) fn set(&self, at: Instant, alarm: Alarm) {
        self.heap.borrow_mut().push(Reverse((at, alarm)));
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.borrow().peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due.
    pub(crate) fn due(&self, now: Instant) -> Option<Alarm> {
        let mut heap = self.heap.borrow_mut();
        heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        heap.pop().map(|Reverse((_, alarm))| alarm)
    }
}
