//! Pools of a cluster: what was agreed on is carried out here, without asking anybody.

use std::ffi::CStr;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;

use super::destruction::by;
use super::lifecycle::{begin_life, construct, destroy_task, discard, lifecycle, load};
use super::replacement::create_task;
use super::{destruction, params, replacement};
use crate::config::UserLimits;
use crate::failure::Failure;
use crate::module::Module;
use crate::pool::{Claim, Container, Lookup, Pool};
use crate::scheduler::Worker;
use crate::state::{Image, SavedPool, Storage};

/// How long the tasks of a container that is to move may take to end.
const MOVE_BOUND: Duration = Duration::from_secs(10);
/// After so many rounds, a worker has let in what it was about to.
const ROUNDS: u64 = 2;
/// Why a container loads a state on another node.
const MOVED: &CStr = c"moved from another node";
/// Why a container recovers on another node.
const LOST: &CStr = c"the node that had it was lost, or has started again";

/// A pool that was agreed on.
pub(crate) struct Installed<'m> {
    /// With an object in each container.
    pub(crate) pool: Arc<Pool>,
    pub(crate) module: &'m Arc<Module>,
}

/// Puts a pool into the table.
pub(crate) fn install(worker: &Worker, installed: Installed<'_>) -> Result<(), Failure> {
    let Installed { pool, module } = installed;
    let shared = &worker.shared;
    let texts = &worker.running().expect("a task installs it").texts;
    let on = params::pools(pool.name(), module, &pool.params, texts)?;
    let claim = Claim { user: None, process: None, containers: pool.count() };
    let limits: (Claim, &UserLimits) = (claim, &shared.config.per_user);
    let wanted = (pool.name(), Some(pool.id));
    let config = &shared.config;
    let begun = shared.pools.begin_creation(wanted, by(worker), &on, limits, config, shared.budget);
    let Some(begun) = begun else {
        let message = format!("this node has another pool '{}'", pool.name());
        return Err(Failure::new(CHI_EXISTS, message));
    };
    begun?;
    pool.publish();
    shared.set_pool(pool.id.major_, Some(pool.clone()));
    tracing::info!(
        pool = pool.name(),
        module = &*module.name,
        containers = pool.count(),
        "pool of the cluster"
    );
    worker.wake_all(shared.pools.complete(pool));
    Ok(())
}

fn find(worker: &Worker, id: chi_pool_id) -> Result<Arc<Pool>, Failure> {
    let found = worker.shared.pools.in_slot(id.major_).filter(|pool| pool.id == id);
    found.ok_or_else(|| {
        let message = format!("the pool {}.{} is not here", id.major_, id.minor_);
        Failure::new(CHI_NO_POOL, message)
    })
}

/// How a container begins on a node.
#[derive(Default)]
pub(crate) struct Beginnings {
    /// Its last node was lost, with what it had in memory.
    pub(crate) lost: bool,
    /// It may begin without that if its module cannot recover it: it is stored here, or a person has said so.
    pub(crate) may_lack: bool,
    /// A saved pool with its state, which another node has sent.
    pub(crate) state: Option<Vec<u8>>,
}

/// Makes a container, which takes the place of the one that stood for it. `guard` is given it before it takes tasks; if
/// that fails, it never does.
pub(crate) fn open(
    worker: &Worker,
    id: chi_pool_id,
    number: u32,
    begins: Beginnings,
    guard: impl FnOnce(&Container) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let old = find(worker, id)?;
    let module = old.module().itself().clone();
    let fresh = old.successor(&module, old.params.clone(), |it| it.number == number);
    let Some(container) = fresh.containers().get(number as usize).cloned() else {
        let message = format!("pool '{}' has no container {number}", old.name());
        return Err(Failure::new(CHI_INVALID, message));
    };
    let recovers = module.methods.get(CHI_METHOD_RECOVER).is_some_and(|method| method.supported);
    if begins.lost && !recovers && !begins.may_lack {
        let message = format!(
            "the node that had container {number} of pool '{pool}' was lost, and the module {} cannot recover it (it \
             has no kRecover); `chimaera pool recover {pool} --force` lets it begin without what it had",
            module.name,
            pool = old.name(),
        );
        return Err(Failure::new(CHI_NODE_LOST, message));
    }
    let image = begins.state.map(|bytes| image_in(worker, &bytes)).transpose()?;
    let mut task = create_task(&module.name, fresh.name(), id, fresh.count());
    let building = &worker.context().building;
    building.set(Arc::as_ptr(&container));
    // SAFETY: the pool's parameters outlive the loan, and the task is not seen by anyone else.
    let made = unsafe {
        let lent = params::lend(&fresh.params, &raw mut task);
        let made = construct(worker, &container, (&raw mut task).cast());
        lent.take_back(&raw mut task);
        made
    };
    let made = made.and_then(|()| {
        let begun = match (&image, begins.lost && recovers) {
            (Some(image), _) => load(worker, &container, image, CHI_REASON_MIGRATED, MOVED),
            (None, true) => {
                begin_life(worker, &container, CHI_METHOD_RECOVER, CHI_REASON_KILLED, LOST, "")
            }
            (None, false) => Ok(()),
        };
        begun.inspect_err(|_| discard(worker, &container))
    });
    building.set(std::ptr::null());
    made?;
    guard(&container).inspect_err(|_| discard(worker, &container))?;
    container.publish();
    put(worker, id, container.clone()).inspect_err(|_| discard(worker, &container))
}

/// The state in a saved pool of one container.
fn image_in(worker: &Worker, bytes: &[u8]) -> Result<Image, Failure> {
    let storage = Storage::of(&worker.shared);
    let mut saved = SavedPool::read(&mut &*bytes, &storage, &Arc::default())?;
    let none = || {
        Failure::new(CHI_INVALID, "what another node has sent is not the state of one container")
    };
    match saved.images.len() {
        1 => saved.images.pop().ok_or_else(none),
        _ => Err(none()),
    }
}

