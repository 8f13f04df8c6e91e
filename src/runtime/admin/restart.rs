//! Pools on both sides of a restart: the predecessor holds and saves all of them, the successor makes them
//! anew, with the same ids.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chimaera_abi::*;

use super::definition;
use super::lifecycle::{discard, Restored};
use super::pool_manager::Wanted;
use super::replacement::{self, create_restored, save_containers, Progress};
use crate::access::PoolAccess;
use crate::config::Policy;
use crate::durable::PoolRecord;
use crate::failure::Failure;
use crate::isolation;
use crate::pool::{Hold, Pool};
use crate::scheduler::{hold, Shared, Worker};
use crate::state::SavedPool;

/// The pause between two looks whether module hosts have ended.
const LOOK: Duration = Duration::from_millis(1);

/// Whether the containers of a pool can be saved. The error says why not.
pub(super) fn can_save(shared: &Shared, pool: &Pool) -> Result<(), String> {
    for container in pool.containers() {
        if let Some(why) = container.quarantined() {
            return Err(format!("{} is in quarantine: {why}", container.shown()));
        }
        if !replacement::can_save(shared, container) {
            let (name, module) = (pool.name(), &container.module.name);
            return Err(format!("pool '{name}': the module {module} does not save its state"));
        }
    }
    Ok(())
}

/// The pools besides the admin pool, the newest first.
fn pools(shared: &Shared) -> Vec<Arc<Pool>> {
    let table = shared.table();
    let ids = shared.pools.in_reverse_order().into_iter();
    let slots = ids.filter_map(|id| shared.pools.in_slot(id.major_));
    slots.filter(|pool| table.get(pool.id).is_some()).collect()
}

/// Begins to hold all tasks, also those that would change pools. Fails if a pool cannot be saved, unless
/// such pools are to be made anew without their states.
pub(crate) fn begin(shared: &Shared, makes_anew: bool) -> Result<Arc<Hold>, Failure> {
    let pools = pools(shared);
    let unsaved: Vec<String> =
        pools.iter().filter_map(|pool| can_save(shared, pool).err()).collect();
    if !unsaved.is_empty() && !makes_anew {
        let message = format!(
            "not restarted, because these pools would lose their states: {}; with --recover, they are made \
             anew without them",
            unsaved.join("; ")
        );
        return Err(Failure::new(CHI_UNSUPPORTED, message));
    }
    let admin = shared.pools.in_slot(CHI_ADMIN_POOL_MAJOR);
    // A pool in quarantine takes no tasks.
    let held = pools.into_iter().filter(|pool| !is_lost(pool));
    let held = admin.into_iter().chain(held).collect();
    hold::hold_on_all(shared, held).map_err(|name| {
        let message = format!("pool '{name}' takes no tasks: see `chimaera pool show {name}`");
        Failure::new(CHI_BUSY, message)
    })
}

/// Whether a container of the pool is in quarantine.
fn is_lost(pool: &Pool) -> bool {
    pool.containers().iter().any(|container| container.quarantined().is_some())
}

/// Whether a hold, in which no task is any more, is on all pools. Until then a task may have created one.
pub(crate) fn is_of_all(shared: &Shared, hold: &Hold) -> bool {
    !shared.pools.has_changing()
        && pools(shared).iter().all(|pool| hold.has(pool.id) || is_lost(pool))
}

/// Has all held pools that can be saved save their states, the newest first, because a pool may use those
/// that were created before it. The error leaves it to the caller to undo that.
pub(crate) fn save_all(
    worker: &Worker,
    hold: &Hold,
    progress: &Mutex<Progress>,
) -> Result<Vec<SavedPool>, Failure> {
    let saved = hold.pools.iter().filter(|pool| pool.id.major_ != CHI_ADMIN_POOL_MAJOR);
    let saved = saved.filter(|pool| can_save(&worker.shared, pool).is_ok());
    let save = |pool| save_containers(worker, pool, CHI_SAVED_FOR_SUCCESSOR, progress);
    saved.map(|pool: &Arc<Pool>| save(pool)).collect()
}

/// All pools, the oldest first. `state` is the file with the states of the one with this name, if they are
/// saved.
pub(crate) fn records(shared: &Shared, state: impl Fn(&str) -> Option<PathBuf>) -> Vec<PoolRecord> {
    let record = |pool: &Arc<Pool>| {
        let durable = shared.durable.has(pool.id);
        definition::record(pool, durable, pool.on_crash().get(), state(pool.name()))
    };
    pools(shared).iter().rev().map(record).collect()
}

/// Makes a pool anew, with the states that its predecessor has saved, if any, for this reason: a
/// `CHI_REASON_*`, and in words.
pub(crate) fn restore(
    worker: &Worker,
    record: &PoolRecord,
    states: Option<&SavedPool>,
    (reason, text): (u32, &CStr),
) -> Result<(), Failure> {
    let grant = |&(right_, is_group_, number_): &_| chi_grant { right_, is_group_, number_ };
    let grants: Vec<chi_grant> = record.grants.iter().map(grant).collect();
    let odd = |what: &str| {
        let message = format!("pool '{}': its predecessor {what}", record.name);
        Failure::new(CHI_INVALID, message)
    };
    let access = PoolAccess::granted(record.flags, &grants)
        .ok_or_else(|| odd("granted rights that this version does not know"))?;
    let wanted = Wanted {
        module: &record.module,
        name: &record.name,
        params: &record.params,
        containers: record.containers,
        nodes: 0,
        policy: Policy::of_flags(record.flags | if record.aborts { CHI_POOL_ABORTS } else { 0 })?,
        access: &access,
    };
    if states.is_some_and(|states| states.images.len() != record.containers as usize) {
        return Err(odd("saved the states of another number of containers"));
    }
    let id = Some((record.pool_id(), record.creator));
    create_restored(worker, &wanted, &Restored { states, reason, text, id })
}

/// Destroys the containers of pools that a successor has taken over.
pub(crate) fn discard_all(worker: &Worker, hold: &Hold) {
    let pools = hold.pools.iter().filter(|pool| pool.id.major_ != CHI_ADMIN_POOL_MAJOR);
    discard_saved(worker, &pools.map(|pool| &**pool).collect::<Vec<_>>());
}

/// Destroys the containers of pools that have saved their states for others.
pub(super) fn discard_saved(worker: &Worker, pools: &[&Pool]) {
    let shared = &worker.shared;
    let isolated = || pools.iter().filter(|pool| pool.module().is_proxy);
    isolated().for_each(|pool| isolation::end_succeeded(shared, pool.id));
    pools
        .iter()
        .flat_map(|pool| pool.containers())
        .for_each(|container| discard(worker, container));
    // What they log, they log until then.
    while isolated().any(|pool| !isolation::has_ended(shared, pool.id)) {
        worker.sleep(LOOK);
    }
}
