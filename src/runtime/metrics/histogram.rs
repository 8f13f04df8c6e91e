//! Histograms of times, of which each bucket is a sixteenth of the power of two below it: no time is off by
//! more than 3.2 %. The scheme is that of HDR histograms: <https://hdrhistogram.org>.

use once_cell::race::OnceBox;

use super::count::Count;

/// How many buckets a row has.
const COLUMNS: usize = 16;
const COLUMN_BITS: u32 = COLUMNS.trailing_zeros();
/// Times from 2^42 ns, 73 minutes, are counted as the longest that is told apart.
const TIME_BITS: u32 = 42;
/// The first row has the times of less than 16 ns, each other one those of one power of two.
const ROWS: usize = (TIME_BITS - COLUMN_BITS + 1) as usize;

type Row = [Count; COLUMNS];

/// The bucket of a time in nanoseconds.
fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << TIME_BITS) - 1);
    let power = ns.checked_ilog2().unwrap_or(0);
    match power.checked_sub(COLUMN_BITS) {
        None => ns as usize,
        Some(row) => ((row as usize + 1) << COLUMN_BITS) + (ns >> row) as usize - COLUMNS,
    }
}

/// The least time of a bucket in nanoseconds, and the least of the next one.
pub(crate) fn bounds(bucket: usize) -> (u64, u64) {
    let (row, column) = (bucket >> COLUMN_BITS, (bucket & (COLUMNS - 1)) as u64);
    match row.checked_sub(1) {
        None => (column, column + 1),
        Some(shift) => {
            let first = (COLUMNS as u64 + column) << shift;
            (first, first + (1 << shift))
        }
    }
}

/// A histogram that one thread writes, and others read. Rows without times have no memory.
pub(super) struct Histogram {
    rows: [OnceBox<Row>; ROWS],
    sum: Count,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { rows: [const { OnceBox::new() }; ROWS], sum: Count::default() }
    }
}

impl Histogram {
    /// The bytes of a row, as the budget is charged for it.
    pub(super) const ROW_COST: u64 = size_of::<Row>() as u64 + 16;

    /// Counts `weight` tasks that took this long. `may_grow` is asked before memory is taken for a row. Only for
    /// the thread that writes it.
    pub(super) fn add(&self, ns: u64, weight: u64, may_grow: impl FnOnce() -> bool) {
        if weight == 0 {
            return;
        }
        let bucket = bucket(ns);
        let begin = || if may_grow() { Ok(Box::default()) } else { Err(()) };
        if let Ok(row) = self.rows[bucket >> COLUMN_BITS].get_or_try_init(begin) {
            row[bucket & (COLUMNS - 1)].add(weight);
            self.sum.set(self.sum.get().saturating_add(ns.saturating_mul(weight)));
        }
    }

    /// Adds what it has counted to `to`.
    pub(super) fn add_to(&self, to: &mut Distribution) {
        for (number, row) in self.rows.iter().enumerate() {
            for (column, count) in row.get().into_iter().flatten().enumerate() {
                to.add(number * COLUMNS + column, count.get());
            }
        }
        to.sum_ns = to.sum_ns.saturating_add(self.sum.get());
    }
}

/// What histograms have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// By bucket, as far as there is any count.
    counts: Vec<u64>,
    /// All times together, in nanoseconds.
    pub(crate) sum_ns: u64,
}

impl Distribution {
    fn add(&mut self, bucket: usize, count: u64) {
        if count > 0 {
            if self.counts.len() <= bucket {
                self.counts.resize(bucket + 1, 0);
            }
            self.counts[bucket] += count;
        }
    }

    /// The buckets with any count, in order, each with its count.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKETS: usize = ROWS * COLUMNS;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for number in 0..BUCKETS {
            let (first, after) = bounds(number);
            assert_eq!(first, next, "bucket {number}");
            assert_eq!((bucket(first), bucket(after - 1)), (number, number));
            // The middle is off by half its width at most.
            assert!((after - first) * 1000 <= first.max(16) * 64, "bucket {number}");
            next = after;
        }
        assert_eq!(next, 1 << TIME_BITS);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_counted_is_read() {
        let histogram = Histogram::default();
        for (ns, weight) in [(0, 1), (15, 2), (1000, 64), (1_000_000, 3), (u64::MAX, 1)] {
            histogram.add(ns, weight, || true);
        }
        let mut found = Distribution::default();
        histogram.add_to(&mut found);
        histogram.add_to(&mut found);
        let expected =
            [(0, 2), (15, 4), (bucket(1000), 128), (bucket(1_000_000), 6), (BUCKETS - 1, 2)];
        assert_eq!(found.buckets().collect::<Vec<_>>(), expected);
        assert_eq!(found.sum_ns, u64::MAX);
    }

    #[test]
    fn a_row_without_memory_counts_nothing() {
        let histogram = Histogram::default();
        histogram.add(1000, 1, || false);
        histogram.add(10, 1, || true);
        histogram.add(11, 1, || unreachable!("the row is there"));
        let mut found = Distribution::default();
        histogram.add_to(&mut found);
        assert_eq!(found, Distribution { counts: [vec![0; 10], vec![1, 1]].concat(), sum_ns: 21 });
    }
}
