//! A submission ring, on the side of the worker that polls it.

use std::collections::VecDeque;

use chimaera_ipc::ring::Consumer;

use super::refs::SessionRef;

/// A ring that a worker polls.
pub(crate) struct Ring {
    pub(crate) session: SessionRef,
    pub(crate) consumer: Consumer,
    /// Submissions, in their order, that are postponed until fewer of the session's tasks are in
    /// flight. Other messages behind them in the ring, such as cancellations, have been handled
    /// already.
    pub(crate) postponed: VecDeque<u64>,
    pub(crate) polls: EmptyPolls,
}

/// A ring is left to its doorbell once it has been found empty so often in a row: not before a client that
/// computes for a few hundred microseconds between its tasks is back.
const MANY_EMPTY_POLLS: u32 = 1 << 14;

/// How often in a row a ring has been found empty.
#[derive(Default)]
pub(crate) struct EmptyPolls(u32);

impl EmptyPolls {
    /// There was an entry.
    #[inline]
    pub(crate) fn found_entry(&mut self) {
        self.0 = 0;
    }

    /// There was none. True if this has been so for long enough.
    #[inline]
    pub(crate) fn found_nothing(&mut self) -> bool {
        self.0 += 1;
        self.0 >= MANY_EMPTY_POLLS
    }
}

impl Ring {
    pub(crate) fn new(session: SessionRef, consumer: Consumer) -> Ring {
        Ring { session, consumer, postponed: VecDeque::new(), polls: EmptyPolls::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_in_use_never_counts_as_empty() {
        let mut polls = EmptyPolls::default();
        for _ in 0..4 * MANY_EMPTY_POLLS {
            assert!(!polls.found_nothing());
            assert!(!polls.found_nothing());
            polls.found_entry();
        }
        let in_a_row = (1..).find(|_| polls.found_nothing());
        assert_eq!(in_a_row, Some(MANY_EMPTY_POLLS));
    }
}
