//! Ends a task whose code has overflowed its stack or crashed. Its coroutine has ended without
//! unwinding, so everything in its frames is lost; what the task held is found through its record.
//! From then on the container is in quarantine: the state of its object is unknown, so none of its
//! code is called again.

use std::mem::ManuallyDrop;
use std::ptr;

use chimaera_abi::*;

use super::broadcast;
use super::cancel;
use super::deliver::deliver_after_del;
use super::loss;
use super::mailbox::{ControlCommand, WorkerMessage};
use super::path::{complete, leave_lane, pass_on};
use super::running::life_name;
use super::worker::Worker;
use crate::coroutine::{CallbackFrame, CallbackKind, Coroutine, Crash, Poller};
use crate::log::{log_task, LineKind, Subject};
use crate::pool::{Container, Loss, RemovedPool};
use crate::task::{CancelScope, Record};

/// Ends whatever was running on a coroutine whose stack overflowed or whose code crashed. Called on
/// the thread's own stack.
#[cold]
pub(super) fn end_abandoned(worker: &Worker, coroutine: &Coroutine, crash: Option<Crash>) {
    coroutine.context.abandon_state();
    worker.run_queue().leave_module();
    // The predicate of messages whose subject is the code that was abandoned.
    let cause = match crash {
        Some(crash) => format!("crashed: {crash}"),
        None => format!("overflowed its stack of {} bytes", worker.shared.config.stack_size),
    };
    let callback = coroutine.context.callback.replace(ptr::null());
    coroutine.context.building.set(ptr::null());
    let (living, part) = coroutine.context.life.replace((ptr::null(), 0));
    // SAFETY: the pointer is null, or points to the container whose code the task called, which the frames that
    // were abandoned keep.
    let living = unsafe { living.as_ref() }.filter(|_| callback.is_null());
    let part = living.map(|container| {
        format!("{} of pool '{}'", life_name(part).unwrap_or("a method"), container.name())
    });
    // SAFETY: the coroutine has ended and never runs again, and its stack is mapped until it is
    // dropped.
    let any = unsafe { end_callbacks(worker, callback, &cause) };
    let own = coroutine.context.record.replace(ptr::null_mut());
    if own.is_null() {
        assert!(any, "only module code overflows a stack or crashes");
        return;
    }
    // SAFETY: the frame that ran the task owned its record and never runs again, so this is the
    // only owner.
    let record = unsafe { Box::from_raw(own) };
    let code = part.as_deref().unwrap_or("its module's code");
    give_up_pools(worker, &record, &format!("{code} {cause}"));
    broadcast::give_back(worker, &record);
    let (lane, suspended) = (record.lane, record.suspended.get());
    let why = match part {
        Some(part) => report_part(worker, &record, &part, &cause),
        None => report(worker, &record, "", &cause),
    };
    // SAFETY: the pointer is null, or the task is counted in the container until it is complete.
    let message = quarantine(worker, unsafe { record.container.as_ref() }, why);
    if let (Some(call), Some(cluster)) =
        (coroutine.context.serves.take(), worker.shared.agreed_pools.get())
    {
        cluster.give_up_serving(call, &message);
    }
    if complete(worker, record, CHI_FAULT, &message) && !suspended {
        // SAFETY: the lane still has tasks in it, which keep it alive.
        pass_on(worker, unsafe { &*lane });
    }
}

/// Abandons the pools that a task was creating or destroying; pools that it was resetting are kept. `why` is a
/// sentence.
fn give_up_pools(worker: &Worker, record: &Record, why: &str) {
    let by = record.body().addr();
    if let Some(pool) = worker.shared.pools.replaced_by(by) {
        let why = why.to_owned();
        worker.shared.command(ControlCommand::ReplacementAbandoned { pool, why });
    }
    let (removed, waiters) = worker.shared.pools.give_up(by);
    for RemovedPool { name, was, dependants } in removed {
        let limit = &worker.shared.rate_limit;
        if let Some(left_out) = limit.pass(LineKind::PoolFailed, record.client_as_subject()) {
            tracing::error!(pool = &*name, why, left_out, "the pool is abandoned");
        }
        if let Some(pool) = was {
            let why = format!("pool '{name}' is gone: {why}");
            loss::tell(&worker.shared, Loss::of_pool(pool, name.clone(), why, dependants));
        }
        let why = why.to_owned();
        worker.shared.command(ControlCommand::PoolAbandoned { pool: name, why });
    }
    worker.wake_all(waiters);
}

/// Puts a container in quarantine and cancels the tasks in it. Returns the message for the task
/// whose code was abandoned.
fn quarantine(worker: &Worker, container: Option<&Container>, why: String) -> String {
    // The runtime's own container is never damaged: it only called the code that was abandoned.
    let Some(container) = container.filter(|container| container.module.path.is_some()) else {
        return why;
    };
    let (pool, number, name) = (container.id, container.number, container.name());
    let reset = loss::quarantine(&worker.shared, container, &why);
    let subject = Subject::Pool(pool);
    if let Some(left_out) = worker.shared.rate_limit.pass(LineKind::PoolFailed, subject) {
        tracing::error!(pool = name, container = number, why, left_out, "in quarantine; {reset}");
    }
    cancel::cancel(worker, CancelScope::Container(pool, number));
    for (index, mailbox) in worker.shared.mailboxes().iter().enumerate() {
        if index != worker.index as usize {
            mailbox.send(WorkerMessage::RemovePollers { pool, container: number });
        }
    }
    worker.pollers.remove_of(pool, number);
    format!("{why}; {} is in quarantine", container.shown())
}

