//! What has happened between two moments.

use std::collections::HashMap;

use chimaera_metrics::{Node, Running, Snapshot};
use serde::Serialize;

/// What has happened between two moments: rates are per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct View {
    /// How long it was.
    pub(super) seconds: f64,
    pub(super) runtime: RuntimeRow,
    pub(super) workers: Vec<WorkerRow>,
    pub(super) methods: Vec<MethodRow>,
    pub(super) sessions: Vec<SessionRow>,
    pub(super) devices: Vec<DeviceRow>,
    pub(super) nodes: Vec<Node>,
}

/// The runtime as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct RuntimeRow {
    pub(super) pid: u32,
    pub(super) version: String,
    pub(super) uptime_s: f64,
    /// Processor time per second: 1 is a whole core.
    pub(super) cpu: f64,
    pub(super) resident_bytes: u64,
    pub(super) memory_used_bytes: u64,
    pub(super) memory_budget_bytes: u64,
    pub(super) pools: usize,
    pub(super) sessions: usize,
    pub(super) calls_per_s: f64,
    pub(super) failures_per_s: f64,
    pub(super) log_lost: u64,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct WorkerRow {
    pub(super) worker: usize,
    pub(super) group: String,
    pub(super) standby: Option<String>,
    /// The part of the time in which it ran tasks, from 0 to 1.
    pub(super) busy: f64,
    pub(super) calls_per_s: f64,
    pub(super) failures_per_s: f64,
    pub(super) parks_per_s: f64,
    pub(super) suspended: u64,
    pub(super) running: Option<Running>,
}

/// A method of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct MethodRow {
    pub(super) pool: String,
    pub(super) id: String,
    pub(super) module: String,
    pub(super) method: String,
    pub(super) calls_per_s: f64,
    pub(super) failures_per_s: f64,
    /// Of the tasks that have ended meanwhile; `None` if none was measured.
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
    pub(super) queued: u64,
    pub(super) running: u64,
    pub(super) suspended: u64,
    pub(super) bytes_in_per_s: f64,
    pub(super) bytes_out_per_s: f64,
    pub(super) calls: u64,
    pub(super) failures: u64,
}

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SessionRow {
    pub(super) session: u64,
    pub(super) pid: i32,
    pub(super) uid: u32,
    pub(super) age_ms: u64,
    pub(super) module_host: bool,
    pub(super) in_flight: u64,
    pub(super) throttled: bool,
    pub(super) calls_per_s: f64,
    pub(super) failures_per_s: f64,
    pub(super) bytes_in_per_s: f64,
    pub(super) bytes_out_per_s: f64,
    pub(super) segment_bytes: u64,
    pub(super) results_bytes: u64,
    pub(super) calls: u64,
    pub(super) failures: u64,
}

/// A device: a pool of `chimaera:bdev`, by its methods.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct DeviceRow {
    pub(super) pool: String,
    pub(super) reads_per_s: f64,
    pub(super) read_bytes_per_s: f64,
    pub(super) read_p99_ns: Option<u64>,
    pub(super) writes_per_s: f64,
    pub(super) written_bytes_per_s: f64,
    pub(super) write_p99_ns: Option<u64>,
    pub(super) flushes_per_s: f64,
    pub(super) flush_p99_ns: Option<u64>,
    pub(super) failures_per_s: f64,
    pub(super) in_flight: u64,
}

/// The module whose pools are devices.
const DEVICE: &str = "chimaera:bdev";

/// How much more there is than before, for each second. What is less has begun anew.
struct Rate(f64);

impl Rate {
    fn of(&self, before: u64, now: u64) -> f64 {
        now.checked_sub(before).unwrap_or(now) as f64 / self.0
    }
}

