//! Calls to the admin pool through the IPC manager's table. Client and runtime share this code.

use std::ffi::CStr;

use chimaera_abi::*;

use crate::copy;

/// A status and its message.
pub type Failure = (chi_status, String);

/// A task that is deleted when it goes out of scope.
struct Owned<T> {
    ipc: *const chi_ipc,
    task: *mut T,
}

impl<T> Owned<T> {
    /// Makes a task of the admin pool. `T` begins with a `chi_task` and is plain data.
    fn new(ipc: *const chi_ipc, method: u32) -> Result<Owned<T>, Failure> {
        let mut task = std::ptr::null_mut();
        // SAFETY: the table is valid; the new task is as large as `T` and zeroed.
        unsafe {
            let status = ((*ipc).new_task)(ipc, std::mem::size_of::<T>() as u32, &mut task);
            check(ipc, status)?;
            (*task).pool_ = chi_pool_id { major_: CHI_ADMIN_POOL_MAJOR, minor_: 0 };
            (*task).method_ = method;
            (*task).dom_query_ = chi_domain_query { kind_: CHI_DOMAIN_LOCAL_ID, value_: 0 };
        }
        Ok(Owned { ipc, task: task.cast() })
    }

    fn field(&mut self, vector: *mut chi_shm_vector, bytes: &[u8]) -> Result<(), Failure> {
        let mut buffer = chi_buffer { shm_: CHI_SHM_NULL, data_: std::ptr::null_mut(), size_: 0 };
        // SAFETY: the task is owned by `self` and idle, and `vector` is one of its fields; the
        // block from `alloc` has the requested size.
        unsafe {
            let status =
                ((*self.ipc).alloc)(self.ipc, self.task.cast(), bytes.len() as u64, &mut buffer);
            check(self.ipc, status)?;
            if !bytes.is_empty() {
                copy::bytes_to_shared(bytes, buffer.data_.cast());
            }
            *vector = chi_shm_vector {
                shm_: buffer.shm_,
                data_: buffer.data_,
                size_: bytes.len() as u64,
                capacity_: buffer.size_,
                offset_in_task_: (vector as usize - self.task as usize) as u32,
                reserved_: 0,
            };
        }
        Ok(())
    }

    /// Fills in the pool to be created. `fields` are the task's, or a part of it.
    fn pool(
        &mut self,
        fields: *mut chi_create_task,
        module: &[u8],
        name: &[u8],
        params: &[u8],
        containers: u32,
    ) -> Result<(), Failure> {
        // SAFETY: the fields are those of the live task, which is owned by `self` and idle.
        let (module_field, name_field, params_field) = unsafe {
            (*fields).containers_ = containers;
            (
                &raw mut (*fields).module_name_.bytes_,
                &raw mut (*fields).pool_name_.bytes_,
                &raw mut (*fields).params_,
            )
        };
        self.field(module_field, module)?;
        self.field(name_field, name)?;
        self.field(params_field, params)
    }

    /// Submits the task and waits for it; a failure of the task becomes an error.
    fn run(&mut self) -> Result<&T, Failure> {
        let task: *mut chi_task = self.task.cast();
        // SAFETY: the task is owned by `self`; after a successful wait it is complete.
        unsafe {
            check(self.ipc, ((*self.ipc).enqueue)(self.ipc, task))?;
            check(self.ipc, ((*self.ipc).wait)(self.ipc, task, CHI_WAIT_FOREVER))?;
            let status = (*task).status_;
            if status == CHI_OK {
                return Ok(&*self.task);
            }
            let mut len = 0;
            let text = ((*self.ipc).task_message)(self.ipc, task, &mut len);
            let message = if len == 0 {
                status_text(status).to_owned()
            } else {
                let bytes = copy::vec_from_shared(text.cast(), len as usize);
                String::from_utf8_lossy(&bytes).into_owned()
            };
            Err((status, message))
        }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the task came from `new_task` and is deleted once.
        unsafe { ((*self.ipc).del_task)(self.ipc, self.task.cast()) }
    }
}

fn check(ipc: *const chi_ipc, status: chi_status) -> Result<(), Failure> {
    if status == CHI_OK {
        return Ok(());
    }
    // SAFETY: `last_error` never returns null, and nothing was called in between.
    let message = unsafe { CStr::from_ptr(((*ipc).last_error)(ipc)) };
    Err((status, message.to_string_lossy().into_owned()))
}

/// See `chi_ipc.create_pool`, and for `containers` `chi_ipc.create_pool_with`.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn create_pool(
    ipc: *const chi_ipc,
    module: &[u8],
    name: &[u8],
    params: &[u8],
    containers: u32,
) -> Result<(chi_pool_id, bool), Failure> {
    let mut task = Owned::<chi_create_task>::new(ipc, CHI_ADMIN_CREATE_POOL)?;
    let fields = task.task;
    task.pool(fields, module, name, params, containers)?;
    let done = task.run()?;
    Ok((done.pool_id_, done.existed_ != 0))
}

