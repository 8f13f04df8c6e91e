//! Descriptions of pools, modules and the runtime, as JSON.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use chimaera_abi::*;

use super::snapshot;
use super::workers::{busy_in_words, busy_with, describe_worker, running};
use crate::access::Accounts;
use crate::config::{Isolation, Policy};
use crate::failure::Failure;
use crate::host::{Host, Phase};
use crate::module::Module;
use crate::pool::{Life, Pool};
use crate::scheduler::Shared;
use crate::sys::{Budget, FileStamp, Use};
use serde_json::json;

/// Describes a subject, `CHI_DESCRIBE_...`.
pub(crate) fn describe(shared: &Shared, subject: u32) -> Result<serde_json::Value, Failure> {
    match subject {
        CHI_DESCRIBE_POOLS => Ok(pools(shared)),
        CHI_DESCRIBE_MODULES => Ok(modules(shared)),
        CHI_DESCRIBE_RUNTIME => Ok(runtime(shared)),
        CHI_DESCRIBE_CLUSTER => cluster(shared),
        other => {
            let message = format!("there is no description of subject {other}");
            Err(Failure::new(CHI_INVALID, message))
        }
    }
}

/// Describes the cluster.
fn cluster(shared: &Shared) -> Result<serde_json::Value, Failure> {
    let Some(cluster) = shared.agreed_pools.get() else {
        let message = "this runtime is no node of a cluster: start it with `--listen` or `--join`";
        return Err(Failure::new(CHI_UNAVAILABLE, message));
    };
    cluster.describe().ok_or_else(|| {
        Failure::new(CHI_UNAVAILABLE, "the thread of the cluster has not answered in 2 s")
    })
}

/// Describes the open pools, and those that are being destroyed.
fn pools(shared: &Shared) -> serde_json::Value {
    let table = shared.table();
    let changing = shared.pools.changing().into_iter().filter_map(|(_, pool)| pool);
    // A pool that is being reset stays open.
    let closed: Vec<_> = changing.filter(|pool| table.get(pool.id).is_none()).collect();
    let closed = closed.iter().map(|pool| describe_pool(shared, pool, Some("destroying")));
    let open = table.iter().map(|pool| describe_pool(shared, pool, None));
    json!(open.chain(closed).collect::<Vec<_>>())
}

/// The most bytes of a pool's parameters that are shown.
const MAX_PARAMS_SHOWN: usize = 64 << 10;

