//! The status page as JSON.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use chimaera_ipc::status_page::{Page, WorkerLine};
use serde_json::{json, Value};

/// Describes the contents of a status page.
///
/// `each_worker` lists the workers in order of their numbers; `log_error` is the `errno` of the
/// last log line that was lost.
pub fn describe_page(page: &Page) -> Value {
    let started = Duration::from_nanos(page.started_ns.load(Relaxed));
    let up = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(started);
    let workers = page.workers.load(Relaxed);
    let lines = page.lines.iter().take(workers as usize);
    let sum = |of: fn(&WorkerLine) -> u64| -> u64 { lines.clone().map(of).sum() };
    let ready_ms = page.ready_after_ns.load(Relaxed) as f64 / 1e6;
    json!({
        "ready": ready_ms > 0.0,
        "pid": page.pid.load(Relaxed),
        "uptime_s": up.as_secs_f64(),
        "start_to_ready_ms": ready_ms,
        "workers": workers,
        "each_worker": lines.clone().map(worker).collect::<Vec<_>>(),
        "sessions": page.sessions.load(Relaxed),
        "sessions_total": page.sessions_total.load(Relaxed),
        "pools": page.pools.load(Relaxed),
        "modules": page.modules.load(Relaxed),
        "refused": page.refused.load(Relaxed),
        "tasks": sum(|line| line.tasks.load(Relaxed)),
        "tasks_failed": sum(|line| line.failed.load(Relaxed)),
        "tasks_suspended": sum(|line| line.suspended.load(Relaxed)),
        "log_is_file": page.log_is_file.load(Relaxed) == 1,
        "log_lost": page.log_lost.load(Relaxed),
        "log_error": page.log_error.load(Relaxed),
    })
}

fn worker(line: &WorkerLine) -> Value {
    let high = line.high_latency.load(Relaxed) == 1;
    json!({
        "group": if high { "high_latency" } else { "low_latency" },
        "tasks": line.tasks.load(Relaxed),
        "tasks_failed": line.failed.load(Relaxed),
        "tasks_suspended": line.suspended.load(Relaxed),
    })
}
