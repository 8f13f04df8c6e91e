//! Held tasks: those of a pool whose containers are being replaced. A worker keeps them beside its
//! periodic tasks, so that they can be cancelled, have deadlines and move to other workers. They move
//! with the rings that they came from, so that what comes later from there does not overtake them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;

use super::mailbox::WorkerMessage;
use super::path::{keep_periodic, route_again, take_over_periodic, take_periodic};
use super::shared::Shared;
use super::worker::Worker;
use crate::failure::Failure;
use crate::pool::{Container, Hold, Life, Pool, Release};
use crate::task::{properties, Record, Resting};

/// When a held task without a deadline is looked at again. It is released by a message.
const FAR: Duration = Duration::from_secs(60);

/// Keeps a task until its pool takes tasks again.
#[cold]
pub(super) fn keep(worker: &Worker, record: Box<Record>) -> Result<(), (Box<Record>, Failure)> {
    // SAFETY: the body is private and has at least a header.
    let id = unsafe { (*record.body()).pool_ };
    // The hold may end while held tasks are tried again: those behind this one wait, too.
    worker.retries.set(false);
    keep_anyway(worker, record)?;
    // The hold may have ended before the task was among those that its end releases.
    let table = worker.table();
    let holds = |container: &Container| {
        matches!(container.admission.life(), Life::Holding | Life::Held | Life::Replaced)
    };
    if !table.get(id).is_some_and(|pool| holds(&pool.containers()[0])) {
        worker.mailbox().send(WorkerMessage::Retry(id));
    }
    Ok(())
}

/// Keeps a task, whatever its pool does, until the worker is told to submit it again.
pub(super) fn keep_anyway(
    worker: &Worker,
    mut record: Box<Record>,
) -> Result<(), (Box<Record>, Failure)> {
    if let Err(failure) = properties::read(&mut record) {
        return Err((record, failure));
    }
    let at = record.deadline.get().unwrap_or_else(|| Instant::now() + FAR);
    keep_periodic(worker, record, at);
    Ok(())
}

/// Begins to hold a pool's tasks: reports the roots that have tasks in it, and takes periodic tasks out
/// of it between two runs.
pub(super) fn begin(worker: &Worker, hold: &Arc<Hold>) {
    worker.coroutines.each(|_, context| {
        let Some(record) = context.task() else { return };
        // SAFETY: the pointer is null, or points to the container in which the task is counted.
        if unsafe { record.container.as_ref() }.is_some_and(|container| hold.has(container.id)) {
            hold.add_root(worker.root_of(record));
        }
    });
    for pool in &hold.pools {
        worker.run_queue().entries().periodic.take_out_of(pool.id);
    }
    if hold.reported() {
        // Tasks may have been held before it was known that their roots are in the pool.
        for pool in &hold.pools {
            for mailbox in worker.shared.mailboxes() {
                mailbox.send(WorkerMessage::Retry(pool.id));
            }
        }
    }
}

/// Ends a hold on this worker.
pub(super) fn release(worker: &Worker, release: &Release) {
    release.pools.iter().for_each(|pool| retry(worker, pool.id));
    release.done();
}

/// Submits the held tasks of a pool again, in their order.
pub(super) fn retry(worker: &Worker, id: chi_pool_id) {
    let held = worker.run_queue().entries().periodic.held_for(id);
    submit_again(worker, held);
}

/// Submits all held tasks again, whatever their pools, in their order.
pub(super) fn retry_all(worker: &Worker) {
    let held = worker.run_queue().entries().periodic.all_held();
    submit_again(worker, held);
}

fn submit_again(worker: &Worker, held: Vec<u64>) {
    worker.retries.set(true);
    for number in held {
        // One after the other: a monitor may run long, and then the rest is stolen together with the rings,
        // except what must not overtake the task that it places.
        if let Some(record) = take_periodic(worker, number) {
            route_again(worker, record);
        }
    }
    worker.retries.set(false);
}

/// Keeps the tasks that another worker has kept so far, behind those that are here. Each comes with that
/// worker's index. `take_rings` takes over the rings that the held ones came from.
pub(super) fn take_over(
    worker: &Worker,
    tasks: Vec<(u32, Resting)>,
    take_rings: impl FnOnce(&Worker),
) {
    let mut pools: Vec<chi_pool_id> = Vec::new();
    for (from, task) in tasks {
        if task.record.container.is_null() {
            // SAFETY: the body is private and has at least a header.
            let id = unsafe { (*task.record.body()).pool_ };
            if !pools.contains(&id) {
                pools.push(id);
            }
        }
        take_over_periodic(worker, from, task);
    }
    take_rings(worker);
    // This worker may have been told before that the hold is over.
    pools.into_iter().for_each(|id| retry(worker, id));
}

/// Tells all workers that pools take tasks again.
pub(crate) fn release_on_all(shared: &Shared, pools: Vec<Arc<Pool>>) {
    // A stand-by worker that is started meanwhile holds nothing.
    let mailboxes = shared.mailboxes();
    let release = Release::begin(pools, mailboxes.len());
    for mailbox in mailboxes {
        mailbox.send(WorkerMessage::Release(release.clone()));
    }
}

/// Begins to hold the tasks of pools. The error is the name of one that takes none; then no task is held.
pub(crate) fn hold_on_all(shared: &Shared, pools: Vec<Arc<Pool>>) -> Result<Arc<Hold>, String> {
    let mailboxes = shared.mailboxes();
    let (hold, begun) = Hold::begin(pools, mailboxes.len());
    if let Err(name) = begun {
        release_on_all(shared, hold.pools.clone());
        return Err(name);
    }
    for mailbox in mailboxes {
        mailbox.send(WorkerMessage::Hold(hold.clone()));
    }
    Ok(hold)
}
