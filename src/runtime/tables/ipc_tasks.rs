//! How code in methods submits tasks, waits for them, cancels them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chimaera_abi::*;

use super::calls::call;
use crate::failure::Failure;
use crate::scheduler::{no_wait, path, Worker};
use crate::task::{CancelReason, Record, IT_SHOULD_END};

pub(super) unsafe extern "C" fn enqueue(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    // SAFETY: the caller's task.
    call(|worker| unsafe { submit(worker, task) })
}

/// # Safety
/// `task` must be a task that `new_task` made.
unsafe fn submit(worker: &Worker, task: *mut chi_task) -> Result<(), Failure> {
    // SAFETY: by the caller's promise.
    let record = unsafe { &*Record::of(task) };
    // SAFETY: as above; the word is only accessed atomically.
    let state = unsafe { AtomicU32::from_ptr(&raw mut (*task).state_) };
    while record.completion.is_in_flight() {
        if state.load(Ordering::Acquire) & CHI_TASK_COMPLETE == 0 {
            return Err(Failure::new(CHI_BUSY, "the task is in flight; wait for it first"));
        }
        // Whoever completes it is about to say so in the completion word, too.
        std::hint::spin_loop();
    }
    // SAFETY: the task is not in flight, and so the caller's, who gives it up here.
    unsafe {
        let mut record = Box::from_raw(Record::of(task));
        record.container = std::ptr::null();
        record.method = std::ptr::null();
        record.lane = std::ptr::null();
        record.reset_for_submit();
        (*task).status_ = CHI_OK;
        state.store(CHI_TASK_IN_FLIGHT, Ordering::Relaxed);
        record.completion.submit((*task).task_flags_.bits_ & CHI_TASK_FIRE_AND_FORGET != 0);
        let running = worker.run_queue().leave_module();
        path::submit(worker, record);
        worker.run_queue().enter_module(running);
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

pub(super) unsafe extern "C" fn enqueue_batch(
    _: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    submitted: *mut u64,
) -> chi_status {
    let mut done = 0;
    let status = call(|worker| {
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
    status
}

pub(super) unsafe extern "C" fn wait(
    _: *const chi_ipc,
    task: *mut chi_task,
    timeout_ns: u64,
) -> chi_status {
    let until = bound(timeout_ns);
    // SAFETY: the caller's task, which it does not delete meanwhile.
    call(|worker| worker.wait_for_task(unsafe { &*Record::of(task) }, until))
}

pub(super) unsafe extern "C" fn wait_all(
    _: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
) -> chi_status {
    let until = bound(timeout_ns);
    call(|worker| {
        // SAFETY: the caller's array of tasks, which it does not delete meanwhile.
        let tasks = unsafe { slice(tasks, count) };
        // SAFETY: as above.
        tasks
            .iter()
            .try_for_each(|&task| worker.wait_for_task(unsafe { &*Record::of(task) }, until))
    })
}

/// When a wait of so long a time ends; `None` for one without bound.
fn bound(timeout_ns: u64) -> Option<Instant> {
    match timeout_ns {
        CHI_WAIT_FOREVER => None,
        ns => Instant::now().checked_add(Duration::from_nanos(ns)),
    }
}

pub(super) unsafe extern "C" fn cancel(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    call(|worker| {
        // SAFETY: the caller's task, which `new_task` made.
        let record = unsafe { &*Record::of(task) };
        if record.completion.is_in_flight() && record.cancel(CancelReason::Asked) {
            worker.shared.cancel_marked();
        }
        Ok(())
    })
}

/// Runs something that suspends the running task, and tells whether the task is cancelled.
fn suspend(f: impl FnOnce(&Worker)) -> chi_status {
    call(|worker| {
        if !worker.may_wait() {
            return Err(no_wait());
        }
        f(worker);
        match worker.is_cancelled() {
            true => Err(Failure::new(CHI_CANCELLED, IT_SHOULD_END)),
            false => Ok(()),
        }
    })
}

pub(super) unsafe extern "C" fn sleep(_: *const chi_ipc, duration_ns: u64) -> chi_status {
    suspend(|worker| worker.sleep(Duration::from_nanos(duration_ns)))
}

pub(super) unsafe extern "C" fn yield_now(_: *const chi_ipc) -> chi_status {
    suspend(Worker::yield_now)
}
