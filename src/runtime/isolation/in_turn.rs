//! Tasks that wait for a module host, or for the link to it, go on in the order in which they came, and
//! none that comes later overtakes them.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::forward::{go_on, suspend};
use crate::failure::Failure;
use crate::scheduler::Worker;
use crate::sync::Waiter;

/// The tasks of a worker that wait for one thing.
struct Queue {
    /// The address of what they wait for.
    subject: usize,
    /// The number of each, and who it is, if it waits for its turn.
    waiting: VecDeque<(u64, Option<Waiter>)>,
    last: u64,
}

thread_local! {
    /// Few: those of the hosts for which tasks of this worker wait at the moment.
    static QUEUES: RefCell<Vec<Queue>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the queue of a subject, if any task waits for it.
fn with<T>(subject: usize, f: impl FnOnce(&mut Queue) -> T) -> Option<T> {
    QUEUES.with_borrow_mut(|all| all.iter_mut().find(|queue| queue.subject == subject).map(f))
}

/// Joins the queue of a subject. Returns the number in it.
fn join(subject: usize) -> u64 {
    let join = |queue: &mut Queue| {
        queue.last += 1;
        queue.waiting.push_back((queue.last, None));
        queue.last
    };
    if let Some(number) = with(subject, join) {
        return number;
    }
    let waiting = VecDeque::from([(0, None)]);
    QUEUES.with_borrow_mut(|all| all.push(Queue { subject, waiting, last: 0 }));
    0
}

/// Leaves the queue. Whoever is first from then on is woken.
fn leave(worker: &Worker, subject: usize, number: u64) {
    let next = with(subject, |queue| {
        queue.waiting.retain(|(other, _)| *other != number);
        queue.waiting.front_mut().and_then(|(_, waiter)| waiter.take())
    });
    QUEUES.with_borrow_mut(|all| all.retain(|queue| !queue.waiting.is_empty()));
    worker.wake_all(next.flatten().into_iter().collect());
}

/// Returns what `there` finds, if no task waits for the subject; else waits for its turn, and then for
/// `wait`. Fails if the running task is cancelled while it waits for its turn.
pub(super) fn in_turn<S, T>(
    worker: &Worker,
    subject: &S,
    there: impl FnOnce() -> Option<T>,
    wait: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let subject = std::ptr::from_ref(subject).addr();
    if with(subject, |_| ()).is_none() {
        if let Some(found) = there() {
            return Ok(found);
        }
    }
    let number = join(subject);
    let is_first = |queue: &mut Queue| queue.waiting.front().is_none_or(|it| it.0 == number);
    let result = loop {
        if with(subject, is_first).unwrap_or(true) {
            break wait();
        }
        let waiter = worker.prepare_wait();
        with(subject, |queue| {
            let own = queue.waiting.iter_mut().find(|(other, _)| *other == number);
            if let Some((_, waits)) = own {
                *waits = Some(waiter);
            }
        });
        suspend(worker, None);
        if let Err(failure) = go_on(worker) {
            break Err(failure);
        }
    };
    leave(worker, subject, number);
    result
}
