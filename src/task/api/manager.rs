//! The operations of the IPC manager, for applications and methods: tasks, buffers, pools, time.

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use chimaera_abi::{
    chi_ipc, chi_pool_id, chi_pool_options, chi_task, read_field, task_layout,
    CHI_ADMIN_FIND_POOL_OF, CHI_ADMIN_POOL_MAJOR, CHI_VERSION,
};

use super::admin::CreateTask;
use super::buffer::{sweep, Buffer};
use super::handle::NewTask;
use super::task::Task;
use crate::ids::{DomainQuery, PoolId};
use crate::shm::{nanoseconds, Ipc};
use crate::status::{Result, Status};

/// Options for [`Ipc::create_pool_with`].
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
    /// Sets the number of containers on this node, 1 to `CHI_MAX_CONTAINERS`. The default is 1.
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

impl Ipc {
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
        self.check(unsafe {
            ((*self.as_raw()).new_task)(self.as_raw(), size_of::<T>() as u32, &mut task)
        })?;
        // SAFETY: a zeroed task of the size of a `T`, aligned to CHI_TASK_ALIGN, that nothing else
        // refers to.
        let task = unsafe { NewTask::<T>::from_fresh(self, task.cast()) };
        let layout = const { task_layout(size_of::<T>(), T::DESCRIPTION) };
        task.base().address(pool, query, method, layout);
        Ok(task)
    }

    /// Allocates a buffer of `size` bytes, not zeroed. Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`,
    /// `CHI_UNAVAILABLE`, `CHI_FORKED`.
    pub fn alloc(self, size: usize) -> Result<Buffer> {
        sweep();
        Ok(Buffer::new(self, self.alloc_for(ptr::null_mut(), size)?, size))
    }

    /// Creates the pool `name` of the module `module` (`"repo:module"`), or finds it when it exists
    /// with the same module and parameters. Waits until it is ready. For a module whose parameters
    /// are a struct, encode them with [`params_to_bytes`](crate::archive::params_to_bytes).
    ///
    /// Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (a malformed name, or parameters that
    /// the module rejects), the error of the container's `create`, and those of waiting.
    pub fn create_pool(self, module: &str, name: &str, params: &[u8]) -> Result<PoolId> {
        let (module, name) = (CString::new(module)?, CString::new(name)?);
        let mut id = chi_pool_id::default();
        // SAFETY: the strings end with a zero, there are `len` bytes, `id` may be written.
        let status = unsafe {
            let (params, len) = (params.as_ptr().cast(), params.len() as u64);
            ((*self.as_raw()).create_pool)(
                self.as_raw(),
                module.as_ptr(),
                name.as_ptr(),
                params,
                len,
                &mut id,
            )
        };
        self.check(status)?;
        Ok(id.into())
    }

    /// Like [`create_pool`](Self::create_pool), with options. Fails with `CHI_EXISTS` when the pool
    /// exists with a different number of containers.
    ///
    /// Other errors: `CHI_INVALID` (the number of containers), `CHI_VERSION` (a runtime of ABI
    /// 1.0).
    pub fn create_pool_with(
        self,
        module: &str,
        name: &str,
        params: &[u8],
        options: PoolOptions,
    ) -> Result<PoolId> {
        // SAFETY: the table is as long as its size says.
        let Some(create) = (unsafe { read_field!(self.as_raw(), chi_ipc, create_pool_with) })
        else {
            let why = "pools with several containers need a runtime with ABI 1.1 or later";
            return Err(Status::new(CHI_VERSION, why));
        };
        let (module, name) = (CString::new(module)?, CString::new(name)?);
        let size = size_of::<chi_pool_options>() as u32;
        let options = chi_pool_options { size, containers: options.containers };
        let mut id = chi_pool_id::default();
        // SAFETY: the strings end with a zero, there are `len` bytes, the options are whole, `id`
        // may be written.
        let status = unsafe {
            let (module, name) = (module.as_ptr(), name.as_ptr());
            let (params, len) = (params.as_ptr().cast(), params.len() as u64);
            create(self.as_raw(), module, name, params, len, &options, &mut id)
        };
        self.check(status)?;
        Ok(id.into())
    }

    /// Finds a pool by its name. Errors: `CHI_NO_POOL` and those of waiting.
    pub fn find_pool(self, name: &str) -> Result<PoolId> {
        let name = CString::new(name)?;
        let mut id = chi_pool_id::default();
        // SAFETY: the string ends with a zero, and `id` may be written.
        self.check(unsafe { ((*self.as_raw()).find_pool)(self.as_raw(), name.as_ptr(), &mut id) })?;
        Ok(id.into())
    }

    /// Finds a pool by its name, if it is of the module `module`. A pool of another module would
    /// misread the tasks of a client.
    ///
    /// Errors: `CHI_NO_POOL`, `CHI_INVALID` if the pool is of another module, `CHI_NO_METHOD` from
    /// a runtime of ABI 1.0, and those of waiting.
    pub fn find_pool_of(self, module: &str, name: &str) -> Result<PoolId> {
        let admin = PoolId::new(CHI_ADMIN_POOL_MAJOR, 0);
        let query = DomainQuery::local_id(0);
        let task = self.new_task::<CreateTask>(admin, query, CHI_ADMIN_FIND_POOL_OF)?;
        task.module_name.set(module)?;
        task.pool_name.set(name)?;
        Ok(task.call()?.pool_id.get())
    }

    /// Destroys a pool. Tasks that have not started end with `CHI_CANCELLED`; waits until those
    /// that are running have finished. Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), and
    /// those of waiting.
    pub fn destroy_pool(self, pool: PoolId) -> Result<()> {
        // SAFETY: the pointer is to a whole id.
        self.check(unsafe { ((*self.as_raw()).destroy_pool)(self.as_raw(), &pool.to_raw()) })
    }

    /// Sleeps; inside a method, suspends the task and not the worker. Errors: `CHI_CANCELLED` as
    /// soon as the method's task is cancelled; `CHI_VERSION` with a runtime of ABI 1.0.
    pub fn sleep(self, duration: Duration) -> Result<()> {
        // SAFETY: the table is as long as its size says.
        let sleep = self.require(1, unsafe { read_field!(self.as_raw(), chi_ipc, sleep) })?;
        // SAFETY: the table is valid.
        self.check(unsafe { sleep(self.as_raw(), nanoseconds(duration)) })
    }

    /// Yields: inside a method, to other tasks of its worker; elsewhere, to other threads. Errors:
    /// `CHI_CANCELLED` when the method's task is cancelled; `CHI_VERSION` with a runtime of ABI
    /// 1.0.
    pub fn yield_now(self) -> Result<()> {
        // SAFETY: the table is as long as its size says.
        let yield_now =
            self.require(1, unsafe { read_field!(self.as_raw(), chi_ipc, yield_now) })?;
        // SAFETY: the table is valid.
        self.check(unsafe { yield_now(self.as_raw()) })
    }
}
