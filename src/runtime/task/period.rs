//! The times at which a periodic task runs.

use std::time::{Duration, Instant};

use crate::module::TaskShape;

/// The times at which a periodic task runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    period: Duration,
    /// When the current run was due, or, between two runs, the next one is.
    due: Instant,
    /// Its body has been read, for a task of this shape, and it has left its pool.
    begun: Option<TaskShape>,
}

impl Period {
    /// A period, which must not be zero, whose first run is due `now`.
    pub(super) fn new(period: Duration, now: Instant) -> Period {
        Period { period, due: now, begun: None }
    }

    /// When its current run was due, or its next one is, between two runs.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// The shape of the task whose body was read, if it has left its pool since.
    pub(crate) fn begun(&self) -> Option<TaskShape> {
        self.begun
    }

    pub(super) fn leave(&mut self, shape: TaskShape) {
        self.begun = Some(shape);
    }

    /// The time of the next run: a whole number of periods after the first, and not before `now`.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        let late = now.saturating_duration_since(self.due + self.period);
        // Missed runs are skipped.
        let missed = late.as_nanos().div_ceil(self.period.as_nanos());
        let until = self.period.as_nanos() * (1 + missed);
        // At least one period, and at most one period more than the process's lifetime, so the sum
        // cannot overflow.
        self.due += Duration::from_nanos(u64::try_from(until).unwrap_or(u64::MAX / 4));
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_drift_and_missed_ones_are_left_out() {
        let first = Instant::now();
        let ms = Duration::from_millis;
        let mut period = Period::new(ms(10), first);
        assert_eq!(period.next(first + ms(3)), first + ms(10));
        assert_eq!(period.next(first + ms(19)), first + ms(20));
        assert_eq!(period.next(first + ms(55)), first + ms(60));
        assert_eq!(period.next(first + ms(70)), first + ms(70));
        assert_eq!(period.next(first + ms(70)), first + ms(80));
    }
}
