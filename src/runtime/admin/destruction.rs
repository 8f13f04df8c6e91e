//! The steps of destroying a pool. A task of the admin pool takes all of them; when the program
//! requests the destruction, the control thread takes those that need no worker.

use std::time::{Duration, Instant};

use chimaera_abi::*;

use super::describe;
use super::lifecycle::{destroy_task, destruct_all};
use crate::access::Caller;
use crate::failure::Failure;
use crate::host::Phase;
use crate::log::LineKind;
use crate::pool::{BeingChanged, Pool};
use crate::scheduler::{cancel, loss, ControlCommand, Shared, Worker};
use crate::sync::Waiter;
use crate::task::CancelScope;

/// How long a destruction waits for the pool's running tasks to end.
pub(super) const BOUND: Duration = Duration::from_secs(30);
/// How long a destruction waits before it first checks whether the pool's tasks have ended; the
/// pauses then double, up to `LAST_LOOK`.
const FIRST_LOOK: Duration = Duration::from_micros(100);
const LAST_LOOK: Duration = Duration::from_millis(5);

/// How long a module host may take to destroy its containers and end.
const HOST_BOUND: Duration = Duration::from_secs(5);

/// Fails if this caller may not destroy this pool. `None` stands for the runtime and its modules.
pub(crate) fn check(
    shared: &Shared,
    id: chi_pool_id,
    caller: Option<&Caller>,
) -> Result<(), Failure> {
    if id.major_ == CHI_ADMIN_POOL_MAJOR {
        return Err(Failure::new(CHI_DENIED, "the admin pool lasts as long as the runtime"));
    }
    let Some(caller) = caller else { return Ok(()) };
    let table = shared.table();
    // `begin` reports that there is no such pool.
    let Some(pool) = table.get(id) else { return Ok(()) };
    pool.rights.check_destroy(pool.name(), caller)
}

/// Begins a destruction for the task whose body is at `by`: from now on, the pool cannot be found
/// and takes no tasks.
pub(crate) fn begin(shared: &Shared, id: chi_pool_id, by: usize) -> Result<BeingChanged, Failure> {
    let Some(begun) = shared.pools.begin_destruction(id, by) else {
        let message = format!("there is no pool {}.{}", id.major_, id.minor_);
        return Err(Failure::new(CHI_NO_POOL, message));
    };
    shared.set_pool(id.major_, None);
    begun.pool.close();
    Ok(begun)
}

/// Lets the pool take tasks again.
fn reopen(shared: &Shared, begun: &BeingChanged) {
    let pool = &begun.pool;
    pool.reopen();
    shared.set_pool(pool.id.major_, Some(pool.clone()));
}

/// Gives up a destruction that reached its bound, and reopens the pool. Returns the reason, and the
/// waiters to wake.
pub(crate) fn give_up(
    shared: &Shared,
    begun: BeingChanged,
    took: Duration,
) -> (Failure, Vec<Waiter>) {
    let pool = begun.pool.clone();
    let busy = describe::in_the_way(shared, &pool);
    reopen(shared, &begun);
    let name = pool.name();
    let why = match pool.in_flight() {
        0 => format!("no worker could run its kDestroy in {took:.1?}{busy}; try again"),
        _ => {
            let count = describe::in_flight(&pool);
            format!(
                "it still has {count} in flight after {took:.1?}{busy}; try again once they have ended"
            )
        }
    };
    let failure = Failure::new(CHI_BUSY, format!("pool '{name}' was not destroyed: {why}"));
    (failure, shared.pools.keep(begun))
}

/// Why a pool is destroyed.
#[derive(Clone, Copy)]
pub(super) enum Why {
    /// Somebody wants it to be.
    Wanted,
    /// The runtime is stopping, and this is how its containers end.
    Stopping(fn(&Worker, &Pool) -> Result<(), Failure>),
}

