//! What a back end of the contract does behind the checks of the front.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use chimaera_abi::*;
use chimaera_ipc::admin;

use crate::{last_error, Result};

/// What a block will hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Bytes: `chi_ipc.alloc`.
    Bytes,
    /// Elements that hold strings or vectors themselves: `chi_ipc.alloc_elements`.
    Elements,
}

/// How a wait ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The task is complete.
    Complete,
    /// The bound passed before.
    TimedOut,
}

/// A back end of `chi_ipc`: how tasks are made and sent on some side. There is no value of such a type;
/// what a back end knows, it knows per process and per thread.
///
/// Each function does what the member of `chi_ipc` of its name says. The front has checked the pointers
/// for null, sizes, counts and names, and it writes the results to the caller's places. A back end may
/// check more: whether an address is that of a task, for example.
///
/// # Safety of the functions
///
/// A pointer to a task is one that `new_task` returned on this side and `del_task` has not had since, by
/// the contract of `chi_ipc`; what the caller may not do with it meanwhile is said there, too.
pub trait Backend: 'static {
    /// Keeps the message of a call that fails, for `last_error`: of this thread, unless what runs on it
    /// changes under the caller.
    fn keep_error(message: &str) {
        last_error::keep(message);
    }

    /// The message that was kept last, terminated by a zero; never null.
    fn last_error() -> *const c_char {
        last_error::last()
    }

    /// A task of `size` bytes, zeroed but for its node. The size is allowed.
    fn new_task(size: u32) -> Result<NonNull<chi_task>>;

    /// Deletes a task, or has it deleted at its completion. The caller learns of a failure by
    /// `last_error` alone.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn del_task(task: NonNull<chi_task>) -> Result<()>;

    /// Submits a task; waits for room up to a bound.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn enqueue(task: NonNull<chi_task>) -> Result<()>;

    /// Submits a task, or fails at once when there is no room. A back end that has always room need not
    /// implement it.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn try_enqueue(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: by the caller's promise.
        unsafe { Self::enqueue(task) }
    }

    /// Submits tasks in order, and counts those that it has submitted in `submitted`.
    ///
    /// # Safety
    /// See the trait, for each of the tasks.
    unsafe fn enqueue_batch(tasks: &[NonNull<chi_task>], submitted: &mut usize) -> Result<()> {
        for &task in tasks {
            // SAFETY: by the caller's promise.
            unsafe { Self::enqueue(task)? };
            *submitted += 1;
        }
        Ok(())
    }

    /// Waits until a task is complete or the bound has passed; `CHI_WAIT_FOREVER` is none.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn wait(task: NonNull<chi_task>, timeout_ns: u64) -> Result<Waited>;

    /// Asks for a task's cancellation.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn cancel(task: NonNull<chi_task>) -> Result<()>;

    /// The message of a task; `None` when it has none: it succeeded, or is not complete.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>>;

    /// A block of `size` bytes, at least one; the owner's, or the caller's where there is none.
    ///
    /// # Safety
    /// See the trait, for the owner.
    unsafe fn alloc(
        owner: Option<NonNull<chi_task>>,
        size: u64,
        block: Block,
    ) -> Result<chi_buffer>;

    /// Gives back a buffer that has no owner, and is not empty. The caller learns of a failure by
    /// `last_error` alone.
    ///
    /// # Safety
    /// The buffer must come from `alloc` without an owner, and not have been given back.
    unsafe fn free(buffer: chi_buffer) -> Result<()>;

    /// The address of a shared pointer that is not `CHI_SHM_NULL`; null when it points nowhere.
    fn resolve(shm: chi_shm_ptr) -> *mut c_void;

    /// A fresh node for a task.
    fn make_task_node() -> chi_task_node;

    /// Sleeps.
    fn sleep(duration: Duration) -> Result<()>;

    /// Lets others run.
    fn yield_now() -> Result<()>;

    /// Creates a pool or finds it. The names and the number of containers are allowed.
    ///
    /// # Safety
    /// `ipc` must be the table of this back end.
    unsafe fn create_pool(
        ipc: *const chi_ipc,
        module: &str,
        name: &str,
        params: &[u8],
        containers: u32,
    ) -> Result<chi_pool_id> {
        let (module, name) = (module.as_bytes(), name.as_bytes());
        // SAFETY: by the caller's promise.
        let made = unsafe { admin::create_pool(ipc, module, name, params, containers) };
        Ok(made.map(|(id, _)| id)?)
    }

    /// Finds a pool by its name, which is allowed.
    ///
    /// # Safety
    /// `ipc` must be the table of this back end.
    unsafe fn find_pool(ipc: *const chi_ipc, name: &str) -> Result<chi_pool_id> {
        // SAFETY: by the caller's promise.
        Ok(unsafe { admin::find_pool(ipc, name.as_bytes()) }?)
    }

    /// Destroys a pool.
    ///
    /// # Safety
    /// `ipc` must be the table of this back end.
    unsafe fn destroy_pool(ipc: *const chi_ipc, id: chi_pool_id) -> Result<()> {
        // SAFETY: by the caller's promise.
        Ok(unsafe { admin::destroy_pool(ipc, id) }?)
    }
}
