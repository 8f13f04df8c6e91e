//! `chimaera status`: reads the status page, so that it disturbs no worker.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use chimaera_abi::CHI_DESCRIBE_RUNTIME;
use chimaera_ipc::control::Request;
use chimaera_ipc::status_page::Reader;
use chimaera_runtime::describe_page;
use serde_json::{json, Value};

use crate::context::{Context, Failed, Outcome};
use crate::last_crash::LastCrash;
use crate::number::counted;

pub(crate) fn run(context: &Context) -> Outcome {
    let instance = context.instance()?;
    let last_crash = LastCrash::of(&instance);
    let crash = last_crash.as_ref().map(LastCrash::json);
    if !instance.is_running()? {
        let name = instance.name();
        let why = instance.not_running();
        let stopped = json!({
            "name": name,
            "running": false,
            "last_crash": crash,
            "status": "CHI_UNAVAILABLE",
            "error": why,
        });
        if context.print_json(&stopped) {
            std::process::exit(3);
        }
        let mut message = why;
        if let Some(LastCrash { text, file, .. }) = last_crash {
            message += &format!("; the last crash ({}):\n{}", file.display(), text.trim_end());
        }
        return Err(Failed::NotRunning(message));
    }
    let holder = instance.holder();
    let early = || {
        // The instance has not created its page yet, or has just removed it.
        json!({ "name": instance.name(), "running": true, "ready": false, "pid": holder })
    };
    let mut step = None;
    let page = match Reader::open(&instance) {
        Ok(reader) => {
            step = Some(reader.page().step()).filter(|step| !step.is_empty());
            describe_page(reader.page())
        }
        // Shared memory is unavailable or full, so there is no page, or the page is another user's.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            match context.ask(Request::Status, &[]) {
                Err(Failed::NotRunning(_)) => return not_ready(context, &early()),
                answer => answer?,
            }
        }
        Err(error) => return Err(error.into()),
    };
    let pid = page["pid"].as_u64().unwrap_or_default();
    // A process that was killed leaves its page behind.
    if holder.is_some_and(|holder| u64::from(holder) != pid) {
        return not_ready(context, &early());
    }
    let log = if page["log_is_file"] == true { log_of(pid) } else { None };
    let lost = page["log_lost"].as_u64().unwrap_or_default();
    let why = chimaera_runtime::log::why(page["log_error"].as_i64().unwrap_or_default() as i32);
    let mut document = json!({ "name": instance.name(), "running": true, "step": step });
    if let (Value::Object(document), Value::Object(mut page)) = (&mut document, page) {
        page.remove("log_is_file");
        document.append(&mut page);
    }
    // The page does not say what a worker is doing. If the runtime does not answer, only the page
    // is shown.
    let ready = document["ready"] == true;
    let mut described = ready.then(|| context.describe(CHI_DESCRIBE_RUNTIME));
    if let Some(Err(Failed::NotRunning(_))) = described {
        // The page is that of a process that was killed, or this one is about to end.
        return match instance.is_running()? {
            true => not_ready(context, &early()),
            false => Err(Failed::NotRunning(instance.not_running())),
        };
    }
    if let Some(Ok(runtime)) = &mut described {
        document["each_worker"] = runtime["each_worker"].take();
        document["stopping"] = runtime["stopping"].take();
        document["memory"] = runtime["memory"].take();
        document["module_hosts"] = runtime["module_hosts"].take();
    }
    let silent = match described {
        Some(Err(Failed::Silent(why))) => Some(why),
        _ => None,
    };
    document["answers"] = json!(silent.is_none());
    document["error"] = json!(silent);
    if silent.is_some() {
        document["status"] = json!("CHI_TIMEOUT");
    }
    document["resident_bytes"] = json!(resident(pid));
    document["socket"] = json!(instance.socket().to_string_lossy());
    document["log"] = json!(log.as_ref().map(|log| log.to_string_lossy()));
    document["last_crash"] = json!(crash);
    document["log_error"] = json!((lost > 0).then_some(&why));
    if !ready {
        return not_ready(context, &document);
    }
    if context.print_json(&document) {
        return if silent.is_some() { Err(Failed::Told) } else { Ok(()) };
    }
    let mut text = String::new();
    let mut line = |label: &str, value: String| text += &format!("{label:<12}{value}\n");
    line("instance", instance.name().to_owned());
    let number = |key: &str| document[key].as_f64().unwrap_or_default();
    let (up, ready_ms) = (number("uptime_s"), number("start_to_ready_ms"));
    line("process", format!("{pid}, up {up:.0} s, ready after {ready_ms:.1} ms"));
    if let Some(since) = document["stopping"]["since_ms"].as_f64() {
        line("stopping", format!("for {:.1} s, and waiting for:", since / 1e3));
        for obstacle in document["stopping"]["waiting_for"].as_array().into_iter().flatten() {
            line("", obstacle.as_str().unwrap_or_default().to_owned());
        }
    }
    line("workers", document["workers"].to_string());
    for (number, worker) in document["each_worker"].as_array().into_iter().flatten().enumerate() {
        line(&format!("  worker {number}"), in_words(worker));
    }
    line(
        "sessions",
        format!("{} ({} since start)", document["sessions"], document["sessions_total"]),
    );
    line("pools", document["pools"].to_string());
    for host in document["module_hosts"].as_array().into_iter().flatten() {
        line("  host", host_in_words(host));
    }
    line("modules", format!("{} loaded, {} refused", document["modules"], document["refused"]));
    let [tasks, failed, suspended] =
        ["tasks", "tasks_failed", "tasks_suspended"].map(|key| &document[key]);
    line("tasks", format!("{tasks} completed, of which {failed} failed; {suspended} suspended"));
    if let Some(bytes) = document["resident_bytes"].as_u64() {
        line("memory", format!("{:.1} MiB resident", mib(bytes)));
    }
    if let Some(text) = budget_in_words(&document["memory"]) {
        line("  budget", text);
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
    match silent {
        None => Ok(()),
        Some(why) => Err(Failed::Silent(format!("{why}: only its status page is shown"))),
    }
}

