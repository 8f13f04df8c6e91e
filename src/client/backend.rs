//! The back end of the contract for applications, and its table.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::time::Duration;

use chimaera_abi::*;
use chimaera_front::{Backend, Block, Result, Waited};

use crate::completions::{self, Completions};
use crate::{blocks, ipc_tasks};

/// The process's session.
struct Client;

/// The table of this process. Before `init` its functions return `CHI_NOT_INITIALIZED`.
pub static TABLE: chi_ipc = chimaera_front::table::<Client>();

/// The table of this process.
pub fn ipc_manager() -> *const chi_ipc {
    &TABLE
}

// SAFETY of each unsafe call below: the caller guarantees what `Backend` requires, and the called
// function requires the same.
impl Backend for Client {
    #[inline]
    fn new_task(size: u32) -> Result<NonNull<chi_task>> {
        blocks::new_task(size)
    }

    #[inline]
    unsafe fn del_task(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: as above.
        unsafe { blocks::del_task(task) }
    }

    #[inline]
    unsafe fn enqueue(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: as above.
        unsafe { ipc_tasks::enqueue(task) }
    }

    unsafe fn try_enqueue(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: as above.
        unsafe { ipc_tasks::try_enqueue(task) }
    }

    unsafe fn enqueue_batch(tasks: &[NonNull<chi_task>], submitted: &mut usize) -> Result<()> {
        // SAFETY: as above.
        unsafe { ipc_tasks::enqueue_batch(tasks, submitted) }
    }

    #[inline]
    unsafe fn wait(task: NonNull<chi_task>, timeout_ns: u64) -> Result<Waited> {
        // SAFETY: as above.
        unsafe { ipc_tasks::wait(task, timeout_ns) }
    }

    unsafe fn wait_any(tasks: &[NonNull<chi_task>], timeout_ns: u64) -> Result<Option<usize>> {
        // SAFETY: as above.
        unsafe { completions::wait_any(tasks, timeout_ns) }
    }

    fn completions_new(capacity: u32) -> Result<NonNull<chi_completions>> {
        Ok(NonNull::from(Box::leak(Box::new(Completions::new(capacity)?))).cast())
    }

    unsafe fn completions_del(queue: NonNull<chi_completions>) {
        // SAFETY: it was leaked by `completions_new`, and nothing uses it.
        drop(unsafe { Box::from_raw(queue.cast::<Completions>().as_ptr()) });
    }

    unsafe fn completions_descriptor(queue: NonNull<chi_completions>) -> i32 {
        // SAFETY: it was made by `completions_new`, and has not been deleted.
        unsafe { queue.cast::<Completions>().as_ref() }.descriptor()
    }

    unsafe fn completions_add(
        queue: NonNull<chi_completions>,
        task: NonNull<chi_task>,
        argument: *mut c_void,
    ) -> Result<()> {
        // SAFETY: as in `completions_descriptor`; the rest is as above.
        unsafe { queue.cast::<Completions>().as_ref().add(task, argument) }
    }

    unsafe fn completions_remove(
        queue: NonNull<chi_completions>,
        task: NonNull<chi_task>,
    ) -> Result<()> {
        // SAFETY: as in `completions_add`.
        unsafe { queue.cast::<Completions>().as_ref().remove(task) }
    }

    unsafe fn completions_next(
        queue: NonNull<chi_completions>,
        done: &mut [MaybeUninit<chi_completed>],
        timeout_ns: u64,
    ) -> Result<usize> {
        // SAFETY: as in `completions_descriptor`.
        unsafe { queue.cast::<Completions>().as_ref() }.next(done, timeout_ns)
    }

    unsafe fn cancel(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: as above.
        unsafe { ipc_tasks::cancel(task) }
    }

    unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>> {
        // SAFETY: as above.
        unsafe { blocks::task_message(task) }
    }

    unsafe fn alloc(owner: Option<NonNull<chi_task>>, size: u64, _: Block) -> Result<chi_buffer> {
        // SAFETY: as above.
        unsafe { blocks::alloc(owner, size) }
    }

    unsafe fn free(buffer: chi_buffer) -> Result<()> {
        // SAFETY: as above.
        unsafe { blocks::free(buffer) }
    }

    fn resolve(shm: chi_shm_ptr) -> *mut c_void {
        blocks::resolve(shm)
    }

    fn make_task_node() -> chi_task_node {
        blocks::make_task_node()
    }

    fn sleep(duration: Duration) -> Result<()> {
        std::thread::sleep(duration);
        Ok(())
    }

    fn yield_now() -> Result<()> {
        std::thread::yield_now();
        Ok(())
    }
}