impl View {
    /// What has happened from `before` to `now`. If another runtime has been started meanwhile, all that it has done.
    pub(crate) fn between(before: &Snapshot, now: &Snapshot) -> View {
        let is_same = before.process.pid == now.process.pid && before.uptime_ns < now.uptime_ns;
        let nothing = Snapshot::default();
        let before = if is_same { before } else { &nothing };
        let seconds = ((now.uptime_ns - before.uptime_ns) as f64 / 1e9).max(1e-3);
        let workers = workers(before, now, seconds);
        let methods = methods(before, now, &Rate(seconds));
        let sum = |of: fn(&WorkerRow) -> f64| workers.iter().map(of).sum();
        View {
            seconds,
            runtime: RuntimeRow {
                pid: now.process.pid,
                version: now.version.clone(),
                uptime_s: now.uptime_ns as f64 / 1e9,
                cpu: Rate(seconds).of(before.process.cpu_ns, now.process.cpu_ns) / 1e9,
                resident_bytes: now.process.resident_bytes,
                memory_used_bytes: now.memory.used_bytes,
                memory_budget_bytes: now.memory.budget_bytes,
                pools: now.pools.len(),
                sessions: now.sessions.len(),
                calls_per_s: sum(|worker| worker.calls_per_s),
                failures_per_s: sum(|worker| worker.failures_per_s),
                log_lost: now.log_lost,
            },
            workers,
            devices: devices(now, &methods),
            methods,
            sessions: sessions(before, now, &Rate(seconds)),
            nodes: now.nodes.clone(),
        }
    }
}

fn workers(before: &Snapshot, now: &Snapshot, seconds: f64) -> Vec<WorkerRow> {
    let rate = Rate(seconds);
    let row = |(worker, now): (usize, &chimaera_metrics::Worker)| {
        let was = before.workers.get(worker).cloned().unwrap_or_default();
        // What runs now is counted when it ends.
        let runs = now.running.as_ref().map_or(0.0, |running| running.age_ms as f64 / 1e3);
        let ended = rate.of(was.busy_ns, now.busy_ns) / 1e9;
        WorkerRow {
            worker,
            group: now.group.clone(),
            standby: now.standby.clone(),
            busy: ended.max(runs / seconds).min(1.0),
            calls_per_s: rate.of(was.calls, now.calls),
            failures_per_s: rate.of(was.failed, now.failed),
            parks_per_s: rate.of(was.parks, now.parks),
            suspended: now.suspended,
            running: now.running.clone(),
        }
    };
    now.workers.iter().enumerate().map(row).collect()
}

fn methods(before: &Snapshot, now: &Snapshot, rate: &Rate) -> Vec<MethodRow> {
    let known = before.pools.iter().flat_map(|pool| {
        pool.methods.iter().map(move |method| ((pool.id.as_str(), method.number), method))
    });
    let known: HashMap<_, _> = known.collect();
    let mut rows = Vec::new();
    for pool in &now.pools {
        for now in &pool.methods {
            let was =
                known.get(&(pool.id.as_str(), now.number)).copied().cloned().unwrap_or_default();
            let took = now.latency.total.since(&was.latency.total);
            rows.push(MethodRow {
                pool: pool.name.clone(),
                id: pool.id.clone(),
                module: pool.module.clone(),
                method: now.name.clone(),
                calls_per_s: rate.of(was.calls, now.calls),
                failures_per_s: rate.of(was.failed, now.failed),
                p50_ns: took.quantile(0.5),
                p99_ns: took.quantile(0.99),
                max_ns: took.longest(),
                queued: now.queued,
                running: now.running,
                suspended: now.suspended,
                bytes_in_per_s: rate.of(was.bytes_in, now.bytes_in),
                bytes_out_per_s: rate.of(was.bytes_out, now.bytes_out),
                calls: now.calls,
                failures: now.failed,
            });
        }
    }
    rows
}

fn devices(now: &Snapshot, methods: &[MethodRow]) -> Vec<DeviceRow> {
    let row = |pool: &chimaera_metrics::Pool| {
        let mut row = DeviceRow {
            pool: pool.name.clone(),
            in_flight: pool.in_flight,
            ..DeviceRow::default()
        };
        for method in methods.iter().filter(|method| method.id == pool.id) {
            row.failures_per_s += method.failures_per_s;
            match &method.method[..] {
                "kRead" => {
                    row.reads_per_s = method.calls_per_s;
                    row.read_bytes_per_s = method.bytes_out_per_s;
                    row.read_p99_ns = method.p99_ns;
                }
                "kWrite" => {
                    row.writes_per_s = method.calls_per_s;
                    row.written_bytes_per_s = method.bytes_in_per_s;
                    row.write_p99_ns = method.p99_ns;
                }
                "kFlush" => {
                    row.flushes_per_s = method.calls_per_s;
                    row.flush_p99_ns = method.p99_ns;
                }
                _ => {}
            }
        }
        row
    };
    now.pools.iter().filter(|pool| pool.module == DEVICE).map(row).collect()
}

