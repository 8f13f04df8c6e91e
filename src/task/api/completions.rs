//! Waiting for the first of several tasks: [`wait_any`], [`Completions`].

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::future::Future;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chimaera_abi::{
    chi_completed, chi_completions, chi_ipc, chi_task, read_field, CHI_CANCELLED, CHI_TIMEOUT,
    CHI_WAIT_FOREVER,
};

use super::handle::{Done, Pending};
use super::task::Task;
use crate::shm::{ipc, nanoseconds, Ipc};
use crate::status::{Result, Status};

/// How many tasks [`Completions::run`] takes at a time.
const BATCH: usize = 64;

/// A function of the table that came with ABI 1.2.
macro_rules! table {
    ($ipc:expr, $function:ident) => {{
        let ipc: Ipc = $ipc;
        // SAFETY: the table is as long as its size says.
        ipc.require(2, unsafe { read_field!(ipc.as_raw(), chi_ipc, $function) })
    }};
}

fn timeout_ns(timeout: Option<Duration>) -> u64 {
    timeout.map_or(CHI_WAIT_FOREVER, nanoseconds)
}

/// Waits until one of these tasks is complete, takes it out, and returns its index and its outcome. `None` if none is
/// within `timeout`, or if there are none.
///
/// It looks at all of the tasks each time: for many, [`Completions`] is cheaper. Inside a method this suspends the waiting
/// task, not the worker, and looks at least once a millisecond. `[any thread]`
///
/// ```no_run
/// # use chimaera::{wait_any, Pending, Result, DestroyTask};
/// # fn first(mut tasks: Vec<Pending<DestroyTask>>) -> Result<()> {
/// while let Some((index, outcome)) = wait_any(&mut tasks, None)? {
///     println!("{index}: {:?}", outcome.map(drop));
/// }
/// # Ok(())
/// # }
/// ```
///
/// Errors: `CHI_UNAVAILABLE` when the runtime has stopped; in a method, `CHI_CANCELLED`.
pub fn wait_any<T: Task>(
    tasks: &mut Vec<Pending<T>>,
    timeout: Option<Duration>,
) -> Result<Option<(usize, Result<Done<T>>)>> {
    let Some(first) = tasks.first() else { return Ok(None) };
    let ipc = first.ipc();
    let wait_any = table!(ipc, wait_any)?;
    let raw: Vec<*mut chi_task> = tasks.iter().map(Pending::raw).collect();
    let mut index = 0;
    // SAFETY: the tasks were submitted and not deleted; `index` is writable.
    let status = unsafe {
        wait_any(ipc.as_raw(), raw.as_ptr(), raw.len() as u64, timeout_ns(timeout), &mut index)
    };
    if status == CHI_TIMEOUT {
        return Ok(None);
    }
    ipc.check(status)?;
    let index = index as usize;
    Ok(Some((index, tasks.remove(index).wait())))
}

/// What is done with a task that is complete.
type Then = Box<dyn FnOnce() + Send>;

/// A completion queue: calls what was given with a task when it is complete. So one thread can serve thousands of tasks,
/// beside sockets: its descriptor is for `poll`, `epoll` and event loops.
///
/// ```no_run
/// # use chimaera::{Completions, NewTask, Result, DestroyTask};
/// # fn all(tasks: Vec<NewTask<DestroyTask>>) -> Result<()> {
/// let queue = Completions::new(1024)?;
/// let mut left = tasks.len();
/// for task in tasks {
///     queue.add(task.submit()?, |outcome| println!("{:?}", outcome.map(drop)))?;
/// }
/// while left > 0 {
///     left -= queue.run(None)?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Dropping it lets the tasks in it run, and drops what was given with them. `[any thread]`
pub struct Completions {
    queue: NonNull<chi_completions>,
    ipc: Ipc,
    waiting: Mutex<Waiting>,
    descriptor: RawFd,
}

