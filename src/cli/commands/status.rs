//! `chimaera status`: reads the status page, so that it disturbs no worker.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, SystemTime};

use chimaera_abi::CHI_DESCRIBE_RUNTIME;
use chimaera_ipc::status_page::{Reader, WorkerLine};
use serde_json::{json, Value};

use crate::context::{Context, Failed, Outcome};
use crate::last_crash::LastCrash;

pub(crate) fn run(context: &Context) -> Outcome {
    let instance = context.instance()?;
    let last_crash = LastCrash::of(&instance);
    let crash = last_crash.as_ref().map(LastCrash::json);
    if !instance.is_running()? {
        let name = instance.name();
        let stopped = json!({ "name": name, "running": false, "last_crash": crash });
        if context.print_json(&stopped) {
            std::process::exit(3);
        }
        let mut message = format!("instance '{name}' is not running");
        if let Some(LastCrash { text, file, .. }) = last_crash {
            message += &format!("; it crashed ({}):\n{}", file.display(), text.trim_end());
        }
        return Err(Failed::NotRunning(message));
    }
    let reader = match Reader::open(&instance) {
        // It has not made its page yet, or has removed it just now.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let early = json!({ "name": instance.name(), "running": true, "ready": false });
            return not_ready(context, &early);
        }
        other => other?,
    };
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
    let lost = page.log_lost.load(Relaxed);
    let why = chimaera_runtime::log::why(page.log_error.load(Relaxed) as i32);
    let log = if page.log_is_file.load(Relaxed) == 1 { log(pid) } else { None };
    let ready_ms = page.ready_after_ns.load(Acquire) as f64 / 1e6;
    // What a worker is doing, the page does not say. A runtime that does not answer is shown as far as it does.
    let described = (ready_ms > 0.0).then(|| context.describe(CHI_DESCRIBE_RUNTIME).ok()).flatten();
    let each_worker = match described {
        Some(mut runtime) => runtime["each_worker"].take(),
        None => lines.clone().map(worker).collect(),
    };
    let document = json!({
        "name": instance.name(),
        "running": true,
        "ready": ready_ms > 0.0,
        "pid": pid,
        "uptime_s": up.as_secs_f64(),
        "start_to_ready_ms": ready_ms,
        "workers": workers,
        "each_worker": each_worker,
        "sessions": page.sessions.load(Relaxed),
        "sessions_total": page.sessions_total.load(Relaxed),
        "pools": page.pools.load(Relaxed),
        "modules": page.modules.load(Relaxed),
        "refused": page.refused.load(Relaxed),
        "tasks": tasks,
        "tasks_failed": failed,
        "tasks_suspended": suspended,
        "resident_bytes": resident(pid),
        "socket": instance.socket().to_string_lossy(),
        "log": log.as_ref().map(|log| log.to_string_lossy()),
        "last_crash": crash,
        "log_lost": lost,
        "log_error": (lost > 0).then_some(&why),
    });
    if ready_ms == 0.0 {
        return not_ready(context, &document);
    }
    if context.print_json(&document) {
        return Ok(());
    }
    let mut text = String::new();
    let mut line = |label: &str, value: String| text += &format!("{label:<12}{value}\n");
    line("instance", instance.name().to_owned());
    line("process", format!("{pid}, up {} s, ready after {ready_ms:.1} ms", up.as_secs()));
    line("workers", workers.to_string());
    for (number, worker) in document["each_worker"].as_array().into_iter().flatten().enumerate() {
        line(&format!("  worker {number}"), in_words(worker));
    }
    line(
        "sessions",
        format!("{} ({} since start)", document["sessions"], document["sessions_total"]),
    );
    line("pools", document["pools"].to_string());
    line("modules", format!("{} loaded, {} refused", document["modules"], document["refused"]));
    line("tasks", format!("{tasks} completed, of which {failed} failed; {suspended} suspended"));
    if let Some(bytes) = document["resident_bytes"].as_u64() {
        line("memory", format!("{:.1} MiB resident", bytes as f64 / f64::from(1 << 20)));
    }
    line("socket", instance.socket().display().to_string());
    let log =
        log.map_or("standard error of the process".to_owned(), |log| log.display().to_string());
    line("log", log);
    if lost > 0 {
        line("", format!("{lost} lines lost: {why}"));
    }
    if let Some(LastCrash { headline, file, .. }) = last_crash {
        line("last crash", format!("{headline} (see {})", file.display()));
    }
    crate::context::print(&text);
    Ok(())
}

/// What there is to say of an instance that lets no clients in yet.
fn not_ready(context: &Context, document: &Value) -> Outcome {
    if context.print_json(document) {
        std::process::exit(3);
    }
    Err(Failed::NotRunning(format!(
        "instance '{}' is starting: it lets no clients in yet",
        context.name
    )))
}

/// The worker group for high-latency tasks.
const HIGH_LATENCY: &str = "high_latency";

/// A worker in words.
fn in_words(worker: &Value) -> String {
    let group = match (worker["standby"].as_str(), worker["group"] == HIGH_LATENCY) {
        (Some("resting"), _) => "stand-by, resting",
        (Some(_), true) => "stand-by for high latency",
        (Some(_), false) => "stand-by for low latency",
        (None, true) => "high latency",
        (None, false) => "low latency",
    };
    let (tasks, suspended) = (&worker["tasks"], &worker["tasks_suspended"]);
    let mut text = format!("{group}, {tasks} tasks completed, {suspended} suspended");
    let running = &worker["running"];
    if let Some(age) = running["age_ms"].as_u64() {
        let name = |key: &str, or: &'static str| running[key].as_str().unwrap_or(or).to_owned();
        let (method, pool) = (name("method", "a method"), name("pool", "that is being destroyed"));
        text += &format!("; busy for {:.1} s with {method} of pool {pool}", age as f64 / 1e3);
        if let (Some(session), Some(pid)) = (running["session"].as_u64(), running["pid"].as_u64()) {
            text += &format!(" for session {session} (process {pid})");
        }
    }
    text
}

/// What the page says of a worker.
fn worker(line: &WorkerLine) -> Value {
    json!({
        "group": if line.high_latency.load(Relaxed) == 1 { HIGH_LATENCY } else { "low_latency" },
        "tasks": line.tasks.load(Relaxed),
        "tasks_failed": line.failed.load(Relaxed),
        "tasks_suspended": line.suspended.load(Relaxed),
    })
}

/// The file to which a process's standard error goes.
fn log(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/fd/2")).ok()
}

/// Resident memory of a process in bytes, if available.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
