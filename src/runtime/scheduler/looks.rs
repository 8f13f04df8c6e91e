//! When a worker looks for queued tasks that are to end.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The least pause between two looks of a worker.
const PAUSE: Duration = Duration::from_millis(2);
/// A pause lasts at least this many times as long as the look before it, so that no client can keep a worker
/// from its tasks by cancelling.
const SHARE: u32 = 9;

/// When a worker looks for queued tasks that are to end.
#[derive(Default)]
pub(super) struct Looks {
    due: Cell<bool>,
    not_before: Cell<Option<Instant>>,
}

impl Looks {
    /// A queued task may have been cancelled.
    #[inline]
    pub(super) fn set_due(&self) {
        self.due.set(true);
    }

    /// When to look; `None` if no queued task may have been cancelled.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.get().then(|| self.not_before.get().unwrap_or_else(Instant::now))
    }

    /// Begins to look, if it is time. Returns the time.
    pub(super) fn begin(&self) -> Option<Instant> {
        if !self.due.get() {
            return None;
        }
        let now = Instant::now();
        let is_time = self.not_before.get().is_none_or(|at| now >= at);
        self.due.set(!is_time);
        is_time.then_some(now)
    }

    /// Ends a look that began at this time, and has seen all that it should if it is `complete`.
    pub(super) fn end(&self, began: Instant, complete: bool) {
        let took = began.elapsed();
        self.not_before.set(Some(Instant::now() + PAUSE.max(took * SHARE)));
        if !complete {
            self.due.set(true);
        }
    }
}