/// Ends the tasks and pollers whose callbacks were running on the stack. True if there were any.
///
/// # Safety
/// `frame` must be the innermost callback frame of a coroutine's context, or null; the coroutine's
/// stack must still be mapped and never run again.
unsafe fn end_callbacks(worker: &Worker, mut frame: *const CallbackFrame, cause: &str) -> bool {
    let any = !frame.is_null();
    // SAFETY: by this function's contract.
    unsafe { remove_running_pollers(frame) };
    // SAFETY: each callback frame is in a frame of that stack, which is still mapped.
    while let Some(found) = unsafe { frame.as_ref() } {
        match found.kind {
            CallbackKind::Monitor(record) => {
                // SAFETY: the frames that owned the record never run again, so this is the only
                // owner.
                end_routing(worker, unsafe { Box::from_raw(record) }, cause);
            }
            CallbackKind::Del(record) => {
                // SAFETY: as above.
                end_dropping(worker, unsafe { Box::from_raw(record) }, cause);
            }
            // The task itself is ended by the caller.
            CallbackKind::Aggregation => {}
            CallbackKind::Poller(_, poller) => {
                // SAFETY: the frame that called the poller keeps it alive.
                end_polling(worker, unsafe { &*poller }, cause);
            }
        }
        frame = found.outer;
    }
    any
}

/// Removes the pollers whose calls are abandoned, and unlocks them. This must come first: putting a
/// container in quarantine because of an inner frame locks the container's pollers to remove them.
///
/// # Safety
/// As `end_callbacks`.
unsafe fn remove_running_pollers(mut frame: *const CallbackFrame) {
    // SAFETY: each callback frame is in a frame of that stack, which is still mapped.
    while let Some(found) = unsafe { frame.as_ref() } {
        if let CallbackKind::Poller(guard, _) = found.kind {
            // SAFETY: this thread took the lock, so it may release it, and the frame that owned the
            // guard never runs again.
            let mut target = unsafe { ManuallyDrop::take(&mut *guard) };
            *target = None;
        }
        frame = found.outer;
    }
}

fn end_routing(worker: &Worker, mut record: Box<Record>, cause: &str) {
    let why = report(worker, &record, "the monitor of ", cause);
    // As for every task that could not be routed: none of its body is returned.
    record.method = ptr::null();
    let container = std::mem::replace(&mut record.container, ptr::null());
    // SAFETY: the task is counted in the container until `leave` below, which keeps it alive.
    let message = quarantine(worker, unsafe { container.as_ref() }, why);
    complete(worker, record, CHI_FAULT, &message);
    // SAFETY: as above.
    unsafe { (*container).admission.leave() };
}

fn end_dropping(worker: &Worker, record: Box<Record>, cause: &str) {
    let why = report(worker, &record, "Del of ", cause);
    let (container, lane, suspended) = (record.container, record.lane, record.suspended.get());
    // SAFETY: the task is counted in the container until `leave` below, which keeps it alive.
    let message = quarantine(worker, unsafe { container.as_ref() }, why);
    deliver_after_del(worker, record, CHI_FAULT, &message);
    // SAFETY: the task keeps both alive: it is counted in the lane until `leave_lane`, and in the
    // container until `leave`.
    unsafe {
        if leave_lane(worker, lane, suspended) {
            pass_on(worker, &*lane);
        }
        (*container).admission.leave();
    }
}

fn end_polling(worker: &Worker, poller: &Poller, cause: &str) {
    let limit = &worker.shared.rate_limit;
    let subject = poller.owner.as_ref().map_or(Subject::Runtime, |owner| Subject::Pool(owner.pool));
    if let Some(left_out) = limit.pass(LineKind::PollerLost, subject) {
        tracing::error!(left_out, "a poller {cause}, and will not be called again");
    }
    let Some(owner) = &poller.owner else { return };
    // The pool may have been destroyed.
    let Some(pool) = worker.table().get(owner.pool) else { return };
    let container = pool.containers().get(owner.container as usize).map(|found| &**found);
    quarantine(worker, container, format!("a poller {cause}"));
}

/// Logs what happened to a part of a container's life, for which a task had called it, and returns it as a message.
fn report_part(worker: &Worker, record: &Record, part: &str, cause: &str) -> String {
    let why = format!("{part} {cause}");
    if let Some(left_out) = worker.shared.rate_limit.pass(LineKind::Abandoned, record.log_subject())
    {
        log_task!(error, record.log_context(), left_out, "{why}");
    }
    why
}

/// Logs what happened to a task's code, and returns it as a message.
fn report(worker: &Worker, record: &Record, whose: &str, cause: &str) -> String {
    let pass = worker.shared.rate_limit.pass(LineKind::Abandoned, record.log_subject());
    if let Some(left_out) = pass {
        log_task!(error, record.log_context(), left_out, "{whose}a task {cause}");
    }
    // SAFETY: the pointer is null, or points to a method of the pool in which the task is counted.
    let method = unsafe { record.method.as_ref() }.map_or("", |method| method.name.as_str());
    format!("{whose}{method} {cause}")
}
