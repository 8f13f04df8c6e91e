//! What workers are doing, as JSON and in words.

use std::sync::atomic::Ordering;

use chimaera_metrics::Running;
use serde_json::json;

use crate::pool::Pool;
use crate::scheduler::{Role, RunQueue, Shared};

/// What a stand-by worker does; `None` for another worker.
pub(super) fn standby(shared: &Shared, index: u32) -> Option<&'static str> {
    match shared.run_queue(index).role() {
        _ if !shared.is_standby(index) => None,
        Role::Resting => Some("resting"),
        Role::Attending => Some("attending"),
        _ => Some("serving"),
    }
}

/// Describes a worker, and the method that keeps it busy, if any.
pub(super) fn describe_worker(shared: &Shared, index: u32) -> serde_json::Value {
    let (queue, line) = (shared.run_queue(index), &shared.page().lines[index as usize]);
    let role = queue.role();
    json!({
        "group": if role == Role::HighLatency { "high_latency" } else { "low_latency" },
        "standby": standby(shared, index),
        "tasks": line.tasks.load(Ordering::Relaxed),
        "tasks_failed": line.failed.load(Ordering::Relaxed),
        "tasks_suspended": line.suspended.load(Ordering::Relaxed),
        "running": running(shared, queue),
    })
}

/// Describes the method that keeps a worker busy.
pub(super) fn running(shared: &Shared, queue: &RunQueue) -> Option<Running> {
    let since = queue.busy_since()?;
    let running = queue.running();
    running.parts()?;
    let (session, _) = queue.node();
    let (method, pool) = running.in_words(&shared.pools).unzip();
    let sessions = shared.sessions();
    let client = sessions.iter().find(|client| client.number == session);
    Some(Running {
        pool,
        method,
        session: client.map(|client| client.number),
        pid: client.map(|client| client.caller.pid),
        thread_ended: queue.has_lost_thread(),
        age_ms: shared.start.elapsed().saturating_sub(since).as_millis() as u64,
    })
}

/// Puts `running` into words: "worker 0 has been busy for 3.2 s with kSleep of pool x for session 1
/// (process 123)".
pub(super) fn busy_in_words(index: u32, running: &Running) -> String {
    let age = running.age_ms as f64 / 1e3;
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
    let (method, pool) = (name(&running.method), name(&running.pool));
    let mut text = match running.thread_ended {
        true => format!("the thread of worker {index} has ended in {method} of pool '{pool}'"),
        false => {
            format!("worker {index} has been busy for {age:.1} s with {method} of pool '{pool}'")
        }
    };
    if let (Some(session), Some(pid)) = (running.session, running.pid) {
        text += &format!(" for session {session} (process {pid})");
    }
    text
}

/// Describes, in words, a task of this pool that keeps a worker busy.
pub(crate) fn busy_with(shared: &Shared, pool: &Pool) -> Option<String> {
    let queues = (0..).zip(shared.run_queues());
    let mut of_pool = queues.filter(|(_, queue)| {
        queue.running().parts().is_some_and(|(slot, _)| slot == pool.id.major_)
    });
    of_pool.find_map(|(index, queue)| Some(busy_in_words(index, &running(shared, queue)?)))
}
