//! A type for each state of a task: [`NewTask`], [`Pending`], [`Done`].

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::time::Duration;

use chimaera_abi::{
    chi_ipc, chi_task, read_field, CHI_OK, CHI_RING_FULL, CHI_TIMEOUT, CHI_WAIT_FOREVER,
};

use super::buffer::Attached;
use super::buffer::Buffer;
use super::task::Task;
use super::task::{in_flight, state};
use crate::shm::descriptor::set_offset;
use crate::shm::nanoseconds;
use crate::shm::{Ipc, ShmBytes};
use crate::status::{Result, Status};

/// The only owner of a task, from `new_task` to `del_task`.
struct Handle<T: Task> {
    task: NonNull<T>,
    ipc: Ipc,
    attached: Attached,
}

impl<T: Task> Handle<T> {
    fn raw(&self) -> *mut chi_task {
        self.task.as_ptr().cast()
    }

    /// The task, while it belongs to the client.
    ///
    /// # Safety
    ///
    /// The task is not in flight.
    unsafe fn get(&self) -> &T {
        // SAFETY: the task is deleted only when this handle is dropped, and it is not in flight, so
        // nothing else writes to it.
        unsafe { self.task.as_ref() }
    }

    /// The task's outcome, after a wait that returned `CHI_OK`.
    fn outcome(self) -> Result<Done<T>> {
        let done = Done(self);
        let status = done.base().status();
        if status == CHI_OK {
            return Ok(done);
        }
        let (ipc, mut len) = (done.0.ipc.as_raw(), 0);
        // SAFETY: the task is complete; the message has `len` bytes and stays until the deletion.
        let message = unsafe {
            let text = ((*ipc).task_message)(ipc, done.0.raw(), &mut len);
            match text.is_null() || len == 0 {
                true => String::new(),
                false => {
                    let text = std::slice::from_raw_parts(text.cast(), len as usize);
                    String::from_utf8_lossy(text).into_owned()
                }
            }
        };
        Err(Status::new(status, message))
    }
}

impl<T: Task> Drop for Handle<T> {
    fn drop(&mut self) {
        let (ipc, task) = (self.ipc.as_raw(), self.raw());
        // SAFETY: the task is valid until its only `del_task`, which is here or in `defer`.
        unsafe {
            if !self.attached.is_empty() && in_flight(state(task)) {
                self.attached.defer(self.ipc, task);
            } else {
                ((*ipc).del_task)(ipc, task);
            }
        }
    }
}

// SAFETY: a handle is the only way to its task, and the table's functions may be called from any
// thread. Fields of a task are plain data, or descriptors that are used through the handle.
unsafe impl<T: Task> Send for Handle<T> {}

/// A task that has not been submitted: fill in its fields. Dropping it deletes it. `[any thread]`
#[must_use = "a task that is not submitted does nothing"]
pub struct NewTask<T: Task>(Handle<T>);

impl<T: Task> NewTask<T> {
    /// Takes ownership of a task that `new_task` made.
    ///
    /// # Safety
    ///
    /// `task` was returned by `new_task` of `ipc` for the size of a `T`, and nothing else refers to
    /// it.
    pub(crate) unsafe fn from_fresh(ipc: Ipc, task: *mut T) -> Self {
        // SAFETY: nothing else refers to the task, as the caller guarantees.
        unsafe { bind::<T>(task.cast()) };
        // SAFETY: `new_task` does not succeed with null.
        let task = unsafe { NonNull::new_unchecked(task) };
        NewTask(Handle { task, ipc, attached: Attached::default() })
    }

    /// Makes `field`, a byte vector of the task, refer to a buffer, without copying its bytes. The
    /// task's handles keep the buffer alive until the task is deleted. Setting the field afterwards
    /// writes to the buffer, if the new bytes fit.
    ///
    /// Errors: `CHI_INVALID` when `field` is not in this task.
    pub fn attach(&mut self, field: impl FnOnce(&T) -> &ShmBytes, buffer: &Buffer) -> Result<()> {
        let start = self.0.task.as_ptr().addr();
        let descriptor = &field(self).0;
        if !(start..start + size_of::<T>()).contains(&std::ptr::from_ref(descriptor).addr()) {
            return Err(Status::invalid("not a field of this task"));
        }
        // SAFETY: `attached` keeps the buffer alive until the task has completed.
        unsafe { descriptor.refer(buffer.raw(), buffer.len()) };
        self.0.attached.push(buffer.clone());
        Ok(())
    }

    /// Submits the task. When the ring is full, waits up to 10 s for space.
    ///
    /// Errors: `CHI_RING_FULL` after that time, `CHI_UNAVAILABLE`, `CHI_FORKED`. An error deletes
    /// the task.
    pub fn submit(self) -> Result<Pending<T>> {
        let ipc = self.0.ipc;
        // SAFETY: the task is ours and not in flight.
        ipc.check(unsafe { ((*ipc.as_raw()).enqueue)(ipc.as_raw(), self.0.raw()) })?;
        Ok(Pending(self.0))
    }

