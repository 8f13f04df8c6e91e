//! A clock that costs one load, and is as old as the watchdog's last tick.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_ipc::ticks;

/// The time in ticks, which the watchdog sets at each of its own ticks while a worker is awake. On a cache line of its
/// own: all workers read it.
#[repr(align(64))]
#[derive(Default)]
pub(crate) struct Coarse(AtomicU64);

impl Coarse {
    /// Sets it to the time.
    pub(crate) fn set(&self) {
        self.0.store(ticks::now(), Ordering::Relaxed);
    }
}

/// The same for one worker, which may have been awake before the watchdog was.
#[derive(Default)]
pub(crate) struct OwnCoarse(Cell<u64>);

impl OwnCoarse {
    /// The worker has woken up.
    pub(crate) fn set(&self) {
        self.0.set(ticks::now());
    }

    /// The time in ticks, as it was a little while ago.
    #[inline(always)]
    pub(crate) fn now(&self, coarse: &Coarse) -> u64 {
        self.0.get().max(coarse.0.load(Ordering::Relaxed))
    }
}
