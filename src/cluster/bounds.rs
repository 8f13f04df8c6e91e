//! The times and sizes that all nodes of a cluster share.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time by one node's clock of elapsed time (`CLOCK_BOOTTIME`), which goes on while the machine
/// sleeps. Two nodes' clocks have nothing in common but, within [`Bounds::drift_ppm`], their pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, by: Duration) -> Instant {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(by))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// The time from `earlier` to here; zero if it is not earlier.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What the nodes of a cluster have to agree on before they start.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The grain of time: a node that has something to do wants [`crate::Node::tick`] to be called so often. A late call
    /// delays things; it breaks nothing.
    pub tick: Duration,
    /// After how many ticks without a leader a node stands for election; at most twice as many.
    pub election_ticks: u32,
    /// How many ticks lie between two heartbeats of a leader.
    pub heartbeat_ticks: u32,
    /// How long a lease lasts, from when its renewal was sent, by the clock of the node that holds it.
    pub lease: Duration,
    /// How often a node asks for its lease to be renewed.
    pub renewal: Duration,
    /// The largest error of a clock's pace, in millionths. `adjtimex` allows 500.
    pub drift_ppm: u32,
    /// The largest number of calls of one node that another may have to remember.
    pub window: u32,
    /// The largest number of calls that wait at a caller for one peer's window.
    pub queue: u32,
    /// How often a call without an answer is sent again.
    pub resend: Duration,
    /// How many bytes a second go from one node to another at least: calls and answers with more have more time.
    pub slowest: u64,
    /// After how long without a word about a call from its server the call is given up.
    pub silence: Duration,
    /// How long a call waits for its container to have an owner, and a server for a lease to go on.
    pub patience: Duration,
    /// How long a container that is to move waits for its running tasks.
    pub drain: Duration,
    /// The largest number of a node's proposals that are under way.
    pub proposals: u32,
    /// After how long a proposal without an answer is given up.
    pub proposal_wait: Duration,
    /// After how many applied entries the log is cut.
    pub log_length: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            tick: Duration::from_millis(50),
            election_ticks: 20,
            heartbeat_ticks: 9,
            lease: Duration::from_millis(1_500),
            renewal: Duration::from_millis(450),
            drift_ppm: 1_000,
            window: 32,
            queue: 64,
            resend: Duration::from_millis(250),
            slowest: 10 << 20,
            silence: Duration::from_secs(4),
            patience: Duration::from_secs(8),
            drain: Duration::from_secs(2),
            proposals: 16,
            proposal_wait: Duration::from_secs(10),
            log_length: 1_000,
        }
    }
}

impl Bounds {
    /// How long these bytes may be on their way, beyond what a few would be.
    #[must_use]
    pub fn takes(&self, bytes: usize) -> Duration {
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.slowest.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How long the one who granted a lease has to wait, by its own clock, to be sure that the holder's clock
    /// has ended it: the two may be wrong in opposite directions. 1/8 of the drift more is for its square.
    #[must_use]
    pub fn lease_is_over_after(&self) -> Duration {
        if !crate::guard::holds(crate::guard::Guard::DriftMargin) {
            return self.lease;
        }
        let drift = u64::from(self.drift_ppm);
        let nanos = u64::try_from(self.lease.as_nanos()).unwrap_or(u64::MAX / 4);
        let margin = nanos.saturating_mul(2 * drift + drift / 8 + 1) / 1_000_000;
        Duration::from_nanos(nanos.saturating_add(margin + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;

    #[test]
    fn a_slow_clock_ends_a_lease_before_a_fast_one_has_waited_for_it() {
        for drift_ppm in [0, 1, 500, 1_000, 10_000, 50_000] {
            let bounds = Bounds { drift_ppm, ..Bounds::default() };
            let drift = f64::from(drift_ppm) / 1e6;
            let lasts = bounds.lease.as_secs_f64() / (1.0 - drift);
            let waits = bounds.lease_is_over_after().as_secs_f64() / (1.0 + drift);
            assert!(lasts < waits, "with {drift_ppm}: {lasts} s, {waits} s");
        }
    }
}