#[derive(Default)]
struct Waiting {
    /// By the number that the queue has as the argument of the task.
    then: HashMap<usize, Then>,
    next: usize,
}

// SAFETY: the table's functions for completion queues may be called from any thread.
unsafe impl Send for Completions {}
// SAFETY: as above; at the same time.
unsafe impl Sync for Completions {}

impl Completions {
    /// Makes a queue for up to `capacity` tasks at a time, from 1 to 2^20.
    ///
    /// Errors: `CHI_INVALID` for another capacity, or in a method; `CHI_NO_SPACE` when the session has no room for it, or
    /// 16 of them; `CHI_VERSION` with an older runtime; `CHI_UNAVAILABLE`.
    pub fn new(capacity: u32) -> Result<Completions> {
        let ipc = ipc()?;
        let (make, descriptor_of) =
            (table!(ipc, completions_new)?, table!(ipc, completions_descriptor)?);
        let mut queue = ptr::null_mut();
        // SAFETY: the pointer is writable.
        ipc.check(unsafe { make(ipc.as_raw(), capacity, &mut queue) })?;
        // SAFETY: the queue was just made, and the call that made it succeeded.
        let (queue, descriptor) =
            unsafe { (NonNull::new_unchecked(queue), descriptor_of(ipc.as_raw(), queue)) };
        Ok(Completions { queue, ipc, waiting: Mutex::default(), descriptor })
    }

    /// Has [`run`](Self::run) call `then` with the outcome of the task.
    ///
    /// Errors: `CHI_NO_SPACE` when the queue is full, and `CHI_UNAVAILABLE`; the task is returned with it, and goes on.
    pub fn add<T: Task>(
        &self,
        task: Pending<T>,
        then: impl FnOnce(Result<Done<T>>) + Send + 'static,
    ) -> Result<(), Unqueued<T>> {
        let raw = task.raw();
        let mut waiting = self.waiting();
        // 0 would be null, which is as good; each number is there once.
        let number = waiting.next;
        waiting.next = waiting.next.wrapping_add(1);
        let argument = ptr::without_provenance_mut::<c_void>(number);
        let added = table!(self.ipc, completions_add).and_then(|add| {
            // SAFETY: queue and task are live; the task is deleted only after it has left the queue.
            self.ipc.check(unsafe { add(self.ipc.as_raw(), self.queue.as_ptr(), raw, argument) })
        });
        match added {
            Ok(()) => {
                waiting.then.insert(number, Box::new(move || then(task.wait())));
                Ok(())
            }
            Err(status) => Err(Unqueued { task, status }),
        }
    }

    /// A future of the task's outcome. It is ready when [`run`](Self::run) has been called after the task was complete:
    /// have an event loop call that when the descriptor is readable. Dropping it lets the task run. If the queue is dropped
    /// first, the outcome is `CHI_CANCELLED`, and the task runs.
    ///
    /// Errors: as [`add`](Self::add).
    pub fn outcome<T: Task + 'static>(&self, task: Pending<T>) -> Result<Outcome<T>, Unqueued<T>> {
        let shared = Arc::new(Mutex::new(Shared { outcome: None, is_taken: false, waker: None }));
        let theirs = Resolves(Arc::downgrade(&shared));
        self.add(task, move |outcome| theirs.with(outcome))?;
        Ok(Outcome(shared))
    }

    /// Waits until a task is complete, at most `timeout` (`None`: without bound), and calls what was given with all that
    /// are. Returns how many there were. If that are not very many, the descriptor is not readable any more then, until
    /// there is another one; if calls submit tasks that end at once, it returns nevertheless, and the descriptor stays
    /// readable.
    ///
    /// If a call panics, others of the same time may be dropped without being made.
    ///
    /// Errors: `CHI_IO`, `CHI_FORKED`.
    pub fn run(&self, timeout: Option<Duration>) -> Result<usize> {
        let next = table!(self.ipc, completions_next)?;
        let mut done = [const { MaybeUninit::<chi_completed>::uninit() }; BATCH];
        let (mut all, mut bound) = (0, timeout_ns(timeout));
        let most = self.len() + BATCH;
        while all < most {
            let mut count = 0;
            // SAFETY: the queue is live, and there is room for `BATCH` tasks.
            self.ipc.check(unsafe {
                let (ipc, queue) = (self.ipc.as_raw(), self.queue.as_ptr());
                next(ipc, queue, done.as_mut_ptr().cast(), BATCH as u32, &mut count, bound)
            })?;
            if count == 0 {
                return Ok(all);
            }
            let mut waiting = self.waiting();
            let then: Vec<Then> = done[..count as usize]
                .iter()
                .filter_map(|it| {
                    // SAFETY: so many were written.
                    let number = unsafe { it.assume_init_ref() }.argument.addr();
                    waiting.then.remove(&number)
                })
                .collect();
            drop(waiting);
            all += then.len();
            then.into_iter().for_each(|then| then());
            bound = 0;
        }
        Ok(all)
    }

    /// How many tasks are in it.
    pub fn len(&self) -> usize {
        self.waiting().then.len()
    }

    /// Whether no tasks are in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is changed in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsFd for Completions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the queue, and that is not -1, as it was made.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }
}

