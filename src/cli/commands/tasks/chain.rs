//! What a task waits for, to the end.

use chimaera_metrics::{State, Task, Tasks, WaitsFor};
use serde::Serialize;

use crate::number::duration;

/// A task and those that it waits for, each for the next.
#[derive(Serialize)]
pub(super) struct Chain<'t> {
    tasks: Vec<&'t Task>,
    /// Why the chain has no further task.
    end: String,
}

/// The task for which this one waits, if it is known.
pub(super) fn next<'t>(all: &'t Tasks, task: &Task) -> Option<&'t Task> {
    let mut tasks = all.tasks.iter();
    let here = |other: &&Task| other.process == task.process;
    match (task.state, task.waits_for.as_ref()) {
        (State::Queued, _) => {
            let is_busy = |other: &&Task| other.state == State::Running;
            tasks.find(|other| here(other) && is_busy(other) && other.worker == task.worker)
        }
        (_, None | Some(WaitsFor::Event | WaitsFor::Node)) => None,
        (_, Some(WaitsFor::Task { id, pool, method, root, depth })) => {
            let is_it = |other: &&Task| {
                (&other.pool, &other.method) == (pool, method)
                    && (other.root, other.depth) == (*root, *depth)
            };
            let by_id = all.tasks.iter().find(|other| here(other) && other.id == *id);
            by_id.or_else(|| {
                tasks.find(|other| here(other) && other.state == State::Running && is_it(other))
            })
        }
        (_, Some(WaitsFor::Lock { number, .. })) => {
            tasks.find(|other| here(other) && other.holds.contains(number))
        }
        (_, Some(WaitsFor::Process(passage))) => tasks.find(|other| {
            other.process == passage.process
                && other.came.is_some_and(|came| {
                    let there = (came.process, came.worker, came.task);
                    there == (task.process, passage.worker, passage.task)
                })
        }),
    }
}

/// The chain that begins with this task.
pub(super) fn from<'t>(all: &'t Tasks, first: &'t Task) -> Chain<'t> {
    let mut tasks = vec![first];
    loop {
        let last = tasks[tasks.len() - 1];
        match next(all, last) {
            Some(again) if tasks.iter().any(|seen| std::ptr::eq(*seen, again)) => {
                let end = format!(
                    "this looks like a circle, with {} again: if it is one, the runtime ends one of these waits",
                    again.id
                );
                return Chain { tasks, end };
            }
            Some(next) => tasks.push(next),
            None => return Chain { end: end(all, last), tasks },
        }
    }
}

/// Why nothing is known of what this task waits for.
fn end(all: &Tasks, last: &Task) -> String {
    let is_silent = |process| all.silent.iter().any(|silent| silent.process == process);
    match (last.state, &last.waits_for) {
        (State::Running, _) => {
            let worker = last.worker.map_or(String::new(), |worker| format!(" {worker}"));
            format!("it runs, and keeps worker{worker} busy")
        }
        (State::Queued, _) => "its worker has not come to it".to_owned(),
        (_, None | Some(WaitsFor::Event)) => {
            "a time, an event, or its turn ends the wait".to_owned()
        }
        (_, Some(WaitsFor::Task { pool, method, .. })) => {
            format!("{method} of pool '{pool}' runs, or waits in a place that has not answered")
        }
        (_, Some(WaitsFor::Lock { number, .. })) => {
            format!("the holder of lock {number} runs, or waits in a place that has not answered")
        }
        (_, Some(WaitsFor::Process(passage))) if is_silent(passage.process) => {
            format!(
                "process {}, a module host, does not answer, or not all of its workers do",
                passage.process
            )
        }
        (_, Some(WaitsFor::Process(passage))) => {
            format!("it runs in process {}, or waits there", passage.process)
        }
        (_, Some(WaitsFor::Node)) => {
            "it runs on another node: `chimaera tasks` there shows more".to_owned()
        }
    }
}