/// Shows the state of an instance that does not accept clients yet.
fn not_ready(context: &Context, document: &Value) -> Outcome {
    let process = document["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let why = context.instance()?.not_ready(process);
    let mut document = document.clone();
    document["status"] = json!("CHI_UNAVAILABLE");
    document["error"] = json!(why);
    if context.print_json(&document) {
        std::process::exit(3);
    }
    Err(Failed::NotRunning(why))
}

/// A module host: "cache: process 123, running for 2.0s, restarted 0 times", and whether it answers.
pub(crate) fn host_in_words(host: &Value) -> String {
    let since = Duration::from_millis(host["since_ms"].as_u64().unwrap_or(0));
    let process = match host["pid"].as_u64() {
        Some(pid) => format!("process {pid}"),
        None => "no process".to_owned(),
    };
    let text = |key: &str| host[key].as_str().unwrap_or_default();
    let (pool, state) = (text("pool"), text("state"));
    let restarts = counted(&host["restarts"], "time");
    let mut words = format!("{pool}: {process}, {state} for {since:.1?}, restarted {restarts}");
    if let Some(silent) = host["silent_ms"].as_u64() {
        words += &format!("; has not answered for {:.1} s", silent as f64 / 1e3);
    }
    words
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The memory budget in words.
fn budget_in_words(memory: &Value) -> Option<String> {
    let number = |key: &str| memory[key].as_u64().map(mib);
    let (budget, used) = (number("budget_bytes")?, number("used_bytes")?);
    let of = match memory["source"].as_str()? {
        "cgroup" => "its control group",
        "addresses" => "half its addresses (`ulimit -v`)",
        "machine" => "the machine",
        _ => return Some(format!("{used:.1} of {budget:.1} MiB in use, set by limits.memory")),
    };
    let available = number("available_bytes")?;
    Some(format!("{used:.1} of {budget:.1} MiB in use, a share of the {available:.1} MiB of {of}"))
}

/// A worker in words.
fn in_words(worker: &Value) -> String {
    let group = match (worker["standby"].as_str(), worker["group"] == "high_latency") {
        (Some("resting"), _) => "stand-by, resting",
        (Some("attending"), _) => "stand-by, starts no tasks",
        (Some(_), true) => "stand-by for high latency",
        (Some(_), false) => "stand-by for low latency",
        (None, true) => "high latency",
        (None, false) => "low latency",
    };
    let (tasks, suspended) = (&worker["tasks"], &worker["tasks_suspended"]);
    let s = if tasks == 1 { "" } else { "s" };
    let mut text = format!("{group}, {tasks} task{s} completed, {suspended} suspended");
    let running = &worker["running"];
    if let Some(age) = running["age_ms"].as_u64() {
        let name = |key: &str, or: &'static str| running[key].as_str().unwrap_or(or).to_owned();
        let (method, pool) = (name("method", "a method"), name("pool", "that is being destroyed"));
        text += &match running["thread_ended"] == true {
            true => format!("; its thread has ended in {method} of pool '{pool}'"),
            false => format!("; busy for {:.1} s with {method} of pool {pool}", age as f64 / 1e3),
        };
        if let (Some(session), Some(pid)) = (running["session"].as_u64(), running["pid"].as_u64()) {
            text += &format!(" for session {session} (process {pid})");
        }
    }
    text
}

/// The file to which a process's standard error goes.
pub(crate) fn log_of(pid: u64) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/fd/2")).ok()
}

/// Resident memory of a process in bytes, if available.
fn resident(pid: u64) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