/// A container that no task reaches any more.
pub(crate) struct Detached(Arc<Container>);

/// Lets `object` of the module `stand_in` take the place of a container, and waits until no task is in that any
/// more. `None` if it is not here.
pub(crate) fn detach(
    worker: &Worker,
    id: chi_pool_id,
    number: u32,
    stand_in: impl FnOnce(&Arc<Module>) -> Arc<Module>,
    object: impl FnOnce() -> *mut chi_container,
) -> Result<Option<Detached>, Failure> {
    let old = find(worker, id)?;
    let here = old.containers().get(number as usize).filter(|it| !it.module.is_proxy);
    let Some(before) = here.cloned() else { return Ok(None) };
    let module = stand_in(old.module().itself());
    let fresh = old.successor(&module, old.params.clone(), |it| it.number == number);
    let container = fresh.containers()[number as usize].clone();
    // SAFETY: the object is never freed, and nothing uses the container yet.
    let sound = unsafe { container.set_object(object()) };
    assert!(sound, "its own table is valid");
    container.publish();
    put(worker, id, container)?;
    let until = Instant::now() + MOVE_BOUND;
    // A worker may still be about to let a task in.
    let rounds = worker.shared.rounds();
    let passed = || {
        let now = worker.shared.rounds();
        now.iter().zip(&rounds).all(|(now, then)| *now >= *then + ROUNDS)
    };
    worker.shared.wake_workers();
    let ended = destruction::drain(worker, || u64::from(!passed()), until)
        && destruction::drain(worker, || before.admission.in_flight(), until);
    if ended {
        return Ok(Some(Detached(before)));
    }
    let message = format!("{} still has tasks after {MOVE_BOUND:?}", before.shown());
    put(worker, id, before)?;
    Err(Failure::new(CHI_BUSY, message))
}

/// Has a container save its state for its successor on another node. Returns a saved pool of one container. If
/// that fails, it goes on.
pub(crate) fn save(worker: &Worker, detached: &Detached) -> Result<Vec<u8>, Failure> {
    let container = &detached.0;
    let pool = find(worker, container.id)?;
    if !replacement::can_save(&worker.shared, container) {
        let message = format!(
            "{} cannot go to another node: the module {} does not save its state (docs/writing-modules.md, State)",
            container.shown(),
            container.module.name
        );
        return Err(Failure::new(CHI_UNSUPPORTED, message));
    }
    // What is stored here is of no use there.
    let copies = container.stores_here.load(Ordering::Relaxed);
    let purpose = if copies { CHI_SAVED_AS_COPY } else { CHI_SAVED_FOR_SUCCESSOR };
    let image = replacement::save_one(worker, container, purpose)?;
    let saved = SavedPool {
        name: pool.name().to_owned(),
        module: container.module.name.clone(),
        version: container.module.version.clone(),
        params: Vec::new(),
        images: vec![image],
    };
    let mut bytes = Vec::new();
    let written = saved.write(&mut bytes);
    written
        .map_err(|error| Failure::new(CHI_IO, format!("saving {}: {error}", container.shown())))?;
    Ok(bytes)
}

/// Lets a container go on that was detached, and that has saved its state if `saved`.
pub(crate) fn attach(worker: &Worker, detached: Detached, saved: bool) {
    let container = detached.0;
    if saved {
        replacement::resume(worker, &container);
    }
    if let Err(failure) = put(worker, container.id, container) {
        tracing::error!(why = &*failure.message, "a container that has not moved cannot go on");
    }
}

/// Frees a container whose state another node has.
pub(crate) fn release(worker: &Worker, detached: Detached) {
    discard(worker, &detached.0);
}

/// Destroys a container that another node has now.
pub(crate) fn destroy(worker: &Worker, detached: Detached) {
    let container = detached.0;
    let mut farewell = destroy_task(container.id);
    let task = (&raw mut farewell).cast();
    if let Err(failure) = lifecycle(worker, &container, CHI_METHOD_DESTROY, task) {
        let (container, why) = (container.shown(), &*failure.message);
        tracing::warn!(container, why, "kDestroy failed");
    }
    discard(worker, &container);
}

/// Puts a container into its pool, in the place of the one of its number. Tasks may still be in that.
fn put(worker: &Worker, id: chi_pool_id, container: Arc<Container>) -> Result<(), Failure> {
    let shared = &worker.shared;
    let Some(begun) = shared.pools.begin_replacement(id) else {
        let message = format!("pool {}.{} is being changed", id.major_, id.minor_);
        return Err(Failure::new(CHI_BUSY, message));
    };
    let old = begun.pool.clone();
    let successor = Arc::new(old.with(container));
    shared.set_pool(id.major_, Some(successor.clone()));
    // Tasks may still be in the old one, and refer to its methods. There are few changes of this kind.
    std::mem::forget(old.clone());
    let waiters = shared.pools.replace(&old, successor, shared.rounds());
    worker.wake_all(waiters);
    shared.wake_workers();
    shared.watchdog.wake();
    Ok(())
}

/// Removes a pool: its containers here are destroyed.
pub(crate) fn remove(worker: &Worker, id: chi_pool_id) {
    let Ok(pool) = find(worker, id) else { return };
    let name = pool.name().to_owned();
    if let Lookup::Found(_) = worker.shared.pools.find(&name, None) {
        if let Err(failure) = destruction::destroy_agreed(worker, id) {
            tracing::error!(
                pool = &*name,
                why = &*failure.message,
                "a pool of the cluster is not destroyed here"
            );
        }
    }
}
