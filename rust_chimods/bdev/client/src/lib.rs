//! The client of `chimaera:bdev`, a device of blocks of one size.
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

#[path = "../../autogen/bdev_methods.rs"]
mod methods;
mod params;
mod tasks;

pub use methods::Method;
pub use params::{Io, Params, DEFAULT_BLOCKS, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE};
pub use tasks::{AllocateTask, Extent, FlushTask, FreeTask, ReadTask, Stats, StatsTask, WriteTask};

use chimaera::abi::CHI_MODULE_STATUS;
use chimaera::archive::params_to_bytes;
use chimaera::{Buffer, DomainQuery, NewTask, Pending, PoolId, Result, Task};

/// The module's name.
pub const MODULE: &str = "chimaera:bdev";

/// A status of the module's own: so many blocks are not free.
pub const DEVICE_FULL: i32 = CHI_MODULE_STATUS;
/// A status of the module's own: a block is not allocated.
pub const NOT_ALLOCATED: i32 = CHI_MODULE_STATUS + 1;

/// A pool of the module, and which of its containers calls are for. It may be copied, sent to other threads,
/// and used in an application and in another module's methods alike.
///
/// Every function sends one task. The `_async` forms return once the task is submitted; its results are
/// the fields of the task. Errors beyond those documented are the IPC manager's.
///
/// Tasks that touch the same blocks at the same time have no order, except that each sees of another
/// whole blocks. Blocks that are freed must not have tasks in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
    query: DomainQuery,
}

impl Client {
    /// Creates the pool, or finds it when it exists with the same parameters. No block of a new pool is
    /// allocated.
    ///
    /// Errors: `CHI_INVALID` for parameters that make no device and for what is no regular file or too
    /// small, `CHI_NOT_FOUND` for a file that is not there, `CHI_BUSY` for one that another device has,
    /// `CHI_IO` for one that cannot be opened or `io_uring` where it is refused; `CHI_NO_MODULE`; `CHI_EXISTS` when the
    /// name is another module's pool or one with other parameters.
    pub fn create(name: &str, params: Params) -> Result<Self> {
        chimaera::ipc()?
            .create_pool(MODULE, name, &params_to_bytes(&params)?)
            .map(Client::from_pool)
    }

    /// Finds a pool that exists. Errors: `CHI_NO_POOL`.
    pub fn find(name: &str) -> Result<Self> {
        chimaera::ipc()?.find_pool(name).map(Client::from_pool)
    }

    /// The client of a pool whose id is known.
    pub fn from_pool(pool_id: PoolId) -> Self {
        Client { pool_id, query: DomainQuery::dynamic() }
    }

    /// A client of the same pool whose calls carry this query, in place of `DomainQuery::dynamic()`. A device
    /// has one container, to which every query but the id of another leads.
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Self {
        Client { query, ..self }
    }

    /// The pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Allocates blocks, in as few extents as are free. What they hold is unspecified. Errors:
    /// [`DEVICE_FULL`], and then none is allocated.
    pub fn allocate(&self, count: u64) -> Result<Vec<Extent>> {
        self.allocate_async(count)?.wait()?.extents.copy_to_vec()
    }

    /// See [`allocate`](Self::allocate).
    pub fn allocate_async(&self, count: u64) -> Result<Pending<AllocateTask>> {
        let task: NewTask<AllocateTask> = self.task(Method::ALLOCATE)?;
        task.count.set(count);
        task.submit()
    }

    /// Frees blocks. Errors: [`NOT_ALLOCATED`] when one of them is free or named twice, `CHI_INVALID` for
    /// one that the device does not have; then none is freed.
    pub fn free(&self, extents: &[Extent]) -> Result<()> {
        self.free_async(extents)?.wait().map(|_| ())
    }

    /// See [`free`](Self::free).
    pub fn free_async(&self, extents: &[Extent]) -> Result<Pending<FreeTask>> {
        let task: NewTask<FreeTask> = self.task(Method::FREE)?;
        task.extents.set(extents)?;
        task.submit()
    }

    /// The bytes of `count` blocks from `block` on. Errors: `CHI_INVALID` for blocks that the device does
    /// not have, [`NOT_ALLOCATED`], `CHI_IO` with the operating system's reason.
    pub fn read(&self, block: u64, count: u64) -> Result<Vec<u8>> {
        self.read_async(block, count)?.wait()?.data.copy_to_vec()
    }

    /// See [`read`](Self::read).
    pub fn read_async(&self, block: u64, count: u64) -> Result<Pending<ReadTask>> {
        self.new_read(block, count)?.submit()
    }

    /// Reads into a buffer, without a copy. It has room for that many blocks.
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

    /// Writes whole blocks from `block` on. Errors: those of [`read`](Self::read), and `CHI_INVALID` for
    /// bytes that are not whole blocks; `CHI_NO_SPACE` when the file's disk is full, or a quota or a limit of the
    /// operating system's is reached.
    pub fn write(&self, block: u64, data: impl AsRef<[u8]>) -> Result<()> {
        self.write_async(block, data)?.wait().map(|_| ())
    }

    /// See [`write`](Self::write).
    pub fn write_async(&self, block: u64, data: impl AsRef<[u8]>) -> Result<Pending<WriteTask>> {
        let task: NewTask<WriteTask> = self.task(Method::WRITE)?;
        task.block.set(block);
        task.data.set(data)?;
        task.submit()
    }

    /// Writes from a buffer, without a copy.
    pub fn write_from(&self, block: u64, from: &Buffer) -> Result<Pending<WriteTask>> {
        let mut task: NewTask<WriteTask> = self.task(Method::WRITE)?;
        task.block.set(block);
        task.attach(|task| &task.data, from)?;
        task.submit()
    }

    /// Makes what was written before last, also when the machine loses its power. A device in memory has
    /// nothing to do. Errors: `CHI_IO`, `CHI_NO_SPACE`.
    pub fn flush(&self) -> Result<()> {
        self.flush_async()?.wait().map(|_| ())
    }

    /// See [`flush`](Self::flush).
    pub fn flush_async(&self) -> Result<Pending<FlushTask>> {
        self.task::<FlushTask>(Method::FLUSH)?.submit()
    }

    /// What the device is and did.
    pub fn stats(&self) -> Result<Stats> {
        let task: NewTask<StatsTask> = self.task(Method::STATS)?;
        Ok(task.call()?.stats.get())
    }

    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query, method)
    }
}

/// How a device moves blocks: [`Stats::engine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Engine {
    /// It copies memory.
    Ram = 0,
    /// By `io_uring`, on the workers.
    Uring = 1,
    /// By `pread` and `pwrite`, on threads of its own.
    Posix = 2,
}
