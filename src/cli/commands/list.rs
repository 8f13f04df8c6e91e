//! `chimaera list`.

use chimaera_ipc::instance::Instance;
use chimaera_ipc::status_page::Reader;
use chimaera_runtime::describe_page;
use serde_json::{json, Value};

use crate::context::{Context, Outcome};
use crate::last_crash::LastCrash;
use crate::number::age;
use crate::table;

/// Lists the instances of this user that run, and those whose last run crashed.
pub(crate) fn run(context: &Context) -> Outcome {
    let instances = context.instance()?.all();
    let documents: Vec<Value> = instances.iter().filter_map(describe).collect();
    if context.print_json(&Value::from(documents.clone())) {
        return Ok(());
    }
    let rows = documents.iter().map(|instance| {
        let number = |key: &str| instance[key].as_u64().map_or("-".to_owned(), |it| it.to_string());
        let up = instance["uptime_s"].as_f64().map_or("-".to_owned(), |up| age(up as u64));
        let text = |key: &str| instance[key].as_str().unwrap_or("-").to_owned();
        [
            text("name"),
            text("state"),
            number("pid"),
            up,
            number("pools"),
            number("sessions"),
            number("tasks"),
        ]
    });
    let head = ["INSTANCE", "STATE", "PID", "UP", "POOLS", "SESSIONS", "TASKS"];
    crate::context::print(&table::lines(head, rows).concat());
    Ok(())
}

fn describe(instance: &Instance) -> Option<Value> {
    let crash = LastCrash::of(instance);
    let is_running = instance.is_running().unwrap_or(false);
    if !is_running && crash.is_none() {
        return None;
    }
    let holder = instance.holder();
    // A process that was killed leaves its page behind.
    let page = Reader::open(instance).ok().map(|reader| describe_page(reader.page()));
    let page = page.filter(|page| is_running && (holder.is_none() || page["pid"] == json!(holder)));
    let state = match &page {
        _ if !is_running => "crashed",
        Some(page) if page["ready"] == true => "running",
        // Without a page, it cannot be told from here how far it is.
        None if instance.socket().exists() => "running",
        _ => "starting",
    };
    let of = |key: &str| page.as_ref().map(|page| page[key].clone());
    Some(json!({
        "name": instance.name(),
        "state": state,
        "pid": if is_running { holder } else { None },
        "uptime_s": of("uptime_s"),
        "pools": of("pools"),
        "sessions": of("sessions"),
        "tasks": of("tasks"),
        "last_crash": crash.map(|crash| crash.json()),
    }))
}
