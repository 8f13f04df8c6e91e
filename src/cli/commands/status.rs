//! `chimaera status`: reads the status page, and so disturbs no worker.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use chimaera_ipc::status_page::{Reader, WorkerLine};
use serde_json::{json, Value};

use crate::context::{Context, Failed, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let instance = context.instance()?;
    if !instance.is_running()? {
        let stopped = json!({ "name": instance.name(), "running": false });
        if context.print_json(&stopped) {
            std::process::exit(3);
        }
        return Err(Failed::NotRunning(format!("instance '{}' is not running", context.name)));
    }
    let reader = Reader::open(&instance)?;
    let page = reader.page();
    let pid = page.pid.load(Relaxed);
    let started = Duration::from_nanos(page.started_ns.load(Relaxed));
    let up = SystemTime::UNIX_EPOCH.elapsed()?.saturating_sub(started);
    let workers = page.workers.load(Relaxed);
    let lines = page.lines.iter().take(workers as usize);
    let sum = |of: fn(&WorkerLine) -> u64| -> u64 { lines.clone().map(of).sum() };
    let (tasks, failed) =
        (sum(|line| line.tasks.load(Relaxed)), sum(|line| line.failed.load(Relaxed)));
    let suspended = sum(|line| line.suspended.load(Relaxed));
    let log = if page.log_is_file.load(Relaxed) == 1 { log(pid) } else { None };
    let ready_ms = page.ready_after_ns.load(Relaxed) as f64 / 1e6;
    let document = json!({
        "name": instance.name(),
        "running": true,
        "ready": ready_ms > 0.0,
        "pid": pid,
        "uptime_s": up.as_secs_f64(),
        "start_to_ready_ms": ready_ms,
        "workers": workers,
        "each_worker": lines.clone().map(worker).collect::<Vec<_>>(),
        "sessions": page.sessions.load(Relaxed),
        "sessions_total": page.sessions_total.load(Relaxed),
        "pools": page.pools.load(Relaxed),
        "modules": page.modules.load(Relaxed),
        "refused": page.refused.load(Relaxed),
        "tasks": tasks,
        "tasks_failed": failed,
        "tasks_suspended": suspended,
        "resident_bytes": resident(pid),
        "socket": instance.socket(),
        "log": log,
    });
    if context.print_json(&document) {
        return Ok(());
    }
    let mut text = String::new();
    let mut line = |label: &str, value: String| text += &format!("{label:<12}{value}\n");
    line("instance", instance.name().to_owned());
    line("process", format!("{pid}, up {} s, ready after {ready_ms:.1} ms", up.as_secs()));
    line("workers", workers.to_string());
    for (number, worker) in document["each_worker"].as_array().into_iter().flatten().enumerate() {
        let group = if worker["group"] == HIGH_LATENCY { "high latency" } else { "low latency" };
        let (tasks, suspended) = (&worker["tasks"], &worker["tasks_suspended"]);
        line(
            &format!("  worker {number}"),
            format!("{group}, {tasks} tasks completed, {suspended} suspended"),
        );
    }
    line(
        "sessions",
        format!("{} ({} since the start)", document["sessions"], document["sessions_total"]),
    );
    line("pools", document["pools"].to_string());
    line("modules", format!("{} loaded, {} refused", document["modules"], document["refused"]));
    line("tasks", format!("{tasks} completed, of which {failed} failed; {suspended} suspended"));
    if let Some(bytes) = document["resident_bytes"].as_u64() {
        line("memory", format!("{:.1} MiB resident", bytes as f64 / f64::from(1 << 20)));
    }
    line("socket", instance.socket().display().to_string());
    let log =
        log.map_or("the standard error of the process".to_owned(), |log| log.display().to_string());
    line("log", log);
    crate::context::print(&text);
    Ok(())
}

/// The group of workers for tasks of high latency.
const HIGH_LATENCY: &str = "high_latency";

/// What there is to say of a worker.
fn worker(line: &WorkerLine) -> Value {
    json!({
        "group": if line.high_latency.load(Relaxed) == 1 { HIGH_LATENCY } else { "low_latency" },
        "tasks": line.tasks.load(Relaxed),
        "tasks_failed": line.failed.load(Relaxed),
        "tasks_suspended": line.suspended.load(Relaxed),
    })
}

/// The file that is a process's standard error.
fn log(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/fd/2")).ok()
}

/// Resident memory of a process in bytes, where the system tells.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
