//! A worker's timers: when the waits of its coroutines end.

use crate::sync::WaitNumber;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The end of a coroutine's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) coroutine: u32,
    pub(super) wait: WaitNumber,
}

/// How many timers are kept before the first sweep for stale ones.
const MANY: usize = 1024;

/// A worker's timers. A timer is not removed when it is no longer needed: its handler recognises
/// that it is stale. When there are many, stale ones are swept.
#[derive(Default)]
pub(super) struct Timers {
    heap: RefCell<BinaryHeap<Reverse<(Instant, Timer)>>>,
    /// How many timers there were after the last sweep.
    swept: Cell<usize>,
}

impl Timers {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.heap.borrow().is_empty()
    }

    pub(super) fn set(&self, at: Instant, timer: Timer) {
        self.heap.borrow_mut().push(Reverse((at, timer)));
    }

    /// True if it is time to sweep: there are more than twice as many timers as after the last
    /// sweep, so that sweeping costs little per timer.
    #[inline]
    pub(super) fn are_many(&self) -> bool {
        self.heap.borrow().len() > MANY + 2 * self.swept.get()
    }

    /// Removes all timers for which `matters` is false.
    #[cold]
    pub(super) fn sweep(&self, mut matters: impl FnMut(Timer) -> bool) {
        let mut heap = self.heap.borrow_mut();
        heap.retain(|Reverse((_, timer))| matters(*timer));
        if heap.capacity() > MANY + 4 * heap.len() {
            heap.shrink_to_fit();
        }
        self.swept.set(heap.len());
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.borrow().peek().map(|Reverse((at, _))| *at)
    }

    /// Removes and returns a timer that is due.
    pub(super) fn due(&self, now: Instant) -> Option<Timer> {
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
        let wait = WaitNumber::default();
        let matters = |timer: Timer| timer.coroutine.is_multiple_of(1000);
        for coroutine in 0..1_000_000 {
            let at = start + Duration::from_secs(coroutine.into());
            timers.set(at, Timer { coroutine, wait });
            if timers.are_many() {
                timers.sweep(matters);
            }
        }
        assert!(timers.heap.borrow().capacity() < 20 * MANY);
        timers.sweep(matters);
        let far = start + Duration::from_secs(1_000_000);
        for coroutine in (0..1_000_000).step_by(1000) {
            assert_eq!(timers.due(far), Some(Timer { coroutine, wait }));
        }
        assert!(timers.is_empty());
    }
}
