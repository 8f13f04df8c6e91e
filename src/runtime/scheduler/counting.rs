//! Counts the tasks that end.

use chimaera_abi::*;

use super::worker::Worker;
use crate::task::{Origin, Record};

/// Counts a task that ends, or a run of it.
#[inline(always)]
pub(super) fn count(worker: &Worker, record: &Record, status: chi_status) {
    worker.count_task();
    if let Origin::Client { session, .. } = &record.origin {
        session.metrics.end(worker.metrics());
    }
    // SAFETY: the pointer is null for a task that was never routed; otherwise the method lives as long as the
    // task is counted in its container.
    if let Some(method) = unsafe { record.method.as_ref() } {
        method.metrics.end(worker.metrics());
        if record.suspended.get() {
            method.metrics.end_suspended(worker.metrics());
        }
    }
    if status != CHI_OK {
        count_failure(worker, record, status);
    }
}

/// Counts the failure of a task that is counted otherwise. Of one that could not be routed, the method may be
/// known all the same.
#[cold]
fn count_failure(worker: &Worker, record: &Record, status: chi_status) {
    let own = worker.metrics();
    worker.count_failure();
    if let Origin::Client { session, .. } = &record.origin {
        session.metrics.fail(own);
    }
    // SAFETY: as above.
    if let Some(method) = unsafe { record.method.as_ref() } {
        return method.metrics.fail(own, status);
    }
    // SAFETY: the body is private and has at least a header.
    let (id, number) = unsafe { ((*record.body()).pool_, (*record.body()).method_) };
    if let Some(method) = worker.table().get(id).and_then(|pool| pool.methods.get(number)) {
        method.metrics.refuse(own, status);
    }
}
