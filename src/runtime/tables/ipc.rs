//! The runtime's back end of the contract: the table through which code in methods creates and
//! sends tasks.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use chimaera_abi::*;
use chimaera_front::{last_error, Backend, Block, Result, Waited};

use super::ipc_tasks;
use super::memory;
use crate::coroutine::current_task;
use crate::failure::Failure;
use crate::scheduler::{is_current, with_current, Worker};

/// The back end that uses the worker of the calling thread.
struct WorkerBackend;

static TABLE: chi_ipc = chimaera_front::table::<WorkerBackend>();

/// The worker's table, or null on a thread that is not a worker.
pub(crate) extern "C" fn worker_ipc() -> *const chi_ipc {
    if is_current() {
        &TABLE
    } else {
        std::ptr::null()
    }
}

/// Calls `f` with the worker of this thread.
#[inline(always)]
fn here<R>(f: impl FnOnce(&Worker) -> std::result::Result<R, Failure>) -> Result<R> {
    let result = with_current(|worker| match worker {
        Some(worker) => f(worker),
        None => {
            let why = "only a thread that runs a method may use the runtime's table";
            Err(Failure::new(CHI_INVALID, why))
        }
    });
    Ok(result?)
}

/// Keeps why a call has failed, as `chi_ipc.last_error` returns it.
pub(super) fn keep_last_error(message: &str) {
    WorkerBackend::keep_error(message);
}

// SAFETY of each unsafe call below: `Backend` requires of its caller what the called function
// requires.
impl Backend for WorkerBackend {
    /// The message belongs to the running task, and stays with the task while it is suspended.
    fn keep_error(message: &str) {
        with_current(|worker| match worker.and_then(|worker| current_task(worker.context())) {
            Some(task) => task.texts.set_last_error(message),
            None => last_error::keep(message),
        });
    }

    fn last_error() -> *const c_char {
        with_current(|worker| match worker.and_then(|worker| current_task(worker.context())) {
            Some(task) => task.texts.last_error(),
            None => last_error::last(),
        })
    }

    #[inline]
    fn new_task(size: u32) -> Result<NonNull<chi_task>> {
        here(|worker| memory::new_task(worker, size))
    }

    #[inline]
    unsafe fn del_task(task: NonNull<chi_task>) -> Result<()> {
        here(|worker| {
            // SAFETY: as above.
            unsafe { memory::del_task(worker, task) };
            Ok(())
        })
    }

    #[inline]
    unsafe fn enqueue(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: as above.
        here(|worker| unsafe { ipc_tasks::submit(worker, task) })
    }

    #[inline]
    unsafe fn wait(task: NonNull<chi_task>, timeout_ns: u64) -> Result<Waited> {
        // SAFETY: as above.
        here(|worker| unsafe { ipc_tasks::wait(worker, task, timeout_ns) })
    }

    unsafe fn cancel(task: NonNull<chi_task>) -> Result<()> {
        here(|worker| {
            // SAFETY: as above.
            unsafe { ipc_tasks::cancel(worker, task) };
            Ok(())
        })
    }

    unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>> {
        // SAFETY: as above.
        unsafe { memory::task_message(task) }
    }

    unsafe fn alloc(
        owner: Option<NonNull<chi_task>>,
        size: u64,
        block: Block,
    ) -> Result<chi_buffer> {
        // SAFETY: as above.
        here(|worker| unsafe { memory::alloc(worker, owner, size, block) })
    }

    unsafe fn free(buffer: chi_buffer) -> Result<()> {
        // SAFETY: as above.
        unsafe { memory::free(buffer) };
        Ok(())
    }

    fn resolve(shm: chi_shm_ptr) -> *mut c_void {
        memory::resolve(shm)
    }

    fn make_task_node() -> chi_task_node {
        with_current(|worker| worker.map(memory::child_node).unwrap_or_default())
    }

    fn sleep(duration: Duration) -> Result<()> {
        here(|worker| ipc_tasks::suspend(worker, |worker| worker.sleep(duration)))
    }

    fn yield_now() -> Result<()> {
        here(|worker| ipc_tasks::suspend(worker, Worker::yield_now))
    }
}