/// Creates a pool, or finds it when it exists, as `create_pool` does, with the flags of a
/// `chi_create_with_task`, rights to use the pool, and on how many nodes of a cluster it is kept; 0 for all.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn create_pool_with(
    ipc: *const chi_ipc,
    (module, name): (&[u8], &[u8]),
    params: &[u8],
    (containers, nodes): (u32, u32),
    flags: u32,
    grants: &[chi_grant],
) -> Result<(chi_pool_id, bool), Failure> {
    let mut task = Owned::<chi_create_with_task>::new(ipc, CHI_ADMIN_CREATE_POOL_WITH)?;
    // SAFETY: the task is live and owned by this function.
    unsafe { ((*task.task).flags_, (*task.task).nodes_) = (flags, nodes) };
    // SAFETY: the fields are those of the live task.
    let (fields, grants_field) =
        unsafe { (&raw mut (*task.task).create, &raw mut (*task.task).grants_) };
    task.pool(fields, module, name, params, containers)?;
    let words = grants.iter().flat_map(|grant| [grant.right_, grant.is_group_, grant.number_]);
    task.field(grants_field, &words.flat_map(u32::to_ne_bytes).collect::<Vec<_>>())?;
    let done = &task.run()?.create;
    Ok((done.pool_id_, done.existed_ != 0))
}

/// Gives the containers of a pool that are in quarantine new objects.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn reset_pool(ipc: *const chi_ipc, name: &[u8]) -> Result<chi_pool_id, Failure> {
    let mut task = Owned::<chi_create_task>::new(ipc, CHI_ADMIN_RESET_POOL)?;
    // SAFETY: the field is one of the live task.
    let field = unsafe { &raw mut (*task.task).pool_name_.bytes_ };
    task.field(field, name)?;
    Ok(task.run()?.pool_id_)
}

/// See `chi_ipc.find_pool`.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn find_pool(ipc: *const chi_ipc, name: &[u8]) -> Result<chi_pool_id, Failure> {
    let mut task = Owned::<chi_find_task>::new(ipc, CHI_ADMIN_FIND_POOL)?;
    // SAFETY: the field is one of the live task.
    let field = unsafe { &raw mut (*task.task).pool_name_.bytes_ };
    task.field(field, name)?;
    Ok(task.run()?.pool_id_)
}

/// Finds a pool by its name, if it is of this module.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn find_pool_of(
    ipc: *const chi_ipc,
    module: &[u8],
    name: &[u8],
) -> Result<chi_pool_id, Failure> {
    let mut task = Owned::<chi_create_task>::new(ipc, CHI_ADMIN_FIND_POOL_OF)?;
    // SAFETY: the fields are those of the live task.
    let (module_field, name_field) = unsafe {
        (&raw mut (*task.task).module_name_.bytes_, &raw mut (*task.task).pool_name_.bytes_)
    };
    task.field(module_field, module)?;
    task.field(name_field, name)?;
    Ok(task.run()?.pool_id_)
}

/// See `chi_ipc.destroy_pool`.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn destroy_pool(ipc: *const chi_ipc, id: chi_pool_id) -> Result<(), Failure> {
    let mut task = Owned::<chi_destroy_task>::new(ipc, CHI_ADMIN_DESTROY_POOL)?;
    // SAFETY: the task is live and owned by this function.
    unsafe { (*task.task).pool_id_ = id };
    task.run().map(|_| ())
}

/// Asks the runtime to stop.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn stop(ipc: *const chi_ipc) -> Result<(), Failure> {
    Owned::<chi_task>::new(ipc, CHI_ADMIN_STOP)?.run().map(|_| ())
}

/// Describes the runtime: a JSON document on `subject`, one of `CHI_DESCRIBE_*`.
///
/// # Safety
/// `ipc` must be a valid table.
pub unsafe fn describe(ipc: *const chi_ipc, subject: u32) -> Result<String, Failure> {
    let mut task = Owned::<chi_describe_task>::new(ipc, CHI_ADMIN_DESCRIBE)?;
    // SAFETY: the task is live and owned by this function.
    unsafe { (*task.task).subject_ = subject };
    let json = task.run()?.json_.bytes_;
    if json.size_ == 0 {
        return Ok(String::new());
    }
    // SAFETY: the task is complete, and its output is at `data_` until it is deleted.
    let bytes = unsafe { copy::vec_from_shared(json.data_.cast(), json.size_ as usize) };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number of containers in `options`.
///
/// # Safety
/// `options` must be null or as long as its size says.
pub unsafe fn containers(options: *const chi_pool_options) -> Result<u32, Failure> {
    if options.is_null() {
        return Err((CHI_INVALID, "the pool's options are null".to_owned()));
    }
    // SAFETY: by the caller's promise.
    unsafe { read_field!(options, chi_pool_options, containers) }.ok_or_else(|| {
        let why = "chi_pool_options.size must be sizeof(chi_pool_options)";
        (CHI_INVALID, why.to_owned())
    })
}
