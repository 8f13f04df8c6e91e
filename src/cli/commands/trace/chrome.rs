//! The Trace Event Format, which Perfetto and Chrome read: "Trace Event Format" of the Chromium project.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use chimaera_metrics::{TracedFor, TracedTask};
use serde_json::{json, Value};

use super::recorded::{begin, waits_in_words, Recorded};
use crate::context::status_in_words;

/// The number of the process that stands for the workers; those that stand for pools follow.
const WORKERS: usize = 1;

/// Writes a trace.
pub(super) fn write(to: &mut impl Write, recorded: &Recorded, instance: &str) -> io::Result<()> {
    let mut events = Events { to, is_first: true };
    events.to.write_all(b"{\"traceEvents\":[")?;
    let pools = name_tracks(&mut events, recorded, instance)?;
    let known: HashMap<u64, &TracedTask> =
        recorded.tasks.iter().map(|task| (task.id, task)).collect();
    for task in &recorded.tasks {
        let pool = pools[recorded.method(task).pool.as_str()];
        one(&mut events, recorded, &known, task, pool)?;
    }
    let other = json!({
        "instance": instance,
        "version": format!("Chimaera {}", recorded.version),
        "began_unix_ns": recorded.began_unix_ns.to_string(),
        "lost": recorded.lost,
        "open": recorded.open,
    });
    write!(events.to, "\n],\"displayTimeUnit\":\"ns\",\"otherData\":{other}}}\n")
}

struct Events<'w, W> {
    to: &'w mut W,
    is_first: bool,
}

impl<W: Write> Events<'_, W> {
    fn put(&mut self, event: &Value) -> io::Result<()> {
        let before = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        self.to.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut *self.to, event)?;
        Ok(())
    }
}

/// Names the workers and the pools. Returns the numbers of the pools' processes.
fn name_tracks<'r>(
    events: &mut Events<'_, impl Write>,
    recorded: &'r Recorded,
    instance: &str,
) -> io::Result<HashMap<&'r str, usize>> {
    let name = |what: &str, pid: usize, tid: u32, name: String| json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } });
    events.put(&name("process_name", WORKERS, 0, format!("workers of '{instance}'")))?;
    let workers: BTreeSet<u32> = recorded.tasks.iter().map(|task| task.worker).collect();
    for worker in workers {
        events.put(&name("thread_name", WORKERS, worker + 1, format!("worker {worker}")))?;
    }
    let pools: BTreeSet<&str> =
        recorded.methods.iter().map(|method| method.pool.as_str()).collect();
    let mut numbers = HashMap::new();
    for (pid, pool) in (WORKERS + 1..).zip(pools) {
        events.put(&name("process_name", pid, 0, format!("pool '{pool}'")))?;
        numbers.insert(pool, pid);
    }
    Ok(numbers)
}

/// Microseconds, as the format wants them.
fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// The number of a task, which JavaScript would round.
fn id(number: u64) -> String {
    format!("{number:x}")
}

/// A task: the times in which it kept its worker busy, and all of its time with its waits.
fn one(
    events: &mut Events<'_, impl Write>,
    recorded: &Recorded,
    known: &HashMap<u64, &TracedTask>,
    task: &TracedTask,
    pool: usize,
) -> io::Result<()> {
    let method = recorded.method(task);
    let segments = recorded.segments(task);
    let stages = recorded.stages(task);
    let mut args = json!({
        "task": id(task.id),
        "root": id(task.root),
        "depth": task.depth,
        "status": status_in_words(task.status),
        "bytes_in": task.bytes_in,
        "ring_us": stages.ring.map(us),
        "lane_us": us(stages.lane),
        "running_us": us(stages.running),
        "suspended_us": us(stages.suspended),
    });
    if task.session != 0 {
        args["session"] = task.session.into();
    }
    if task.parent != 0 {
        args["submitted_by"] = id(task.parent).into();
    }
    let tid = task.worker + 1;
    for segment in &segments {
        events.put(&json!({
            "ph": "X", "name": method.method, "cat": method.pool, "pid": WORKERS, "tid": tid,
            "ts": us(segment.since_ns), "dur": us(segment.until_ns - segment.since_ns), "args": { "task": id(task.id) },
        }))?;
    }
    let mut part = |phase: &str, name: &str, at: u64, args: Option<&Value>| {
        let mut event = json!({
            "ph": phase, "name": name, "cat": method.pool, "id": id(task.id), "pid": pool, "tid": 0,
            "ts": us(at),
        });
        if let Some(args) = args {
            event["args"] = args.clone();
        }
        events.put(&event)
    };
    let begin = begin(task);
    part("b", &method.method, begin, Some(&args))?;
    let mut stage = |name: &str, since: u64, until: u64| {
        if until > since {
            part("b", name, since, None)?;
            part("e", name, until, None)?;
        }
        io::Result::Ok(())
    };
    stage("in ring", begin, task.accepted_ns)?;
    stage("in lane", task.accepted_ns, task.started_ns)?;
    for wait in recorded.waits_of(task) {
        stage(&waits_for(recorded, known, wait.what), wait.since_ns, wait.until_ns)?;
    }
    part("e", &method.method, task.ended_ns.max(begin), None)?;
    let Some(parent) = known.get(&task.parent) else { return Ok(()) };
    // An arrow from where its submitter was to where it started.
    let arrow = |phase: &str, worker: u32, at: u64| {
        json!({
            "ph": phase, "bp": "e", "name": "submits", "cat": "submits", "id": id(task.id),
            "pid": WORKERS, "tid": worker + 1, "ts": us(at),
        })
    };
    events.put(&arrow("s", parent.worker, begin))?;
    events.put(&arrow("f", task.worker, task.started_ns))
}

/// What a task waits for, in words.
fn waits_for(recorded: &Recorded, known: &HashMap<u64, &TracedTask>, what: TracedFor) -> String {
    waits_in_words(what, |number| match known.get(&number).map(|task| recorded.method(task)) {
        Some(method) => format!("{} of '{}'", method.method, method.pool),
        None => "a task".to_owned(),
    })
}
