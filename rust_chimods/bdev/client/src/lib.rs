//! The client of `chimaera:bdev`, a block device.
//!
//! ```no_run
//! use chimaera_bdev_client::{Client, Params};
//!
//! # fn main() -> chimaera::Result<()> {
//! let device = Client::create("scratch", Params::default())?;
//! let extents = device.allocate(1)?;
//! device.write(extents[0].block, [7; 4096])?;
//! assert_eq!(device.read(extents[0].block, 1)?, [7; 4096]);
//! device.free(&extents)?;
//! # Ok(())
//! # }
//! ```

pub mod geometry;
#[path = "../../autogen/bdev_methods.rs"]
mod methods;
mod params;
mod tasks;

pub use methods::Method;
pub use params::{Io, Params, DEFAULT_BLOCKS, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE};
pub use tasks::{
    AllocateTask, Extent, FlushTask, FreeTask, GrowTask, ReadTask, ReleaseTask, Stats, StatsTask,
    WriteTask,
};

use chimaera::abi::CHI_MODULE_STATUS;
use chimaera::archive::params_to_bytes;
use chimaera::{Buffer, DomainQuery, NewTask, Pending, PoolId, Result, Task};

/// The module's name.
pub const MODULE: &str = "chimaera:bdev";

/// A status of this module: not enough blocks are free.
pub const DEVICE_FULL: i32 = CHI_MODULE_STATUS;
/// A status of this module: a block is not allocated.
pub const NOT_ALLOCATED: i32 = CHI_MODULE_STATUS + 1;
/// A status of this module: what the file contains does not match its checksum.
pub const CORRUPT: i32 = CHI_MODULE_STATUS + 2;

/// A pool of the module, and the query that says which of its containers calls go to. It can be
/// copied, sent to other threads, and used in applications as well as in the methods of other
/// modules.
///
/// Every function sends one task. The `_async` forms return once the task is submitted; its results
/// are in the fields of the task. Errors beyond those documented are those of the IPC manager.
///
/// Concurrent tasks on the same blocks are not ordered, but each sees every block as a whole,
/// before or after a write; blocks that are read together may come from different writes. Do not
/// free blocks while tasks on them are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
    query: DomainQuery,
}

impl Client {
    /// Creates the pool, or finds it if it exists with the same parameters. A device in memory has
    /// no allocated blocks then, and one in a file those that it had.
    ///
    /// Errors: `CHI_INVALID` for invalid parameters, and for a file that is not regular, too small,
    /// or not the device that they describe; [`CORRUPT`]; `CHI_NOT_FOUND` if the file does not exist; `CHI_BUSY` if another device uses it;
    /// `CHI_IO` if it cannot be opened, or if the system refuses `io_uring`; `CHI_NO_MODULE`;
    /// `CHI_EXISTS` if the name belongs to a pool of another module or with other parameters.
    pub fn create(name: &str, params: Params) -> Result<Self> {
        chimaera::ipc()?
            .create_pool(MODULE, name, &params_to_bytes(&params)?)
            .map(Client::from_pool)
    }

    /// Finds an existing pool. Errors: `CHI_NO_POOL`; `CHI_INVALID` if it is of another module.
    pub fn find(name: &str) -> Result<Self> {
        chimaera::ipc()?.find_pool_of(MODULE, name).map(Client::from_pool)
    }

    /// A client for an existing pool of this module with this id. The pool's module is not checked.
    pub fn from_pool(pool_id: PoolId) -> Self {
        Client { pool_id, query: DomainQuery::dynamic() }
    }

