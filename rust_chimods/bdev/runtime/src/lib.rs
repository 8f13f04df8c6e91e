//! The container of `chimaera:bdev`.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod backing;
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
mod state;
mod sums;
#[cfg(test)]
mod testing;
mod uring;
mod volume;

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera::abi::CHI_UNSUPPORTED;
use chimaera::module::{
    set_storage_local, Client, Init, LifeTask, MonitorContext, MonitorMode, Queue, RunContext,
};
use chimaera::{log_info, log_warn, Result, ShmBytes, Status};
use chimaera_bdev_client::{
    AllocateTask, Engine, Extent, FlushTask, FreeTask, GrowTask, Method, Params, ReadTask,
    ReleaseTask, Stats, StatsTask, WriteTask, DEFAULT_BLOCKS,
};

use backing::{Backing, Opened};
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
    /// Blocks with an owner depend on the presence of their clients.
    reclaim: bool,
    backend: Backend,
    counters: Counters,
}

/// Where the blocks are stored.
enum Backend {
    /// In memory, split over the lanes, so that several workers copy at once.
    Ram(Ram, Map, Queue),
    /// In a file. Its tasks run on the worker they arrive at, because they only wait.
    File(Backing),
}

/// A device that can be used.
#[derive(Clone, Copy)]
enum Device<'a> {
    Ram(&'a Ram, &'a Map),
    File(&'a Volume<File>, &'a Map),
}

impl<'a> Device<'a> {
    fn map(&self) -> &'a Map {
        match self {
            Device::Ram(_, map) | Device::File(_, map) => map,
        }
    }
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

impl Counters {
    fn all(&self) -> [&AtomicU64; 6] {
        let Counters { reads, writes, flushes, read_bytes, written_bytes, errors } = self;
        [reads, writes, flushes, read_bytes, written_bytes, errors]
    }

    fn save(&self) -> [u64; 6] {
        self.all().map(|counter| counter.load(Ordering::Relaxed))
    }

    fn load(&self, saved: [u64; 6]) {
        for (counter, value) in self.all().into_iter().zip(saved) {
            counter.store(value, Ordering::Relaxed);
        }
    }
}

