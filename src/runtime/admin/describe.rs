//! Descriptions of pools, modules and the runtime, as JSON.

use std::sync::atomic::Ordering;

use chimaera_abi::*;

use crate::failure::Failure;
use crate::module::Module;
use crate::pool::Container;
use crate::scheduler::{Role, RunQueue, Shared};
use serde_json::json;

/// Describes a subject, `CHI_DESCRIBE_...`.
pub(crate) fn describe(shared: &Shared, subject: u32) -> Result<serde_json::Value, Failure> {
    match subject {
        CHI_DESCRIBE_POOLS => Ok(pools(shared)),
        CHI_DESCRIBE_MODULES => Ok(modules(shared)),
        CHI_DESCRIBE_RUNTIME => Ok(runtime(shared)),
        other => {
            let message = format!("there is no description of subject {other}");
            Err(Failure::new(CHI_INVALID, message))
        }
    }
}

/// Describes the open pools.
fn pools(shared: &Shared) -> serde_json::Value {
    let table = shared.table();
    let all = table.iter().map(|pool| {
        let shapes = pool.containers().iter().map(Container::shape);
        let (queues, lanes) = shapes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        json!({
            "name": pool.name(),
            "id": format!("{}.{}", pool.id.major_, pool.id.minor_),
            "module": pool.module().name,
            "containers": pool.count(),
            "queues": queues,
            "lanes": lanes,
            "tasks": pool.in_flight(),
        })
    });
    json!(all.collect::<Vec<_>>())
}

/// Describes a loaded module.
pub(crate) fn describe_module(module: &Module) -> serde_json::Value {
    let methods = module.methods.iter().map(|method| {
        json!({
            "name": method.name,
            "number": method.number,
            "supported": method.supported,
            "monitored": method.monitored,
            "aggregated": method.aggregated,
            "task_bytes": method.task_size,
        })
    });
    json!({
        "name": module.name,
        "version": module.version,
        "language": module.language(),
        "sdk_version": module.sdk_version,
        "abi": format!("{}.{}", module.abi.0, module.abi.1),
        "path": module.path,
        "methods": methods.collect::<Vec<_>>(),
    })
}

/// Describes the loaded modules and the files that were refused.
fn modules(shared: &Shared) -> serde_json::Value {
    let modules = &shared.modules;
    let loaded = modules.loaded.iter().map(|module| describe_module(module));
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

/// Describes the workers and sessions.
fn runtime(shared: &Shared) -> serde_json::Value {
    let page = shared.page();
    let sessions = shared.sessions().into_iter().map(|session| {
        json!({
            "session": session.number,
            "pid": session.pid,
            "segment_bytes": session.mapping.layout().size,
            "runtime_arena_used_bytes": session.used_bytes(),
        })
    });
    let workers = (0..shared.started() as u32).map(|index| worker(shared, index));
    json!({
        "workers": shared.started(),
        "each_worker": workers.collect::<Vec<_>>(),
        "sessions": sessions.collect::<Vec<_>>(),
        "sessions_total": page.sessions_total.load(Ordering::Relaxed),
    })
}

/// A worker, and the method that keeps it, if one does.
fn worker(shared: &Shared, index: u32) -> serde_json::Value {
    let (queue, line) = (shared.run_queue(index), &shared.page().lines[index as usize]);
    let role = queue.role();
    let standby = match role {
        _ if !shared.is_standby(index) => None,
        Role::Resting => Some("resting"),
        _ => Some("serving"),
    };
    json!({
        "group": if role == Role::HighLatency { "high_latency" } else { "low_latency" },
        "standby": standby,
        "tasks": line.tasks.load(Ordering::Relaxed),
        "tasks_failed": line.failed.load(Ordering::Relaxed),
        "tasks_suspended": line.suspended.load(Ordering::Relaxed),
        "running": running(shared, queue),
    })
}

/// The method that keeps a worker.
fn running(shared: &Shared, queue: &RunQueue) -> Option<serde_json::Value> {
    let since = queue.busy_since()?;
    let (slot, number) = queue.running().parts()?;
    let (session, _) = queue.node();
    let table = shared.table();
    // A pool that is being destroyed is no longer in the table.
    let pool = table.in_slot(slot);
    let method = pool.and_then(|pool| pool.module().methods.get(number));
    let sessions = shared.sessions();
    let client = sessions.iter().find(|client| client.number == session);
    Some(json!({
        "pool": pool.map(|pool| pool.name()),
        "method": method.map(|method| &method.name),
        "session": client.map(|client| client.number),
        "pid": client.map(|client| client.pid),
        "age_ms": shared.start.elapsed().saturating_sub(since).as_millis() as u64,
    }))
}
