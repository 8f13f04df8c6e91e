//! Whether a container is open for tasks, and how many are in it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const CREATING: u32 = 0;
const LIVE: u32 = 1;
const DESTROYING: u32 = 2;

/// A container's admission state. Tasks are counted in before anything else is done with them, and
/// out when they have ended.
pub(crate) struct Admission {
    state: AtomicU32,
    /// Tasks that have been admitted and have not ended.
    in_flight: AtomicU64,
}

impl Admission {
    /// The state of a container that is being created.
    pub(crate) fn new() -> Admission {
        Admission { state: AtomicU32::new(CREATING), in_flight: AtomicU64::new(0) }
    }

    /// Counts a task in, if the container is live.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        // Pairs with `close`: either the closing side sees the task in the count, or the task sees
        // that the container is closed.
        if self.state.load(Ordering::SeqCst) == LIVE {
            return true;
        }
        self.leave();
        false
    }

    /// Counts a task out. The container may be freed right afterwards.
    #[inline]
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Ordering::Relaxed) == LIVE
    }

    /// Opens the container for tasks.
    pub(crate) fn open(&self) {
        self.state.store(LIVE, Ordering::SeqCst);
    }

    /// Closes the container for new tasks.
    pub(crate) fn close(&self) {
        self.state.store(DESTROYING, Ordering::SeqCst);
    }
}