#[chimaera::container(name = "chimaera:bdev", state)]
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
        let (block_size, reclaim) = (params.block_size, params.reclaim);
        if reclaim {
            // Refused here, and not when the first block is allocated.
            Client::sender()?;
        }
        let backend = if params.path.is_empty() {
            let blocks = if params.blocks == 0 { DEFAULT_BLOCKS } else { params.blocks };
            let ram = Ram::new(block_size as usize, blocks)?;
            Backend::Ram(ram, Map::new(blocks)?, init.create_queue(0, LANES)?)
        } else {
            set_storage_local()?;
            Backend::File(Backing::new(params, init.pool_id(), init.ctx().worker_id())?)
        };
        let counters = Counters::default();
        Ok(Runtime { block_size: block_size.into(), reclaim, backend, counters })
    }

    #[destroy]
    fn destroy(&self, ctx: &RunContext<'_>) -> Result<()> {
        match &self.backend {
            Backend::Ram(..) => Ok(()),
            Backend::File(backing) => {
                let Opened { volume, map } = backing.opened()?;
                volume.flush(ctx.worker_id(), map)
            }
        }
    }

    /// Leaves the file to a successor.
    #[release]
    fn release(&self) -> Result<()> {
        match &self.backend {
            Backend::Ram(..) => Ok(()),
            // SAFETY: the runtime saves a container while no task is in it.
            Backend::File(backing) => unsafe { backing.close() },
        }
    }

    #[resume]
    fn resume(&self) -> Result<()> {
        match &self.backend {
            Backend::Ram(..) => Ok(()),
            // SAFETY: the runtime has a container resume before it lets tasks in.
            Backend::File(backing) => unsafe { backing.reopen() },
        }
    }

    #[recover]
    fn recover(&self, task: &LifeTask) -> Result<()> {
        match &self.backend {
            Backend::Ram(..) => {
                // Unless a state was loaded.
                if task.old_version().is_empty() {
                    let why = task.message();
                    log_warn!("the device has lost its blocks, and begins without: {why}");
                }
                Ok(())
            }
            // SAFETY: the runtime lets tasks in once the container has recovered.
            Backend::File(backing) => unsafe { backing.take_over() },
        }
    }

    #[method(Method::ALLOCATE, name = "kAllocate")]
    fn allocate(&self, task: &AllocateTask, ctx: &RunContext<'_>) -> Result<()> {
        let device = self.device()?;
        let (map, count, owner) = (device.map(), task.count.get(), task.owner.get());
        let client = match self.reclaim && owner != 0 {
            true => Client::sender()?.map_or(0, Client::number),
            false => 0,
        };
        if self.reclaim && count > map.free_blocks() {
            self.reclaim(map)?;
        }
        let extents = loop {
            match (map.allocate_by(count, owner, client)?, &device) {
                (Some(extents), _) => break extents,
                (None, Device::File(volume, map)) => volume.flush(ctx.worker_id(), map)?,
                (None, Device::Ram(..)) => {
                    return Err(Status::failed("blocks in memory wait for no file"));
                }
            }
        };
        let told = task.extents.set(&extents);
        if told.is_err() {
            map.free(&extents)?;
        }
        told
    }

    #[method(Method::FREE, name = "kFree")]
    fn free(&self, task: &FreeTask) -> Result<()> {
        self.device()?.map().free(&task.extents.copy_to_vec()?)
    }

    #[method(Method::RELEASE, name = "kRelease")]
    fn release_owner(&self, task: &ReleaseTask) -> Result<()> {
        if task.owner.get() == 0 {
            return Err(Status::invalid("the owner is 0, which is no owner"));
        }
        task.blocks.set(self.device()?.map().release(task.owner.get())?);
        Ok(())
    }

    #[method(Method::READ, name = "kRead", idempotent)]
    fn read(&self, task: &ReadTask, ctx: &RunContext<'_>) -> Result<()> {
        let extent = Extent { block: task.block.get(), count: task.count.get() };
        let device = self.device()?;
        device.map().check(extent)?;
        let len = extent.count * self.block_size;
        task.data.resize_unfilled(len as usize)?;
        let done = match device {
            Device::Ram(ram, _) => ram.read(extent.block * self.block_size, &task.data),
            Device::File(volume, _) => read_file(volume, ctx, extent, &task.data),
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
        let device = self.device()?;
        device.map().check(extent)?;
        let done = match device {
            Device::Ram(ram, _) => ram.write(extent.block * self.block_size, &task.data),
            Device::File(volume, _) => write_file(volume, ctx, extent, &task.data),
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
        let done = match self.device()? {
            Device::Ram(..) => Ok(()),
            Device::File(volume, map) => volume.flush(ctx.worker_id(), map),
        };
        self.count(&self.counters.flushes, done)
    }

    #[method(Method::GROW, name = "kGrow")]
    fn grow(&self, task: &GrowTask, ctx: &RunContext<'_>) -> Result<()> {
        let Device::File(volume, map) = self.device()? else {
            return Err(Status::new(CHI_UNSUPPORTED, "a device in memory cannot grow"));
        };
        task.total.set(volume.grow(ctx.worker_id(), map, task.blocks.get())?);
        Ok(())
    }

    #[method(Method::STATS, name = "kStats", idempotent)]
    fn stats(&self, task: &StatsTask) -> Result<()> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let device = self.device()?;
        self.reclaim(device.map())?;
        task.stats.set(Stats {
            block_size: self.block_size,
            blocks: device.map().blocks(),
            free_blocks: device.map().free_blocks(),
            engine: match device {
                Device::Ram(..) => Engine::Ram as u64,
                Device::File(volume, _) => volume.disk().engine() as u64,
            },
            reads: count(&self.counters.reads),
            writes: count(&self.counters.writes),
            flushes: count(&self.counters.flushes),
            read_bytes: count(&self.counters.read_bytes),
            written_bytes: count(&self.counters.written_bytes),
            errors: count(&self.counters.errors),
        });
        Ok(())
    }

    /// Frees the blocks of clients that are gone, if the parameters say so.
    fn reclaim(&self, map: &Map) -> Result<()> {
        if self.reclaim {
            let is_gone = |client| Client::from_number(client).is_some_and(Client::is_gone);
            let blocks = map.reclaim(is_gone)?;
            if blocks > 0 {
                log_info!("freed {blocks} blocks of clients that are gone");
            }
        }
        Ok(())
    }

    /// The device, for a task that is in the container. Errors: `CHI_NO_POOL` if its file is closed.
    fn device(&self) -> Result<Device<'_>> {
        match &self.backend {
            Backend::Ram(ram, map, _) => Ok(Device::Ram(ram, map)),
            Backend::File(backing) => {
                let Opened { volume, map } = backing.opened()?;
                Ok(Device::File(volume, map))
            }
        }
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
        if let (MonitorMode::LocalSchedule, Backend::Ram(ram, _, lanes)) = (mode, &self.backend) {
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
