//! The steps of replacing containers of a pool: the old ones save their states, new ones load them, and
//! take their places. The control thread takes the steps that need no worker, and keeps the bound.

use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chimaera_abi::*;

use super::definition;
use super::describe;
use super::destruction::by;
use super::lifecycle::{construct, discard, in_life, load, take_error, Restored};
use super::params;
use super::pool_manager::{self, Wanted};
use crate::access::PoolAccess;
use crate::config::{Beginning, Policy};
use crate::failure::Failure;
use crate::isolation;
use crate::log::{shortened, LineKind, Subject};
use crate::module::Module;
use crate::pool::{BeingChanged, Container, Hold, Lookup, Pool};
use crate::scheduler::{hold, loss, Shared, Worker, RESUMING, SAVING};
use crate::state::{self, Image, Meter, SavedPool, Saving, Storage};
use crate::sys::lock;

/// What is to be replaced, and why.
#[derive(Clone)]
pub(crate) struct Replacing {
    /// The number of a container; `None` for all.
    pub(crate) container: Option<u32>,
    /// `CHI_REASON_*`.
    pub(crate) reason: u32,
    /// The reason, in words.
    pub(crate) text: &'static CStr,
}

impl Replacing {
    fn has(&self, container: &Container) -> bool {
        // The containers of a module host are replaced together.
        self.container.is_none_or(|number| number == container.number) || container.module.is_proxy
    }
}

/// How far a replacement has come. The worker that does it and the control thread, which may give it up
/// while module code does not return, agree on it through a lock.
#[derive(Default)]
pub(crate) struct Progress {
    stage: Stage,
    /// Old containers that have begun to save their state.
    saved: Vec<Arc<Container>>,
    /// The old container whose code is running.
    saving: Option<Arc<Container>>,
    /// How much of the states has been saved.
    meter: Arc<Meter>,
}

impl Progress {
    /// The beginning of a replacement, which counts with `meter`.
    pub(crate) fn new(meter: &Arc<Meter>) -> Arc<Mutex<Progress>> {
        meter.begin(state::Stage::Saving);
        Arc::new(Mutex::new(Progress { meter: meter.clone(), ..Progress::default() }))
    }

    /// The containers that have to resume, if the states are of no use.
    pub(super) fn take_saved(&mut self) -> Vec<Arc<Container>> {
        std::mem::take(&mut self.saved)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Running,
    GivenUp,
    Undone,
    Done,
}

/// What a replacement has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replaced {
    pub(crate) containers: u32,
    pub(crate) state_bytes: u64,
}

/// A replacement that has begun: the tasks of its pools wait.
pub(crate) struct Begun {
    changed: Vec<BeingChanged>,
    pub(crate) hold: Arc<Hold>,
}

