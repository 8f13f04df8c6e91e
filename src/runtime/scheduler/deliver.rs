//! Delivers the outcome of a task to whoever waits for it: a client, through its segment, or the
//! creator of a subtask, through the record's completion word. A new kind of origin is added here
//! and in `Origin`; the path of a task does not know them apart.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use chimaera_abi::*;

use super::call::call_back;
use super::counting::count;
use super::running::Running;
use super::worker::Worker;
use crate::coroutine::CallbackKind;
use crate::log::{log_task, shortened, LineKind};
use crate::pool::{Container, Del};
use crate::sync::Completed;
use crate::task::{marshal, Origin, Record};

/// Reports the outcome of a task that has ended, counts it, and recycles its record or returns it to its
/// creator. A client is told first: it waits.
#[inline(always)]
pub(super) fn deliver(worker: &Worker, mut record: Box<Record>, status: chi_status, message: &str) {
    if status != CHI_OK && record.is_forgotten() {
        report_forgotten(worker, &record, status, message);
    }
    match &record.origin {
        Origin::Client { session, .. } => {
            if session.is_dead() {
                let blocks = std::mem::take(&mut record.blocks);
                session.free(&blocks);
            } else {
                marshal::complete(&mut record, status, message, |session, method, bytes| {
                    method.metrics.give(worker.metrics(), bytes);
                    session.metrics.give(worker.metrics(), bytes);
                });
            }
            count(worker, &record, status);
            call_del(worker, &mut record);
            worker.recycle(record);
        }
        Origin::Internal => {
            count(worker, &record, status);
            call_del(worker, &mut record);
            deliver_internal(worker, record, status, message);
        }
    }
}

/// Delivers the outcome of a task whose `Del` was abandoned.
pub(super) fn deliver_after_del(
    worker: &Worker,
    record: Box<Record>,
    status: chi_status,
    message: &str,
) {
    match record.origin {
        // Its client has already been told the outcome.
        Origin::Client { .. } => worker.recycle(record),
        Origin::Internal => deliver_internal(worker, record, status, message),
    }
}

/// Calls the module's `Del`, if it has one, to free what the module attached to the private body.
#[inline(always)]
fn call_del(worker: &Worker, record: &mut Record) {
    // SAFETY: the pointer is null for a task that was never routed; otherwise the task is counted
    // in the container, which keeps it alive.
    let Some(container) = (unsafe { record.container.as_ref() }) else { return };
    if let Some(del) = container.ops().del {
        delete_attached(worker, record, container, del);
    }
}

#[inline(never)]
fn delete_attached(worker: &Worker, record: &mut Record, container: &Container, del: Del) {
    if container.admission.is_abandoned() {
        return;
    }
    // SAFETY: a routed task has a method, which lives as long as the task is counted in its
    // container.
    let number = unsafe { &*record.method }.number;
    let running = Running::method(container.id.major_, number);
    let own = ptr::from_mut(record);
    // SAFETY: the record is the caller's, and its body is private and of the method's layout.
    call_back(worker, running, CallbackKind::Del(own), || unsafe {
        del(container.object(), number, (*own).body());
    });
}

/// Completes a task that was created inside the runtime, and so returns it to its creator.
#[inline]
fn deliver_internal(worker: &Worker, record: Box<Record>, status: chi_status, message: &str) {
    if !message.is_empty() {
        record.texts.set_message(message);
    }
    let body = record.body();
    let record = Box::into_raw(record);
    // SAFETY: the record belongs to the runtime until `complete`. After that it belongs to the
    // creator or to the waiting coroutine, and is not touched here, unless `complete` returned
    // `Free`: then it had been deleted, and this is its last owner.
    unsafe {
        (*body).status_ = status;
        AtomicU32::from_ptr(&raw mut (*body).state_).store(CHI_TASK_COMPLETE, Ordering::Release);
        match (*record).completion.complete() {
            Completed::Kept => {}
            Completed::Wake(waiter) => worker.wake(waiter),
            Completed::Free => worker.recycle(Box::from_raw(record)),
        }
    }
}

/// Logs the failure of a fire-and-forget task, which nothing else would report.
#[cold]
fn report_forgotten(worker: &Worker, record: &Record, status: chi_status, message: &str) {
    let pass = worker.shared.rate_limit.pass(LineKind::Forgotten, record.log_subject());
    if let Some(left_out) = pass {
        let why = &*shortened(message);
        log_task!(
            warn,
            record.log_context(),
            status,
            why,
            left_out,
            "a fire-and-forget task failed"
        );
    }
}
