//! The pool manager: creates, finds and resets pools. Its functions run inside tasks of the admin
//! pool, and suspend those tasks when they wait.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::instance;

use super::definition;
use super::destruction::{self, by, drain};
use super::lifecycle::{construct_again, construct_all, destroy_task, destruct_all, Restored};
use super::params;
use crate::access::{Caller, PoolAccess, PoolRights};
use crate::config::{Beginning, Isolation, Policy, UserLimits};
use crate::coroutine::WaitsFor;
use crate::failure::Failure;
use crate::host::First;
use crate::isolation::{self, isolate, proxy_of};
use crate::log::{shortened, LineKind};
use crate::module::Module;
use crate::pool::{Claim, Container, Lookup, Pool};
use crate::scheduler::{loss, AgreedPool, Shared, Worker};
use crate::sys::objects;

/// How long a task waits for another that creates or destroys the same pool: longer than a
/// destruction may take.
const CHANGE_BOUND: Duration = Duration::from_secs(40);
/// Returns the pool with this name.
pub(super) fn find(worker: &Worker, name: &str) -> Result<Arc<Pool>, Failure> {
    settled(worker, name)?
        .ok_or_else(|| Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'")))
}

/// Returns the id of the pool with this name, which must be of this module.
pub(super) fn find_of(worker: &Worker, module: &str, name: &str) -> Result<chi_pool_id, Failure> {
    let pool = find(worker, name)?;
    match &pool.module().name {
        found if found == module => Ok(pool.id),
        found => {
            let message = format!("pool '{name}' is of module {found}, not {module}");
            Err(Failure::new(CHI_INVALID, message))
        }
    }
}

/// Returns the pool with this name, after waiting for any creation or destruction of it to finish.
/// Fails if that takes too long, for example because the pool's own `kCreate` looks it up, or if
/// the waiting task is cancelled.
fn settled(worker: &Worker, name: &str) -> Result<Option<Arc<Pool>>, Failure> {
    let until = Instant::now() + CHANGE_BOUND;
    loop {
        let waiter = worker.prepare_wait();
        match worker.shared.pools.find(name, Some(waiter)) {
            Lookup::Found(pool) => {
                worker.forget_wait();
                return Ok(Some(pool));
            }
            Lookup::Absent => {
                worker.forget_wait();
                return Ok(None);
            }
            Lookup::Changing => {}
        }
        worker.set_timer(until);
        worker.context().bounded.set(true);
        worker.suspend(WaitsFor::Anyone);
        worker.shared.pools.leave(name, waiter);
        if worker.is_cancelled() {
            let message =
                format!("cancelled while waiting for another task to change pool '{name}'");
            return Err(Failure::new(CHI_CANCELLED, message));
        }
        if Instant::now() >= until {
            let message =
                format!("another task is still changing pool '{name}' after {CHANGE_BOUND:?}");
            return Err(Failure::new(CHI_BUSY, message));
        }
    }
}

/// Fails if this caller may not create pools.
fn may_create(worker: &Worker, caller: &Caller) -> Result<(), Failure> {
    let named = worker.shared.config.may_create.as_ref().is_none_or(|who| who.name(caller));
    if named || caller.is_owner() {
        return Ok(());
    }
    let message = format!(
        "user {} may not create pools: access.create names neither the user nor a group of it",
        caller.uid
    );
    Err(Failure::new(CHI_DENIED, message))
}

/// Creates a pool for `caller`; `None` stands for the runtime itself and its modules. Returns an
/// existing pool if it matches; the flag is true if the pool existed. `task` is the creating task,
/// which is passed to the `kCreate` of each container. A pool that is restored must not exist.
///
/// # Safety
/// `task` must be a `chi_create_task` that the running task may use.
pub(super) unsafe fn create(
    worker: &Worker,
    wanted: &Wanted<'_>,
    caller: Option<&Caller>,
    task: *mut chi_task,
    restored: Option<&Restored<'_>>,
) -> Result<(chi_pool_id, bool), Failure> {
    let name = wanted.name;
    let shared = &worker.shared;
    wanted.check()?;
    let texts = &worker.running().expect("an admin task runs").texts;
    let module = shared.modules.find(wanted.module);
    let params = match module.as_ref().and_then(|module| module.params) {
        Some(by) => Cow::Owned(params::canonicalize(name, wanted.params, by, texts)?),
        None => Cow::Borrowed(wanted.params),
    };
    let on = match module {
        Some(module) => params::pools(name, &module, &params, texts)?,
        None => Vec::new(),
    };
    let shown = params::shown(wanted.params);
    let wanted = &Wanted { params: &params, ..*wanted };
    if let Some(cluster) = shared.agreed_pools.get() {
        if let Some(caller) = caller {
            may_create(worker, caller)?;
        }
        if module_is_missing(worker, wanted.module) {
            return Err(no_module(worker, wanted.module));
        }
        let Wanted { name, module, params, containers, nodes, policy, .. } = *wanted;
        let wanted = AgreedPool { name, module, params, containers, nodes, policy };
        return cluster.create(worker, &wanted);
    }
    if wanted.nodes > 1 {
        let message = format!(
            "pool '{name}': this runtime is no node of a cluster, so its pools are on one node, not {}",
            wanted.nodes
        );
        return Err(Failure::new(CHI_INVALID, message));
    }
    let (module, id) = loop {
        if let Some(pool) = settled(worker, name)? {
            return match restored {
                None => Ok((wanted.existing(shared, &pool, shown)?, true)),
                Some(_) => Err(Failure::new(CHI_EXISTS, format!("pool '{name}' already exists"))),
            };
        }
        if let Some(caller) = caller {
            may_create(worker, caller)?;
        }
        let Some(module) = shared.modules.find(wanted.module) else {
            return Err(no_module(worker, wanted.module));
        };
        if shared.is_stopping() {
            return Err(Failure::new(CHI_CANCELLED, "the runtime is stopping"));
        }
        let same = restored.and_then(|restored| restored.id);
        let claim = match same {
            None => claim(worker, wanted.containers),
            Some((_, user)) => {
                let claim = Claim { user, process: None, containers: wanted.containers };
                (claim, &shared.config.per_user)
            }
        };
        // `None` means that another task has taken the name in the meantime.
        let (config, budget) = (&shared.config, shared.budget);
        let name_and_id = (name, same.map(|(id, _)| id));
        let begun =
            shared.pools.begin_creation(name_and_id, by(worker), &on, claim, config, budget);
        if let Some(begun) = begun {
            break (module, begun?);
        }
    };
    let creator = match restored.and_then(|restored| restored.id) {
        Some((_, creator)) => creator,
        None => caller.map(|caller| caller.uid),
    };
    let isolated = wanted.policy.isolation == Isolation::Process
        || shared.config.isolated_modules.iter().any(|name| *name == module.name);
    let given = module;
    let module = match isolated {
        false => given.clone(),
        true => Arc::new(proxy_of(&given)),
    };
    let c_name: Arc<CStr> = CString::new(name).expect("a checked name has no zero").into();
    let params = wanted.params.to_vec();
    let pool = Arc::new(Pool::new(
        id,
        PoolRights { creator, access: wanted.access.clone() },
        c_name,
        params,
        shown,
        &module,
        wanted.containers,
    ));
    // It counts from the first call into the module on.
    pool.on_crash().set(wanted.policy.on_crash);
    let isolated = isolated.then_some(&given);
    let prepared = prepare(worker, wanted, &pool, isolated, restored);
    let built = prepared.and_then(|()| {
        // SAFETY: by the caller's promise, `task` is the admin pool's running task, and creates a pool.
        // The pool's parameters outlive the loan: code that abandons the task abandons the pool with
        // it.
        unsafe {
            let lent = params::lend(&pool.params, task.cast());
            let built = construct_all(worker, &pool, task, restored);
            lent.take_back(task.cast());
            built
        }
    });
    let built = built.and_then(|()| {
        settle(shared, &pool).inspect_err(|_| {
            let mut farewell = destroy_task(id);
            // The first failure is the one to tell.
            let _ = destruct_all(worker, pool.containers(), (&raw mut farewell).cast());
        })
    });
    let (result, waiters) = match built {
        Ok(()) => {
            // The pool's `kCreate` may have loaded libraries.
            objects::look();
            pool.publish();
            shared.set_pool(id.major_, Some(pool.clone()));
            let containers = pool.count();
            let module = wanted.module;
            if let Some(left_out) =
                shared.rate_limit.pass(LineKind::Pool, worker.client_as_subject())
            {
                tracing::info!(pool = name, module, containers, left_out, "pool created");
            }
            (Ok((id, false)), shared.pools.complete(pool))
        }
        Err(failure) => {
            // Whoever creates the pool is told why it is not there.
            let _ = destruction::end_host(worker, id, Instant::now());
            if restored.is_none() {
                shared.durable.abandon(id);
            }
            let pass = shared.rate_limit.pass(LineKind::PoolFailed, worker.client_as_subject());
            if let Some(left_out) = pass {
                let (module, why) = (wanted.module, &*shortened(&failure.message));
                tracing::warn!(pool = name, module, why, left_out, "pool not created");
            }
            (Err(failure), shared.pools.end_creation(name, id))
        }
    };
    worker.wake_all(waiters);
    result
}

/// Prepares what the containers of a new pool need: the directories of a durable one, and the process of one
/// that has its own, which runs `isolated`.
fn prepare(
    worker: &Worker,
    wanted: &Wanted<'_>,
    pool: &Pool,
    isolated: Option<&Arc<Module>>,
    restored: Option<&Restored<'_>>,
) -> Result<(), Failure> {
    let shared = &worker.shared;
    if wanted.policy.durable {
        shared.durable.begin(&definition::record(pool, true, wanted.policy.on_crash, None))?;
    }
    let Some(module) = isolated else { return Ok(()) };
    let first = restored.map_or_else(|| Ok(First::default()), |it| first(worker, it))?;
    let what = (pool.name(), wanted.params, wanted.containers);
    isolate(shared, pool.id, what, module, first)
}

/// Records that a durable pool exists.
fn settle(shared: &Shared, pool: &Pool) -> Result<(), Failure> {
    if shared.durable.has(pool.id) {
        definition::check_dependencies(shared, pool.name())?;
    }
    definition::define(shared, pool)
}

/// How the first process of a module host begins for a pool that existed before.
fn first(worker: &Worker, restored: &Restored<'_>) -> Result<First, Failure> {
    let text = restored.text.to_string_lossy().into_owned();
    let begins = Beginning { reason: restored.reason, text };
    isolation::first(&worker.shared, begins, restored.states)
}

/// What a pool of this many containers counts for, and the limits of the user whose client caused
/// the running task. A client that is gone by now counts as the runtime's own user.
fn claim(worker: &Worker, containers: u32) -> (Claim, &UserLimits) {
    let config = &worker.shared.config;
    let number = worker.running().map_or(0, |record| record.session);
    if number == 0 {
        return (Claim { user: None, process: None, containers }, &config.per_user);
    }
    let sessions = worker.shared.sessions();
    match sessions.iter().find(|session| session.number == number) {
        Some(client) => {
            let limits = config.limits_of(&client.caller);
            let process = Some(client.caller.pid).filter(|pid| *pid != 0);
            (Claim { user: Some(client.caller.uid), process, containers }, limits)
        }
        None => {
            let claim = Claim { user: Some(instance::uid()), process: None, containers };
            (claim, &config.per_user)
        }
    }
}

/// Gives the containers of a pool that are in quarantine new objects. `task` is the resetting task,
/// which is passed to the `kCreate` of each container.
///
/// # Safety
/// `task` must be a running `chi_create_task` of the admin pool.
pub(super) unsafe fn reset(
    worker: &Worker,
    name: &str,
    task: *mut chi_task,
) -> Result<chi_pool_id, Failure> {
    let shared = &worker.shared;
    let begun = loop {
        let Some(pool) = settled(worker, name)? else {
            return Err(Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'")));
        };
        if pool.containers().iter().all(|container| !container.admission.is_abandoned()) {
            let message = format!("pool '{name}' is not in quarantine");
            return Err(Failure::new(CHI_INVALID, message));
        }
        // `None` means that another task was faster.
        if let Some(begun) = shared.pools.begin_reset(pool.id, task.addr()) {
            break begun;
        }
    };
    let pool = begun.pool.clone();
    // SAFETY: by the caller's promise. The pool's parameters outlive the loan: code that abandons
    // the task leaves this frame, with its reference to the pool, in memory.
    let done = unsafe {
        let lent = params::lend(&pool.params, task.cast());
        let done = reset_containers(worker, &pool, task);
        lent.take_back(task.cast());
        done
    };
    worker.wake_all(shared.pools.keep(begun));
    done?;
    loss::pool_recovered(shared, pool.id, name, format!("pool '{name}' was reset"));
    Ok(pool.id)
}

/// # Safety
/// As for `reset`.
unsafe fn reset_containers(
    worker: &Worker,
    pool: &Pool,
    task: *mut chi_task,
) -> Result<(), Failure> {
    let abandoned = |container: &&Arc<Container>| container.admission.is_abandoned();
    for container in pool.containers().iter().filter(abandoned) {
        let until = Instant::now() + destruction::BOUND;
        if !drain(worker, || container.admission.in_flight(), until) {
            let (shown, count) = (container.shown(), container.admission.in_flight());
            let bound = destruction::BOUND;
            let message = format!("{shown} still runs {count} tasks after {bound:?}");
            return Err(Failure::new(CHI_BUSY, message));
        }
        // SAFETY: by the caller's promise; a container in quarantine admits nothing, and no task is
        // in it.
        unsafe { construct_again(worker, container, task)? };
        let limit = &worker.shared.rate_limit;
        if let Some(left_out) = limit.pass(LineKind::Pool, worker.client_as_subject()) {
            let (pool, container) = (pool.name(), container.number);
            tracing::info!(pool, container, left_out, "container reset");
        }
    }
    Ok(())
}

/// The pool that a creation request asks for.
pub(super) struct Wanted<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
    pub(super) params: &'a [u8],
    pub(super) containers: u32,
    /// On how many nodes of a cluster; 0 for all.
    pub(super) nodes: u32,
    pub(super) policy: Policy,
    pub(super) access: &'a PoolAccess,
}

impl Wanted<'_> {
    fn check(&self) -> Result<(), Failure> {
        let Wanted { name, containers, .. } = *self;
        if !params::is_pool_name(name) {
            return Err(Failure::new(
                CHI_INVALID,
                "a pool's name has 1 to 255 bytes of UTF-8 without control characters, and not only blanks",
            ));
        }
        if !(1..=CHI_MAX_CONTAINERS).contains(&containers) {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a pool has 1 to {CHI_MAX_CONTAINERS} containers, not {containers}"),
            ));
        }
        Ok(())
    }

    /// Returns the id of an existing pool with the wanted name, if it matches the request. `shown`
    /// is the wanted parameters as a message shows them.
    fn existing(
        &self,
        shared: &Shared,
        pool: &Pool,
        shown: Option<String>,
    ) -> Result<chi_pool_id, Failure> {
        let (module, count) = (&pool.module().name, pool.count());
        let mut found = Vec::new();
        if *module != self.module {
            found.push(format!("and is of module {module}, not {}", self.module));
        } else if pool.params != self.params {
            found.push(match (&pool.shown, shown) {
                (Some(old), Some(new)) if *old != new => {
                    let new = if self.params.is_empty() { "without any" } else { &new };
                    format!("with other parameters: {old}, not {new}")
                }
                _ => "with other parameters".to_owned(),
            });
        }
        if count != self.containers {
            let s = if count == 1 { "" } else { "s" };
            found.push(format!("with {count} container{s}, not {}", self.containers));
        }
        let default = PoolAccess::default();
        if *self.access != default && *self.access != pool.rights.access {
            found.push("with other access".to_owned());
        }
        if self.policy.isolation == Isolation::Process && !pool.module().is_proxy {
            found.push("without isolation".to_owned());
        }
        let durable = shared.durable.has(pool.id);
        if self.policy.durable && !durable {
            found.push("and is not durable".to_owned());
        }
        if found.is_empty() {
            return Ok(pool.id);
        }
        let mut message = format!("pool '{}' already exists {}", pool.name(), found.join(", and "));
        if self.policy.durable && durable {
            message += "; it is durable, and stays as it is until it is destroyed";
        }
        Err(Failure::new(CHI_EXISTS, message))
    }
}

fn module_is_missing(worker: &Worker, name: &str) -> bool {
    worker.shared.modules.find(name).is_none()
}

fn no_module(worker: &Worker, name: &str) -> Failure {
    let known = worker.shared.modules.loaded();
    let known: Vec<&str> = known.iter().map(|module| module.name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    // A runtime that is still starting cannot be queried, and fails to start without its pools.
    let help = match worker.shared.page().ready_after_ns.load(Ordering::Relaxed) {
        0 => {
            "modules come from the directories of --modules and CHI_REPO_PATH, and the log says \
              which files were refused"
        }
        _ => "see `chimaera modules`",
    };
    let message = format!("there is no module '{name}' (loaded: {known}); {help}");
    Failure::new(CHI_NO_MODULE, message)
}
