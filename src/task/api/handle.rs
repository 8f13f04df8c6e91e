//! A task's life, as types: [`NewTask`], [`Pending`], [`Done`].

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

/// The one owner of a task from `new_task` to `del_task`.
struct Handle<T: Task> {
    task: NonNull<T>,
    ipc: Ipc,
    attached: Attached,
}

impl<T: Task> Handle<T> {
    fn raw(&self) -> *mut chi_task {
        self.task.as_ptr().cast()
    }

    /// The task, while it is this side's.
    ///
    /// # Safety
    ///
    /// The task is not in flight.
    unsafe fn get(&self) -> &T {
        // SAFETY: it is deleted only when this handle is dropped, and not in flight, so that nobody
        // else writes it.
        unsafe { self.task.as_ref() }
    }

    /// What became of the wait that returned `CHI_OK`.
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
        // SAFETY: the task is there until its only `del_task`, here or in `defer`.
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

/// A task that is not submitted: fill in its fields. Dropping it deletes it. `[any thread]`
#[must_use = "a task that is not submitted does nothing"]
pub struct NewTask<T: Task>(Handle<T>);

impl<T: Task> NewTask<T> {
    /// Takes over a task that `new_task` made.
    ///
    /// # Safety
    ///
    /// `task` is what `ipc`'s `new_task` gave for the size of a `T`, and nobody else has it.
    pub(crate) unsafe fn from_fresh(ipc: Ipc, task: *mut T) -> Self {
        // SAFETY: nobody else has the task, says the caller.
        unsafe { bind::<T>(task.cast()) };
        // SAFETY: `new_task` does not succeed with null.
        let task = unsafe { NonNull::new_unchecked(task) };
        NewTask(Handle { task, ipc, attached: Attached::default() })
    }

    /// Lets a byte vector of the task, `field`, be a buffer, so that its bytes are not copied. The
    /// task's handles keep the buffer until the task is deleted. Setting the field afterwards writes to
    /// the buffer, as far as it reaches.
    ///
    /// Errors: `CHI_INVALID` when `field` lies elsewhere.
    pub fn attach(&mut self, field: impl FnOnce(&T) -> &ShmBytes, buffer: &Buffer) -> Result<()> {
        let start = self.0.task.as_ptr().addr();
        let descriptor = &field(self).0;
        if !(start..start + size_of::<T>()).contains(&std::ptr::from_ref(descriptor).addr()) {
            return Err(Status::invalid("not a field of this task"));
        }
        // SAFETY: `attached` keeps the buffer until the task is over.
        unsafe { descriptor.refer(buffer.raw(), buffer.len()) };
        self.0.attached.push(buffer.clone());
        Ok(())
    }

    /// Submits the task. Waits for room in a full ring, up to 10 s.
    ///
    /// Errors: `CHI_RING_FULL` after that, `CHI_UNAVAILABLE`, `CHI_FORKED`; the task is deleted then.
    pub fn submit(self) -> Result<Pending<T>> {
        let ipc = self.0.ipc;
        // SAFETY: the task is ours and not in flight.
        ipc.check(unsafe { ((*ipc.as_raw()).enqueue)(ipc.as_raw(), self.0.raw()) })?;
        Ok(Pending(self.0))
    }

    /// Submits the task unless the ring is full: then the task comes back, with `CHI_RING_FULL`. Other
    /// errors are those of [`submit`](Self::submit), and the task comes back too.
    pub fn try_submit(self) -> Result<Pending<T>, Unsubmitted<T>> {
        let ipc = self.0.ipc;
        // SAFETY: the task is ours and not in flight.
        match ipc.check(unsafe { ((*ipc.as_raw()).try_enqueue)(ipc.as_raw(), self.0.raw()) }) {
            Ok(()) => Ok(Pending(self.0)),
            Err(status) => Err(Unsubmitted { task: self, status }),
        }
    }