/// The pool with this name. `None` while a task is changing it.
pub(crate) fn find(shared: &Shared, name: &str) -> Result<Option<Arc<Pool>>, Failure> {
    match shared.pools.find(name, None) {
        Lookup::Found(pool) => Ok(Some(pool)),
        Lookup::Changing => Ok(None),
        Lookup::Absent => Err(Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'"))),
    }
}

/// Begins a replacement: from now on, tasks for the pools wait. `None` while a task is changing one of
/// them.
pub(crate) fn begin(
    shared: &Shared,
    pools: &[Arc<Pool>],
    what: &Replacing,
) -> Result<Option<Begun>, Failure> {
    pools.iter().try_for_each(|pool| check(shared, pool, what))?;
    let mut changed = Vec::new();
    for pool in pools {
        match shared.pools.begin_replacement(pool.id) {
            Some(begun) => changed.push(begun),
            None => {
                keep_all(shared, changed);
                return Ok(None);
            }
        }
    }
    let held = changed.iter().map(|begun| begun.pool.clone()).collect();
    match hold::hold_on_all(shared, held) {
        Ok(hold) => Ok(Some(Begun { changed, hold })),
        Err(name) => {
            let ends = changed.iter().flat_map(|begun| begun.pool.containers());
            let ends = ends.into_iter().all(|container| container.admission.is_live());
            keep_all(shared, changed);
            if ends {
                // The workers have not yet done with the hold before this one.
                return Ok(None);
            }
            let message = format!("pool '{name}' takes no tasks: see `chimaera pool show {name}`");
            Err(Failure::new(CHI_BUSY, message))
        }
    }
}

/// Whether a container can save its state, and its successor load it.
pub(super) fn can_save(shared: &Shared, container: &Container) -> bool {
    match container.module.is_proxy {
        true => isolation::saves(shared, container.id),
        false => container.ops().save.is_some() && container.ops().load.is_some(),
    }
}

fn check(shared: &Shared, pool: &Pool, what: &Replacing) -> Result<(), Failure> {
    let name = pool.name();
    if pool.id.major_ == CHI_ADMIN_POOL_MAJOR {
        return Err(Failure::new(CHI_DENIED, "the admin pool has no state"));
    }
    if shared.agreed_pools.get().is_some() {
        let message = format!(
            "pool '{name}' is one of the cluster: `chimaera pool migrate {name} --container N --to NODE` moves its \
             containers, and nothing else is possible yet"
        );
        return Err(Failure::new(CHI_UNSUPPORTED, message));
    }
    if let Some(number) = what.container.filter(|number| *number >= pool.count()) {
        let count = pool.count();
        let message = format!("pool '{name}' has no container {number}: it has {count}, from 0");
        return Err(Failure::new(CHI_INVALID, message));
    }
    for container in pool.containers().iter().filter(|container| what.has(container)) {
        if let Some(why) = container.quarantined() {
            let message = format!("{} is in quarantine: {why}", container.shown());
            return Err(Failure::new(CHI_FAULT, message));
        }
        if !can_save(shared, container) {
            let module = &container.module.name;
            let message = format!(
                "pool '{name}' cannot be migrated: the module {module} does not save its state \
                 (docs/writing-modules.md, State)"
            );
            return Err(Failure::new(CHI_UNSUPPORTED, message));
        }
    }
    Ok(())
}

/// Gives up a replacement whose tasks have not ended in time; `named` are some of them.
pub(crate) fn give_up(
    shared: &Shared,
    begun: Begun,
    took: Duration,
    named: Vec<String>,
) -> Failure {
    let still = still_in_flight(shared, &begun.hold, took, named);
    hold::release_on_all(shared, begun.hold.pools.clone());
    keep_all(shared, begun.changed);
    let (name, why) = still;
    Failure::new(CHI_BUSY, format!("pool '{name}' was not changed: {why}"))
}

/// The name of a pool with tasks that have not ended in time, and which they are; `named` are some of
/// them.
pub(crate) fn still_in_flight(
    shared: &Shared,
    hold: &Hold,
    took: Duration,
    named: Vec<String>,
) -> (String, String) {
    let pools = &hold.pools;
    let busy = pools.iter().find(|pool| pool.in_flight() > 0).unwrap_or(&pools[0]);
    let in_the_way = match named.is_empty() {
        true => describe::in_the_way(shared, busy),
        false => format!(" ({})", named.join("; ")),
    };
    let count = describe::in_flight(busy);
    let why = format!(
        "it still has {count} in flight after {took:.1?}{in_the_way}; try again once they have ended"
    );
    (busy.name().to_owned(), why)
}

fn keep_all(shared: &Shared, changed: Vec<BeingChanged>) {
    for begun in changed {
        shared.pools.keep(begun).into_iter().for_each(|waiter| shared.wake(waiter));
    }
}

/// Marks a replacement as given up, although the worker that does it has not returned. False if it is
/// over.
pub(crate) fn abandon(progress: &Mutex<Progress>) -> bool {
    let mut progress = lock(progress);
    let running = progress.stage == Stage::Running;
    if running {
        progress.stage = Stage::GivenUp;
    }
    running
}

/// Undoes a replacement that was given up: the old containers take back what they gave up, and go on. One
/// whose code has not returned does not. `why` is a predicate.
pub(crate) fn undo(worker: &Worker, hold: &Hold, progress: &Mutex<Progress>, why: &str) {
    // If its code crashes, that is this task's.
    for pool in &hold.pools {
        worker.shared.pools.hand_over(pool.id, by(worker));
    }
    {
        let mut progress = lock(progress);
        progress.stage = Stage::GivenUp;
        // A module host that does not return is killed instead, and recovered.
        let stuck = progress.saving.take().filter(|container| !container.module.is_proxy);
        if let Some(stuck) = stuck {
            progress.saved.retain(|container| !Arc::ptr_eq(container, &stuck));
            loss::quarantine(&worker.shared, &stuck, why);
        }
    }
    for pool in hold.pools.iter().filter(|pool| pool.module().is_proxy) {
        isolation::withdraw(worker, pool.id, None);
    }
    loop {
        let container = {
            let mut progress = lock(progress);
            if progress.stage != Stage::GivenUp {
                // It took too long.
                return;
            }
            match progress.saved.last() {
                Some(next) => next.clone(),
                None => {
                    progress.stage = Stage::Undone;
                    break;
                }
            }
        };
        resume(worker, &container);
        lock(progress).saved.retain(|other| !Arc::ptr_eq(other, &container));
    }
    hold::release_on_all(&worker.shared, hold.pools.clone());
}

/// Has a container that has saved its state take back what it gave up for that.
pub(super) fn resume(worker: &Worker, container: &Container) {
    if container.module.is_proxy {
        return isolation::resume(worker, container.id);
    }
    let Some(resume) = container.ops().resume else { return };
    take_error(worker);
    let status = in_life(worker, container, RESUMING, || {
        // SAFETY: the object is constructed, has saved its state, and no task is in the container.
        unsafe { resume(container.object()) }
    });
    if status != CHI_OK {
        let text = take_error(worker).unwrap_or_else(|| format!("status {status}"));
        loss::quarantine(&worker.shared, container, &format!("it could not resume: {text}"));
    }
}

/// Ends a replacement whose undoing has not ended in time, or crashed: the containers that have not
/// resumed are in quarantine. `crashed` is a sentence about how. False if it is over.
pub(crate) fn end_undo(
    shared: &Shared,
    hold: &Hold,
    progress: &Mutex<Progress>,
    crashed: Option<&str>,
) -> bool {
    let mut progress = lock(progress);
    if progress.stage != Stage::GivenUp {
        return false;
    }
    progress.stage = Stage::Undone;
    let why = match crashed {
        Some(crashed) => format!("it has not resumed: {crashed}"),
        None => "it has not resumed".to_owned(),
    };
    let stuck = progress.saving.take();
    for container in progress.saved.drain(..).chain(stuck) {
        match container.module.is_proxy {
            true => isolation::kill(shared, container.id),
            false => drop(loss::quarantine(shared, &container, &why)),
        }
    }
    hold::release_on_all(shared, hold.pools.clone());
    true
}

/// Replaces containers of pools in which no task is, by such of `module`, or of the same. If that fails,
/// the old ones go on. Otherwise `done` is called once it is done, before the old ones are destroyed.
pub(crate) fn replace(
    worker: &Worker,
    hold: &Hold,
    module: Option<&Arc<Module>>,
    what: &Replacing,
    progress: &Mutex<Progress>,
    done: impl FnOnce(Replaced),
) -> Result<(), Failure> {
    for pool in &hold.pools {
        worker.shared.pools.hand_over(pool.id, by(worker));
    }
    match build(worker, hold, module, what, progress) {
        Ok((successors, replaced)) => {
            if let Some(module) = module {
                worker.shared.modules.replace(module.clone());
            }
            for (pool, successor) in hold.pools.iter().zip(&successors) {
                swap(worker, pool, successor);
            }
            hold::release_on_all(&worker.shared, successors.clone());
            done(replaced);
            for pool in &hold.pools {
                let Some(left_out) =
                    worker.shared.rate_limit.pass(LineKind::Pool, Subject::Pool(pool.id))
                else {
                    continue;
                };
                let (pool, why) = (pool.name(), what.text.to_string_lossy());
                tracing::info!(pool, why = &*why, left_out, "containers replaced");
            }
            // Last: their destructors may take long, crash, or never return.
            for (pool, successor) in hold.pools.iter().zip(&successors) {
                discard_replaced(worker, pool, successor);
            }
            Ok(())
        }
        Err(failure) => {
            if abandon(progress) {
                undo(worker, hold, progress, "failed");
            }
            let pass = worker
                .shared
                .rate_limit
                .pass(LineKind::PoolFailed, Subject::Pool(hold.pools[0].id));
            if let Some(left_out) = pass {
                let (pool, why) = (hold.pools[0].name(), &*shortened(&failure.message));
                tracing::warn!(pool, why, left_out, "containers not replaced");
            }
            Err(failure)
        }
    }
}

/// Has the containers of a pool in which no task is save their states, and go on.
pub(crate) fn save_pool(
    worker: &Worker,
    hold: &Hold,
    progress: &Mutex<Progress>,
) -> Result<SavedPool, Failure> {
    let pool = &hold.pools[0];
    worker.shared.pools.hand_over(pool.id, by(worker));
    let saved = save_containers(worker, pool, CHI_SAVED_AS_COPY, progress);
    if !abandon(progress) {
        return Err(given_up());
    }
    undo(worker, hold, progress, "failed");
    saved
}

/// Has the containers of a pool in which no task is save their states, for this purpose: a `CHI_SAVED_*`.
/// What they give up for that, only `undo` gives back.
pub(super) fn save_containers(
    worker: &Worker,
    pool: &Pool,
    purpose: u32,
    progress: &Mutex<Progress>,
) -> Result<SavedPool, Failure> {
    save_some(worker, pool, |_| true, purpose, progress)
}

/// The same for some of the containers.
fn save_some(
    worker: &Worker,
    pool: &Pool,
    which: impl Fn(&Container) -> bool,
    purpose: u32,
    progress: &Mutex<Progress>,
) -> Result<SavedPool, Failure> {
    if pool.module().is_proxy {
        return save_in_host(worker, pool, purpose, progress);
    }
    let containers = pool.containers().iter().filter(|container| which(container));
    let save = |one| save(worker, one, purpose, progress);
    let images: Result<Vec<_>, _> = containers.map(save).collect();
    Ok(SavedPool {
        name: pool.name().to_owned(),
        module: pool.module().name.clone(),
        version: pool.module().version.clone(),
        params: pool.params.clone(),
        images: images?,
    })
}

/// Has the host of a pool save the states of its containers, all at once.
fn save_in_host(
    worker: &Worker,
    pool: &Pool,
    purpose: u32,
    progress: &Mutex<Progress>,
) -> Result<SavedPool, Failure> {
    let meter = {
        let mut progress = lock(progress);
        if progress.stage != Stage::Running {
            return Err(given_up());
        }
        progress.saved.extend(pool.containers().iter().cloned());
        progress.saving = pool.containers().first().cloned();
        progress.meter.clone()
    };
    let saved = isolation::save(worker, pool, purpose, &meter);
    lock(progress).saving = None;
    saved
}

fn given_up() -> Failure {
    Failure::new(CHI_BUSY, "it was given up, because it took too long")
}

/// Creates a pool of this name and policy with the states of a saved one.
pub(crate) fn create_saved(
    worker: &Worker,
    saved: &SavedPool,
    name: &str,
    policy: Policy,
) -> Result<Policy, Failure> {
    let wanted = Wanted {
        module: &saved.module,
        name,
        params: &saved.params,
        containers: saved.images.len() as u32,
        nodes: 0,
        policy,
        access: &PoolAccess::default(),
    };
    let (reason, text) = (CHI_REASON_MIGRATED, c"loaded from a file");
    create_restored(worker, &wanted, &Restored { states: Some(saved), reason, text, id: None })?;
    let shared = &worker.shared;
    shared.pools.named(name).map(|pool| describe::policy_of(shared, &pool)).ok_or_else(|| {
        let message = format!("pool '{name}' was created, and destroyed at once by another task");
        Failure::new(CHI_NO_POOL, message)
    })
}

/// Creates a pool that existed before.
pub(super) fn create_restored(
    worker: &Worker,
    wanted: &Wanted<'_>,
    restored: &Restored<'_>,
) -> Result<(), Failure> {
    let none = chi_pool_id { major_: 0, minor_: 0 };
    let mut task = create_task(wanted.module, wanted.name, none, wanted.containers);
    // SAFETY: nobody else sees the task.
    unsafe {
        pool_manager::create(worker, wanted, None, (&raw mut task).cast(), Some(restored))?;
    }
    Ok(())
}

/// Makes the successors of pools, with the states of their containers.
fn build(
    worker: &Worker,
    hold: &Hold,
    module: Option<&Arc<Module>>,
    what: &Replacing,
    progress: &Mutex<Progress>,
) -> Result<(Vec<Arc<Pool>>, Replaced), Failure> {
    let mut successors = Vec::new();
    let mut candidates = Vec::new();
    let mut replaced = Replaced::default();
    let mut made = Vec::new();
    let built = hold.pools.iter().try_for_each(|pool| {
        let module = module.unwrap_or(pool.module().itself());
        let params = params_for(worker, pool, module)?;
        if !Arc::ptr_eq(module, pool.module().itself()) {
            let texts = &worker.running().expect("an admin task runs").texts;
            let on = params::pools(pool.name(), module, &params, texts)?;
            worker.shared.pools.rename(pool, on)?;
        }
        let has = |old: &Container| what.has(old);
        let mut saved = save_some(worker, pool, has, CHI_SAVED_FOR_SUCCESSOR, progress)?;
        let mut proxy = None;
        if pool.module().is_proxy {
            saved.params.clone_from(&params);
            let begins =
                Beginning { reason: what.reason, text: what.text.to_string_lossy().into_owned() };
            candidates.push(isolation::propose(&worker.shared, pool, module, &saved, begins)?);
            proxy = Some(Arc::new(isolation::proxy_of(module)));
        }
        let images = saved.images;
        let module = proxy.as_ref().unwrap_or(module);
        let successor = Arc::new(pool.successor(module, params, has));
        successors.push(successor.clone());
        let new = successor.containers().iter().filter(|new| what.has(new));
        for (container, image) in new.zip(&images) {
            made.push(container.clone());
            make(worker, &successor, container, image, what)?;
        }
        replaced.containers += images.len() as u32;
        replaced.state_bytes += images.iter().map(Image::bytes).sum::<u64>();
        Ok(())
    });
    // The next runtime makes either the old ones or these.
    let built = built.and_then(|()| {
        successors.iter().try_for_each(|pool| definition::define(&worker.shared, pool))
    });
    // From here on, it can no longer be given up.
    let done = built.and_then(|()| {
        let mut progress = lock(progress);
        match progress.stage {
            Stage::Running => progress.stage = Stage::Done,
            _ => return Err(given_up()),
        }
        Ok(())
    });
    if let Err(failure) = done {
        // They may have been proposed after they would have been withdrawn.
        for candidate in &candidates {
            isolation::withdraw(worker, candidate.id, Some(candidate));
        }
        made.iter().for_each(|container| discard(worker, container));
        for pool in &hold.pools {
            if let Err(failure) = definition::define(&worker.shared, pool) {
                let (pool, why) = (pool.name(), &*failure.message);
                tracing::error!(
                    pool,
                    why,
                    "the definition of a durable pool may name another version"
                );
            }
        }
        return Err(failure);
    }
    Ok((successors, replaced))
}

/// The parameters of a pool in the form of this module.
fn params_for(worker: &Worker, pool: &Pool, module: &Arc<Module>) -> Result<Vec<u8>, Failure> {
    let Some(by) = module.params.filter(|_| !Arc::ptr_eq(module, pool.module().itself())) else {
        return Ok(pool.params.clone());
    };
    let texts = &worker.running().expect("an admin task runs").texts;
    params::canonicalize(pool.name(), &pool.params, by, texts)
}

/// Has a container save its state, for this purpose: a `CHI_SAVED_*`.
fn save(
    worker: &Worker,
    old: &Arc<Container>,
    purpose: u32,
    progress: &Mutex<Progress>,
) -> Result<Image, Failure> {
    let function = old.ops().save.expect("`check` looked for it");
    let meter = {
        let mut progress = lock(progress);
        if progress.stage != Stage::Running {
            return Err(given_up());
        }
        progress.saved.push(old.clone());
        progress.saving = Some(old.clone());
        progress.meter.clone()
    };
    let mut saving =
        Saving::new(purpose, &old.module.version, &Storage::of(&worker.shared), &meter);
    take_error(worker);
    let status = in_life(worker, old, SAVING, || {
        // SAFETY: the object is constructed, and no task is in the container.
        unsafe { function(old.object(), saving.table()) }
    });
    lock(progress).saving = None;
    let told = take_error(worker);
    let image = saving.finish();
    if status != CHI_OK {
        let why = match image {
            Err(failure) => failure.message,
            Ok(_) => told.unwrap_or_else(|| format!("status {status}")),
        };
        return Err(Failure::new(status, format!("{} cannot save its state: {why}", old.shown())));
    }
    image.map_err(|failure| {
        let message = format!("{} cannot save its state: {}", old.shown(), failure.message);
        Failure::new(failure.status, message)
    })
}

/// Has a container in which no task is save its state, for this purpose: a `CHI_SAVED_*`. If that fails, it goes on.
pub(super) fn save_one(
    worker: &Worker,
    container: &Arc<Container>,
    purpose: u32,
) -> Result<Image, Failure> {
    let progress = Progress::new(&Arc::default());
    let saved = save(worker, container, purpose, &progress);
    saved.inspect_err(|_| resume(worker, container))
}

/// Constructs a container of the successor, which loads this state.
fn make(
    worker: &Worker,
    pool: &Pool,
    container: &Arc<Container>,
    image: &Image,
    what: &Replacing,
) -> Result<(), Failure> {
    let building = &worker.context().building;
    let module = &container.module.name;
    let mut task = create_task(module, pool.name(), pool.id, pool.count());
    building.set(Arc::as_ptr(container));
    // SAFETY: the pool's parameters outlive the loan, and the task is not seen by anyone else.
    let made = unsafe {
        let lent = params::lend(&pool.params, &raw mut task);
        let made = construct(worker, container, (&raw mut task).cast());
        lent.take_back(&raw mut task);
        made
    };
    let made = made.and_then(|()| load(worker, container, image, what.reason, what.text));
    building.set(ptr::null());
    made
}

/// The task that a container's `kCreate` is passed if no client created the pool.
pub(super) fn create_task(
    module: &str,
    name: &str,
    pool_id_: chi_pool_id,
    containers_: u32,
) -> chi_create_task {
    // With a capacity of 0, nothing writes into the lent bytes.
    let bytes = |bytes: &[u8], at: usize| chi_shm_vector {
        shm_: 0,
        data_: bytes.as_ptr().cast_mut().cast(),
        size_: bytes.len() as u64,
        capacity_: 0,
        offset_in_task_: at as u32,
        reserved_: 0,
    };
    let text = |text: &str, at| chi_shm_string { bytes_: bytes(text.as_bytes(), at) };
    chi_create_task {
        task: chi_task::new(),
        module_name_: text(module, offset_of!(chi_create_task, module_name_)),
        pool_name_: text(name, offset_of!(chi_create_task, pool_name_)),
        params_: bytes(&[], offset_of!(chi_create_task, params_)),
        pool_id_,
        existed_: 0,
        containers_,
    }
}

/// Lets the successor take the pool's place.
fn swap(worker: &Worker, pool: &Arc<Pool>, successor: &Arc<Pool>) {
    let shared = &worker.shared;
    successor.replace(pool);
    if pool.module().is_proxy {
        isolation::elect(shared, pool.id);
    }
    shared.set_pool(pool.id.major_, Some(successor.clone()));
    let waiters = shared.pools.replace(pool, successor.clone(), shared.rounds());
    worker.wake_all(waiters);
    if !Arc::ptr_eq(pool.module().itself(), successor.module().itself()) {
        isolation::tell_of_version(shared, successor);
    }
    // The watchdog frees the old pool once every worker is known to be done with it.
    shared.wake_workers();
    shared.watchdog.wake();
}

/// Destroys the containers whose states the successor has.
fn discard_replaced(worker: &Worker, pool: &Pool, successor: &Pool) {
    let replaced = pool.containers().iter().zip(successor.containers());
    for (old, _) in replaced.filter(|(old, new)| !Arc::ptr_eq(old, new)) {
        discard(worker, old);
    }
}

/// Ends a replacement that was undone.
pub(crate) fn keep(shared: &Shared, begun: Begun) {
    keep_all(shared, begun.changed);
}

/// The pools that run another version of this module than `module`.
pub(crate) fn pools_of_others(shared: &Shared, module: &Arc<Module>) -> Vec<Arc<Pool>> {
    let others = |pool: &Arc<Pool>| {
        let own = pool.module().itself();
        own.name == module.name && !Arc::ptr_eq(own, module)
    };
    shared.pools.all().into_iter().filter(others).collect()
}
