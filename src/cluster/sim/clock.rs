//! A clock with an offset and a pace of its own.

use crate::bounds::Instant;

/// Nanoseconds of true time.
pub(super) type Time = u64;

pub(super) const MS: Time = 1_000_000;
pub(super) const SECOND: Time = 1_000 * MS;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    since: Time,
    shows: u64,
    /// How much too fast, in millionths.
    fast: i64,
}

impl Clock {
    pub(super) fn new(shows: u64, fast: i64) -> Clock {
        Clock { since: 0, shows, fast }
    }

    pub(super) fn at(&self, time: Time) -> Instant {
        let passed = i128::from(time - self.since);
        let shown = passed * (1_000_000 + i128::from(self.fast)) / 1_000_000;
        Instant(self.shows + u64::try_from(shown).expect("clocks go forward"))
    }

    pub(super) fn set_pace(&mut self, time: Time, fast: i64) {
        self.shows = self.at(time).0;
        (self.since, self.fast) = (time, fast);
    }
}
