//! The container of `chimaera:bdev`.

mod bounce;
#[cfg(test)]
mod crash;
mod disk;
mod file;
mod format;
#[path = "../../autogen/bdev_lib_exec.rs"]
mod lib_exec;
mod map;
mod posix;
mod ram;
mod ranges;
mod request;
mod sums;
#[cfg(test)]
mod testing;
mod uring;
mod volume;

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera::abi::CHI_UNSUPPORTED;
use chimaera::module::{Init, MonitorContext, MonitorMode, Queue, RunContext};
use chimaera::{Result, ShmBytes, Status};
use chimaera_bdev_client::{
    AllocateTask, Engine, Extent, FlushTask, FreeTask, GrowTask, Method, Params, ReadTask,
    ReleaseTask, Stats, StatsTask, WriteTask, DEFAULT_BLOCKS,
};

use bounce::Bounce;
use file::File;
use map::Map;
use ram::Ram;
use volume::Volume;

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
    File(Box<Volume<File>>),
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
        let (backend, map) = if params.path.is_empty() {
            let blocks = if params.blocks == 0 { DEFAULT_BLOCKS } else { params.blocks };
            let ram = Ram::new(params.block_size as usize, blocks)?;
            (Backend::Ram(ram, init.create_queue(0, LANES)?), Map::new(blocks)?)
        } else {
            let file = File::open(&params, init.ctx())?;
            let (volume, map) = Volume::open(file, &params, init.ctx().worker_id())?;
            (Backend::File(Box::new(volume)), map)
        };
        Ok(Runtime {
            block_size: params.block_size.into(),
            map,
            backend,
            counters: Counters::default(),
        })
    }

    #[destroy]
    fn destroy(&self, ctx: &RunContext<'_>) -> Result<()> {
        match &self.backend {
            Backend::Ram(..) => Ok(()),
            Backend::File(volume) => volume.flush(ctx.worker_id(), &self.map),
        }
    }

    #[method(Method::ALLOCATE, name = "kAllocate")]
    fn allocate(&self, task: &AllocateTask, ctx: &RunContext<'_>) -> Result<()> {
        let extents = loop {
            match (self.map.allocate(task.count.get(), task.owner.get())?, &self.backend) {
                (Some(extents), _) => break extents,
                (None, Backend::File(volume)) => volume.flush(ctx.worker_id(), &self.map)?,
                (None, Backend::Ram(..)) => {
                    return Err(Status::failed("blocks in memory wait for no file"));
                }
            }
        };
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

    #[method(Method::RELEASE, name = "kRelease")]
    fn release(&self, task: &ReleaseTask) -> Result<()> {
        if task.owner.get() == 0 {
            return Err(Status::invalid("the owner is 0, which is no owner"));
        }
        task.blocks.set(self.map.release(task.owner.get())?);
        Ok(())
    }

    #[method(Method::READ, name = "kRead")]
    fn read(&self, task: &ReadTask, ctx: &RunContext<'_>) -> Result<()> {
        let extent = Extent { block: task.block.get(), count: task.count.get() };
        self.map.check(extent)?;
        let len = extent.count * self.block_size;
        task.data.resize_unfilled(len as usize)?;
        let done = match &self.backend {
            Backend::Ram(ram, _) => ram.read(extent.block * self.block_size, &task.data),
            Backend::File(volume) => read_file(volume, ctx, extent, &task.data),
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
        let extent = Extent { block: task.block.get(), count: len / self.block_size };
        self.map.check(extent)?;
        let done = match &self.backend {
            Backend::Ram(ram, _) => ram.write(extent.block * self.block_size, &task.data),
            Backend::File(volume) => write_file(volume, ctx, extent, &task.data),
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
            Backend::File(volume) => volume.flush(ctx.worker_id(), &self.map),
        };
        self.count(&self.counters.flushes, done)
    }

    #[method(Method::GROW, name = "kGrow")]
    fn grow(&self, task: &GrowTask, ctx: &RunContext<'_>) -> Result<()> {
        let Backend::File(volume) = &self.backend else {
            return Err(Status::new(CHI_UNSUPPORTED, "a device in memory cannot grow"));
        };
        task.total.set(volume.grow(ctx.worker_id(), &self.map, task.blocks.get())?);
        Ok(())
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
                Backend::File(volume) => volume.disk().engine() as u64,
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

/// Reads blocks of a file, directly into the task's memory if they have no checksums.
fn read_file(
    volume: &Volume<File>,
    ctx: &RunContext<'_>,
    extent: Extent,
    to: &ShmBytes,
) -> Result<()> {
    if !volume.has_sums() {
        let _claim = volume.share(extent)?;
        return volume.disk().read_into(ctx.worker_id(), volume.position(extent.block), to);
    }
    // The task's memory must not show what turns out to be corrupt.
    let mut bounce = Bounce::new(to.len())?;
    volume.read(ctx.worker_id(), extent, bounce.bytes_mut())?;
    to.write_at(0, bounce.bytes())
}

/// Writes blocks of a file, directly from the task's memory if they have no checksums.
fn write_file(
    volume: &Volume<File>,
    ctx: &RunContext<'_>,
    extent: Extent,
    from: &ShmBytes,
) -> Result<()> {
    if !volume.has_sums() {
        let _claim = volume.exclude(extent)?;
        return volume.disk().write_from(ctx.worker_id(), volume.position(extent.block), from);
    }
    // The client can change the task's memory between the checksum and the write.
    let mut bounce = Bounce::new(from.len())?;
    from.copy_to(0, bounce.bytes_mut());
    volume.write(ctx.worker_id(), extent, bounce.bytes())
}
