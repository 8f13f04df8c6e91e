//! Lists the tasks that workers have: each names those that are suspended on it or queued in its lanes, and one of
//! them those that are queued behind a worker that a method keeps busy.

use std::cmp::Reverse;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use chimaera_metrics::{self as metrics, Silent, State, Task, Tasks, Wanted, TASKS_FORMAT};

use super::about::FIRST_LINK;
use super::listed::{Asked, Listed};
use super::mailbox::{Question, WorkerMessage};
use super::questions::Workers;
use super::run_queue::RunQueue;
use super::shared::Shared;
use super::worker::Worker;
use crate::coroutine::WaitsFor;
use crate::pool::ContainerLane;
use crate::sync::{Far, Passage};
use crate::sys::lock;
use crate::task::Record;

/// How many tasks of a lane are looked at for those of one session.
const MOST_LOOKED_AT: usize = 10_000;

/// The oldest of the tasks of this process.
pub(crate) fn own_tasks(shared: &Shared, wanted: &Wanted) -> Tasks {
    let (mut tasks, silent) = ask(shared, wanted);
    let queues = (0..).zip(shared.run_queues());
    let running = queues.filter_map(|(index, queue)| running(shared, index, queue));
    tasks.extend(running.filter(|task| is_wanted(wanted, &task.pool, task.session)));
    keep_oldest(&mut tasks, wanted.most);
    let (mut queued, mut suspended) = (0, 0);
    for pool in shared.table().iter().filter(|pool| is_of(wanted, pool.name())) {
        for method in pool.methods.iter() {
            let (in_lanes, begun) = method.metrics.waiting();
            (queued, suspended) = (queued + in_lanes, suspended + begun);
        }
    }
    Tasks {
        format: TASKS_FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tasks,
        // It is not counted by session.
        suspended: wanted.session.is_none().then_some(suspended),
        queued: wanted.session.is_none().then_some(queued),
        silent,
    }
}

/// The task that keeps a worker busy.
fn running(shared: &Shared, index: u32, queue: &RunQueue) -> Option<Task> {
    let since = queue.busy_since()?;
    let (method, pool) = queue.running().in_words(&shared.pools)?;
    let (session, node) = queue.node();
    let age = shared.start.elapsed().saturating_sub(since).as_nanos() as u64;
    let process = std::process::id();
    Some(Task {
        id: match shared.hosts.daemon() {
            None => format!("worker-{index}"),
            Some(_) => format!("{process}/worker-{index}"),
        },
        process: process as i32,
        worker: Some(index),
        pool,
        method,
        session: (1..FIRST_LINK).contains(&session).then_some(session),
        root: node.root_,
        depth: node.depth_,
        state: State::Running,
        age_ns: Some(age),
        state_ns: Some(age),
        ..Task::default()
    })
}

/// Asks the workers for the oldest of their tasks. Those that run are not among them. Also returns who has not
/// answered.
fn ask(shared: &Shared, wanted: &Wanted) -> (Vec<Task>, Vec<Silent>) {
    let asked = Arc::new(Asked::new(wanted));
    let process = std::process::id() as i32;
    let workers = Workers::of(shared);
    let (mut listed, answered): Listed =
        workers.ask(|question| WorkerMessage::ListTasks(asked.clone(), question));
    let silent = (0..shared.started() as u32).filter(|worker| !answered.contains(worker));
    let silent = silent.map(|worker| Silent { process, worker: Some(worker) }).collect();
    keep_oldest(&mut listed, wanted.most);
    (listed, silent)
}

/// Keeps so many of the oldest, in order.
pub(crate) fn keep_oldest(tasks: &mut Vec<Task>, most: usize) {
    tasks.sort_by_key(|task| Reverse(task.age_ns));
    tasks.truncate(most);
}

/// The answer of a worker.
fn list(worker: &Worker, asked: &Asked) -> Vec<Task> {
    let (shared, wanted) = (&worker.shared, &asked.wanted);
    let mut listed = suspended(worker, wanted);
    queued(worker, wanted, worker.index, &mut listed);
    if asked.looks_behind_busy() {
        for owner in (0..shared.started() as u32).filter(|owner| *owner != worker.index) {
            if shared.run_queue(owner).is_busy() {
                let look = || queued(worker, wanted, owner, &mut listed);
                shared.run_queue(owner).while_away(look);
            }
        }
    }
    keep_oldest(&mut listed, wanted.most);
    listed
}

/// Lists what is queued in the lanes of a worker: this one, or one that is kept away meanwhile.
fn queued(worker: &Worker, wanted: &Wanted, owner: u32, listed: &mut Vec<Task>) {
    // The pools live as long as this table of them.
    let table = worker.shared.table();
    for pool in table.iter().filter(|pool| is_of(wanted, pool.name())) {
        for container in pool.containers() {
            container.each_lane(|lane| {
                if lane.state.owner() == Some(owner) && lane.has_queued() {
                    look_into(worker, lane, owner, wanted, listed);
                    if listed.len() >= 2 * wanted.most {
                        keep_oldest(listed, wanted.most);
                    }
                }
            });
        }
    }
}

