//! The trait of the contract's back ends, which the front calls after its checks.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::admin;

use crate::{last_error, Failure, Result};

/// How long `wait_any` sleeps at first, and at most, where there are no completion queues.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

#[cold]
fn no_completions() -> Failure {
    Failure::new(
        CHI_INVALID,
        "completion queues are for applications: a method waits for its tasks",
    )
}

/// The contents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Bytes: `chi_ipc.alloc`.
    Bytes,
    /// Elements that contain strings or vectors: `chi_ipc.alloc_elements`.
    Elements,
}

/// The outcome of a wait that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The task is complete.
    Complete,
    /// The timeout passed first.
    TimedOut,
}

/// A back end of `chi_ipc`: makes and sends tasks in an application, in the runtime or in a test.
/// Such a type has no values: the state of a back end belongs to the process and to its threads.
///
/// Each function implements the member of `chi_ipc` with the same name. The front has already
/// checked pointers for null, sizes, counts and names, and it writes the results to the caller's
/// pointers. A back end may check more, for example whether there is a task at an address.
///
/// # Safety of the functions
///
/// By the contract of `chi_ipc`, a pointer to a task was returned by `new_task` of this back end
/// and has not been passed to `del_task` since; the contract also restricts the use of a task in
/// flight.
pub trait Backend: 'static {
    /// Stores the message of a failing call for `last_error`: per thread, or per task in a back end
    /// whose threads switch between tasks.
    fn keep_error(message: &str) {
        last_error::keep(message);
    }

    /// The message that was stored last, zero-terminated; never null.
    fn last_error() -> *const c_char {
        last_error::last()
    }

    /// Makes a task of `size` bytes, zero except for its node. The size has been checked.
    fn new_task(size: u32) -> Result<NonNull<chi_task>>;

    /// Deletes a task, or has it deleted at its completion. A failure is reported only by
    /// `last_error`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn del_task(task: NonNull<chi_task>) -> Result<()>;

    /// Submits a task; waits for space, up to a bound.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn enqueue(task: NonNull<chi_task>) -> Result<()>;

    /// Submits a task, or fails at once when there is no space. A back end that never runs out of
    /// space need not implement it.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn try_enqueue(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: by the caller's promise.
        unsafe { Self::enqueue(task) }
    }

    /// Submits tasks in order, and counts the submitted ones in `submitted`.
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

    /// Waits until a task is complete or the timeout has passed; `CHI_WAIT_FOREVER` means no
    /// timeout.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn wait(task: NonNull<chi_task>, timeout_ns: u64) -> Result<Waited>;

    /// Requests a task's cancellation.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn cancel(task: NonNull<chi_task>) -> Result<()>;

    /// The message of a task; `None` when it has none, because it succeeded or is not complete.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>>;

    /// Allocates a block of `size` bytes, at least one. It belongs to the owner, or to the caller
    /// when there is none.
    ///
    /// # Safety
    /// See the trait, for the owner.
    unsafe fn alloc(
        owner: Option<NonNull<chi_task>>,
        size: u64,
        block: Block,
    ) -> Result<chi_buffer>;

    /// Frees a buffer that has no owner and is not empty. A failure is reported only by
    /// `last_error`.
    ///
    /// # Safety
    /// The buffer must come from `alloc` without an owner, and must not have been freed.
    unsafe fn free(buffer: chi_buffer) -> Result<()>;

    /// The address of a shared pointer that is not `CHI_SHM_NULL`; null when the pointer is
    /// invalid.
    fn resolve(shm: chi_shm_ptr) -> *mut c_void;

    /// Makes a new task node.
    fn make_task_node() -> chi_task_node;

    /// Sleeps.
    fn sleep(duration: Duration) -> Result<()>;

    /// Yields.
    fn yield_now() -> Result<()>;

    /// Waits for the first of several tasks, of which there is at least one.
    ///
    /// # Safety
    /// See the trait, for each of the tasks.
    unsafe fn wait_any(tasks: &[NonNull<chi_task>], timeout_ns: u64) -> Result<Option<usize>> {
        // Methods have no completion queue: they look at their tasks, and let others run in between.
        let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            for (index, &task) in tasks.iter().enumerate() {
                // SAFETY: by the caller's promise.
                if unsafe { Self::wait(task, 0)? } == Waited::Complete {
                    return Ok(Some(index));
                }
            }
            let rest = match timeout_ns {
                CHI_WAIT_FOREVER => LONGEST_PAUSE,
                bound => Duration::from_nanos(bound).saturating_sub(start.elapsed()),
            };
            if rest.is_zero() {
                return Ok(None);
            }
            Self::sleep(pause.min(rest))?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes a completion queue. The capacity has been checked.
    fn completions_new(_capacity: u32) -> Result<NonNull<chi_completions>> {
        Err(no_completions())
    }

    /// Deletes a completion queue.
    ///
    /// # Safety
    /// The queue was made by `completions_new`, and nothing uses it.
    unsafe fn completions_del(_queue: NonNull<chi_completions>) {}

    /// The descriptor of a completion queue.
    ///
    /// # Safety
    /// The queue was made by `completions_new`, and has not been deleted.
    unsafe fn completions_descriptor(_queue: NonNull<chi_completions>) -> i32 {
        -1
    }

    /// Has a task collected.
    ///
    /// # Safety
    /// As `completions_descriptor`, and see the trait.
    unsafe fn completions_add(
        _queue: NonNull<chi_completions>,
        _task: NonNull<chi_task>,
        _argument: *mut c_void,
    ) -> Result<()> {
        Err(no_completions())
    }

    /// Takes a task out.
    ///
    /// # Safety
    /// As `completions_add`.
    unsafe fn completions_remove(
        _queue: NonNull<chi_completions>,
        _task: NonNull<chi_task>,
    ) -> Result<()> {
        Err(no_completions())
    }

    /// Takes tasks that are complete, at least one place being there for them; returns how many.
    ///
    /// # Safety
    /// As `completions_descriptor`.
    unsafe fn completions_next(
        _queue: NonNull<chi_completions>,
        _done: &mut [MaybeUninit<chi_completed>],
        _timeout_ns: u64,
    ) -> Result<usize> {
        Err(no_completions())
    }

    /// Creates a pool, or finds it. The names and the number of containers have been checked.
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

    /// Finds a pool by its name, which has been checked.
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
