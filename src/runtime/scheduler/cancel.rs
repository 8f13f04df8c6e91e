//! Cancellation: how a task learns that it should end.
//!
//! The record is marked first. A task that has not started sees the mark before it starts, or is ended
//! without its worker if a method keeps that busy (`queued`), a running one at its next wait or when it asks. A session knows where its suspended tasks are;
//! when a pool is destroyed or a session ends, every worker searches its coroutines. A wait for a
//! time, a lock or an event ends early. A wait for a task marks that task in turn and lasts until
//! it has ended, so a method never leaves a wait while the task it waits for still uses its fields.

use chimaera_abi::chi_pool_id;

use super::mailbox::WorkerMessage;
use super::path::stop_periodic;
use super::shared::Shared;
use super::worker::Worker;
use crate::coroutine::{Context, WaitsFor};
use crate::session::{Session, SuspendedAs, SuspendedAt};
use crate::sync::WaitId;
use crate::task::{CancelReason, CancelScope, Record};

/// Cancels the tasks in this scope on all workers. For the runtime's own code running as a task.
pub(crate) fn cancel(worker: &Worker, scope: CancelScope) {
    for (index, mailbox) in worker.shared.mailboxes().iter().enumerate() {
        if index != worker.index as usize {
            mailbox.send(WorkerMessage::Cancel(scope.clone()));
        }
    }
    let running = worker.run_queue().leave_module();
    cancel_here(worker, &scope);
    worker.run_queue().enter_module(running);
}

/// Cancels the tasks of a container on all workers. `[any thread]`
pub(crate) fn cancel_container(shared: &Shared, pool: chi_pool_id, number: u32) {
    for mailbox in shared.mailboxes() {
        mailbox.send(WorkerMessage::Cancel(CancelScope::Container(pool, number)));
    }
}

/// Cancels this worker's suspended tasks in this scope.
pub(super) fn cancel_here(worker: &Worker, scope: &CancelScope) {
    cancel_where(worker, |record| record.cancelled_by(scope));
}

/// Cancels this worker's suspended tasks that are marked.
pub(super) fn cancel_marked(worker: &Worker) {
    worker.mailbox().begin_cancel_marked();
    cancel_where(worker, Record::cancel_reason);
}

fn cancel_where(worker: &Worker, reason: impl Fn(&Record) -> Option<CancelReason>) {
    let mut marked = false;
    worker.coroutines.each(|number, context| {
        if let Some((record, reason)) = context.task().and_then(|r| Some((r, reason(r)?))) {
            marked |= tell(worker, number, context, record, reason);
        }
    });
    if marked {
        worker.shared.cancel_marked();
    }
    worker.looks.set_due();
    let stopping = worker.run_queue().entries().periodic.to_stop(reason);
    for (number, reason) in stopping {
        stop_periodic(worker, number, reason);
    }
}

/// Tells a suspended task that it is cancelled. True if it is waiting for a task, which has now
/// been marked.
fn tell(
    worker: &Worker,
    number: u32,
    context: &Context,
    record: &Record,
    reason: CancelReason,
) -> bool {
    record.cancel(reason);
    if record.told.replace(true) {
        return false;
    }
    match context.waits_for.get() {
        WaitsFor::Anyone | WaitsFor::Time | WaitsFor::Lock(_) | WaitsFor::Far(_) => {
            worker.coroutines.wake_exactly(number, context.wait.get());
            false
        }
        // SAFETY: the awaited record stays alive until the wait has ended, and waits end on this
        // thread.
        WaitsFor::Task(child) => unsafe { (*child).cancel(CancelReason::Parent) },
    }
}

/// Handles a client's request to cancel its task at `offset`. If the task is not suspended, it
/// finds the request in its state word.
pub(super) fn client_cancels(worker: &Worker, session: &Session, offset: u64) {
    let Some(SuspendedAt { worker: index, as_what }) = session.take_suspended(offset) else {
        // It may be queued.
        return worker.looks.set_due();
    };
    if index == worker.index {
        cancel_task(worker, as_what, session.number, offset);
    } else {
        let message = WorkerMessage::CancelTask { as_what, session: session.number, offset };
        worker.shared.mailbox(index).send(message);
    }
}

/// Cancels the client's task at `offset`, if it is suspended here and its client still wants it
/// cancelled.
pub(super) fn cancel_task(worker: &Worker, as_what: SuspendedAs, session: u64, offset: u64) {
    // Another run of the task may have come here since the request; in that case, the session's
    // entry for where the task is suspended is restored.
    let is_meant = |record: &Record| {
        record.is_of(session, offset)
            && (record.client_asks_to_cancel() || {
                record.note_suspended(SuspendedAt { worker: worker.index, as_what });
                record.client_asks_to_cancel()
            })
    };
    match as_what {
        SuspendedAs::Coroutine(coroutine) => {
            let mut marked = false;
            worker.coroutines.with(coroutine, |context| {
                if let Some(record) = context.task().filter(|record| is_meant(record)) {
                    marked = tell(worker, coroutine, context, record, CancelReason::Asked);
                }
            });
            if marked {
                worker.shared.cancel_marked();
            }
        }
        SuspendedAs::Periodic(number) => {
            let is_there = worker.run_queue().entries().periodic.is(number, is_meant);
            if is_there {
                stop_periodic(worker, number, CancelReason::Asked);
            }
        }
    }
}

/// Ends a wait that is part of a deadlock.
pub(super) fn break_wait(worker: &Worker, id: WaitId, circle: String) {
    worker.coroutines.with(id.coroutine, |context| {
        let Some(record) = context.task() else { return };
        if context.wait.get() == id.number && context.waiting.get() {
            if record.cancel(CancelReason::Deadlock) {
                record.texts.set_circle(circle);
            }
            record.told.set(true);
            worker.coroutines.wake_exactly(id.coroutine, id.number);
        }
    });
}
