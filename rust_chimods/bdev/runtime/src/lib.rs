//! The container of `chimaera:bdev`.

mod file;
#[path = "../../autogen/bdev_lib_exec.rs"]
mod lib_exec;
mod map;
mod posix;
mod ram;
mod request;
mod uring;

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera::module::{Init, MonitorContext, MonitorMode, Queue, RunContext};
use chimaera::{Result, ShmBytes, Status};
use chimaera_bdev_client::{
    AllocateTask, Engine, Extent, FlushTask, FreeTask, Method, Params, ReadTask, Stats, StatsTask,
    WriteTask, DEFAULT_BLOCKS,
};

use file::File;
use map::Map;
use ram::Ram;

/// Number of lanes of a device in memory: tasks on different parts of it run on up to this many
/// workers at once.
const LANES: u32 = 16;

/// The container: a device, and the map of its allocated blocks.
pub struct Runtime {
    block_size: u64,
    map: Map,
    backend: Backend,
    counters: Counters,
}

/// Where the blocks are stored.
enum Backend {
    /// In memory, split over the lanes, so that several workers copy at once.
    Ram(Ram, Queue),
    /// In a file. Its tasks run on the worker they arrive at, because they only wait.
    File(File),
}

/// Counters of the device.
#[derive(Default)]
struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    flushes: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    errors: AtomicU64,
}

#[chimaera::container(name = "chimaera:bdev")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>, params: Params) -> Result<Self> {
        if init.container_count() != 1 {
            return Err(Status::invalid(format!(
                "a device has exactly one container, not {}",
                init.container_count()
            )));
        }
        params.check()?;
        let (backend, blocks) = if params.path.is_empty() {
            let blocks = if params.blocks == 0 { DEFAULT_BLOCKS } else { params.blocks };
            let ram = Ram::new(params.block_size as usize, blocks)?;
            (Backend::Ram(ram, init.create_queue(0, LANES)?), blocks)
        } else {
            let (file, blocks) = File::open(&params, init.ctx())?;
            (Backend::File(file), blocks)
        };
        Ok(Runtime {
            block_size: params.block_size.into(),
            map: Map::new(blocks)?,
            backend,
            counters: Counters::default(),
        })
    }

    #[method(Method::ALLOCATE, name = "kAllocate")]
    fn allocate(&self, task: &AllocateTask) -> Result<()> {
        let extents = self.map.allocate(task.count.get())?;
        let told = task.extents.set(&extents);
        if told.is_err() {
            self.map.free(&extents)?;
        }
        told
    }

    #[method(Method::FREE, name = "kFree")]
    fn free(&self, task: &FreeTask) -> Result<()> {
        self.map.free(&task.extents.copy_to_vec()?)
    }

    #[method(Method::READ, name = "kRead")]
    fn read(&self, task: &ReadTask, ctx: &RunContext<'_>) -> Result<()> {
        let extent = Extent { block: task.block.get(), count: task.count.get() };
        self.map.check(extent)?;
        let len = extent.count * self.block_size;
        task.data.resize_unfilled(len as usize)?;
        let at = extent.block * self.block_size;
        let done = match &self.backend {
            Backend::Ram(ram, _) => ram.read(at, &task.data),
            Backend::File(file) => file.read(ctx.worker_id(), at, &task.data),
        };
        self.count(&self.counters.reads, done)?;
        self.counters.read_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    #[monitor(Method::READ)]
    fn monitor_read(&self, mode: MonitorMode, task: &ReadTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.block.get(), ctx);
    }

    #[method(Method::WRITE, name = "kWrite")]
    fn write(&self, task: &WriteTask, ctx: &RunContext<'_>) -> Result<()> {
        let len = self.whole_blocks(&task.data)?;
        let block = task.block.get();
        self.map.check(Extent { block, count: len / self.block_size })?;
        let at = block * self.block_size;
        let done = match &self.backend {
            Backend::Ram(ram, _) => ram.write(at, &task.data),
            Backend::File(file) => file.write(ctx.worker_id(), at, &task.data),
        };
        self.count(&self.counters.writes, done)?;
        self.counters.written_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    #[monitor(Method::WRITE)]
    fn monitor_write(&self, mode: MonitorMode, task: &WriteTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.block.get(), ctx);
    }

    #[method(Method::FLUSH, name = "kFlush")]
    fn flush(&self, _task: &FlushTask, ctx: &RunContext<'_>) -> Result<()> {
        let done = match &self.backend {
            Backend::Ram(..) => Ok(()),
            Backend::File(file) => file.flush(ctx.worker_id()),
        };
        self.count(&self.counters.flushes, done)
    }

    #[method(Method::STATS, name = "kStats")]
    fn stats(&self, task: &StatsTask) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        task.stats.set(Stats {
            block_size: self.block_size,
            blocks: self.map.blocks(),
            free_blocks: self.map.free_blocks(),
            engine: match &self.backend {
                Backend::Ram(..) => Engine::Ram as u64,
                Backend::File(file) => file.engine() as u64,
            },
            reads: count(&self.counters.reads),
            writes: count(&self.counters.writes),
            flushes: count(&self.counters.flushes),
            read_bytes: count(&self.counters.read_bytes),
            written_bytes: count(&self.counters.written_bytes),
            errors: count(&self.counters.errors),
        });
    }

    /// Counts a success or a failure.
    fn count(&self, successes: &AtomicU64, done: Result<()>) -> Result<()> {
        let counter = if done.is_ok() { successes } else { &self.counters.errors };
        counter.fetch_add(1, Ordering::Relaxed);
        done
    }

    /// The length of the data in blocks, which must be whole.
    fn whole_blocks(&self, data: &ShmBytes) -> Result<u64> {
        let len = data.len() as u64;
        match len % self.block_size {
            0 => Ok(len),
            _ => Err(Status::invalid(format!(
                "{len} bytes are not a whole number of blocks of {}",
                self.block_size
            ))),
        }
    }

    fn route(&self, mode: MonitorMode, block: u64, ctx: &mut MonitorContext<'_>) {
        if let (MonitorMode::LocalSchedule, Backend::Ram(ram, lanes)) = (mode, &self.backend) {
            let at = block.saturating_mul(self.block_size);
            ctx.set_lane(lanes.lane_by_hash(ram.chunk_of(at)));
        }
    }
}