    /// Like [`submit`](Self::submit), but fails at once with `CHI_RING_FULL` when the ring is full.
    /// After any error, the task is returned with it.
    pub fn try_submit(self) -> Result<Pending<T>, Unsubmitted<T>> {
        let ipc = self.0.ipc;
        // SAFETY: the task is ours and not in flight.
        match ipc.check(unsafe { ((*ipc.as_raw()).try_enqueue)(ipc.as_raw(), self.0.raw()) }) {
            Ok(()) => Ok(Pending(self.0)),
            Err(status) => Err(Unsubmitted { task: self, status }),
        }
    }

    /// Submits the task and hands it over: the runtime frees it at completion and logs a failure.
    /// Errors: as [`submit`](Self::submit).
    pub fn submit_and_forget(self) -> Result<()> {
        if !self.0.attached.is_empty() {
            // Dropping the handle keeps the attached buffers alive until the task has completed.
            return self.submit().map(drop);
        }
        self.base().forget();
        let ipc = self.0.ipc;
        // SAFETY: the task is ours and not in flight.
        ipc.check(unsafe { ((*ipc.as_raw()).enqueue)(ipc.as_raw(), self.0.raw()) })?;
        // It belongs to the runtime now.
        std::mem::forget(self.0);
        Ok(())
    }

    /// Submits the task and waits for it.
    pub fn call(self) -> Result<Done<T>> {
        self.submit()?.wait()
    }
}

impl<T: Task> Deref for NewTask<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: not submitted.
        unsafe { self.0.get() }
    }
}

/// A task in flight: it belongs to the runtime, so its fields cannot be accessed. Dropping the
/// handle lets the task run, and deletes it when it completes. `[any thread]`
#[must_use = "a dropped task's outcome is lost"]
pub struct Pending<T: Task>(Handle<T>);

impl<T: Task> Pending<T> {
    pub(super) fn raw(&self) -> *mut chi_task {
        self.0.raw()
    }

    pub(super) fn ipc(&self) -> Ipc {
        self.0.ipc
    }

    /// Waits until the task is complete. Inside a method this suspends the waiting task, not the
    /// worker.
    ///
    /// Errors: the task's own status and message when it failed; `CHI_UNAVAILABLE` when the runtime
    /// has stopped.
    pub fn wait(self) -> Result<Done<T>> {
        match self.wait_ns(CHI_WAIT_FOREVER) {
            Err(WaitError::Timeout(_)) => unreachable!("a wait without bound does not time out"),
            Err(WaitError::Failed(status)) => Err(status),
            Ok(done) => Ok(done),
        }
    }

    /// Like [`wait`](Self::wait), for at most `timeout`. On a timeout, the task continues and its
    /// handle is returned in [`WaitError::Timeout`].
    pub fn wait_timeout(self, timeout: Duration) -> Result<Done<T>, WaitError<T>> {
        self.wait_ns(nanoseconds(timeout))
    }

    /// Requests the task's cancellation, and returns at once. A task that has not started never
    /// runs. If the task is waiting, its wait ends; if it is running, it notices at its next wait
    /// or when it checks. The task completes exactly once, with `CHI_CANCELLED` or the status that
    /// its method returns; [`wait`](Self::wait) returns it.
    ///
    /// Errors: `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_VERSION` with a runtime of ABI 1.0.
    pub fn cancel(&self) -> Result<()> {
        let ipc = self.0.ipc;
        // SAFETY: the table is as long as its size says.
        let cancel = ipc.require(1, unsafe { read_field!(ipc.as_raw(), chi_ipc, cancel) })?;
        // SAFETY: the task was submitted, and is deleted only when this handle is dropped.
        ipc.check(unsafe { cancel(ipc.as_raw(), self.0.raw()) })
    }

    /// Whether the task is complete, so that [`wait`](Self::wait) returns at once.
    pub fn is_complete(&self) -> bool {
        // Goes through the table instead of reading the task: a forked child has no segment.
        let ipc = self.0.ipc.as_raw();
        // SAFETY: the task was submitted, and is deleted only when this handle is dropped.
        unsafe { ((*ipc).wait)(ipc, self.0.raw(), 0) == CHI_OK }
    }

    fn wait_ns(self, timeout: u64) -> Result<Done<T>, WaitError<T>> {
        let ipc = self.0.ipc;
        // SAFETY: the task was submitted and not deleted.
        match unsafe { ((*ipc.as_raw()).wait)(ipc.as_raw(), self.0.raw(), timeout) } {
            CHI_OK => self.0.outcome().map_err(WaitError::Failed),
            CHI_TIMEOUT if timeout != CHI_WAIT_FOREVER => Err(WaitError::Timeout(self)),
            status => {
                let status = ipc.check(status).expect_err("not CHI_OK");
                Err(WaitError::Failed(status))
            }
        }
    }
}