/// Completes a destruction once no task is in the pool. `task` is passed to the `kDestroy` of each
/// container.
fn finish(
    worker: &Worker,
    begun: BeingChanged,
    task: *mut chi_task,
    why: Why,
) -> Result<(), Failure> {
    let shared = &worker.shared;
    let (id, name) = (begun.pool.id, begun.pool.name().to_owned());
    let result = match why {
        Why::Stopping(close) => close(worker, &begun.pool),
        Why::Wanted => {
            if let Err(failure) = shared.durable.forget(id) {
                reopen(shared, &begun);
                worker.wake_all(shared.pools.keep(begun));
                let message = format!("pool '{name}' was not destroyed: {}", failure.message);
                return Err(Failure::new(failure.status, message));
            }
            destruct_all(worker, begun.pool.containers(), task)
        }
    };
    // While it is known who opened it.
    let loss = loss::loss_of(shared, id, &name, format!("pool '{name}' was destroyed"));
    let ended = end_host(worker, begun.pool.id, Instant::now() + HOST_BOUND);
    let ended = ended.map_err(|how| {
        Failure::new(CHI_FAULT, format!("pool '{name}' is destroyed, but not in order: {how}"))
    });
    if let (Err(failure), Why::Stopping(_)) = (&ended, &why) {
        shared.command(ControlCommand::CloseFailed(failure.message.to_string()));
    }
    let result = result.and(ended);
    // The daemon says so of a pool in its module host.
    let pass = || shared.rate_limit.pass(LineKind::Pool, worker.client_as_subject());
    if let Some(left_out) = shared.config.orders.is_none().then(pass).flatten() {
        tracing::info!(pool = begun.pool.name(), left_out, "pool destroyed");
    }
    if matches!(why, Why::Wanted) {
        shared.durable.remove(id);
    }
    worker.wake_all(shared.pools.retire(begun, shared.rounds()));
    // The watchdog frees the pool once every worker is known to be done with it.
    shared.wake_workers();
    shared.watchdog.wake();
    loss::tell(shared, loss);
    result
}

/// Ends the module host of a pool, if it has one, and waits for its end. Returns how it ended if that was not in order.
pub(super) fn end_host(worker: &Worker, id: chi_pool_id, until: Instant) -> Result<(), String> {
    let Some(host) = worker.shared.hosts.remove(id) else { return Ok(()) };
    host.end(until);
    let mut pause = FIRST_LOOK;
    while !matches!(host.phase(), Phase::Ended | Phase::Failed(_)) {
        worker.sleep(pause);
        pause = (pause * 2).min(LAST_LOOK);
    }
    host.bad_end().map_or(Ok(()), |how| Err(how.to_owned()))
}

/// Completes a destruction that no task began: the running task takes it over.
pub(crate) fn finish_alone(worker: &Worker, begun: BeingChanged) -> Result<(), Failure> {
    let id = begun.pool.id;
    worker.shared.pools.hand_over(id, by(worker));
    let mut task = destroy_task(id);
    finish(worker, begun, (&raw mut task).cast(), Why::Wanted)
}

/// Destroys a pool and cancels its tasks. `task` is passed to the `kDestroy` of each container.
pub(super) fn destroy(
    worker: &Worker,
    id: chi_pool_id,
    task: *mut chi_task,
) -> Result<(), Failure> {
    destroy_until(worker, id, task, Instant::now() + BOUND, Why::Wanted)
}

/// Destroys a pool that the cluster has agreed on to destroy.
pub(super) fn destroy_agreed(worker: &Worker, id: chi_pool_id) -> Result<(), Failure> {
    let mut task = destroy_task(id);
    destroy_until(worker, id, (&raw mut task).cast(), Instant::now() + BOUND, Why::Wanted)
}

/// Destroys a pool, for this reason, unless its tasks have not ended by `until`.
pub(super) fn destroy_until(
    worker: &Worker,
    id: chi_pool_id,
    task: *mut chi_task,
    until: Instant,
    why: Why,
) -> Result<(), Failure> {
    let at = Instant::now();
    let begun = begin(&worker.shared, id, by(worker))?;
    cancel::cancel(worker, CancelScope::Pool(id));
    if drain(worker, || begun.pool.in_flight(), until) {
        return finish(worker, begun, task, why);
    }
    let (failure, waiters) = give_up(&worker.shared, begun, at.elapsed());
    worker.wake_all(waiters);
    Err(failure)
}

/// The address of the running task's body, by which the task is recognized if its code crashes.
pub(super) fn by(worker: &Worker) -> usize {
    worker.running().expect("pools are destroyed by tasks").body().addr()
}

/// Waits until no task is in flight. Returns false if some still are at `until`.
pub(super) fn drain(worker: &Worker, in_flight: impl Fn() -> u64, until: Instant) -> bool {
    let mut pause = FIRST_LOOK;
    while in_flight() > 0 {
        if Instant::now() >= until {
            return false;
        }
        worker.sleep(pause);
        pause = (pause * 2).min(LAST_LOOK);
    }
    true
}
