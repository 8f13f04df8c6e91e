//! The clock of the cluster, and until when this node may serve by it.

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_cluster::Instant;

/// The time of the cluster's clock, which goes on while the machine sleeps.
pub(super) fn now() -> Instant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Instant(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Until when this node may serve what it owns, in nanoseconds of the cluster's clock.
#[derive(Default)]
pub(super) struct Lease(AtomicU64);

impl Lease {
    /// Sets until when it holds. For whoever has the node.
    pub(super) fn set(&self, until: u64) {
        self.0.store(until, Ordering::Release);
    }

    pub(super) fn holds(&self) -> bool {
        now().0 < self.0.load(Ordering::Acquire)
    }
}
