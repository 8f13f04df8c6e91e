//! A task's flight inside the runtime: how code in methods submits tasks, waits for them, cancels them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::cancel::{Why, IT_SHOULD_END};
use crate::ipc_table::{answer, here, state, TASK_DELETED};
use crate::record::Record;
use crate::wait::WaitsFor;
use crate::worker::Worker;
use crate::Failure;

pub(crate) unsafe extern "C" fn enqueue(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    // SAFETY: the caller's task.
    answer(here().and_then(|worker| unsafe { submit(worker, task) }))
}

/// # Safety
/// `task` must be a task that `new_task` made.
unsafe fn submit(worker: &Worker, task: *mut chi_task) -> Result<(), Failure> {
    // SAFETY: by the caller's promise.
    unsafe {
        let word = state(task);
        if word.load(Ordering::Acquire) & CHI_TASK_IN_FLIGHT != 0 {
            return Err(Failure::new(CHI_BUSY, "the task is in flight; wait for it first"));
        }
        let record = Record::of(task);
        (*record).container = std::ptr::null();
        (*record).method = std::ptr::null();
        (*record).lane = std::ptr::null();
        (*record).set_out();
        (*task).status_ = CHI_OK;
        let forgotten = (*task).task_flags_.bits_ & CHI_TASK_FIRE_AND_FORGET != 0;
        let deleted = if forgotten { TASK_DELETED } else { 0 };
        word.store(CHI_TASK_IN_FLIGHT | deleted, Ordering::Release);
        let running = worker.desk().leave_module();
        worker.submit_internal(record);
        worker.desk().enter_module(running);
    }
    Ok(())
}

/// The tasks that a caller passes as an array.
///
/// # Safety
/// `tasks` must point to `count` pointers, for as long as the slice is used.
unsafe fn slice<'a>(tasks: *const *mut chi_task, count: u64) -> &'a [*mut chi_task] {
    if count == 0 {
        return &[];
    }
    // SAFETY: by the caller's promise.
    unsafe { std::slice::from_raw_parts(tasks, count as usize) }
}

pub(crate) unsafe extern "C" fn enqueue_batch(
    _: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    submitted: *mut u64,
) -> chi_status {
    let mut done = 0;
    let result = here().and_then(|worker| {
        // SAFETY: the caller's array of tasks.
        unsafe { slice(tasks, count) }.iter().try_for_each(|&task| {
            // SAFETY: the caller's task.
            unsafe { submit(worker, task)? };
            done += 1;
            Ok(())
        })
    });
    if !submitted.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { *submitted = done };
    }
    answer(result)
}

pub(crate) unsafe extern "C" fn wait(
    _: *const chi_ipc,
    task: *mut chi_task,
    timeout_ns: u64,
) -> chi_status {
    let until = bound(timeout_ns);
    // SAFETY: the caller's task, which it does not delete meanwhile.
    answer(here().and_then(|worker| unsafe { wait_for(worker, task, until) }))
}

pub(crate) unsafe extern "C" fn wait_all(
    _: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
) -> chi_status {
    let until = bound(timeout_ns);
    answer(here().and_then(|worker| {
        // SAFETY: the caller's array of tasks, which it does not delete meanwhile.
        let tasks = unsafe { slice(tasks, count) };
        // SAFETY: as above.
        tasks.iter().try_for_each(|&task| unsafe { wait_for(worker, task, until) })
    }))
}

/// When a wait of so long a time ends; `None` for one without bound.
fn bound(timeout_ns: u64) -> Option<Instant> {
    match timeout_ns {
        CHI_WAIT_FOREVER => None,
        ns => Instant::now().checked_add(Duration::from_nanos(ns)),
    }
}

/// # Safety
/// `task` must be a task that `new_task` made, and live until this returns.
unsafe fn wait_for(
    worker: &Worker,
    task: *mut chi_task,
    until: Option<Instant>,
) -> Result<(), Failure> {
    // SAFETY: by the caller's promise.
    let (word, record) = unsafe { (state(task), &*Record::of(task)) };
    if word.load(Ordering::Acquire) & CHI_TASK_COMPLETE != 0 {
        return Ok(());
    }
    if !worker.may_wait() {
        return Err(no_wait());
    }
    let order = Ordering::Relaxed;
    if record.waiter.compare_exchange(Record::NO_WAITER, Record::CLAIMED, order, order).is_err() {
        return Err(Failure::new(CHI_BUSY, "another method waits for this task already"));
    }
    let ended = wait_alone(worker, word, record, until);
    record.waiter.store(Record::NO_WAITER, order);
    ended
}

/// What module's code is told that cannot wait.
pub(crate) fn no_wait() -> Failure {
    Failure::new(
        CHI_INVALID,
        "a monitor cannot wait, and neither can Del, an aggregation or a poller",
    )
}

/// Waits for a task that nobody else waits for.
fn wait_alone(
    worker: &Worker,
    word: &AtomicU32,
    record: &Record,
    until: Option<Instant>,
) -> Result<(), Failure> {
    loop {
        let found = word.load(Ordering::Acquire);
        if found & CHI_TASK_COMPLETE != 0 {
            return Ok(());
        }
        if found & CHI_TASK_IN_FLIGHT == 0 {
            return Err(Failure::new(CHI_INVALID, "wait for a task that was never submitted"));
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(Failure::new(CHI_TIMEOUT, "the task is not complete; it goes on"));
        }
        match worker.running().and_then(Record::why_cancelled) {
            // The task waited for cannot end before this one does.
            Some(Why::Deadlock) => return Err(Why::Deadlock.failure()),
            Some(_) => worker.cancel_child(record),
            None => {}
        }
        let waiter = worker.prepare_wait();
        record.waiter.store(waiter.pack(), Ordering::Relaxed);
        let parked = word.compare_exchange(
            found,
            found | CHI_TASK_PARKED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if parked.is_err() {
            worker.forget_wait();
            continue;
        }
        if let Some(until) = until {
            worker.set_timer(until, waiter);
        }
        worker.context().bounded.set(until.is_some());
        worker.wait(WaitsFor::Task(record));
        // A timer ended the wait, or the completion did, which has taken the bit away.
        word.fetch_and(!CHI_TASK_PARKED, Ordering::AcqRel);
    }
}

pub(crate) unsafe extern "C" fn cancel(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    answer(here().map(|worker| {
        // SAFETY: the caller's task, which `new_task` made.
        let (word, record) = unsafe { (state(task), &*Record::of(task)) };
        if word.load(Ordering::Acquire) & CHI_TASK_IN_FLIGHT != 0 && record.cancel(Why::Asked) {
            worker.look_for_marked();
        }
    }))
}

/// Runs something that suspends the running task, and tells whether the task is cancelled.
fn suspend(f: impl FnOnce(&Worker)) -> chi_status {
    answer(here().and_then(|worker| {
        if !worker.may_wait() {
            return Err(no_wait());
        }
        f(worker);
        match worker.is_cancelled() {
            true => Err(Failure::new(CHI_CANCELLED, IT_SHOULD_END)),
            false => Ok(()),
        }
    }))
}

pub(crate) unsafe extern "C" fn sleep(_: *const chi_ipc, duration_ns: u64) -> chi_status {
    suspend(|worker| worker.sleep(Duration::from_nanos(duration_ns)))
}

pub(crate) unsafe extern "C" fn yield_now(_: *const chi_ipc) -> chi_status {
    suspend(Worker::yield_now)
}
