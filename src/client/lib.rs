//! The client side of a session: makes tasks in the segment, submits them through the calling
//! thread's ring, and waits for their completion words.
//!
//! A process has one session at a time, created by [`init`]. Every function may be called on any
//! thread.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod backend;
mod blocks;
mod completions;
mod connect;
mod ipc_tasks;
mod options;
mod owner;
mod process;
mod session;
mod thread;
mod watcher;

pub use backend::{ipc_manager, TABLE};
pub use chimaera_front::{Failure, Result};
pub use options::Options;
pub use process::{init, is_initialized, shutdown};

use chimaera_abi::chi_status;

/// Asks the runtime for a JSON document on `subject`, one of `CHI_DESCRIBE_*`.
pub fn describe(subject: u32) -> Result<String> {
    // SAFETY: the table is valid for the process's life.
    unsafe { chimaera_ipc::admin::describe(ipc_manager(), subject) }.map_err(Failure::from)
}

/// Asks the runtime to stop. It cancels the tasks of clients, of which running ones learn at their
/// next wait, destroys the pools, and exits.
pub fn stop_runtime() -> Result<()> {
    // SAFETY: the table is valid for the process's life.
    unsafe { chimaera_ipc::admin::stop(ipc_manager()) }.map_err(Failure::from)
}

/// Creates a pool, or finds it when it exists; the flag is true when it already existed. See
/// `chi_ipc.create_pool_with`.
pub fn create_pool(
    module: &str,
    name: &str,
    params: &[u8],
    containers: u32,
) -> Result<(chimaera_abi::chi_pool_id, bool)> {
    let (module, name) = (module.as_bytes(), name.as_bytes());
    // SAFETY: the table is valid for the process's life.
    unsafe { chimaera_ipc::admin::create_pool(ipc_manager(), module, name, params, containers) }
        .map_err(Failure::from)
}

/// The same, with the `CHI_POOL_*` flags and the rights of a `chi_create_with_task`, and on how many nodes of a
/// cluster the pool is kept; 0 for all.
pub fn create_pool_with(
    module: &str,
    name: &str,
    params: &[u8],
    (containers, nodes): (u32, u32),
    flags: u32,
    grants: &[chimaera_abi::chi_grant],
) -> Result<(chimaera_abi::chi_pool_id, bool)> {
    let (ipc, names) = (ipc_manager(), (module.as_bytes(), name.as_bytes()));
    // SAFETY: the table is valid for the process's life.
    let made = unsafe {
        chimaera_ipc::admin::create_pool_with(
            ipc,
            names,
            params,
            (containers, nodes),
            flags,
            grants,
        )
    };
    made.map_err(Failure::from)
}

/// Finds a pool by its name, if it is of this module.
///
/// # Safety
/// `ipc` is a valid table.
pub unsafe fn find_pool_of(
    ipc: *const chimaera_abi::chi_ipc,
    module: &[u8],
    name: &[u8],
) -> Result<chimaera_abi::chi_pool_id> {
    // SAFETY: by the caller's promise.
    unsafe { chimaera_ipc::admin::find_pool_of(ipc, module, name) }.map_err(Failure::from)
}

/// Gives the containers of a pool that are in quarantine new objects.
pub fn reset_pool(name: &str) -> Result<chimaera_abi::chi_pool_id> {
    // SAFETY: the table is valid for the process's life.
    unsafe { chimaera_ipc::admin::reset_pool(ipc_manager(), name.as_bytes()) }
        .map_err(Failure::from)
}

/// The message of the last call that failed on this thread, zero-terminated; valid until the next
/// call on this thread.
pub fn last_error() -> *const std::ffi::c_char {
    chimaera_front::last_error::last()
}

/// Stores a failure as this thread's last error and returns its status, for functions that return
/// statuses to C.
pub fn keep_error(failure: Failure) -> chi_status {
    chimaera_front::last_error::keep(&failure.message);
    failure.status
}

/// True in a child that was forked after [`init`], where the segment is not mapped.
pub fn is_forked() -> bool {
    process::check_fork().is_err()
}

/// Makes every later [`init`] of this process fail, because the process is a runtime, where modules
/// use the table of their worker.
pub fn refuse_init() {
    process::refuse_init();
}
