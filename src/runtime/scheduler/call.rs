//! Calls into modules: methods, monitors and other callbacks; measures how long methods take.

use std::ffi::c_void;
use std::ptr;
use std::time::Instant;

use chimaera_abi::*;

use super::running::Running;
use super::worker::Worker;
use crate::coroutine::{run_callback, CallbackKind};
use crate::failure::Failure;
use crate::log::{log_task, shows_tasks};
use crate::pool::{Container, PoolMethod};
use crate::task::{Origin, Record};

/// The value of the estimate if the monitor does not set one.
pub(super) const NO_ANSWER: u64 = u64::MAX;
/// One in this many of a worker's tasks is measured.
const SAMPLE: u32 = 32;

/// The context passed to a method or a monitor along with its task.
pub(super) fn run_context(worker: &Worker, lane: *mut chi_lane) -> chi_run_context {
    chi_run_context {
        size: std::mem::size_of::<chi_run_context>() as u32,
        worker_id_: worker.index,
        lane_: lane,
        runtime_: ptr::null_mut::<c_void>(),
        est_ns_: 0,
    }
}

/// Runs a callback of a module. To the watchdog it looks like a method.
#[inline(always)]
pub(super) fn call_back<R>(
    worker: &Worker,
    running: Running,
    kind: CallbackKind,
    f: impl FnOnce() -> R,
) -> R {
    let queue = worker.run_queue();
    queue.enter_module(running);
    let result = run_callback(worker.context(), kind, f);
    queue.leave_module();
    result
}

/// The failure of module code that ran for this task, with the message that the code set, or else
/// `otherwise`.
pub(super) fn module_failure(
    record: &Record,
    status: chi_status,
    otherwise: impl FnOnce() -> String,
) -> Failure {
    Failure::new(status, record.texts.take_error().unwrap_or_else(otherwise))
}

/// Calls a method's monitor.
#[inline]
pub(super) fn ask_monitor(
    worker: &Worker,
    record: &mut Record,
    container: &Container,
    method: &PoolMethod,
    mode: u32,
) -> Result<chi_run_context, Failure> {
    let mut rctx = run_context(worker, ptr::null_mut());
    if mode == CHI_MONITOR_EST_LOAD {
        rctx.est_ns_ = NO_ANSWER;
    }
    let mut running = Running::method(container.id.major_, method.number);
    if let Origin::Client { .. } = record.origin {
        running = running.placing();
    }
    worker.run_queue().show(record.session, record.node());
    let own = ptr::from_mut(record);
    // A method of another module may be submitting this task.
    let state = worker.context().set_aside();
    // SAFETY: the task is counted in the container, which keeps it alive; the record is the
    // caller's, and its body is private and of the method's layout.
    let status = call_back(worker, running, CallbackKind::Monitor(own), || unsafe {
        let monitor = container.ops().monitor;
        monitor(container.object(), mode, method.number, (*own).body(), &mut rctx)
    });
    worker.context().put_back(&state);
    if status == CHI_OK {
        return Ok(rctx);
    }
    Err(module_failure(record, status, || {
        format!("the monitor of {} of pool '{}' failed", method.name, container.name())
    }))
}

/// Calls a method, and measures some of the calls.
#[inline]
pub(super) fn call_method(
    worker: &Worker,
    record: &Record,
    container: &Container,
    method: &PoolMethod,
    rctx: &mut chi_run_context,
) -> chi_status {
    if shows_tasks() {
        return call_traced(worker, record, container, method, rctx);
    }
    let count = worker.samples.get().wrapping_add(1);
    worker.samples.set(count);
    if count.is_multiple_of(SAMPLE) || method.mean_ns() == 0 {
        call_measured(worker, record, container, method, rctx)
    } else {
        call_module(worker, record, container, method, rctx)
    }
}

/// Calls a method, and logs its start and end.
#[cold]
fn call_traced(
    worker: &Worker,
    record: &Record,
    container: &Container,
    method: &PoolMethod,
    rctx: &mut chi_run_context,
) -> chi_status {
    let index = worker.index;
    log_task!(trace, record.log_context(), worker = index, "a task started");
    let begin = Instant::now();
    let status = call_measured(worker, record, container, method, rctx);
    let took = begin.elapsed();
    log_task!(trace, record.log_context(), worker = index, status, ?took, "a task ended");
    status
}

#[inline(never)]
fn call_measured(
    worker: &Worker,
    record: &Record,
    container: &Container,
    method: &PoolMethod,
    rctx: &mut chi_run_context,
) -> chi_status {
    let begin = Instant::now();
    let status = call_module(worker, record, container, method, rctx);
    if !record.suspended.get() {
        method.learn(begin.elapsed().as_nanos() as u64);
    }
    status
}

#[inline(always)]
fn call_module(
    worker: &Worker,
    record: &Record,
    container: &Container,
    method: &PoolMethod,
    rctx: &mut chi_run_context,
) -> chi_status {
    let queue = worker.run_queue();
    queue.show(record.session, record.node());
    queue.enter_module(Running::method(container.id.major_, method.number));
    // SAFETY: the task is counted in the container, which keeps it alive; its body is private and
    // of the method's layout.
    let status =
        unsafe { (container.ops().run)(container.object(), method.number, record.body(), rctx) };
    worker.context().restore();
    queue.leave_module();
    status
}
