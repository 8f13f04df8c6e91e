//! `chimaera tasks`.

mod chain;

use chimaera_ipc::control::Request;
use chimaera_metrics::{State, Task, Tasks, WaitsFor, Wanted};
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use crate::complete;
use crate::context::{print, Context, Failed, Outcome};
use crate::number::{counted, duration, number};
use crate::table;

/// How many tasks are looked at to find out what one waits for.
const ALL: usize = 10_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tasks of this pool
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::pools))]
    pool: Option<String>,
    /// Only the tasks of this session
    #[arg(long, value_name = "ID", value_parser = number::<u64>(1..=u64::MAX))]
    session: Option<u64>,
    /// At most so many tasks, the oldest
    #[arg(long, short = 'n', value_name = "N", default_value = "100", value_parser = number::<usize>(1..=ALL))]
    most: usize,
    /// Show what this task waits for, and what that waits for, to the end
    ///
    /// TASK is its ID or the beginning of it, as the list shows it.
    #[arg(long, value_name = "TASK", conflicts_with_all = ["pool", "session", "most"])]
    why: Option<String>,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let Args { pool, session, most, why } = args;
    match why {
        Some(task) => explain(context, &task),
        None => {
            let pool = pool.map(|pool| name_of(context, &pool)).transpose()?;
            list(context, &Wanted { most, pool, session })
        }
    }
}

/// The name of a pool that is given by its name or id, and exists.
fn name_of(context: &Context, pool: &str) -> Result<String, Failed> {
    let document = context.ask_with_text(Request::Pool, pool)?;
    Ok(document["name"].as_str().unwrap_or(pool).to_owned())
}

fn ask(context: &Context, wanted: &Wanted) -> Result<(serde_json::Value, Tasks), Failed> {
    let wanted = serde_json::to_string(wanted)?;
    let document = context.ask_with_text(Request::Tasks, &wanted)?;
    let tasks = Tasks::read(&document).map_err(Failed::Message)?;
    Ok((document, tasks))
}

fn list(context: &Context, wanted: &Wanted) -> Outcome {
    let (document, tasks) = ask(context, wanted)?;
    if context.print_json(&document) {
        return Ok(());
    }
    let head = ["ID", "STATE", "AGE", "POOL", "METHOD", "SESSION", "PID", "WORKER", "WAITS FOR"];
    let rows = tasks.tasks.iter().map(|task| row(&tasks, task));
    print(&table::lines(head, rows).concat());
    let mut text = match (tasks.suspended, tasks.queued) {
        (Some(suspended), Some(queued)) => {
            format!("{} suspended, {queued} queued\n", counted(&json!(suspended), "task"))
        }
        _ => String::new(),
    };
    if tasks.tasks.len() >= wanted.most {
        text += &format!("the {} oldest are listed: -n lists more, up to {ALL}\n", wanted.most);
    }
    text += &silence(&tasks);
    print(&text);
    Ok(())
}

/// Says who has not said what it has.
fn silence(tasks: &Tasks) -> String {
    let mut text = String::new();
    for silent in &tasks.silent {
        text += &match silent.worker {
            Some(worker) => format!(
                "worker {worker} of process {} is busy: what is suspended on it is not listed, nor what is queued there if no \
                 other worker could look\n",
                silent.process
            ),
            None => format!("module host {} does not answer\n", silent.process),
        };
    }
    text
}

fn row(all: &Tasks, task: &Task) -> [String; 9] {
    let known = |of: Option<String>| of.unwrap_or_else(|| "-".to_owned());
    let waits_for = match (task.state, &task.waits_for) {
        (State::Running, _) => String::new(),
        (State::Queued, _) => "its turn".to_owned(),
        (State::Suspended, None) => "-".to_owned(),
        (State::Suspended, Some(waits_for)) => in_words(all, task, waits_for),
    };
    let state = match task.cancelled {
        true => format!("{}, cancelled", task.state.name()),
        false => task.state.name().to_owned(),
    };
    [
        task.id.clone(),
        state,
        known(task.age_ns.map(duration)),
        task.pool.clone(),
        task.method.clone(),
        known(task.session.map(|session| session.to_string())),
        known(task.pid.map(|pid| pid.to_string())),
        known(task.worker.map(|worker| worker.to_string())),
        waits_for,
    ]
}

fn in_words(all: &Tasks, task: &Task, waits_for: &WaitsFor) -> String {
    match waits_for {
        WaitsFor::Event => "an event or a time".to_owned(),
        WaitsFor::Task { pool, method, .. } => match chain::next(all, task) {
            Some(next) => format!("{method} of '{pool}' ({})", next.id),
            None => format!("{method} of '{pool}'"),
        },
        WaitsFor::Lock { number, .. } => match chain::next(all, task) {
            Some(holder) => format!("lock {number}, which {} holds", holder.id),
            None => format!("lock {number}"),
        },
        WaitsFor::Process(passage) => match chain::next(all, task) {
            Some(next) => format!("itself in process {} ({})", passage.process, next.id),
            None => format!("itself in process {}", passage.process),
        },
        WaitsFor::Node => "itself on another node".to_owned(),
    }
}

fn explain(context: &Context, wanted: &str) -> Outcome {
    let (_, tasks) = ask(context, &Wanted { most: ALL, ..Wanted::default() })?;
    let begins = |task: &&Task| task.id.starts_with(wanted);
    let exact = tasks.tasks.iter().find(|task| task.id == wanted);
    let mut found = exact.into_iter().chain(tasks.tasks.iter().filter(begins));
    let first = found.next().ok_or_else(|| {
        let silence = silence(&tasks);
        let but = if silence.is_empty() { "" } else { "; " };
        Failed::Message(format!(
            "none of the {} oldest tasks has an ID that begins with '{wanted}': it may have ended{but}{}",
            tasks.tasks.len(),
            silence.trim_end().replace('\n', "; ")
        ))
    })?;
    if let Some(second) = found.next().filter(|_| exact.is_none()) {
        let why = format!("'{wanted}' is the beginning of {} and {}", first.id, second.id);
        return Err(Failed::Usage(why));
    }
    let chain = chain::from(&tasks, first);
    if !context.print_json(&json!(chain)) {
        print(&chain.text());
    }
    Ok(())
}