fn sessions(before: &Snapshot, now: &Snapshot, rate: &Rate) -> Vec<SessionRow> {
    let known: HashMap<u64, _> = before.sessions.iter().map(|one| (one.session, one)).collect();
    let row = |now: &chimaera_metrics::Session| {
        let was = known.get(&now.session).copied().cloned().unwrap_or_default();
        SessionRow {
            session: now.session,
            pid: now.pid,
            uid: now.uid,
            age_ms: now.age_ms,
            module_host: now.module_host,
            in_flight: now.in_flight,
            throttled: now.throttled,
            calls_per_s: rate.of(was.calls, now.calls),
            failures_per_s: rate.of(was.failed, now.failed),
            bytes_in_per_s: rate.of(was.bytes_in, now.bytes_in),
            bytes_out_per_s: rate.of(was.bytes_out, now.bytes_out),
            segment_bytes: now.segment_bytes,
            results_bytes: now.results_bytes,
            calls: now.calls,
            failures: now.failed,
        }
    };
    now.sessions.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera_metrics::{Latency, Method, Pool, Process, Session, Stages, Worker};

    fn at(seconds: u64, calls: u64, buckets: Vec<(u64, u64, u64)>) -> Snapshot {
        let latency = Stages { total: Latency::new(calls, buckets), ..Stages::default() };
        let method = Method { number: 10, calls, failed: calls / 10, latency, ..Method::default() };
        let worker = Worker { calls, busy_ns: calls * 1000, ..Worker::default() };
        Snapshot {
            uptime_ns: seconds * 1_000_000_000,
            process: Process { pid: 7, cpu_ns: calls * 2000, ..Process::default() },
            workers: vec![worker],
            pools: vec![Pool { id: "3.0".to_owned(), methods: vec![method], ..Pool::default() }],
            sessions: vec![Session {
                session: 4,
                calls,
                bytes_in: calls * 8,
                ..Session::default()
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn rates_are_what_has_been_added_per_second() {
        let before = at(10, 1000, vec![(100, 101, 1000)]);
        let now = at(12, 401_000, vec![(100, 101, 1000), (200, 201, 400_000)]);
        let view = View::between(&before, &now);
        assert_eq!((view.seconds, view.workers[0].busy), (2.0, 0.2));
        assert_eq!((view.runtime.calls_per_s, view.runtime.cpu), (200_000.0, 0.4));
        let method = &view.methods[0];
        assert_eq!((method.calls_per_s, method.failures_per_s), (200_000.0, 20_000.0));
        assert_eq!((method.p50_ns, method.max_ns), (Some(200), Some(200)));
        assert_eq!(view.sessions[0].bytes_in_per_s, 1_600_000.0);
    }

    #[test]
    fn another_runtime_begins_at_nothing() {
        let before = at(100, 1_000_000, vec![(100, 101, 9)]);
        let mut now = at(2, 10, vec![(100, 101, 3)]);
        assert_eq!(View::between(&before, &now).methods[0].calls_per_s, 5.0);
        now.uptime_ns = 200_000_000_000;
        now.process.pid = 8;
        assert_eq!(View::between(&before, &now).seconds, 200.0);
    }

    #[test]
    fn a_task_that_has_not_ended_keeps_its_worker_busy() {
        let (before, mut now) = (at(10, 0, vec![]), at(12, 0, vec![]));
        now.workers[0].running = Some(Running { age_ms: 500, ..Running::default() });
        assert_eq!(View::between(&before, &now).workers[0].busy, 0.25);
        now.workers[0].running = Some(Running { age_ms: 60_000, ..Running::default() });
        assert_eq!(View::between(&before, &now).workers[0].busy, 1.0);
    }
}
