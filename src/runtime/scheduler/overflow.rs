//! What becomes of a task whose code has overflowed its stack: its coroutine is over, and nothing that lay
//! in its frames is of use any more. What the task held is found in its record.

use std::mem::ManuallyDrop;
use std::ptr;

use chimaera_abi::*;

use super::broadcast;
use super::path::{complete, finish_internal, leave_lane, pass_on};
use super::worker::Worker;
use crate::coroutine::{CallbackFrame, CallbackKind, Coroutine, ExceptionState};
use crate::log::{log_task, LineKind};
use crate::task::{Origin, Record};

/// Ends what ran on a coroutine that is over because its stack overflowed. The thread is on its own stack.
#[cold]
pub(super) fn end_overflowed(worker: &Worker, coroutine: &Coroutine) {
    worker.run_queue().leave_module();
    // Exceptions that were caught on the stack are gone with it.
    let _ = ExceptionState::take();
    let callback = coroutine.context.callback.replace(ptr::null());
    // SAFETY: the coroutine is over, and its stack is there until it is dropped.
    let any = unsafe { end_callbacks(worker, callback) };
    let own = coroutine.context.record.replace(ptr::null_mut());
    if own.is_null() {
        assert!(any, "only a module's code overflows a stack");
        return;
    }
    // SAFETY: the record of the running task belongs to the frame that ran it, which is given up.
    let record = unsafe { Box::from_raw(own) };
    give_up_pools(worker, &record);
    broadcast::give_back(worker, &record);
    let (lane, suspended) = (record.lane, record.suspended.get());
    let message = report(worker, &record, "");
    if complete(worker, record, CHI_FAULT, &message) && !suspended {
        // SAFETY: tasks are left in the lane, which keep it.
        pass_on(worker, unsafe { &*lane });
    }
}

/// Gives up the pools that a task was creating or destroying.
fn give_up_pools(worker: &Worker, record: &Record) {
    let (names, waiters) = worker.shared.pools.give_up(record.body().addr());
    for name in names {
        tracing::error!(pool = name, "the pool is abandoned: its code overflowed its stack");
    }
    worker.wake_all(waiters);
}

/// Ends what callbacks were for that have overflowed their stack. True when there were some.
///
/// # Safety
/// `frame` must be null or what the coroutine's context said; its stack must still be there, and must never
/// run again.
unsafe fn end_callbacks(worker: &Worker, mut frame: *const CallbackFrame) -> bool {
    let any = !frame.is_null();
    // SAFETY: each lies in a frame of the stack.
    while let Some(found) = unsafe { frame.as_ref() } {
        match found.kind {
            // SAFETY: the frames that owned the record are given up.
            CallbackKind::Monitor(record) => end_routing(worker, unsafe { Box::from_raw(record) }),
            // SAFETY: as above.
            CallbackKind::Del(record) => end_dropping(worker, unsafe { Box::from_raw(record) }),
            // It ends with its task.
            CallbackKind::Aggregation => {}
            CallbackKind::Poller(guard) => {
                // SAFETY: as above; the guard is this thread's.
                let mut target = unsafe { ManuallyDrop::take(&mut *guard) };
                *target = None;
                tracing::error!("a poller overflowed its stack, and is not called any more");
            }
        }
        frame = found.outer;
    }
    any
}

fn end_routing(worker: &Worker, mut record: Box<Record>) {
    let message = report(worker, &record, "the monitor of ");
    // As for any task that could not be routed.
    record.method = ptr::null();
    let container = std::mem::replace(&mut record.container, ptr::null());
    complete(worker, record, CHI_FAULT, &message);
    // SAFETY: the task was counted there until now.
    unsafe { (*container).admission.leave() };
}

fn end_dropping(worker: &Worker, record: Box<Record>) {
    let message = report(worker, &record, "Del of ");
    let (container, lane, suspended) = (record.container, record.lane, record.suspended.get());
    match record.origin {
        // Its client knows how it ended.
        Origin::Client { .. } => worker.recycle(record),
        Origin::Internal => finish_internal(worker, record, CHI_FAULT, &message),
    }
    // SAFETY: the task is counted in the lane and the container until now.
    unsafe {
        if leave_lane(worker, lane, suspended) {
            pass_on(worker, &*lane);
        }
        (*container).admission.leave();
    }
}

/// What is to be said, and says it in the log.
fn report(worker: &Worker, record: &Record, whose: &str) -> String {
    // SAFETY: null, or a method of the pool in which the task is counted.
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
