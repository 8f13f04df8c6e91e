//! Empty tasks of one pool, one at a time and many at a time.

use std::collections::VecDeque;
use std::time::Instant;

use super::relay::Relay;
use super::task::Pool;
use super::times::{Kind, WARM_UP};
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

    /// As `measure`, for entries that another process passes on.
    pub(super) fn measure_relay(&mut self, relay: &mut Relay, count: u32) -> Outcome {
        relay.start_round(count + WARM_UP)?;
        self.one.measure(count, || {
            relay.send();
            relay.receive();
            Ok(())
        })?;
        let batches = count / BATCH;
        // One more is not recorded.
        relay.start_round((batches + 1) * BATCH)?;
        self.many.measure_batches(batches, BATCH.into(), || {
            let begin = Instant::now();
            let mut in_flight = 0;
            for _ in 0..BATCH {
                if in_flight == DEPTH {
                    relay.receive();
                    in_flight -= 1;
                }
                relay.send();
                in_flight += 1;
            }
            (0..in_flight).for_each(|_| relay.receive());
            Ok(begin.elapsed().as_nanos() as u64)
        })
    }
}
