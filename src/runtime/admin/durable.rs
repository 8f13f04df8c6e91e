//! Closing pools because the runtime is stopping. Durable ones are made anew by the next runtime.

use std::sync::Mutex;
use std::time::Instant;

use chimaera_abi::*;

use super::destruction::{destroy_until, Why};
use super::lifecycle::{destroy_task, destruct_all};
use super::replacement::{resume, save_containers, Progress};
use super::restart::{can_save, discard_saved};
use crate::failure::Failure;
use crate::log::shortened;
use crate::pool::Pool;
use crate::scheduler::{ControlCommand, Worker};
use crate::sys::lock;

/// Closes a pool because the runtime is stopping, unless its tasks have not ended by `until`.
pub(crate) fn close_at_stop(worker: &Worker, id: chi_pool_id, until: Instant) {
    let mut task = destroy_task(id);
    let ended = destroy_until(worker, id, (&raw mut task).cast(), until, Why::Stopping(close));
    if let Err(failure) = ended {
        // If it is still there, because its tasks have not ended, it is tried again.
        let why = &*shortened(&failure.message);
        tracing::warn!(why, "closing a pool has failed");
    }
}

/// Closes a pool in which no task is. A durable one is saved where its module can; otherwise its containers
/// are destroyed, and will be recovered.
fn close(worker: &Worker, pool: &Pool) -> Result<(), Failure> {
    let durable = &worker.shared.durable;
    let is_durable = durable.has(pool.id);
    let saved = if is_durable { save(worker, pool) } else { Ok(false) };
    match saved {
        Ok(true) => {
            discard_saved(worker, &[pool]);
            return Ok(());
        }
        Ok(false) => {}
        Err(failure) => {
            let (pool, why) = (pool.name(), &*failure.message);
            tracing::error!(pool, why, "a durable pool is not saved: it will be recovered");
        }
    }
    let mut task = destroy_task(pool.id);
    let ended = destruct_all(worker, pool.containers(), (&raw mut task).cast());
    if let Err(failure) = &ended {
        let why = shortened(&failure.message).to_string();
        tracing::warn!(why, "a pool was not destroyed as it should have been");
        worker.shared.command(ControlCommand::CloseFailed(why));
    }
    match is_durable {
        true => ended.and(durable.note_end(pool.id)),
        false => ended,
    }
}

/// Saves a pool. False if its module does not save its state.
fn save(worker: &Worker, pool: &Pool) -> Result<bool, Failure> {
    if can_save(&worker.shared, pool).is_err() {
        return Ok(false);
    }
    let progress = Mutex::new(Progress::default());
    let saved = save_containers(worker, pool, CHI_SAVED_FOR_SUCCESSOR, &progress);
    let stored = saved.and_then(|saved| saved.store(&worker.shared.durable.state(pool.id)?));
    if let Err(failure) = stored {
        let given_up = lock(&progress).take_saved();
        for container in given_up {
            // One that cannot is in quarantine, and is not entered again.
            resume(worker, &container);
        }
        return Err(failure);
    }
    Ok(true)
}
