//! The container of `chimaera:bdev`.

#[path = "../../autogen/bdev_lib_exec.rs"]
mod lib_exec;
mod map;
mod ram;

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera::module::{Init, MonitorContext, MonitorMode, Queue};
use chimaera::{Result, ShmBytes, Status};
use chimaera_bdev_client::{
    AllocateTask, Engine, Extent, FlushTask, FreeTask, Method, Params, ReadTask, Stats, StatsTask,
    WriteTask, DEFAULT_BLOCKS,
};

use map::Map;
use ram::Ram;

/// How many lanes a device in memory has: tasks on different parts of it run on so many workers at
/// once.
const LANES: u32 = 16;

/// The container: a device, and which of its blocks are allocated.
pub struct Runtime {
    block_size: u64,
    map: Map,
    ram: Ram,
    lanes: Queue,
    counters: Counters,
}

/// What the device did.
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
    fn create(init: &Init<'_>) -> Result<Self> {
        if init.container_count() != 1 {
            return Err(Status::invalid(format!(
                "a device in {} containers; a device has one",
                init.container_count()
            )));
        }
        let params = Params::parse(init.params())?;
        let blocks = if params.blocks == 0 { DEFAULT_BLOCKS } else { params.blocks };
        Ok(Runtime {
            block_size: params.block_size.into(),
            map: Map::new(blocks)?,
            ram: Ram::new(params.block_size as usize, blocks)?,
            lanes: init.create_queue(0, LANES)?,
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
    fn read(&self, task: &ReadTask) -> Result<()> {
        let extent = Extent { block: task.block.get(), count: task.count.get() };
        self.map.check(extent)?;
        let len = extent.count * self.block_size;
        task.data.resize_unfilled(len as usize)?;
        self.ram.read(extent.block * self.block_size, &task.data)?;
        self.counters.reads.fetch_add(1, Ordering::Relaxed);
        self.counters.read_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    #[monitor(Method::READ)]
    fn monitor_read(&self, mode: MonitorMode, task: &ReadTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.block.get(), ctx);
    }

    #[method(Method::WRITE, name = "kWrite")]
    fn write(&self, task: &WriteTask) -> Result<()> {
        let len = self.whole_blocks(&task.data)?;
        let block = task.block.get();
        self.map.check(Extent { block, count: len / self.block_size })?;
        self.ram.write(block * self.block_size, &task.data)?;
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
        self.counters.written_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    #[monitor(Method::WRITE)]
    fn monitor_write(&self, mode: MonitorMode, task: &WriteTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.block.get(), ctx);
    }

    #[method(Method::FLUSH, name = "kFlush")]
    fn flush(&self, _task: &FlushTask) {
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
    }

    #[method(Method::STATS, name = "kStats")]
    fn stats(&self, task: &StatsTask) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        task.stats.set(Stats {
            block_size: self.block_size,
            blocks: self.map.blocks(),
            free_blocks: self.map.free_blocks(),
            engine: Engine::Ram as u64,
            reads: count(&self.counters.reads),
            writes: count(&self.counters.writes),
            flushes: count(&self.counters.flushes),
            read_bytes: count(&self.counters.read_bytes),
            written_bytes: count(&self.counters.written_bytes),
            errors: count(&self.counters.errors),
        });
    }

    /// The length of what is whole blocks.
    fn whole_blocks(&self, data: &ShmBytes) -> Result<u64> {
        let len = data.len() as u64;
        match len % self.block_size {
            0 => Ok(len),
            _ => Err(Status::invalid(format!(
                "{len} bytes are not whole blocks of {}",
                self.block_size
            ))),
        }
    }

    fn route(&self, mode: MonitorMode, block: u64, ctx: &mut MonitorContext<'_>) {
        if mode == MonitorMode::LocalSchedule {
            let at = block.saturating_mul(self.block_size);
            ctx.set_lane(self.lanes.lane_by_hash(self.ram.chunk_of(at)));
        }
    }
}
