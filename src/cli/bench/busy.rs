//! Empty tasks of one pool, one at a time and many at a time.

use std::collections::VecDeque;
use std::time::Instant;

use super::task::Pool;
use super::times::Kind;
use crate::context::Outcome;

/// Tasks in flight in the second kind of measurement.
const DEPTH: usize = 64;
/// Tasks of one sample of it.
const BATCH: u32 = 1000;

/// The two measurements of a pool.
pub(super) struct Busy {
    pub(super) one: Kind,
    pub(super) many: Kind,
}

impl Busy {
    /// Measures `count` tasks of each kind.
    pub(super) fn measure(&mut self, pool: Pool, count: u32) -> Outcome {
        self.one.measure(count, || pool.finish(pool.submit()?))?;
        self.many.measure_batches(count / BATCH, BATCH.into(), || {
            let begin = Instant::now();
            let mut window = VecDeque::with_capacity(DEPTH);
            for _ in 0..BATCH {
                if window.len() == DEPTH {
                    window.pop_front().map_or(Ok(()), |task| pool.finish(task))?;
                }
                window.push_back(pool.submit()?);
            }
            window.into_iter().try_for_each(|task| pool.finish(task))?;
            Ok(begin.elapsed().as_nanos() as u64)
        })
    }
}