    /// Submits the task, and leaves it: the runtime frees it at its completion. When it fails, the
    /// runtime's log says so. Errors: as [`submit`](Self::submit).
    pub fn submit_and_forget(self) -> Result<()> {
        if !self.0.attached.is_empty() {
            // Dropping it keeps the attached buffers until the task is over.
            return self.submit().map(drop);
        }
        self.base().forget();
        let ipc = self.0.ipc;
        // SAFETY: the task is ours and not in flight.
        ipc.check(unsafe { ((*ipc.as_raw()).enqueue)(ipc.as_raw(), self.0.raw()) })?;
        // It is the runtime's.
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

/// A task in flight: the runtime has it, so there is nothing to see. Dropping it lets the task run and
/// deletes it at its completion. `[any thread]`
#[must_use = "a dropped task's outcome is lost"]
pub struct Pending<T: Task>(Handle<T>);

impl<T: Task> Pending<T> {
    /// Waits until the task is over. Inside a method this suspends the task that waits, not the
    /// worker.
    ///
    /// Errors: the task's own status and message when it failed; `CHI_UNAVAILABLE` when the runtime
    /// ended.
    pub fn wait(self) -> Result<Done<T>> {
        match self.wait_ns(CHI_WAIT_FOREVER) {
            Err(WaitError::Timeout(_)) => unreachable!("a wait without bound does not time out"),
            Err(WaitError::Failed(status)) => Err(status),
            Ok(done) => Ok(done),
        }
    }

    /// Waits at most this long. When the time is over, the task goes on and its handle comes back.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Done<T>, WaitError<T>> {
        self.wait_ns(nanoseconds(timeout))
    }

    /// Asks for the task's cancellation, and returns at once. One that has not started never does; one
    /// that waits goes on with the wait over; one that runs sees it when it next waits or asks. The task
    /// completes once, with `CHI_CANCELLED` or what its method makes of it: [`wait`](Self::wait) tells.
    ///
    /// Errors: `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_VERSION` with a runtime of ABI 1.0.
    pub fn cancel(&self) -> Result<()> {
        let ipc = self.0.ipc;
        // SAFETY: the table is as long as it says.
        let cancel = ipc.require(unsafe { read_field!(ipc.as_raw(), chi_ipc, cancel) })?;
        // SAFETY: the task was submitted, and is deleted only when this handle is dropped.
        ipc.check(unsafe { cancel(ipc.as_raw(), self.0.raw()) })
    }

    /// Whether the task is over, so that [`wait`](Self::wait) returns at once.
    pub fn is_complete(&self) -> bool {
        // Asked of the table, not of the task: in a forked child the segment is not there.
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

/// Submits tasks in order, and wakes the runtime once for all of them.
///
/// Errors: as [`NewTask::submit`]; the tasks that were submitted before then run, and are deleted at their
/// completion. `CHI_VERSION` with a runtime of ABI 1.0.
pub fn submit_all<T: Task>(tasks: Vec<NewTask<T>>) -> Result<Vec<Pending<T>>> {
    let Some(first) = tasks.first() else { return Ok(Vec::new()) };
    let ipc = first.0.ipc;
    // SAFETY: the table is as long as it says.
    let enqueue_batch =
        ipc.require(unsafe { read_field!(ipc.as_raw(), chi_ipc, enqueue_batch) })?;
    let raw: Vec<*mut chi_task> = tasks.iter().map(|task| task.0.raw()).collect();
    let mut submitted = 0;
    // SAFETY: the tasks are ours and not in flight; the number of those in flight is stored.
    ipc.check(unsafe {
        enqueue_batch(ipc.as_raw(), raw.as_ptr(), raw.len() as u64, &mut submitted)
    })?;
    Ok(tasks.into_iter().map(|task| Pending(task.0)).collect())
}

/// Waits until all of these tasks are over, and gives each one's outcome, in order. Inside a method this
/// suspends the task that waits, not the worker.
pub fn wait_all<T: Task>(tasks: Vec<Pending<T>>) -> Vec<Result<Done<T>>> {
    tasks.into_iter().map(Pending::wait).collect()
}

/// A task that is over and succeeded: read its results. Dropping it deletes it. `[any thread]`
pub struct Done<T: Task>(Handle<T>);

impl<T: Task> Done<T> {
    /// The task, to be submitted again: fields are as they are now, and blocks that were allocated for
    /// it stay until it is deleted.
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

/// Why a task was not submitted, and the task.
pub struct Unsubmitted<T: Task> {
    /// The task, as it was.
    pub task: NewTask<T>,
    /// `CHI_RING_FULL` when trying again later makes sense.
    pub status: Status,
}

impl<T: Task> Unsubmitted<T> {
    /// Whether the ring was full.
    pub fn is_ring_full(&self) -> bool {
        self.status.code() == CHI_RING_FULL
    }
}

/// Why a bounded wait gave no results.
pub enum WaitError<T: Task> {
    /// The time was over. The task goes on.
    Timeout(Pending<T>),
    /// The task failed, or the runtime ended.
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

/// Tells the strings and vectors of a task where they lie in it: the number in a task that came from
/// elsewhere is not to be trusted.
///
/// # Safety
///
/// `task` points to a whole `T` that nobody else uses now.
unsafe fn bind<T: Task>(task: *mut chi_task) {
    for field in T::FIELDS {
        // SAFETY: `FIELDS` lists the descriptors in a `T`, by the trait's contract.
        unsafe { set_offset(task.cast(), field, field.offset_) };
    }
}

/// A task that a module's thunk was given, as the method sees it.
///
/// # Safety
///
/// `task` points to a whole `T` that nobody else uses for `'a`, and the pointers and lengths of its
/// strings and vectors are checked.
pub unsafe fn lend<'a, T: Task>(task: *mut chi_task) -> &'a T {
    // SAFETY: says the caller.
    unsafe {
        bind::<T>(task);
        &*task.cast::<T>()
    }
}
