//! Workers' threads: those of the configuration, and stand-by workers, which the watchdog starts
//! when methods block all workers of a group. A stand-by worker that is no longer needed gives away
//! whatever can move, and rests. When there is none left, one more attends. Its thread stays, because no new one might be available when it is
//! next needed.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::event_loop;
use super::mailbox::WorkerMessage;
use super::role::Role;
use super::run_queue::RunQueue;
use super::shared::Shared;
use super::worker::set_started_for;
use crate::config::{pin, Error};
use crate::coroutine::stack;
use crate::log::{LeftOut, LineKind, Subject};
use crate::sys::or_abort;

/// Starts the thread of a worker, and waits until the thread is prepared. Then it calls `prepared`, and the
/// worker runs.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    index: u32,
    prepared: impl FnOnce(),
) -> Result<JoinHandle<()>, Error> {
    let own = shared.clone();
    let (tell, told) = sync_channel(1);
    let (let_run, may_run) = sync_channel(1);
    let body = move || {
        or_abort(|| {
            // The starting thread is waiting for this. If it does not let the worker run, it has failed.
            let _ = tell.send(prepare(&own, index));
            if may_run.recv().is_ok() {
                event_loop::run(index, own);
            }
        });
    };
    let thread = std::thread::Builder::new().name(format!("chi-worker-{index}")).spawn(body);
    let thread = thread.map_err(|error| Error::io("starting a worker's thread", error))?;
    // An error means that the thread has panicked, which has ended the process.
    told.recv().unwrap_or(Ok(()))?;
    prepared();
    // As above.
    let _ = let_run.send(());
    Ok(thread)
}

/// Pins the calling thread, a worker's, to its core, if it has one, and prepares it for last words.
fn prepare(shared: &Shared, index: u32) -> Result<(), Error> {
    set_started_for(index);
    let core = match shared.is_standby(index) {
        true => None,
        false => shared.config.core_of(index as usize),
    };
    core.map_or(Ok(()), pin)?;
    stack::prepare_thread().map_err(|error| Error::io("preparing a worker's signal stack", error))
}

/// Makes a stand-by worker serve a group: a resting one, or a new one. `None` if there is none
/// left, or no thread can be started.
pub(super) fn call_up(shared: &Arc<Shared>, group: Role) -> Option<u32> {
    if standby(shared).filter(serves).count() == shared.config.standby_workers {
        return None;
    }
    let index = wake_up(shared, group)?;
    if let Some(left_out) = may_log(shared) {
        let worker = index;
        tracing::info!(
            worker,
            left_out,
            "a stand-by worker has taken over: methods block all other workers of its group"
        );
    }
    Some(index)
}

/// The stand-by workers that have been started.
fn standby(shared: &Shared) -> impl Iterator<Item = (u32, &RunQueue)> {
    (0..).zip(shared.run_queues()).skip(shared.config.workers)
}

fn serves((_, queue): &(u32, &RunQueue)) -> bool {
    matches!(queue.role(), Role::LowLatency | Role::HighLatency)
}

/// Gives a role to a stand-by worker that rests, or to a new one.
fn wake_up(shared: &Arc<Shared>, role: Role) -> Option<u32> {
    let rests = |(_, queue): &(u32, &RunQueue)| queue.role() == Role::Resting && !queue.is_busy();
    // Suspended tasks are resumed on their worker, whatever it serves.
    let suspended = |(index, _): &(u32, _)| {
        shared.page().lines[*index as usize].suspended.load(Ordering::Relaxed)
    };
    let index = match standby(shared).filter(rests).min_by_key(suspended) {
        Some((index, _)) => index,
        None => start(shared)?,
    };
    shared.run_queue(index).serve(role);
    Some(index)
}

/// The stand-by worker that attends.
pub(super) fn attendant(shared: &Shared) -> Option<u32> {
    standby(shared).find(|(_, queue)| queue.role() == Role::Attending).map(|(index, _)| index)
}

/// Makes a stand-by worker attend, if none does: it starts no tasks, so that it is there when methods
/// block all others. `None` if no thread can be started.
pub(super) fn attend(shared: &Arc<Shared>) -> Option<u32> {
    if let Some(attendant) = attendant(shared) {
        return Some(attendant);
    }
    let worker = wake_up(shared, Role::Attending)?;
    if let Some(left_out) = may_log(shared) {
        tracing::warn!(
            worker,
            left_out,
            "methods block all workers, and workers.standby allows no further one: until a worker is back, \
             tasks are cancelled, but none is started"
        );
    }
    Some(worker)
}

fn start(shared: &Arc<Shared>) -> Option<u32> {
    let started = shared.started();
    if started == shared.config.all_workers() {
        return None;
    }
    // Not before it is certain that the worker will run: from then on it is sent messages, and others
    // wait until it has read them.
    match spawn(shared, started as u32, || shared.set_started(started + 1)) {
        Ok(thread) => {
            shared.keep_thread(thread);
            Some(started as u32)
        }
        Err(error) => {
            if let Some(left_out) = may_log(shared) {
                tracing::error!(%error, left_out, "cannot start a stand-by worker");
            }
            None
        }
    }
}

/// True if a stand-by worker serves a group.
pub(super) fn is_serving(shared: &Shared) -> bool {
    let standby = &shared.run_queues()[shared.config.workers..];
    standby.iter().any(|queue| queue.role() != Role::Resting)
}

/// Puts a stand-by worker to rest, and makes it give `to` whatever can move.
pub(super) fn rest(shared: &Shared, worker: u32, to: u32) {
    shared.run_queue(worker).rest(|| shared.mailbox(worker).send(WorkerMessage::Rest { to }));
    if let Some(left_out) = may_log(shared) {
        tracing::info!(worker, left_out, "a stand-by worker is no longer needed, and rests");
    }
}

/// How many lines about stand-by workers were left out; `None` if this one must be, too.
fn may_log(shared: &Shared) -> Option<LeftOut> {
    shared.rate_limit.pass(LineKind::Standby, Subject::default())
}