impl AsRawFd for Completions {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        if let Ok(delete) = table!(self.ipc, completions_del) {
            // SAFETY: it was made by the table, and is not used again. The tasks, which are dropped later, are not in it
            // any more.
            unsafe { delete(self.ipc.as_raw(), self.queue.as_ptr()) };
        }
    }
}

impl fmt::Debug for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Resolves a future, at the latest when it is dropped.
struct Resolves<T: Task>(Weak<Mutex<Shared<T>>>);

impl<T: Task> Resolves<T> {
    fn with(&self, outcome: Result<Done<T>>) {
        let Some(shared) = self.0.upgrade() else { return };
        let waker = {
            let mut shared = lock(&shared);
            shared.outcome = Some(outcome);
            shared.waker.take()
        };
        // An executor may poll at once.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Task> Drop for Resolves<T> {
    fn drop(&mut self) {
        let is_open = |shared: &Arc<Mutex<Shared<T>>>| {
            let shared = lock(shared);
            shared.outcome.is_none() && !shared.is_taken
        };
        if self.0.upgrade().is_some_and(|shared| is_open(&shared)) {
            let why = "the completion queue was dropped before the task had ended";
            self.with(Err(Status::new(CHI_CANCELLED, why)));
        }
    }
}

struct Shared<T: Task> {
    outcome: Option<Result<Done<T>>>,
    /// The outcome has been taken.
    is_taken: bool,
    waker: Option<Waker>,
}

/// The outcome of a task, from [`Completions::outcome`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Outcome<T: Task>(Arc<Mutex<Shared<T>>>);

impl<T: Task> Future for Outcome<T> {
    type Output = Result<Done<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = lock(&self.0);
        match shared.outcome.take() {
            Some(outcome) => {
                shared.is_taken = true;
                Poll::Ready(outcome)
            }
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T: Task> fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_there = lock(&self.0).outcome.is_some();
        f.debug_struct("Outcome").field("is_there", &is_there).finish()
    }
}

/// A task that is not in a completion queue, and why.
pub struct Unqueued<T: Task> {
    /// The task, which goes on.
    pub task: Pending<T>,
    /// The error.
    pub status: Status,
}

impl<T: Task> From<Unqueued<T>> for Status {
    fn from(error: Unqueued<T>) -> Self {
        error.status
    }
}

impl<T: Task> fmt::Debug for Unqueued<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unqueued").field("status", &self.status).finish_non_exhaustive()
    }
}

impl<T: Task> fmt::Display for Unqueued<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.status, f)
    }
}

impl<T: Task> std::error::Error for Unqueued<T> {}