    /// A client for the same pool whose calls use this query instead of `DomainQuery::dynamic()`. A
    /// device has one container; every query leads to it, except the id of another.
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Self {
        Client { query, ..self }
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Allocates blocks, in as few extents as possible. Their contents are unspecified. A crash
    /// before the next flush undoes it. Errors: [`DEVICE_FULL`], and those of
    /// [`flush`](Self::flush), if blocks are needed whose release is not durable yet; then none is
    /// allocated.
    pub fn allocate(&self, count: u64) -> Result<Vec<Extent>> {
        self.allocate_async(count)?.wait()?.extents.copy_to_vec()
    }

    /// Like [`allocate`](Self::allocate), but returns without waiting for the result.
    pub fn allocate_async(&self, count: u64) -> Result<Pending<AllocateTask>> {
        let task: NewTask<AllocateTask> = self.task(Method::ALLOCATE)?;
        task.count.set(count);
        task.submit()
    }

    /// Allocates blocks for an owner, any number except 0, such as one that a client was given. They
    /// are free again when the owner is released, and when the device is opened again. Errors: those
    /// of [`allocate`](Self::allocate).
    pub fn allocate_for(&self, owner: u64, count: u64) -> Result<Vec<Extent>> {
        let task: NewTask<AllocateTask> = self.task(Method::ALLOCATE)?;
        task.count.set(count);
        task.owner.set(owner);
        task.call()?.extents.copy_to_vec()
    }

    /// Frees the blocks of an owner, for example of a client that was killed, and returns their
    /// number. No task on them may be in flight. Errors: `CHI_INVALID` for the owner 0.
    pub fn release(&self, owner: u64) -> Result<u64> {
        let task: NewTask<ReleaseTask> = self.task(Method::RELEASE)?;
        task.owner.set(owner);
        Ok(task.call()?.blocks.get())
    }

    /// Frees blocks. A crash before the next flush undoes it. Errors: [`NOT_ALLOCATED`] if one of them is free or listed twice,
    /// `CHI_INVALID` if the device does not have one of them; then none is freed.
    pub fn free(&self, extents: &[Extent]) -> Result<()> {
        self.free_async(extents)?.wait().map(|_| ())
    }

    /// Like [`free`](Self::free), but returns without waiting for the result.
    pub fn free_async(&self, extents: &[Extent]) -> Result<Pending<FreeTask>> {
        let task: NewTask<FreeTask> = self.task(Method::FREE)?;
        task.extents.set(extents)?;
        task.submit()
    }

    /// Reads `count` blocks, beginning at `block`. Errors: `CHI_INVALID` for blocks that the device
    /// does not have, [`NOT_ALLOCATED`], [`CORRUPT`], `CHI_IO` with the operating system's reason.
    pub fn read(&self, block: u64, count: u64) -> Result<Vec<u8>> {
        self.read_async(block, count)?.wait()?.data.copy_to_vec()
    }

    /// Like [`read`](Self::read), but returns without waiting for the result.
    pub fn read_async(&self, block: u64, count: u64) -> Result<Pending<ReadTask>> {
        self.new_read(block, count)?.submit()
    }

    /// Reads into a buffer without a copy. The buffer must have room for that many blocks.
    pub fn read_into(&self, block: u64, count: u64, to: &Buffer) -> Result<Pending<ReadTask>> {
        let mut task = self.new_read(block, count)?;
        task.attach(|task| &task.data, to)?;
        task.submit()
    }

    fn new_read(&self, block: u64, count: u64) -> Result<NewTask<ReadTask>> {
        let task: NewTask<ReadTask> = self.task(Method::READ)?;
        task.block.set(block);
        task.count.set(count);
        Ok(task)
    }

    /// Writes whole blocks, beginning at `block`. Errors: those of [`read`](Self::read);
    /// `CHI_INVALID` if the data is not a whole number of blocks; `CHI_NO_SPACE` if the disk is
    /// full, or a quota or a limit of the operating system is reached.
    pub fn write(&self, block: u64, data: impl AsRef<[u8]>) -> Result<()> {
        self.write_async(block, data)?.wait().map(|_| ())
    }

    /// Like [`write`](Self::write), but returns without waiting for the result.
    pub fn write_async(&self, block: u64, data: impl AsRef<[u8]>) -> Result<Pending<WriteTask>> {
        let task: NewTask<WriteTask> = self.task(Method::WRITE)?;
        task.block.set(block);
        task.data.set(data)?;
        task.submit()
    }

    /// Writes from a buffer without a copy.
    pub fn write_from(&self, block: u64, from: &Buffer) -> Result<Pending<WriteTask>> {
        let mut task: NewTask<WriteTask> = self.task(Method::WRITE)?;
        task.block.set(block);
        task.attach(|task| &task.data, from)?;
        task.submit()
    }

    /// Makes completed writes, allocations and releases durable, so that they survive a crash. Does
    /// nothing for a device in memory. Errors: `CHI_IO`, `CHI_NO_SPACE`.
    pub fn flush(&self) -> Result<()> {
        self.flush_async()?.wait().map(|_| ())
    }

    /// Like [`flush`](Self::flush), but returns without waiting for the result.
    pub fn flush_async(&self) -> Result<Pending<FlushTask>> {
        self.task::<FlushTask>(Method::FLUSH)?.submit()
    }

    /// Adds free blocks at the end of a device in a file, up to `blocks`, and extends the file if it
    /// is too small; 0 means as many as the file has room for. Returns the number of blocks that the
    /// device has now. Errors: `CHI_INVALID` for fewer blocks than it has; `CHI_NO_SPACE` for more
    /// than its [`capacity`](Params::capacity); `CHI_UNSUPPORTED` in memory; those of
    /// [`flush`](Self::flush).
    pub fn grow(&self, blocks: u64) -> Result<u64> {
        let task: NewTask<GrowTask> = self.task(Method::GROW)?;
        task.blocks.set(blocks);
        Ok(task.call()?.total.get())
    }

    /// The device's properties and counters.
    pub fn stats(&self) -> Result<Stats> {
        let task: NewTask<StatsTask> = self.task(Method::STATS)?;
        Ok(task.call()?.stats.get())
    }

    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query, method)
    }
}

/// How a device transfers blocks: [`Stats::engine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Engine {
    /// By copying memory.
    Ram = 0,
    /// With `io_uring`, on the workers.
    Uring = 1,
    /// With `pread` and `pwrite`, on its own threads.
    Posix = 2,
}
