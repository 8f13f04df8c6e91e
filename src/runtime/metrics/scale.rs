//! How long a tick is.

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_ipc::{clock, ticks};

/// For how long the two clocks are compared: a difference of 100 ns between the two readings of one moment
/// makes two parts in a million then.
const COMPARED_NS: u64 = 50_000_000;

/// Turns ticks into nanoseconds.
pub(crate) struct Scale {
    /// A moment, in ticks and in nanoseconds.
    begin: (u64, u64),
    /// Nanoseconds per tick, in parts of 2^32; 0 until the clocks have been compared long enough.
    per_tick: AtomicU64,
}

/// How long a tick is: nanoseconds, in parts of 2^32.
#[derive(Clone, Copy)]
pub(crate) struct Rate(u64);

impl Rate {
    /// How many nanoseconds so many ticks take.
    pub(crate) fn ns(self, ticks: u64) -> u64 {
        u64::try_from((u128::from(ticks) * u128::from(self.0)) >> 32).unwrap_or(u64::MAX)
    }
}

impl Scale {
    /// Begins to compare the clocks.
    pub(crate) fn new() -> Scale {
        Scale { begin: (ticks::now(), clock::monotonic_ns()), per_tick: AtomicU64::new(0) }
    }

    /// How many nanoseconds so many ticks take.
    pub(crate) fn ns(&self, ticks: u64) -> u64 {
        self.rate().ns(ticks)
    }

    /// How many ticks so many nanoseconds are.
    pub(crate) fn ticks(&self, ns: u64) -> u64 {
        let ticks = (u128::from(ns) << 32) / u128::from(self.rate().0.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// How long a tick is, as far as that is known now.
    pub(crate) fn rate(&self) -> Rate {
        Rate(match self.per_tick.load(Ordering::Relaxed) {
            0 => self.compare(),
            known => known,
        })
    }

    #[cold]
    fn compare(&self) -> u64 {
        let ticks = ticks::now().saturating_sub(self.begin.0).max(1);
        let ns = clock::monotonic_ns().saturating_sub(self.begin.1);
        let per_tick = u64::try_from((u128::from(ns) << 32) / u128::from(ticks)).unwrap_or(1 << 32);
        if ns >= COMPARED_NS {
            self.per_tick.store(per_tick.max(1), Ordering::Relaxed);
        }
        per_tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn ticks_are_turned_into_the_time_that_passed() {
        let scale = Scale::new();
        let is_close = |_: u32| {
            let (begin, ticks) = (Instant::now(), ticks::now());
            std::thread::sleep(Duration::from_millis(60));
            let ns = scale.ns(ticks::now() - ticks) as f64;
            (ns / begin.elapsed().as_nanos() as f64 - 1.0).abs() < 0.01
        };
        // The thread may be preempted between the two clocks, but not each time.
        assert!((0..20).map(is_close).filter(|close| *close).count() >= 10);
        assert!(scale.per_tick.load(Ordering::Relaxed) != 0, "they have been compared long enough");
        assert_eq!(scale.ns(0), 0);
        assert!(scale.ns(u64::MAX) > 1 << 50, "nothing overflows");
    }
}
