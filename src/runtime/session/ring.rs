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
    /// How often in a row it has been found empty.
    pub(crate) empty: u32,
}

impl Ring {
    pub(crate) fn new(session: SessionRef, consumer: Consumer) -> Ring {
        Ring { session, consumer, postponed: VecDeque::new(), empty: 0 }
    }
}