impl Chain<'_> {
    /// The chain in words, a task in each line.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (depth, task) in self.tasks.iter().enumerate() {
            let indent = "  ".repeat(depth);
            text += &format!("{indent}{}\n", line(task));
            if let Some(waits) = waits(task) {
                text += &format!("{indent}  waits for {waits}\n");
            }
        }
        text + &format!("{}{}\n", "  ".repeat(self.tasks.len()), self.end)
    }
}

fn line(task: &Task) -> String {
    let of = match (task.session, task.pid) {
        (Some(session), Some(pid)) => format!(", session {session} (process {pid})"),
        (Some(session), None) => format!(", session {session}"),
        (None, _) => String::new(),
    };
    let age = task.age_ns.map_or(String::new(), |age| format!(" for {}", duration(age)));
    let (id, method, pool, state) = (&task.id, &task.method, &task.pool, task.state.name());
    format!("{id}: {method} of pool '{pool}'{of}, {state}{age}")
}

/// What a task waits for, if that is a lock, its turn, or itself somewhere else; other tasks speak for themselves.
fn waits(task: &Task) -> Option<String> {
    match (task.state, task.waits_for.as_ref()?) {
        (State::Suspended, WaitsFor::Lock { number, pool }) if pool.is_empty() => {
            Some(format!("lock {number}"))
        }
        (State::Suspended, WaitsFor::Lock { number, pool }) => {
            Some(format!("lock {number} of pool '{pool}'"))
        }
        (State::Suspended, WaitsFor::Process(passage)) => {
            Some(format!("itself in process {}", passage.process))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, waits_for: Option<WaitsFor>) -> Task {
        let state = if waits_for.is_some() { State::Suspended } else { State::Running };
        Task { id: id.to_owned(), state, waits_for, worker: Some(1), ..Task::default() }
    }

    fn for_task(id: &str) -> Option<WaitsFor> {
        let (pool, method) = (String::new(), String::new());
        Some(WaitsFor::Task { id: id.to_owned(), pool, method, root: 1, depth: 0 })
    }

    fn ids(chain: &Chain<'_>) -> Vec<String> {
        chain.tasks.iter().map(|task| task.id.clone()).collect()
    }

    #[test]
    fn a_chain_goes_over_tasks_locks_and_turns_to_what_runs() {
        let lock = Some(WaitsFor::Lock { number: 7, pool: String::new() });
        let queued = Task { state: State::Queued, ..task("c", None) };
        let all = Tasks {
            tasks: vec![
                task("a", lock),
                Task { holds: vec![7], ..task("b", for_task("c")) },
                queued,
                task("worker-1", None),
            ],
            ..Tasks::default()
        };
        let chain = from(&all, &all.tasks[0]);
        assert_eq!(ids(&chain), ["a", "b", "c", "worker-1"]);
        assert_eq!(chain.end, "it runs, and keeps worker 1 busy");
    }

    #[test]
    fn a_circle_ends() {
        let tasks = vec![task("a", for_task("b")), task("b", for_task("a"))];
        let all = Tasks { tasks, ..Tasks::default() };
        let chain = from(&all, &all.tasks[0]);
        assert_eq!(ids(&chain), ["a", "b"]);
        assert!(chain.end.contains("like a circle, with a again"), "{}", chain.end);
    }

    #[test]
    fn a_chain_goes_into_a_module_host() {
        let passage = chimaera_metrics::Passage { process: 20, worker: 3, task: 64 };
        let came = chimaera_metrics::Passage { process: 10, ..passage };
        let here = Task { process: 10, ..task("a", Some(WaitsFor::Process(passage))) };
        let there = |task: u64| chimaera_metrics::Passage { task, ..came };
        let other = Task { process: 20, came: Some(there(0)), ..task("b", None) };
        let it = Task { process: 20, came: Some(there(64)), ..task("c", None) };
        let all = Tasks { tasks: vec![here, other, it], ..Tasks::default() };
        assert_eq!(ids(&from(&all, &all.tasks[0])), ["a", "c"]);
    }
}
