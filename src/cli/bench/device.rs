//! A block device, used as applications use it: with several reads or writes in flight, and with
//! buffers that are reused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chimaera::{Buffer, Pending};
use chimaera_bdev_client::{Client, Extent, ReadTask, WriteTask};

use super::times::Kind;
use crate::context::{Failed, Outcome};

/// How long to poll for completed operations before blocking on one.
const LOOK: Duration = Duration::from_micros(200);

/// The operation to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Operation {
    Read,
    Write,
}

/// The sequence of blocks that a measurement accesses.
pub(super) struct Positions {
    /// Number of blocks.
    n: u64,
    next: u64,
    random: bool,
}

impl Positions {
    /// A sequence over `n` blocks, in order or random.
    pub(super) fn new(n: u64, random: bool) -> Positions {
        Positions { n, next: 0x9e37_79b9_7f4a_7c15, random }
    }

    pub(super) fn next(&mut self) -> u64 {
        if self.random {
            // xorshift64, Marsaglia 2003.
            self.next ^= self.next << 13;
            self.next ^= self.next >> 7;
            self.next ^= self.next << 17;
        } else {
            self.next = self.next.wrapping_add(1);
        }
        self.next % self.n
    }
}

/// A device, and the buffers to write from and read into.
pub(super) struct Device {
    client: Client,
    /// All blocks of the device.
    extents: Vec<Extent>,
    /// Device blocks per access.
    blocks: u64,
    buffers: Vec<Buffer>,
    positions: Positions,
}

/// An operation in flight.
struct InFlight {
    task: Task,
    buffer: usize,
    since: Instant,
}

enum Task {
    Read(Pending<ReadTask>),
    Write(Pending<WriteTask>),
}

impl InFlight {
    fn is_over(&self) -> bool {
        match &self.task {
            Task::Read(task) => task.is_complete(),
            Task::Write(task) => task.is_complete(),
        }
    }

    fn wait(self, latencies: &mut Kind) -> Result<usize, Failed> {
        match self.task {
            Task::Read(task) => drop(task.wait()?),
            Task::Write(task) => drop(task.wait()?),
        }
        latencies.record(self.since.elapsed());
        Ok(self.buffer)
    }
}

impl Device {
    /// Allocates all blocks of the device. An access transfers `blocks` of them to or from one of
    /// `depth` buffers of `bytes` bytes.
    pub(super) fn new(
        client: Client,
        blocks: u64,
        bytes: usize,
        depth: usize,
        random: bool,
    ) -> Result<Device, Failed> {
        let ipc = chimaera::ipc()?;
        let all = client.stats()?.blocks;
        let extents = client.allocate(all)?;
        let buffers = (0..depth).map(|_| ipc.alloc(bytes)).collect::<Result<Vec<_>, _>>()?;
        for buffer in &buffers {
            buffer.write_at(0, vec![7; bytes])?;
        }
        let positions = Positions::new(all / blocks, random);
        Ok(Device { client, extents, blocks, buffers, positions })
    }

    /// Frees all blocks, so that a file can be measured again.
    pub(super) fn release(self) -> Outcome {
        Ok(self.client.free(&self.extents)?)
    }

    /// Writes the whole device.
    pub(super) fn fill(&self) -> Outcome {
        for position in 0..self.positions.n {
            self.client.write_from(position * self.blocks, &self.buffers[0])?.wait()?;
        }
        Ok(())
    }

    /// Keeps every buffer in flight for the given time. Returns operations per second.
    pub(super) fn measure(
        &mut self,
        operation: Operation,
        time: Duration,
        latencies: &mut Kind,
    ) -> Result<f64, Failed> {
        let begin = Instant::now();
        let mut in_flight = VecDeque::with_capacity(self.buffers.len());
        for buffer in 0..self.buffers.len() {
            in_flight.push_back(self.start(operation, buffer)?);
        }
        let mut done: u64 = 0;
        let mut last = begin;
        while begin.elapsed() < time {
            // Collects completed operations, in any order.
            let before = done;
            for _ in 0..in_flight.len() {
                let next = in_flight.pop_front().expect("the loop is bounded by the length");
                if next.is_over() {
                    let buffer = next.wait(latencies)?;
                    in_flight.push_back(self.start(operation, buffer)?);
                    done += 1;
                } else {
                    in_flight.push_back(next);
                }
            }
            if done > before {
                last = Instant::now();
            } else if last.elapsed() >= LOOK {
                // If none has completed for a while, block on the oldest.
                let oldest = (0..in_flight.len()).min_by_key(|index| in_flight[*index].since);
                let oldest = oldest.and_then(|index| in_flight.swap_remove_front(index));
                let oldest = oldest.expect("a buffer is in flight");
                let buffer = oldest.wait(latencies)?;
                in_flight.push_back(self.start(operation, buffer)?);
                done += 1;
            }
        }
        for rest in in_flight {
            rest.wait(latencies)?;
            done += 1;
        }
        Ok(done as f64 / begin.elapsed().as_secs_f64())
    }

    fn start(&mut self, operation: Operation, buffer: usize) -> Result<InFlight, Failed> {
        let block = self.positions.next() * self.blocks;
        let memory = &self.buffers[buffer];
        let since = Instant::now();
        let task = match operation {
            Operation::Read => Task::Read(self.client.read_into(block, self.blocks, memory)?),
            Operation::Write => Task::Write(self.client.write_from(block, memory)?),
        };
        Ok(InFlight { task, buffer, since })
    }
}