/// Describes the pool with this name or this id, with the methods of its module and what that says of their tasks.
pub(crate) fn describe_one(
    shared: &Shared,
    wanted: &str,
    shows_params: bool,
) -> Result<serde_json::Value, Failure> {
    let table = shared.table();
    let changing = shared.pools.changing();
    let of_table = || table.iter().map(|pool| (&**pool, None));
    // Those that are not in the table are being destroyed.
    let others = || {
        let others = changing.iter().filter_map(|(_, pool)| pool.as_deref());
        others.map(|pool| (pool, Some("destroying")))
    };
    let find = |is_wanted: &dyn Fn(&Pool) -> bool| {
        of_table().chain(others()).find(|(pool, _)| is_wanted(pool))
    };
    let found =
        find(&|pool| pool.name() == wanted).or_else(|| find(&|pool| pool.shown_id() == wanted));
    let Some((pool, state)) = found else {
        let message = format!("there is no pool '{wanted}'");
        return Err(Failure::new(CHI_NO_POOL, message));
    };
    let module = pool.module().itself();
    let description = module.description.as_ref().map(|said| said.to_json().concat());
    let mut document = describe_pool(shared, pool, state);
    document["methods"] = methods(module);
    // What was read is written so that it can be read.
    document["description"] =
        description.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    document["params_bytes"] = pool.params.len().into();
    if shows_params && pool.params.len() <= MAX_PARAMS_SHOWN {
        document["params_hex"] =
            pool.params.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    document["metrics"] = json!(snapshot::pool(&snapshot::Run::all(shared), pool).methods);
    Ok(document)
}

/// Describes a pool. Without `state`, its state is derived from its containers.
fn describe_pool(shared: &Shared, pool: &Pool, state: Option<&str>) -> serde_json::Value {
    let (depends_on, dependants) = shared.pools.dependencies(pool.name());
    let shapes = pool.containers().iter().map(|container| container.shape());
    let (queues, lanes) = shapes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let quarantined = pool.containers().iter().filter_map(|container| {
        let why = container.quarantined()?;
        Some(json!({ "container": container.number, "why": why }))
    });
    let quarantined: Vec<_> = quarantined.collect();
    let has = |life| pool.containers().iter().any(|container| container.admission.life() == life);
    let host = shared.hosts.get(pool.id);
    let recovers = host.as_ref().is_some_and(|host| host.is_recovering());
    let derived = match quarantined.is_empty() {
        _ if recovers || has(Life::Recovering) => "recovering",
        false => "quarantined",
        true if has(Life::Holding) => "draining",
        true if has(Life::Held) => "held",
        true if has(Life::Releasing) => "releasing",
        true => "live",
    };
    let policy = policy_of(shared, pool);
    json!({
        "name": pool.name(),
        "id": pool.shown_id(),
        "module": pool.module().name,
        "version": pool.module().version,
        "since_ms": pool.since.elapsed().as_millis() as u64,
        "containers": pool.count(),
        "queues": queues,
        "lanes": lanes,
        "tasks": pool.in_flight(),
        "state": state.unwrap_or(derived),
        "quarantined": quarantined,
        "depends_on": depends_on,
        "dependants": dependants,
        "on_crash": policy.on_crash.name(),
        "isolation": policy.isolation.name(),
        "durable": policy.durable,
        "directory": shared.durable.files(pool.id),
        "host": host.map(|host| describe_host(&host)),
        "creator": pool.rights.creator,
        "access": {
            "call": pool.rights.access.call.as_ref().map(Accounts::written),
            "destroy": pool.rights.access.destroy.written(),
        },
    })
}

/// The policy that a pool has.
pub(super) fn policy_of(shared: &Shared, pool: &Pool) -> Policy {
    Policy {
        on_crash: pool.on_crash().get(),
        isolation: isolation_of(pool),
        durable: shared.durable.has(pool.id),
    }
}

fn isolation_of(pool: &Pool) -> Isolation {
    match pool.module().is_proxy {
        true => Isolation::Process,
        false => Isolation::None,
    }
}

/// Describes the module host of a pool.
fn describe_host(host: &Host) -> serde_json::Value {
    let (restarts, since) = host.history();
    let (state, pid) = match host.phase() {
        Phase::Starting if host.is_recovering() => ("recovering", None),
        Phase::Starting => ("starting", None),
        Phase::Running(peer) => ("running", Some(peer.pid)),
        Phase::Failed(_) => ("failed", None),
        Phase::Ended => ("ended", None),
    };
    json!({
        "pool": host.orders.name,
        "state": state,
        "pid": pid,
        "restarts": restarts,
        "since_ms": since.elapsed().as_millis() as u64,
        "silent_ms": host.silent_since().map(|since| since.elapsed().as_millis() as u64),
    })
}

/// Describes a loaded module.
pub(crate) fn describe_module(module: &Module) -> serde_json::Value {
    let libraries = module.libraries.iter().map(|library| {
        json!({ "path": library.path.to_string_lossy(), "file": describe_file(library.stamp) })
    });
    json!({
        "name": module.name,
        "version": module.version,
        "language": module.language(),
        "sdk_version": module.sdk_version,
        "abi": format!("{}.{}", module.abi.0, module.abi.1),
        "path": module.path,
        "file": module.stamp.map(describe_file),
        "libraries": libraries.collect::<Vec<_>>(),
        "methods": methods(module),
    })
}

/// Describes the methods of a module.
fn methods(module: &Module) -> serde_json::Value {
    let methods = module.methods.iter().map(|method| {
        json!({
            "name": method.name,
            "number": method.number,
            "supported": method.supported,
            "monitored": method.monitored,
            "aggregated": method.aggregated,
            "idempotent": method.idempotent,
            "task_bytes": method.task_size,
            "layout": method.layout as u32,
        })
    });
    methods.collect()
}

/// The state of a file when it was loaded. The reader must find out whether it has changed: a file
/// system might never respond.
fn describe_file(file: FileStamp) -> serde_json::Value {
    json!({
        "device": file.device,
        "inode": file.inode,
        "size": file.size,
        "modified_ns": file.modified_ns.to_string(),
    })
}

/// Describes the loaded modules and the files that were refused.
fn modules(shared: &Shared) -> serde_json::Value {
    let modules = &shared.modules;
    let pools = shared.table();
    let loaded = modules.loaded().into_iter().map(|module| {
        let mut document = describe_module(&module);
        let own = pools.iter().filter(|pool| pool.module().name == module.name);
        let own = own.map(|pool| {
            json!({
                "name": pool.name(),
                "version": pool.module().version,
                "current": Arc::ptr_eq(pool.module().itself(), &module),
                "isolation": isolation_of(pool).name(),
                "host": shared.hosts.get(pool.id).map(|host| describe_host(&host)),
                "since_ms": pool.since.elapsed().as_millis() as u64,
            })
        });
        document["pools"] = own.collect();
        document
    });
    let refused = modules.refused.iter().map(|refusal| {
        json!({
            "path": refusal.path,
            "reason": refusal.reason,
            "is_module": refusal.is_module,
        })
    });
    json!({
        "loaded": loaded.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "directories": shared.config.module_paths,
    })
}

/// Describes the workers, sessions and memory, and what delays a stop.
fn runtime(shared: &Shared) -> serde_json::Value {
    let page = shared.page();
    let sessions = shared.sessions().into_iter().map(|session| {
        let totals = session.metrics.totals();
        json!({
            "session": session.number,
            "pid": session.caller.pid,
            "uid": session.caller.uid,
            "age_ms": session.since.elapsed().as_millis() as u64,
            "segment_bytes": session.mapping.layout().size,
            "runtime_arena_used_bytes": session.used_bytes(),
            "tasks_in_flight": session.tasks_in_flight(),
            "tasks": totals.calls,
            "tasks_failed": totals.failed,
            "bytes_in": totals.bytes_in,
            "bytes_out": totals.bytes_out,
            "throttled": shared.throttles(&session),
            "module_host": session.is_of_modules(),
        })
    });
    let workers = (0..shared.started() as u32).map(|index| describe_worker(shared, index));
    json!({
        "workers": shared.started(),
        "each_worker": workers.collect::<Vec<_>>(),
        "sessions": sessions.collect::<Vec<_>>(),
        "memory": memory(shared.budget),
        "module_hosts": module_hosts(shared),
        "sessions_total": page.sessions_total.load(Ordering::Relaxed),
        "stopping": shared.stopping_since().map(|since| json!({
            "since_ms": since.elapsed().as_millis() as u64,
            "client_tasks": shared.client_tasks(),
            "waiting_for": obstacles(shared),
        })),
    })
}

/// Describes the module hosts.
fn module_hosts(shared: &Shared) -> serde_json::Value {
    let hosts = shared.hosts.all();
    hosts.iter().map(|host| describe_host(host)).collect()
}

/// The memory budget, and what is allocated for clients.
fn memory(budget: &Budget) -> serde_json::Value {
    let uses = Use::ALL.into_iter().map(|of| (of.name().to_owned(), json!(budget.used(of))));
    json!({
        "budget_bytes": budget.limit(),
        "source": budget.source().name(),
        "available_bytes": budget.available(),
        "used_bytes": budget.all_used(),
        "uses": uses.collect::<serde_json::Map<_, _>>(),
    })
}

/// How many busy workers a message names as obstacles to a pool's destruction.
const MOST_NAMED: usize = 4;

/// Says that the module host of a pool does not answer, if that is so.
fn silence_of(shared: &Shared, id: chi_pool_id) -> Option<String> {
    let host = shared.hosts.get(id)?;
    let since = host.silent_since()?.elapsed().as_secs_f64();
    let Phase::Running(peer) = host.phase() else { return None };
    let (pid, pool) = (peer.pid, &host.orders.name);
    Some(format!(
        "the module host of pool '{pool}' (process {pid}) has not answered for {since:.1} s"
    ))
}

/// What delays a pool's destruction, in words and in parentheses: its module host, one of its own tasks or,
/// failing that, what occupies the workers that its tasks need. Empty if nothing is known.
pub(super) fn in_the_way(shared: &Shared, pool: &Pool) -> String {
    let found = match silence_of(shared, pool.id).or_else(|| busy_with(shared, pool)) {
        Some(own) => vec![own],
        None => {
            let queues = (0..).zip(shared.run_queues());
            let busy = queues
                .filter_map(|(index, queue)| Some(busy_in_words(index, &running(shared, queue)?)));
            busy.take(MOST_NAMED).collect()
        }
    };
    match found.is_empty() {
        true => String::new(),
        false => format!(" ({})", found.join("; ")),
    }
}

/// How many tasks a pool has in flight, in words.
pub(super) fn in_flight(pool: &Pool) -> String {
    match pool.in_flight() {
        0 => "no task".to_owned(),
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

/// What delays the end of the runtime: pools that still exist or are changing, and methods that do
/// not return.
pub(crate) fn obstacles(shared: &Shared) -> Vec<String> {
    let mut all = Vec::new();
    for pool in shared.pools.all() {
        if pool.id.major_ != CHI_ADMIN_POOL_MAJOR {
            let (name, count) = (pool.name(), in_flight(&pool));
            all.push(format!("pool '{name}' is not yet destroyed, with {count} in flight"));
        }
    }
    for (name, pool) in shared.pools.changing() {
        all.push(match pool {
            Some(pool) if pool.in_flight() == 0 => {
                format!("pool '{name}' is still being destroyed: its kDestroy has not ended")
            }
            Some(pool) => {
                let count = in_flight(&pool);
                format!("pool '{name}' is still being destroyed, with {count} in flight")
            }
            None => format!("pool '{name}' is still being created"),
        });
    }
    all.extend(shared.hosts.all().iter().filter_map(|host| silence_of(shared, host.id)));
    let queues = (0..).zip(shared.run_queues());
    let busy =
        queues.filter_map(|(index, queue)| Some(busy_in_words(index, &running(shared, queue)?)));
    all.extend(busy);
    all
}
