//! Ending a task whose code has overflowed its stack: its coroutine has ended without unwinding, so
//! everything in its frames is lost. What the task held is found through its record.

use std::mem::ManuallyDrop;
use std::ptr;

use chimaera_abi::*;

use super::broadcast;
use super::path::{complete, finish_internal, leave_lane, pass_on};
use super::worker::Worker;
use crate::coroutine::{CallbackFrame, CallbackKind, Coroutine, ExceptionState};
use crate::log::{log_task, LineKind};
use crate::task::{Origin, Record};

/// Ends what ran on a coroutine whose stack overflowed. Called on the thread's own stack.
#[cold]
pub(super) fn end_overflowed(worker: &Worker, coroutine: &Coroutine) {
    worker.run_queue().leave_module();
    // Exceptions that were caught on that stack are lost with it.
    let _ = ExceptionState::take();
    let callback = coroutine.context.callback.replace(ptr::null());
    // SAFETY: the coroutine has ended and never runs again, and its stack is mapped until it is
    // dropped.
    let any = unsafe { end_callbacks(worker, callback) };
    let own = coroutine.context.record.replace(ptr::null_mut());
    if own.is_null() {
        assert!(any, "only module code overflows a stack");
        return;
    }
    // SAFETY: the frame that ran the task owned its record and never runs again, so this is the
    // only owner.
    let record = unsafe { Box::from_raw(own) };
    give_up_pools(worker, &record);
    broadcast::give_back(worker, &record);
    let (lane, suspended) = (record.lane, record.suspended.get());
    let message = report(worker, &record, "");
    if complete(worker, record, CHI_FAULT, &message) && !suspended {
        // SAFETY: the lane still has tasks in it, which keep it alive.
        pass_on(worker, unsafe { &*lane });
    }
}

/// Abandons the pools that a task was creating or destroying.
fn give_up_pools(worker: &Worker, record: &Record) {
    let (names, waiters) = worker.shared.pools.give_up(record.body().addr());
    for name in names {
        tracing::error!(
            pool = name,
            "the pool is abandoned, because its module's code overflowed its stack"
        );
    }
    worker.wake_all(waiters);
}

/// Ends the tasks and pollers whose callbacks were running on the stack. True if there were any.
///
/// # Safety
/// `frame` must be the innermost callback frame of a coroutine's context, or null; the coroutine's
/// stack must still be mapped and never run again.
unsafe fn end_callbacks(worker: &Worker, mut frame: *const CallbackFrame) -> bool {
    let any = !frame.is_null();
    // SAFETY: each callback frame is in a frame of that stack, which is still mapped.
    while let Some(found) = unsafe { frame.as_ref() } {
        match found.kind {
            // SAFETY: the frames that owned the record never run again, so this is the only owner.
            CallbackKind::Monitor(record) => end_routing(worker, unsafe { Box::from_raw(record) }),
            // SAFETY: as above.
            CallbackKind::Del(record) => end_dropping(worker, unsafe { Box::from_raw(record) }),
            // The task itself is ended by the caller.
            CallbackKind::Aggregation => {}
            CallbackKind::Poller(guard) => {
                // SAFETY: as above; this thread locked the guard, so it may unlock it.
                let mut target = unsafe { ManuallyDrop::take(&mut *guard) };
                *target = None;
                tracing::error!("a poller overflowed its stack and will not be called again");
            }
        }
        frame = found.outer;
    }
    any
}

fn end_routing(worker: &Worker, mut record: Box<Record>) {
    let message = report(worker, &record, "the monitor of ");
    // As for every task that could not be routed: none of its body is returned.
    record.method = ptr::null();
    let container = std::mem::replace(&mut record.container, ptr::null());
    complete(worker, record, CHI_FAULT, &message);
    // SAFETY: the task is counted in the container until now, which keeps it alive.
    unsafe { (*container).admission.leave() };
}

fn end_dropping(worker: &Worker, record: Box<Record>) {
    let message = report(worker, &record, "Del of ");
    let (container, lane, suspended) = (record.container, record.lane, record.suspended.get());
    match record.origin {
        // Its client has already been told its outcome.
        Origin::Client { .. } => worker.recycle(record),
        Origin::Internal => finish_internal(worker, record, CHI_FAULT, &message),
    }
    // SAFETY: the task is counted in the lane and the container until now, which keeps both alive.
    unsafe {
        if leave_lane(worker, lane, suspended) {
            pass_on(worker, &*lane);
        }
        (*container).admission.leave();
    }
}

/// Logs the overflow, and returns the task's message.
fn report(worker: &Worker, record: &Record, whose: &str) -> String {
    // SAFETY: the pointer is null, or points to a method of the pool in which the task is counted.
    let method = unsafe { record.method.as_ref() }.map_or("", |method| method.name.as_str());
    let size = worker.shared.config.stack_size;
    let pass = worker.shared.rate_limit.pass(LineKind::Overflowed, record.log_subject());
    if let Some(left_out) = pass {
        log_task!(
            error,
            record.log_context(),
            left_out,
            "{whose}a task overflowed its stack of {size} bytes"
        );
    }
    format!(
        "{whose}{method} overflowed its stack of {size} bytes; what it held is lost, and its container \
         may be damaged"
    )
}
