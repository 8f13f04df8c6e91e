//! How the grace time of a stop is divided, so that the process has ended when it is over.

use std::time::{Duration, Instant};

use crate::scheduler::Shared;

/// The grace time of a runtime that stops: most of it is for tasks and pools, and the last part for threads, their
/// thread-local objects, and the exit handlers of the process.
#[derive(Clone, Copy)]
pub(crate) struct Grace {
    begun: Instant,
    all: Duration,
    last: Duration,
}

impl Grace {
    const MOST: Duration = Duration::from_secs(1);
    const LEAST: Duration = Duration::from_millis(200);

    /// Of this runtime. One that ends without a stop, because another one has its pools, has at most 2 s from now
    /// on.
    pub(crate) fn of(shared: &Shared) -> Grace {
        let all = shared.config.stop_grace;
        match shared.stopping_since() {
            Some(begun) => Grace::new(begun, all),
            None => Grace::new(Instant::now(), all.min(Duration::from_secs(2))),
        }
    }

    fn new(begun: Instant, all: Duration) -> Grace {
        let last = (all / 10).clamp(Grace::LEAST, Grace::MOST).min(all / 4);
        Grace { begun, all, last }
    }

    /// Until when clients' tasks may finish.
    pub(crate) fn clients(self) -> Instant {
        self.begun + (self.all - self.last) / 2
    }

    /// Until when pools may be destroyed.
    pub(crate) fn pools(self) -> Instant {
        self.end() - self.last
    }

    /// Until when methods that still run may return.
    pub(crate) fn methods(self) -> Instant {
        self.end() - self.last / 2
    }

    /// Until when destructors of thread-local objects may run.
    pub(crate) fn threads(self) -> Instant {
        self.end() - self.last / 4
    }

    /// When the process has ended.
    pub(crate) fn end(self) -> Instant {
        self.begun + self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_time_within_the_grace_time() {
        for all in [100, 1_000, 10_000, 3_600_000].map(Duration::from_millis) {
            let begun = Instant::now();
            let grace = Grace::new(begun, all);
            let times = [
                begun,
                grace.clients(),
                grace.pools(),
                grace.methods(),
                grace.threads(),
                begun + all,
            ];
            assert!(times.is_sorted_by(|one, next| one < next), "{all:?}: {times:?}");
            assert!(grace.end() - grace.pools() <= Grace::MOST);
        }
    }
}
