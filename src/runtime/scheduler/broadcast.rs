//! Broadcasts: one task for all containers of a pool.
//!
//! The task itself runs in the first container, where it is copied once for each container. The
//! copies, its replicas, are its subtasks. When all of them have ended, their results and outcomes
//! are combined into the task's own.

use chimaera_abi::*;

use super::call::{call_back, call_method, module_failure};
use super::running::Running;
use super::worker::Worker;
use crate::coroutine::CallbackKind;
use crate::failure::Failure;
use crate::pool::{Container, PoolMethod};
use crate::task::{adopt, Origin, Record, Replicas};

/// Runs a task in all containers of its pool. `submit` submits a replica.
pub(super) fn run(
    worker: &Worker,
    record: *mut Record,
    method: &PoolMethod,
    rctx: &mut chi_run_context,
    submit: fn(&Worker, Box<Record>),
) -> Result<(), Failure> {
    // SAFETY: `record` is the running task's, which the caller keeps; the task is counted in its
    // container, which keeps the container alive.
    let (task, container) = unsafe { (&*record, &*(*record).container) };
    if container.module.is_proxy {
        // The process to which the task is passed on broadcasts it.
        return match call_method(worker, task, container, method, rctx) {
            CHI_OK => Ok(()),
            status => Err(module_failure(task, status, || status_text_of(status))),
        };
    }
    worker.run_queue().show(task.session, task.node());
    let made = make(worker, task, method, container.count);
    let outcome = made.and_then(|()| {
        send_and_wait(worker, task, submit);
        gather(worker, record, container, method, rctx)
    });
    give_back(worker, task);
    outcome
}

fn status_text_of(status: chi_status) -> String {
    status_text(status).to_owned()
}

/// Recycles a task's replicas, if it has any. They must be idle or complete.
pub(super) fn give_back(worker: &Worker, task: &Record) {
    if let Some(replicas) = task.replicas.take() {
        replicas.give_back(&worker.shared.replicas).for_each(|record| worker.recycle(record));
    }
}

/// Creates the replicas. The task's record owns them, so that they survive the loss of this
/// coroutine's frames.
fn make(worker: &Worker, task: &Record, method: &PoolMethod, count: u32) -> Result<(), Failure> {
    let mut replicas = Box::new(Replicas::default());
    let made = (0..count).try_for_each(|number| {
        let fresh = worker.spare.take(Origin::Internal);
        fresh.holdings.renew(worker.root_of(task));
        let mut fresh = fresh;
        fresh.session = task.session;
        let node = task.node();
        // SAFETY: the body is private and has at least a header.
        unsafe {
            fresh.body().write(chi_task::new());
            (*fresh.body()).task_node_ =
                chi_task_node { depth_: node.depth_.saturating_add(1), ..node };
        }
        replicas.add(&worker.shared.replicas, task.body(), method, number, fresh)
    });
    task.replicas.set(Some(replicas));
    made
}

/// Submits all replicas and waits until they have ended, even if the task is cancelled meanwhile:
/// they share bytes with it.
fn send_and_wait(worker: &Worker, task: &Record, submit: fn(&Worker, Box<Record>)) {
    let records = with_replicas(task, |replicas| replicas.records().to_vec());
    for &replica in &records {
        // SAFETY: the replica is idle, and this list does not touch it again until it is complete.
        unsafe {
            (*replica).completion.submit(false);
            submit(worker, Box::from_raw(replica));
        }
    }
    for &replica in &records {
        // SAFETY: the task's record keeps the replica alive, and it has been submitted.
        let ended = unsafe { worker.wait_for_task(&*replica, None) };
        assert!(matches!(ended, Ok(true)), "a submitted replica ends");
    }
}

fn with_replicas<R>(task: &Record, f: impl FnOnce(&Replicas) -> R) -> R {
    let replicas = task.replicas.take().expect("the replicas were created before");
    let result = f(&replicas);
    task.replicas.set(Some(replicas));
    result
}

/// Combines the results and outcomes of the replicas, which must be complete, into the task's.
fn gather(
    worker: &Worker,
    task: *mut Record,
    container: &Container,
    method: &PoolMethod,
    rctx: &mut chi_run_context,
) -> Result<(), Failure> {
    // SAFETY: `task` is the running task's record, which the caller keeps.
    let records = unsafe { with_replicas(&*task, |replicas| replicas.records().to_vec()) };
    let mut outcome = Ok(());
    for (number, &replica) in records.iter().enumerate() {
        // SAFETY: as above; the replica is complete and so belongs to the task.
        let (own, replica) = unsafe { (&*task, &*replica) };
        let added = aggregate(worker, own, container, method, replica, rctx);
        let ended = outcome_of(replica).map_err(|failure| {
            let name = container.name();
            let message = format!("container {number} of pool '{name}': {}", failure.message);
            Failure::new(failure.status, message)
        });
        outcome = outcome.and(ended);
        if let Err(failure) = added {
            return outcome.and(Err(failure));
        }
    }
    if outcome.is_ok() && !method.aggregated {
        // SAFETY: all replicas are complete and, like the task, have bodies of the method's layout;
        // nothing else uses them.
        unsafe { adopt(task, records[0], method) };
    }
    outcome
}

/// Calls the module to add a replica's results to the task's, if the method is aggregated.
fn aggregate(
    worker: &Worker,
    task: &Record,
    container: &Container,
    method: &PoolMethod,
    replica: &Record,
    rctx: &mut chi_run_context,
) -> Result<(), Failure> {
    if !method.aggregated {
        return Ok(());
    }
    if let Some(why) = container.quarantined() {
        return Err(Failure::new(CHI_FAULT, why));
    }
    let aggregate = container.ops().aggregate;
    let aggregate = aggregate.expect("creating a container without it fails for such a module");
    let running = Running::method(container.id.major_, method.number);
    // SAFETY: the container is kept alive by the task that is counted in it; both bodies are
    // private and of the method's layout, and the replica is complete.
    let status = call_back(worker, running, CallbackKind::Aggregation, || unsafe {
        aggregate(container.object(), method.number, task.body(), replica.body(), rctx)
    });
    match status {
        CHI_OK => Ok(()),
        status => Err(module_failure(task, status, || {
            let name = container.name();
            format!("the aggregation of {} of pool '{name}' failed", method.name)
        })),
    }
}

/// The outcome of a replica, which must be complete.
fn outcome_of(replica: &Record) -> Result<(), Failure> {
    // SAFETY: the body is private and has at least a header.
    let status = unsafe { (*replica.body()).status_ };
    match status {
        CHI_OK => Ok(()),
        status => {
            let message = replica.texts.message_text();
            Err(Failure::new(status, message.unwrap_or_else(|| status_text(status).to_owned())))
        }
    }
}