/// Submits tasks in order, and wakes the runtime only once.
///
/// Errors: as [`NewTask::submit`]; tasks that were already submitted run, and are deleted when they
/// complete. `CHI_VERSION` with a runtime of ABI 1.0.
pub fn submit_all<T: Task>(tasks: Vec<NewTask<T>>) -> Result<Vec<Pending<T>>> {
    let Some(first) = tasks.first() else { return Ok(Vec::new()) };
    let ipc = first.0.ipc;
    // SAFETY: the table is as long as its size says.
    let enqueue_batch =
        ipc.require(1, unsafe { read_field!(ipc.as_raw(), chi_ipc, enqueue_batch) })?;
    let raw: Vec<*mut chi_task> = tasks.iter().map(|task| task.0.raw()).collect();
    let mut submitted = 0;
    // SAFETY: the tasks are ours and not in flight; `submitted` is writable.
    ipc.check(unsafe {
        enqueue_batch(ipc.as_raw(), raw.as_ptr(), raw.len() as u64, &mut submitted)
    })?;
    Ok(tasks.into_iter().map(|task| Pending(task.0)).collect())
}

/// Waits until all of these tasks are complete, and returns their outcomes in order. Inside a
/// method this suspends the waiting task, not the worker.
pub fn wait_all<T: Task>(tasks: Vec<Pending<T>>) -> Vec<Result<Done<T>>> {
    tasks.into_iter().map(Pending::wait).collect()
}

/// A task that has completed successfully: read its results. Dropping it deletes it. `[any thread]`
pub struct Done<T: Task>(Handle<T>);

impl<T: Task> Done<T> {
    /// Returns the task so that it can be submitted again. Its fields keep their values, and blocks
    /// that were allocated for it stay until it is deleted.
    pub fn reuse(self) -> NewTask<T> {
        NewTask(self.0)
    }
}

impl<T: Task> Deref for Done<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: complete.
        unsafe { self.0.get() }
    }
}

/// A task that could not be submitted, and the error.
pub struct Unsubmitted<T: Task> {
    /// The task, unchanged.
    pub task: NewTask<T>,
    /// The error. `CHI_RING_FULL` means that trying again later may succeed.
    pub status: Status,
}

impl<T: Task> Unsubmitted<T> {
    /// Whether the ring was full.
    pub fn is_ring_full(&self) -> bool {
        self.status.code() == CHI_RING_FULL
    }
}

/// Why a wait with a timeout returned no results.
pub enum WaitError<T: Task> {
    /// The timeout passed. The task continues.
    Timeout(Pending<T>),
    /// The task failed, or the runtime has stopped.
    Failed(Status),
}

impl<T: Task> From<Unsubmitted<T>> for Status {
    fn from(error: Unsubmitted<T>) -> Self {
        error.status
    }
}

impl<T: Task> From<WaitError<T>> for Status {
    fn from(error: WaitError<T>) -> Self {
        match error {
            WaitError::Timeout(_) => {
                Status::new(CHI_TIMEOUT, "timed out; the task is still running")
            }
            WaitError::Failed(status) => status,
        }
    }
}

macro_rules! debug {
    ($($type:ident),*) => {$(
        impl<T: Task> fmt::Debug for $type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($type)).field(&self.0.task).finish()
            }
        }
    )*};
}
debug!(NewTask, Pending, Done);

impl<T: Task> fmt::Debug for Unsubmitted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsubmitted").field("status", &self.status).finish_non_exhaustive()
    }
}

impl<T: Task> fmt::Debug for WaitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::Timeout(_) => f.write_str("Timeout"),
            WaitError::Failed(status) => f.debug_tuple("Failed").field(status).finish(),
        }
    }
}

/// Sets the offset of each string and vector of a task: the offsets in a task from another process
/// cannot be trusted.
///
/// # Safety
///
/// `task` points to a whole `T` that nothing else uses during the call.
unsafe fn bind<T: Task>(task: *mut chi_task) {
    for field in T::FIELDS {
        // SAFETY: `FIELDS` lists the descriptors in a `T`, by the trait's contract.
        unsafe { set_offset(task.cast(), field, field.offset_) };
    }
}

/// Makes the reference with which a method sees its task, from the pointer that the runtime passes
/// to the module.
///
/// # Safety
///
/// `task` points to a whole `T` that nothing else uses for `'a`, and the pointers and lengths of
/// its strings and vectors have been checked.
pub unsafe fn lend<'a, T: Task>(task: *mut chi_task) -> &'a T {
    // SAFETY: guaranteed by the caller.
    unsafe {
        bind::<T>(task);
        &*task.cast::<T>()
    }
}
