//! The latency distribution of each kind of operation, and the output of several.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{json, Map, Value};

use crate::context::{Failed, Outcome};

/// Warm-up round trips, which are not recorded.
pub(super) const WARM_UP: u32 = 500;

/// One kind of round trip.
pub(super) struct Kind {
    key: &'static str,
    label: &'static str,
    times: Histogram<u64>,
}

impl Kind {
    pub(super) fn new(key: &'static str, label: &'static str) -> Result<Kind, Failed> {
        Ok(Kind { key, label, times: Histogram::new_with_bounds(1, 10_000_000_000, 3)? })
    }

    /// Measures `count` round trips after a warm-up. Each ends at the clock reading that begins the
    /// next.
    pub(super) fn measure(&mut self, count: u32, mut trip: impl FnMut() -> Outcome) -> Outcome {
        for _ in 0..WARM_UP {
            trip()?;
        }
        let mut left = count;
        self.measure_while(trip, |_| {
            left -= 1;
            left > 0
        })
    }

    /// Measures round trips for the given time.
    pub(super) fn measure_for(&mut self, time: Duration, trip: impl FnMut() -> Outcome) -> Outcome {
        let until = Instant::now() + time;
        self.measure_while(trip, |now| now < until)
    }

    fn measure_while(
        &mut self,
        mut trip: impl FnMut() -> Outcome,
        mut goes_on: impl FnMut(Instant) -> bool,
    ) -> Outcome {
        let mut last = Instant::now();
        loop {
            trip()?;
            let now = Instant::now();
            self.times.saturating_record((now - last).as_nanos() as u64);
            last = now;
            if !goes_on(now) {
                return Ok(());
            }
        }
    }

    /// Measures `count` batches of round trips after one that is not recorded. `batch` returns the
    /// nanoseconds that a batch took; the mean per trip is recorded.
    pub(super) fn measure_batches(
        &mut self,
        count: u32,
        trips: u64,
        mut batch: impl FnMut() -> Result<u64, Failed>,
    ) -> Outcome {
        batch()?;
        for _ in 0..count {
            self.times.saturating_record((batch()? + trips / 2) / trips);
        }
        Ok(())
    }

    /// Measures one round trip, and returns its result.
    pub(super) fn measure_one<T>(
        &mut self,
        trip: impl FnOnce() -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let begin = Instant::now();
        let result = trip()?;
        self.record(begin.elapsed());
        Ok(result)
    }

    /// Records one latency.
    pub(super) fn record(&mut self, time: Duration) {
        self.times.saturating_record(time.as_nanos() as u64);
    }

    /// The quantile in nanoseconds.
    pub(super) fn at(&self, quantile: f64) -> u64 {
        self.times.value_at_quantile(quantile)
    }

    /// The number of recorded latencies.
    pub(super) fn len(&self) -> u64 {
        self.times.len()
    }

    /// The median relative to that of another kind.
    pub(super) fn per(&self, floor: &Kind) -> f64 {
        self.at(0.5) as f64 / floor.at(0.5).max(1) as f64
    }

    /// Encodes all latencies for `add_line` in another process.
    pub(super) fn line(&self) -> String {
        let values = self.times.iter_recorded();
        let values: Vec<_> =
            values.map(|value| (value.value_iterated_to(), value.count_at_value())).collect();
        json!(values).to_string()
    }

    /// Adds the latencies that `line` encoded in another process.
    pub(super) fn add_line(&mut self, line: &str) -> Outcome {
        let values: Vec<(u64, u64)> = serde_json::from_str(line).map_err(|_| {
            Failed::Message(format!("unexpected output from a client process: '{line}'"))
        })?;
        for (value, count) in values {
            self.times.saturating_record_n(value, count);
        }
        Ok(())
    }
}

/// The kinds as JSON, by key.
pub(super) fn document(kinds: &[&Kind]) -> Map<String, Value> {
    let quantiles =
        |kind: &Kind| json!({ "p50": kind.at(0.5), "p99": kind.at(0.99), "p999": kind.at(0.999) });
    kinds.iter().map(|kind| (kind.key.to_owned(), quantiles(kind))).collect()
}

/// The kinds as a table, with their ratios to each of `floors`.
pub(super) fn table(kinds: &[&Kind], floors: &[(&str, &Kind)]) -> String {
    let mut text = format!("{:<26}{:>10}{:>10}{:>10}", "", "p50", "p99", "p99.9");
    floors.iter().for_each(|(label, _)| text += &format!("{label:>12}"));
    for kind in kinds {
        text += &format!(
            "\n{:<26}{:>10}{:>10}{:>10}",
            kind.label,
            kind.at(0.5),
            kind.at(0.99),
            kind.at(0.999)
        );
        floors.iter().for_each(|(_, floor)| text += &format!("{:>12.2}", kind.per(floor)));
    }
    text + "\n"
}
