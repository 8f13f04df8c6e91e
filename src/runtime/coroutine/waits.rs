//! Reports what a worker's suspended tasks are waiting for, to detect deadlocks.

use std::fmt::Write;

use chimaera_abi::chi_pool_id;

use super::coroutine::{Context, WaitsFor};
use super::pool::Coroutines;
use crate::sync::{Far, Node, Wait, WaitId, Waits};

/// What a task is waiting for without a bound, if anything.
fn node(context: &Context) -> Option<Node> {
    if context.bounded.get() || !context.waiting.get() {
        return None;
    }
    match context.waits_for.get() {
        // SAFETY: the waiting code keeps the lock alive until its wait has ended.
        WaitsFor::Lock(lock) => Some(Node::Lock(unsafe { (*lock).number() })),
        WaitsFor::Task(child) => Some(Node::Task(child.addr())),
        WaitsFor::Far(far) => Some(Node::Far(far)),
        WaitsFor::Anyone | WaitsFor::Time => None,
    }
}

/// Collects the unbounded waits of a worker's tasks, and the locks that they hold.
pub(crate) fn collect(coroutines: &Coroutines, worker: u32, into: &mut Waits) {
    coroutines.each(|coroutine, context| {
        let Some(record) = context.task() else { return };
        let task = std::ptr::from_ref(record).addr();
        into.held.extend(record.holdings.locks().map(|number| (number, task)));
        let Some(what) = node(context) else { return };
        let id = WaitId { worker, coroutine, number: context.wait.get() };
        let call = context.serves.get();
        let lasting = record.everywhere || call.is_some();
        let from = call.map(Far::Node).or_else(|| record.came_from());
        into.waits.push(Wait { id, task, what, lasting, from });
    });
}

/// Describes at most `most` suspended tasks of a pool.
pub(crate) fn describe_tasks(
    coroutines: &Coroutines,
    pool: chi_pool_id,
    most: usize,
) -> Vec<String> {
    let mut told = Vec::new();
    coroutines.each(|_, context| {
        let Some(record) = context.task().filter(|_| told.len() < most) else { return };
        // SAFETY: the pointers are null, or point to the container in which the task is counted and to a
        // method of its pool.
        let (container, method) = unsafe { (record.container.as_ref(), record.method.as_ref()) };
        let (Some(container), Some(method)) = (container, method) else { return };
        if container.id != pool {
            return;
        }
        let name = &method.name;
        told.push(match context.waits_for.get() {
            // What it waited for may be gone.
            _ if !context.waiting.get() => format!("{name} waits"),
            // SAFETY: the waiting code keeps the lock alive until its wait has ended.
            WaitsFor::Lock(lock) => format!("{name} waits for {}", unsafe { &*lock }),
            WaitsFor::Task(child) => {
                // SAFETY: the awaited record lives until the wait has ended, which happens on this thread.
                format!("{name} waits for {}", unsafe { (*child).log_context() })
            }
            WaitsFor::Anyone | WaitsFor::Time | WaitsFor::Far(_) => format!("{name} waits"),
        });
    });
    told
}

/// Describes a wait; `None` if it has ended.
pub(crate) fn describe(coroutines: &Coroutines, id: WaitId) -> Option<String> {
    let mut text = None;
    coroutines.with(id.coroutine, |context| {
        if context.wait.get() != id.number || node(context).is_none() {
            return;
        }
        let Some(record) = context.task() else { return };
        let mut told = match context.serves.get() {
            Some(_) => "a call from another node waits for ".to_owned(),
            None => format!("{} waits for ", record.log_context()),
        };
        // Writing to a string does not fail.
        let _ = match context.waits_for.get() {
            // SAFETY: the waiting code keeps the lock alive until its wait has ended.
            WaitsFor::Lock(lock) => write!(told, "{}", unsafe { &*lock }),
            // SAFETY: the awaited record lives until the wait has ended, which happens on this
            // thread. So does its pool: even if the task has just ended, the pool is not freed
            // before this worker has counted another round.
            WaitsFor::Task(child) => write!(told, "{}", unsafe { (*child).log_context() }),
            WaitsFor::Far(Far::Process(passage)) => {
                write!(told, "process {}, where it runs", passage.process)
            }
            WaitsFor::Far(Far::Node(_)) => write!(told, "another node, where it runs"),
            WaitsFor::Anyone | WaitsFor::Time => return,
        };
        text = Some(told);
    });
    text
}
