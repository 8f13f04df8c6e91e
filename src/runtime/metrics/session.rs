//! What is counted of the tasks that a session's client submits.

use super::count::Count;
use super::per_worker::PerWorker;
use super::worker::OwnMetrics;

/// What one worker counts of a session.
#[repr(align(64))]
#[derive(Default)]
struct Counters {
    calls: Count,
    failed: Count,
    bytes_in: Count,
    bytes_out: Count,
}

/// What is counted of a session.
#[derive(Default)]
pub(crate) struct SessionMetrics(PerWorker<Counters>);

/// What has been counted of a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionTotals {
    /// Tasks that have ended.
    pub(crate) calls: u64,
    /// Those of them that have failed.
    pub(crate) failed: u64,
    /// Bytes of bodies, strings and vectors that came from the client.
    pub(crate) bytes_in: u64,
    /// Those that went back to it.
    pub(crate) bytes_out: u64,
}

impl SessionMetrics {
    /// Counts a task that ends.
    #[inline(always)]
    pub(crate) fn end(&self, own: OwnMetrics<'_>) {
        self.0.of(own).calls.add(1);
    }

    /// Counts that a task that ends has failed.
    pub(crate) fn fail(&self, own: OwnMetrics<'_>) {
        self.0.of(own).failed.add(1);
    }

    /// Counts the bytes that come with a task.
    pub(crate) fn take(&self, own: OwnMetrics<'_>, bytes: u64) {
        self.0.of(own).bytes_in.add(bytes);
    }

    /// Counts the bytes that a task returns.
    pub(crate) fn give(&self, own: OwnMetrics<'_>, bytes: u64) {
        self.0.of(own).bytes_out.add(bytes);
    }

    /// What has been counted so far.
    pub(crate) fn totals(&self) -> SessionTotals {
        let sum = |of: fn(&Counters) -> &Count| self.0.all().iter().map(|one| of(one).get()).sum();
        SessionTotals {
            calls: sum(|one| &one.calls),
            failed: sum(|one| &one.failed),
            bytes_in: sum(|one| &one.bytes_in),
            bytes_out: sum(|one| &one.bytes_out),
        }
    }
}
