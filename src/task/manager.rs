//! The IPC manager: the C table `chi_ipc`, typed.

use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use chimaera_abi::{
    chi_buffer, chi_ipc, chi_pool_id, chi_pool_options, chi_status, chi_task, read_field,
    since_1_0, CHI_OK, CHI_VERSION, CHI_WAIT_FOREVER,
};

use crate::buffer::sweep;
use crate::handle::NewTask;
use crate::{Buffer, DomainQuery, PoolId, Result, Status, Task};

/// How a pool is created: [`Ipc::create_pool_with`].
///
/// ```
/// # use chimaera::PoolOptions;
/// let options = PoolOptions::default().containers(8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    containers: u32,
}

impl PoolOptions {
    /// How many containers the pool has on this node, 1 to `CHI_MAX_CONTAINERS`. The default is 1.
    #[must_use]
    pub fn containers(self, containers: u32) -> Self {
        PoolOptions { containers }
    }
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions { containers: 1 }
    }
}

/// The IPC manager: makes tasks, finds and makes pools, allocates buffers. A handle to a table that
/// lives as long as the process, from [`ipc`](crate::ipc()). `[any thread]`
#[derive(Clone, Copy)]
// Invariant: the table covers all that ABI 1.0 names, is never written, and lives as long as the process.
// It may be shorter than `chi_ipc`, so there is no reference to it.
pub struct Ipc(*const chi_ipc);

// SAFETY: the table is immutable, and its functions may be called from any thread.
unsafe impl Send for Ipc {}
// SAFETY: as above, and at the same time.
unsafe impl Sync for Ipc {}

impl Ipc {
    /// The handle to a C table. Errors: `CHI_VERSION` when the table is shorter than this crate's.
    ///
    /// # Safety
    ///
    /// `table` points to a `chi_ipc` that is as long as its `size` says and lives as long as the
    /// process.
    pub unsafe fn from_raw(table: *const chi_ipc) -> Result<Self> {
        // SAFETY: every table begins with its size.
        let size = unsafe { (*table).size } as usize;
        if size < since_1_0::IPC {
            return Err(Status::new(
                CHI_VERSION,
                format!("an IPC manager of {size} bytes, need {}", since_1_0::IPC),
            ));
        }
        Ok(Ipc(table))
    }

    /// The C table: it covers what ABI 1.0 names, and lives as long as the process.
    pub fn as_raw(self) -> *const chi_ipc {
        self.0
    }

    /// Makes a task for `method` of `pool`, all fields zero or empty.
    ///
    /// Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
    /// `CHI_NOT_INITIALIZED`.
    pub fn new_task<T: Task>(
        self,
        pool: PoolId,
        query: DomainQuery,
        method: u32,
    ) -> Result<NewTask<T>> {
        let mut task = ptr::null_mut::<chi_task>();
        // SAFETY: the table is valid; the function stores an address through the pointer.
        self.check(unsafe { ((*self.0).new_task)(self.0, size_of::<T>() as u32, &mut task) })?;
        // SAFETY: a zeroed task of the size of a `T`, aligned to CHI_TASK_ALIGN, that is ours alone.
        let task = unsafe { NewTask::<T>::from_fresh(self, task.cast()) };
        task.base().address(pool, query, method);
        Ok(task)
    }

    /// Allocates a buffer of `size` bytes, not zeroed. Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`,
    /// `CHI_UNAVAILABLE`, `CHI_FORKED`.
    pub fn alloc(self, size: usize) -> Result<Buffer> {
        sweep();
        Ok(Buffer::new(self, self.alloc_for(ptr::null_mut(), size)?, size))
    }

    /// Creates the pool `name` of the module `module` (`"repo:module"`), or finds it when it exists
    /// with the same module and parameters. Waits until it is ready. Parameters that are a struct which
    /// the module knows too are `&params_to_bytes(&params)?`: see
    /// [`params_to_bytes`](crate::archive::params_to_bytes).
    ///
    /// Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (name), whatever the container's `create`
    /// returned, and those of waiting.
    pub fn create_pool(self, module: &str, name: &str, params: &[u8]) -> Result<PoolId> {
        let (module, name) = (CString::new(module)?, CString::new(name)?);
        let mut id = chi_pool_id::default();
        // SAFETY: the strings end with a zero, the bytes are `len` many, `id` may be written.
        let status = unsafe {
            let (params, len) = (params.as_ptr().cast(), params.len() as u64);
            ((*self.0).create_pool)(self.0, module.as_ptr(), name.as_ptr(), params, len, &mut id)
        };
        self.check(status)?;
        Ok(id.into())
    }

