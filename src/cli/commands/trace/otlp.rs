//! OpenTelemetry's traces in JSON: `opentelemetry/proto/trace/v1/trace.proto`, and "JSON Protobuf Encoding" of the
//! OpenTelemetry Protocol 1.x. Ids are in hexadecimal, and 64-bit numbers are strings.

use std::collections::HashMap;
use std::io::{self, Write};

use chimaera_metrics::{TracedFor, TracedTask};
use serde_json::{json, Value};

use super::recorded::{begin, Recorded};

/// How many spans are in a line.
const IN_A_LINE: usize = 500;
/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u32 = 1;
/// `SPAN_KIND_SERVER`: of a task that a client has submitted.
const SERVER: u32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u32 = 2;

/// Writes a trace: a span for each task.
pub(super) fn write(to: &mut impl Write, recorded: &Recorded, instance: &str) -> io::Result<()> {
    let parents: HashMap<u64, u64> =
        recorded.tasks.iter().map(|task| (task.id, task.parent)).collect();
    for tasks in recorded.tasks.chunks(IN_A_LINE) {
        let spans: Vec<Value> = tasks.iter().map(|task| span(recorded, &parents, task)).collect();
        let line = json!({ "resourceSpans": [{
            "resource": { "attributes": [
                text("service.name", "chimaera"),
                text("service.instance.id", instance),
                text("service.version", &recorded.version),
            ]},
            "scopeSpans": [{
                "scope": { "name": "chimaera", "version": recorded.version },
                "spans": spans,
            }],
        }]});
        serde_json::to_writer(&mut *to, &line)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// The task to which all leads back.
fn topmost(parents: &HashMap<u64, u64>, task: u64) -> u64 {
    let mut top = task;
    // A task has a greater number than its submitter only on the same worker: what a runtime has written may go round.
    for _ in 0..parents.len() {
        match parents.get(&top) {
            Some(&parent) if parents.contains_key(&parent) => top = parent,
            _ => break,
        }
    }
    top
}

fn span(recorded: &Recorded, parents: &HashMap<u64, u64>, task: &TracedTask) -> Value {
    let method = recorded.method(task);
    let at = |ns: u64| recorded.began_unix_ns.saturating_add(ns).to_string();
    let ring = task.submitted_ns.map(|at| task.accepted_ns.saturating_sub(at));
    let running: u64 =
        recorded.segments(task).iter().map(|segment| segment.until_ns - segment.since_ns).sum();
    let lane = task.started_ns.saturating_sub(task.accepted_ns);
    let suspended = task.ended_ns.saturating_sub(task.started_ns).saturating_sub(running);
    let mut attributes = vec![
        text("chimaera.pool", &method.pool),
        text("chimaera.method", &method.method),
        number("chimaera.worker", task.worker.into()),
        number("chimaera.bytes_in", task.bytes_in),
        number("chimaera.lane_ns", lane),
        number("chimaera.running_ns", running),
        number("chimaera.suspended_ns", suspended),
    ];
    attributes.extend(ring.map(|ring| number("chimaera.ring_ns", ring)));
    if task.session != 0 {
        attributes.push(number("chimaera.session", task.session));
    }
    let events: Vec<Value> = recorded
        .waits_of(task)
        .iter()
        .flat_map(|wait| [(wait.since_ns, waits(wait.what)), (wait.until_ns, "goes on".to_owned())])
        .map(|(ns, name)| json!({ "timeUnixNano": at(ns), "name": name }))
        .collect();
    let is_submitted_by_client = task.session != 0 && task.depth == 0;
    let mut span = json!({
        "traceId": format!("{:016x}{:016x}", recorded.began_unix_ns, topmost(parents, task.id)),
        "spanId": format!("{:016x}", task.id),
        "name": format!("{} {}", method.pool, method.method),
        "kind": if is_submitted_by_client { SERVER } else { INTERNAL },
        "startTimeUnixNano": at(begin(task)),
        "endTimeUnixNano": at(task.ended_ns.max(begin(task))),
        "attributes": attributes,
        "events": events,
    });
    if parents.contains_key(&task.parent) {
        span["parentSpanId"] = format!("{:016x}", task.parent).into();
    }
    if task.status != 0 {
        let name = chimaera_abi::status_name(task.status);
        let message = name.map_or_else(|| task.status.to_string(), str::to_owned);
        span["status"] = json!({ "code": ERROR, "message": message });
    }
    span
}

fn waits(what: TracedFor) -> String {
    match what {
        TracedFor::Time => "waits for a time".to_owned(),
        TracedFor::Event => "waits for an event".to_owned(),
        TracedFor::Lock => "waits for a lock".to_owned(),
        TracedFor::Task(0) => "waits for a task".to_owned(),
        TracedFor::Task(task) => format!("waits for the task {task:016x}"),
        TracedFor::Process(process) => format!("is in process {process}"),
        TracedFor::Node => "is on another node".to_owned(),
    }
}