fn is_of(wanted: &Wanted, pool: &str) -> bool {
    wanted.pool.as_ref().is_none_or(|wanted| wanted == pool)
}

fn is_wanted(wanted: &Wanted, pool: &str, session: Option<u64>) -> bool {
    is_of(wanted, pool) && wanted.session.is_none_or(|of| session == Some(of))
}

/// Lists the next tasks of a lane, which its owner itself looks into, or somebody who keeps the owner away.
fn look_into(
    worker: &Worker,
    lane: &ContainerLane,
    owner: u32,
    wanted: &Wanted,
    listed: &mut Vec<Task>,
) {
    let Some(still) = lane.state.keep_still(owner) else { return };
    // Those of a session may be behind others.
    let most = if wanted.session.is_some() { MOST_LOOKED_AT } else { wanted.most };
    let mut left = wanted.most;
    lane.peek(most, |handle| {
        // SAFETY: the handle in a lane is that of a record, which nobody else uses until it is taken out.
        let record = unsafe { Record::of_handle(handle) };
        if left > 0 && wanted.session.is_none_or(|of| record.session == of) {
            left -= 1;
            listed.push(Task { worker: Some(owner), ..describe(worker, record, State::Queued) });
        }
    });
    lane.state.let_go(still, 0);
}

/// The oldest of the tasks that are suspended on this worker.
fn suspended(worker: &Worker, wanted: &Wanted) -> Vec<Task> {
    let mut ages = Vec::new();
    worker.coroutines.each(|number, context| {
        let Some(record) = context.task() else { return };
        let pool = record.log_context().pool.unwrap_or_default();
        if is_wanted(wanted, pool, Some(record.session)) {
            ages.push((Reverse(record.timing.ages(true).0), number));
        }
    });
    ages.sort_unstable();
    let mut listed = Vec::new();
    for (_, number) in ages.into_iter().take(wanted.most) {
        worker.coroutines.with(number, |context| {
            let Some(record) = context.task() else { return };
            // Once a wait is over, what it was for may be gone.
            let waits_for = match context.waits_for.get() {
                _ if !context.waiting.get() => metrics::WaitsFor::Event,
                WaitsFor::Anyone | WaitsFor::Time => metrics::WaitsFor::Event,
                WaitsFor::Lock(lock) => {
                    // SAFETY: the waiting code keeps the lock alive until its wait has ended.
                    let lock = unsafe { &*lock };
                    metrics::WaitsFor::Lock { number: lock.number(), pool: lock.pool().to_owned() }
                }
                WaitsFor::Far(Far::Process(passage)) => {
                    metrics::WaitsFor::Process(passage_of(passage))
                }
                WaitsFor::Far(Far::Node(_)) => metrics::WaitsFor::Node,
                WaitsFor::Task(child) => {
                    // SAFETY: the awaited record lives until the wait has ended, which happens on this thread.
                    let child = unsafe { &*child };
                    let about = child.log_context();
                    metrics::WaitsFor::Task {
                        id: id(child),
                        pool: about.pool.unwrap_or_default().to_owned(),
                        method: about.method.unwrap_or_default().to_owned(),
                        root: child.node().root_,
                        depth: child.node().depth_,
                    }
                }
            };
            listed.push(Task {
                worker: Some(worker.index),
                waits_for: Some(waits_for),
                holds: record.holdings.locks().collect(),
                ..describe(worker, record, State::Suspended)
            });
        });
    }
    listed
}

/// What a task is, and how old.
fn describe(worker: &Worker, record: &Record, state: State) -> Task {
    let about = record.log_context();
    let (age, here) = record.timing.ages(state == State::Suspended);
    let ns = |ticks| worker.shared.metrics.ns(ticks);
    Task {
        id: id(record),
        process: std::process::id() as i32,
        pool: about.pool.unwrap_or_default().to_owned(),
        method: about.method.unwrap_or_default().to_owned(),
        session: about.session.filter(|session| *session < FIRST_LINK),
        root: record.node().root_,
        depth: record.node().depth_,
        state,
        age_ns: Some(ns(age)),
        state_ns: Some(ns(here)),
        cancelled: record.cancel_reason().is_some(),
        came: record.came_from().and_then(Far::passage).map(passage_of),
        ..Task::default()
    }
}

fn passage_of(Passage { process, worker, task }: Passage) -> metrics::Passage {
    metrics::Passage { process, worker, task }
}

/// Names a task as long as it exists, and says nothing of where it is in memory.
fn id(record: &Record) -> String {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    let hash = SECRET.get_or_init(RandomState::new).hash_one((
        std::ptr::from_ref(record).addr(),
        record.node().root_,
        record.node().depth_,
    ));
    format!("{:08x}", hash >> 32)
}

/// Adds the answer of a worker.
pub(super) fn answer(worker: &Worker, asked: &Asked, question: &Question<Listed>) {
    let mut listed = list(worker, asked);
    let mut answers = lock(question);
    answers.workers += 1;
    answers.found.0.append(&mut listed);
    answers.found.1.push(worker.index);
}