    /// Like [`create_pool`](Self::create_pool), as `options` say. A pool that exists with another number
    /// of containers is `CHI_EXISTS`.
    ///
    /// Other errors: `CHI_INVALID` (the number of containers), `CHI_VERSION` (a runtime of ABI 1.0).
    pub fn create_pool_with(
        self,
        module: &str,
        name: &str,
        params: &[u8],
        options: PoolOptions,
    ) -> Result<PoolId> {
        // SAFETY: the table is as long as it says.
        let Some(create) = (unsafe { read_field!(self.0, chi_ipc, create_pool_with) }) else {
            let why = "the runtime is older than pools of several containers";
            return Err(Status::new(CHI_VERSION, why));
        };
        let (module, name) = (CString::new(module)?, CString::new(name)?);
        let size = size_of::<chi_pool_options>() as u32;
        let options = chi_pool_options { size, containers: options.containers };
        let mut id = chi_pool_id::default();
        // SAFETY: the strings end with a zero, the bytes are `len` many,
        // the options are whole, `id` may be written.
        let status = unsafe {
            let (module, name) = (module.as_ptr(), name.as_ptr());
            let (params, len) = (params.as_ptr().cast(), params.len() as u64);
            create(self.0, module, name, params, len, &options, &mut id)
        };
        self.check(status)?;
        Ok(id.into())
    }

    /// Finds a pool by its name. Errors: `CHI_NO_POOL` and those of waiting.
    pub fn find_pool(self, name: &str) -> Result<PoolId> {
        let name = CString::new(name)?;
        let mut id = chi_pool_id::default();
        // SAFETY: the string ends with a zero, and `id` may be written.
        self.check(unsafe { ((*self.0).find_pool)(self.0, name.as_ptr(), &mut id) })?;
        Ok(id.into())
    }

    /// Destroys a pool. Its tasks that have not started end with `CHI_CANCELLED`; running ones end by
    /// themselves first. Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), and those of waiting.
    pub fn destroy_pool(self, pool: PoolId) -> Result<()> {
        // SAFETY: the pointer is to a whole id.
        self.check(unsafe { ((*self.0).destroy_pool)(self.0, &pool.to_raw()) })
    }

    /// Sleeps; inside a method, suspends the task and not the worker. Errors: `CHI_CANCELLED`, early, when
    /// the method's task is cancelled; `CHI_VERSION` with a runtime of ABI 1.0.
    pub fn sleep(self, duration: Duration) -> Result<()> {
        // SAFETY: the table is as long as it says.
        let sleep = self.require(unsafe { read_field!(self.0, chi_ipc, sleep) })?;
        // SAFETY: the table is valid.
        self.check(unsafe { sleep(self.0, nanoseconds(duration)) })
    }

    /// Lets others run, then goes on: inside a method, other tasks of its worker. Errors:
    /// `CHI_CANCELLED` when the method's task is cancelled; `CHI_VERSION` with a runtime of ABI 1.0.
    pub fn yield_now(self) -> Result<()> {
        // SAFETY: the table is as long as it says.
        let yield_now = self.require(unsafe { read_field!(self.0, chi_ipc, yield_now) })?;
        // SAFETY: the table is valid.
        self.check(unsafe { yield_now(self.0) })
    }

    /// A function of a later minor, or a failure when the table does not cover it.
    pub(crate) fn require<F>(self, function: Option<F>) -> Result<F> {
        function.ok_or_else(|| {
            Status::new(CHI_VERSION, "the runtime is of an older version of the ABI")
        })
    }

    /// A block for a task, or for nobody when `owner` is null.
    pub(crate) fn alloc_for(self, owner: *mut chi_task, size: usize) -> Result<chi_buffer> {
        let mut buffer = MaybeUninit::uninit();
        // SAFETY: the function writes the buffer when it succeeds; an owner is a live task or null.
        unsafe {
            self.check(((*self.0).alloc)(self.0, owner, size as u64, buffer.as_mut_ptr()))?;
            Ok(buffer.assume_init())
        }
    }

    /// A block for a task, for elements that hold strings or vectors.
    pub(crate) fn alloc_elements(self, owner: *mut chi_task, size: usize) -> Result<chi_buffer> {
        let mut buffer = MaybeUninit::uninit();
        // SAFETY: as in `alloc_for`.
        unsafe {
            let made = ((*self.0).alloc_elements)(self.0, owner, size as u64, buffer.as_mut_ptr());
            self.check(made)?;
            Ok(buffer.assume_init())
        }
    }

    /// Turns a status of the table's into a result.
    pub(crate) fn check(self, status: chi_status) -> Result<()> {
        if status == CHI_OK {
            return Ok(());
        }
        // SAFETY: the message is never null, ends with a zero, and stays until the thread's next call.
        let message = unsafe { CStr::from_ptr(((*self.0).last_error)(self.0)) };
        Err(Status::new(status, message.to_string_lossy()))
    }
}

impl fmt::Debug for Ipc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ipc").field(&self.0).finish()
    }
}

/// A bound in the contract's nanoseconds; too long a one is none.
pub(crate) fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER)
}
