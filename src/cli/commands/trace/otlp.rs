//! OpenTelemetry's traces in JSON: `opentelemetry/proto/trace/v1/trace.proto`, and "JSON Protobuf Encoding" of the
//! OpenTelemetry Protocol 1.x. Ids are in hexadecimal, and 64-bit numbers are strings.

use std::collections::HashMap;
use std::io::{self, Write};

use chimaera_metrics::{TracedFor, TracedTask};
use serde_json::{json, Value};

use super::recorded::{begin, waits_in_words, Recorded};
use crate::context::status_in_words;

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
    // What a runtime has written may go round.
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
    let stages = recorded.stages(task);
    let mut attributes = vec![
        text("chimaera.pool", &method.pool),
        text("chimaera.method", &method.method),
        number("chimaera.worker", task.worker.into()),
        number("chimaera.bytes_in", task.bytes_in),
        number("chimaera.lane_ns", stages.lane),
        number("chimaera.running_ns", stages.running),
        number("chimaera.suspended_ns", stages.suspended),
    ];
    attributes.extend(stages.ring.map(|ring| number("chimaera.ring_ns", ring)));
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
        span["status"] = json!({ "code": ERROR, "message": status_in_words(task.status) });
    }
    span
}

fn waits(what: TracedFor) -> String {
    waits_in_words(what, |task| match task {
        0 => "a task".to_owned(),
        task => format!("the task {task:016x}"),
    })
}
