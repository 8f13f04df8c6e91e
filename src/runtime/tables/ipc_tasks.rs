//! Submitting, awaiting and cancelling tasks from code in methods.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::Waited;

use crate::failure::Failure;
use crate::scheduler::{no_wait, path, Worker};
use crate::task::{CancelReason, Record, IT_SHOULD_END};

/// Submits a task.
///
/// # Safety
/// `task` must have been returned by `new_task`, and must not have been deleted.
#[inline]
pub(super) unsafe fn submit(worker: &Worker, task: NonNull<chi_task>) -> Result<(), Failure> {
    let task = task.as_ptr();
    // SAFETY: by the caller's promise the task has a record; its state word is only accessed
    // atomically.
    let (record, state) =
        unsafe { (Record::of(task), AtomicU32::from_ptr(&raw mut (*task).state_)) };
    // SAFETY: the record is live, because the task has not been deleted.
    while unsafe { (*record).completion.is_in_flight() } {
        if state.load(Ordering::Acquire) & CHI_TASK_COMPLETE == 0 {
            return Err(Failure::new(CHI_BUSY, "the task is in flight; wait for it first"));
        }
        // The worker that completes the task is about to set the state word as well.
        std::hint::spin_loop();
    }
    // SAFETY: the task is not in flight, so its record belongs to the caller, who gives it up here.
    unsafe {
        let mut record = Box::from_raw(record);
        record.container = std::ptr::null();
        record.method = std::ptr::null();
        record.lane = std::ptr::null();
        record.reset_for_submit();
        // Clears any outcome, but keeps the layout that the caller was built with.
        (*task).status_ = (*task).status_.min(CHI_OK);
        state.store(CHI_TASK_IN_FLIGHT, Ordering::Relaxed);
        record.completion.submit((*task).task_flags_.bits_ & CHI_TASK_FIRE_AND_FORGET != 0);
        let running = worker.run_queue().leave_module();
        path::submit(worker, record);
        worker.run_queue().enter_module(running);
    }
    Ok(())
}

/// Waits for a task.
///
/// # Safety
/// `task` must have been returned by `new_task`, and must not be deleted before this returns.
#[inline]
pub(super) unsafe fn wait(
    worker: &Worker,
    task: NonNull<chi_task>,
    timeout_ns: u64,
) -> Result<Waited, Failure> {
    let until = match timeout_ns {
        CHI_WAIT_FOREVER => None,
        ns => Instant::now().checked_add(Duration::from_nanos(ns)),
    };
    // SAFETY: by the caller's promise.
    let record = unsafe { &*Record::of(task.as_ptr()) };
    Ok(match worker.wait_for_task(record, until)? {
        true => Waited::Complete,
        false => Waited::TimedOut,
    })
}

/// Cancels a task, if it is in flight.
///
/// # Safety
/// `task` must have been returned by `new_task`, and must not have been deleted.
pub(super) unsafe fn cancel(worker: &Worker, task: NonNull<chi_task>) {
    // SAFETY: by the caller's promise.
    let record = unsafe { &*Record::of(task.as_ptr()) };
    if record.completion.is_in_flight() && record.cancel(CancelReason::Asked) {
        worker.shared.cancel_marked();
    }
}

/// Calls `f`, which suspends the running task. Fails if the task is cancelled by then.
pub(super) fn suspend(worker: &Worker, f: impl FnOnce(&Worker)) -> Result<(), Failure> {
    if !worker.may_wait() {
        return Err(no_wait());
    }
    f(worker);
    match worker.is_cancelled() {
        true => Err(Failure::new(CHI_CANCELLED, IT_SHOULD_END)),
        false => Ok(()),
    }
}
