//! What a worker has to do at a time.

use std::cell::{Cell, RefCell};
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

/// Alarms that are kept before those are looked for that do not matter any more.
const MANY: usize = 1024;

/// A worker's alarms. One is not taken back when its time does not matter any more: whoever it is for
/// knows. When there are many, those are swept away.
#[derive(Default)]
pub(crate) struct Alarms {
    heap: RefCell<BinaryHeap<Reverse<(Instant, Alarm)>>>,
    /// How many there were after the last sweep.
    swept: Cell<usize>,
}

impl Alarms {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.borrow().is_empty()
    }

    pub(crate) fn set(&self, at: Instant, alarm: Alarm) {
        self.heap.borrow_mut().push(Reverse((at, alarm)));
    }

    /// True when it is time to sweep: there are twice as many as there were, so that a sweep costs each
    /// alarm little.
    #[inline]
    pub(crate) fn are_many(&self) -> bool {
        self.heap.borrow().len() > MANY + 2 * self.swept.get()
    }

    /// Keeps those that matter.
    #[cold]
    pub(crate) fn sweep(&self, mut matters: impl FnMut(Alarm) -> bool) {
        let mut heap = self.heap.borrow_mut();
        heap.retain(|Reverse((_, alarm))| matters(*alarm));
        if heap.capacity() > MANY + 4 * heap.len() {
            heap.shrink_to_fit();
        }
        self.swept.set(heap.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn alarms_that_do_not_matter_are_swept_and_the_others_ring_in_their_order() {
        let alarms = Alarms::default();
        let start = Instant::now();
        for number in 0..1_000_000_u64 {
            alarms.set(start + Duration::from_secs(number), Alarm::Run { number });
            if alarms.are_many() {
                alarms.sweep(|alarm| matches!(alarm, Alarm::Run { number } if number % 1000 == 0));
            }
        }
        assert!(alarms.heap.borrow().capacity() < 20 * MANY);
        alarms.sweep(|alarm| matches!(alarm, Alarm::Run { number } if number % 1000 == 0));
        let far = start + Duration::from_secs(1_000_000);
        for number in (0..1_000_000).step_by(1000) {
            assert_eq!(alarms.due(far), Some(Alarm::Run { number }));
        }
        assert!(alarms.is_empty());
    }
}
