//! What is counted and measured, at one moment.

use std::sync::atomic::Ordering;

use chimaera_abi::*;
use chimaera_metrics::{self as metrics, Latency, Snapshot, Stages};

use super::workers::{running, standby};
use crate::metrics::{bounds, Distribution, Stage};
use crate::pool::{Pool, PoolMethod};
use crate::scheduler::{Role, RunQueue, Shared};
use crate::session::SessionRef;
use crate::sys::{process_use, Use};

/// What has been counted and measured so far.
pub(crate) fn snapshot(shared: &Shared) -> Snapshot {
    let page = shared.page();
    let table = shared.table();
    let budget = shared.budget;
    Snapshot {
        format: metrics::FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ns: shared.start.elapsed().as_nanos() as u64,
        process: process(page.started_ns.load(Ordering::Relaxed)),
        workers: (0..shared.started() as u32).map(|index| worker(shared, index)).collect(),
        pools: {
            let running = Run::all(shared);
            table.iter().map(|found| pool(&running, found)).collect()
        },
        sessions: shared.sessions().iter().map(|found| session(shared, found)).collect(),
        sessions_total: page.sessions_total.load(Ordering::Relaxed),
        memory: metrics::Memory {
            budget_bytes: budget.limit(),
            used_bytes: budget.all_used(),
            uses: Use::ALL.iter().map(|of| (of.name().to_owned(), budget.used(*of))).collect(),
        },
        log_lost: page.log_lost.load(Ordering::Relaxed),
        nodes: nodes(shared),
    }
}

fn nodes(shared: &Shared) -> Vec<metrics::Node> {
    let described = shared.agreed_pools.get().and_then(|cluster| cluster.describe());
    let Some(members) = described.map(|mut it| it["members"].take()) else { return Vec::new() };
    serde_json::from_value(members).unwrap_or_else(|error| {
        tracing::error!(%error, "the nodes of the cluster are left out of the metrics");
        Vec::new()
    })
}

fn process(started_ns: u64) -> metrics::Process {
    let used = process_use();
    metrics::Process {
        pid: std::process::id(),
        started_s: started_ns as f64 / 1e9,
        cpu_ns: used.cpu_ns,
        resident_bytes: used.resident_bytes,
        descriptors: used.descriptors,
        descriptors_limit: used.descriptors_limit,
    }
}

fn worker(shared: &Shared, index: u32) -> metrics::Worker {
    let (queue, line) = (shared.run_queue(index), &shared.page().lines[index as usize]);
    let group = if queue.role() == Role::HighLatency { "high_latency" } else { "low_latency" };
    metrics::Worker {
        group: group.to_owned(),
        standby: standby(shared, index).map(str::to_owned),
        calls: line.tasks.load(Ordering::Relaxed),
        failed: line.failed.load(Ordering::Relaxed),
        suspended: line.suspended.load(Ordering::Relaxed),
        parks: line.parks.load(Ordering::Relaxed),
        busy_ns: shared.metrics.busy_ns(index),
        running: running(shared, queue),
    }
}

fn session(shared: &Shared, session: &SessionRef) -> metrics::Session {
    let totals = session.metrics.totals();
    metrics::Session {
        session: session.number,
        pid: session.caller.pid,
        uid: session.caller.uid,
        age_ms: session.since.elapsed().as_millis() as u64,
        module_host: session.is_of_modules(),
        in_flight: session.tasks_in_flight() as u64,
        throttled: shared.throttles(session),
        calls: totals.calls,
        failed: totals.failed,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        segment_bytes: session.mapping.layout().size,
        results_bytes: session.used_bytes(),
    }
}

/// A method that a worker is running, by the slot of its pool and its number, and whether its task has been
/// suspended.
pub(super) struct Run {
    method: (u32, u32),
    is_resumed: bool,
}

impl Run {
    /// What all workers are running now.
    pub(super) fn all(shared: &Shared) -> Vec<Run> {
        let run = |queue: &RunQueue| {
            let method = queue.running().parts()?;
            Some(Run { method, is_resumed: queue.is_resumed() })
        };
        shared.run_queues().iter().filter_map(run).collect()
    }
}

/// What has been counted and measured of a pool.
pub(super) fn pool(running: &[Run], pool: &Pool) -> metrics::Pool {
    let methods = pool.methods.iter().filter_map(|one| method(running, pool, one));
    metrics::Pool {
        name: pool.name().to_owned(),
        id: pool.shown_id(),
        module: pool.module().name.clone(),
        version: pool.module().version.clone(),
        containers: pool.count(),
        in_flight: pool.in_flight(),
        methods: methods.collect(),
    }
}

/// `None` if it has never been called.
fn method(running: &[Run], pool: &Pool, method: &PoolMethod) -> Option<metrics::Method> {
    let own = (pool.id.major_, method.number);
    let run = running.iter().filter(|run| run.method == own);
    let resumed = run.clone().filter(|run| run.is_resumed).count();
    let running = run.count();
    if running == 0 && !method.metrics.is_used() {
        return None;
    }
    let mut totals = method.metrics.totals();
    totals.suspended = totals.suspended.saturating_sub(resumed as u64);
    if totals.calls == 0 && running == 0 && totals.queued == 0 && totals.suspended == 0 {
        return None;
    }
    let statuses = totals.statuses.iter().map(|(status, count)| (shown(*status), *count));
    let latency = |stage: Stage| latency(&totals.stages[stage as usize]);
    Some(metrics::Method {
        name: method.name.clone(),
        number: method.number,
        calls: totals.calls,
        failed: totals.failed,
        statuses: statuses.collect(),
        queued: totals.queued,
        running: running as u64,
        suspended: totals.suspended,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        latency: Stages {
            ring: latency(Stage::Ring),
            lane: latency(Stage::Lane),
            running: latency(Stage::Running),
            suspended: latency(Stage::Suspended),
            total: latency(Stage::Total),
        },
    })
}

fn shown(status: chi_status) -> String {
    status_name(status).map_or_else(|| status.to_string(), str::to_owned)
}

fn latency(found: &Distribution) -> Latency {
    let buckets = found.buckets().map(|(number, count)| {
        let (first, after) = bounds(number);
        (first, after, count)
    });
    Latency::new(found.sum_ns, buckets.collect())
}
