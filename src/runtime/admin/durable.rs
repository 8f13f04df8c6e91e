//! Durable pools: their definitions follow what becomes of them.

use std::path::PathBuf;
use std::sync::Mutex;

use chimaera_abi::*;

use super::lifecycle::{destroy_task, destruct_all, discard};
use super::replacement::{resume, save_containers, Progress};
use super::restart::can_save;
use crate::config::OnCrash;
use crate::durable::PoolRecord;
use crate::failure::Failure;
use crate::pool::Pool;
use crate::scheduler::{Shared, Worker};
use crate::sys::lock;

/// What it takes to make a pool anew. `state` is the file with the states of its containers, if any.
pub(super) fn record(
    pool: &Pool,
    durable: bool,
    on_crash: OnCrash,
    state: Option<PathBuf>,
) -> PoolRecord {
    let module = pool.module();
    let (mut flags, grants) = pool.rights.access.grants();
    if module.is_proxy {
        flags |= CHI_POOL_ISOLATED;
    }
    if durable {
        flags |= CHI_POOL_DURABLE;
    }
    let grant = |grant: &chi_grant| (grant.right_, grant.is_group_, grant.number_);
    PoolRecord {
        id: (pool.id.major_, pool.id.minor_),
        name: pool.name().to_owned(),
        module: module.name.clone(),
        file: module.path.clone().filter(|_| module.is_other_version),
        params: pool.params.clone(),
        containers: pool.count(),
        aborts: on_crash == OnCrash::Abort,
        creator: pool.rights.creator,
        flags,
        grants: grants.iter().map(grant).collect(),
        state,
    }
}

/// Writes the definition of a pool, if it is durable.
pub(crate) fn define(shared: &Shared, pool: &Pool) -> Result<(), Failure> {
    match shared.durable.has(pool.id) {
        true => shared.durable.define(&record(pool, true, pool.on_crash().get(), None)),
        false => Ok(()),
    }
}

/// Fails if a durable pool depends on one that is not: the next runtime could not make it anew.
pub(super) fn check_dependencies(shared: &Shared, name: &str) -> Result<(), Failure> {
    let (needed, _) = shared.pools.dependencies(name);
    let lasts = |name: &String| match shared.pools.named(name) {
        Some(pool) => shared.durable.has(pool.id),
        // Whoever uses it finds out.
        None => true,
    };
    match needed.iter().find(|needed| !lasts(needed)) {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "pool '{name}' cannot be durable, because it depends on pool '{other}', which is not"
            );
            Err(Failure::new(CHI_INVALID, message))
        }
    }
}

/// Closes a durable pool in which no task is, because the runtime is stopping: the next one makes it anew.
/// Where the module can, it is saved; otherwise its containers are destroyed, and will be recovered.
pub(super) fn close(worker: &Worker, pool: &Pool) -> Result<(), Failure> {
    let durable = &worker.shared.durable;
    match save(worker, pool) {
        Ok(true) => {
            pool.containers().iter().for_each(|container| discard(container));
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
    ended.and(durable.note_end(pool.id))
}

/// Saves a pool. False if its module does not save its state.
fn save(worker: &Worker, pool: &Pool) -> Result<bool, Failure> {
    if can_save(pool).is_err() {
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
