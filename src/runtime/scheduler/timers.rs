//! What a worker has to do at a time.

use crate::sync::WaitNumber;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Something that is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The end of a coroutine's wait.
    Wake { coroutine: u32, wait: WaitNumber },
    /// The next run of a periodic task.
    Run { number: u64 },
}

/// Timers that are kept before those are looked for that do not matter any more.
const MANY: usize = 1024;

/// A worker's timers. One is not taken back when its time does not matter any more: whoever it is for
/// knows. When there are many, those are swept away.
#[derive(Default)]
pub(crate) struct Timers {
    heap: RefCell<BinaryHeap<Reverse<(Instant, Timer)>>>,
    /// How many there were after the last sweep.
    swept: Cell<usize>,
}

impl Timers {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.borrow().is_empty()
    }

    pub(crate) fn set(&self, at: Instant, timer: Timer) {
        self.heap.borrow_mut().push(Reverse((at, timer)));
    }

    /// True when it is time to sweep: there are twice as many as there were, so that a sweep costs each
    /// timer little.
    #[inline]
    pub(crate) fn are_many(&self) -> bool {
        self.heap.borrow().len() > MANY + 2 * self.swept.get()
    }

    /// Keeps those that matter.
    #[cold]
    pub(crate) fn sweep(&self, mut matters: impl FnMut(Timer) -> bool) {
        let mut heap = self.heap.borrow_mut();
        heap.retain(|Reverse((_, timer))| matters(*timer));
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
    pub(crate) fn due(&self, now: Instant) -> Option<Timer> {
        let mut heap = self.heap.borrow_mut();
        heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        heap.pop().map(|Reverse((_, timer))| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_that_do_not_matter_are_swept_and_the_others_are_due_in_their_order() {
        let timers = Timers::default();
        let start = Instant::now();
        let matters = |timer| matches!(timer, Timer::Run { number } if number % 1000 == 0);
        for number in 0..1_000_000_u64 {
            timers.set(start + Duration::from_secs(number), Timer::Run { number });
            if timers.are_many() {
                timers.sweep(matters);
            }
        }
        assert!(timers.heap.borrow().capacity() < 20 * MANY);
        timers.sweep(matters);
        let far = start + Duration::from_secs(1_000_000);
        for number in (0..1_000_000).step_by(1000) {
            assert_eq!(timers.due(far), Some(Timer::Run { number }));
        }
        assert!(timers.is_empty());
    }
}
