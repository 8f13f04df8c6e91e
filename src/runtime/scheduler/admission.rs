//! Admission: all the checks between a task and its method, and the limit on one session's tasks in
//! flight.

use std::sync::atomic::Ordering;

use chimaera_abi::*;

use super::worker::Worker;
use crate::coroutine::FEW_COROUTINES;
use crate::failure::Failure;
use crate::pool::{Container, Life};
use crate::sys::Use;
use crate::task::{Origin, Record};

/// What counts as few, and as very few, tasks of one session in flight: so many, and at most this part of the limit
/// on suspended tasks, so that no session can exhaust that with few tasks.
const FEW_IN_FLIGHT: (usize, usize) = (256, 4);
const VERY_FEW_IN_FLIGHT: (usize, usize) = (64, 16);
/// The limit while the memory budget has little room for records.
const FEWEST_IN_FLIGHT: usize = 16;

/// When a task is checked. What holds when it arrives may no longer hold when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It has been resolved to its container, which counts it from now on.
    Entering,
    /// Its method is about to run.
    Starting,
}

/// Admits a task to a container, or returns why it must end instead.
#[inline(always)]
pub(super) fn admit(
    worker: &Worker,
    record: &Record,
    container: &Container,
    moment: Moment,
) -> Result<(), Failure> {
    match moment {
        Moment::Entering => {
            if worker.shared.is_stopping() && record.is_of_client() {
                return Err(Failure::new(CHI_CANCELLED, "the runtime is stopping"));
            }
            if !container.admission.enter() {
                return enter_unless_closed(worker, record, container)
                    .unwrap_or_else(|| Err(closed(container)));
            }
        }
        Moment::Starting => {
            if !container.admission.is_live()
                || worker.shared.is_stopping() && record.is_of_client()
            {
                return Err(closed(container));
            }
            if record.is_orphan() {
                return Err(Failure::new(CHI_CANCELLED, ""));
            }
            if let Some(reason) = record.reason_not_to_start() {
                return Err(reason.failure());
            }
            if !worker.coroutines.have_room() {
                look_for_room(worker, record)?;
            }
        }
    }
    Ok(())
}

/// What admission returns for a task that has to wait; it reaches nobody.
const HOLD: chi_status = chi_status::MAX;

/// Whether a task was not refused, but has to wait.
pub(super) fn has_to_wait(failure: &Failure) -> bool {
    failure.status == HOLD
}

/// Counts a task in a container that does not take every task. `None` if the container is closed.
#[cold]
pub(super) fn enter_unless_closed(
    worker: &Worker,
    record: &Record,
    container: &Container,
) -> Option<Result<(), Failure>> {
    loop {
        let enters = match container.admission.life() {
            Life::Live => container.admission.enter(),
            Life::Holding => {
                if !goes_on(worker, record, container) {
                    break;
                }
                container.admission.enter_in(Life::Holding)
            }
            Life::Releasing => {
                // Those that are held go first, in their order.
                let behind = !worker.retries.get()
                    && worker.run_queue().entries().periodic.holds_for(container.id);
                if behind {
                    break;
                }
                container.admission.enter_in(Life::Releasing)
            }
            Life::Held | Life::Replaced => break,
            Life::Creating | Life::Destroying | Life::Quarantined | Life::Recovering => {
                return None
            }
        };
        if enters {
            return Some(Ok(()));
        }
    }
    Some(Err(Failure::new(HOLD, "")))
}

/// Whether a task is let into a pool whose tasks are held: one that is in the pool already, that a task
/// in it sends, or whose root has a task in it.
fn goes_on(worker: &Worker, record: &Record, container: &Container) -> bool {
    // It is moving from one container to another.
    if !record.container.is_null() {
        return true;
    }
    let Some(hold) = container.hold().filter(|_| !record.is_of_client()) else { return false };
    let root = record.holdings.root();
    // SAFETY: the pointer is null, or points to the container in which the task is counted.
    let sender = worker.running().and_then(|sender| unsafe { sender.container.as_ref() });
    if sender.is_some_and(|sender| hold.has(sender.id)) {
        // Its own subtasks may come back to the pool by way of others.
        hold.add_root(root);
        return true;
    }
    hold.has_root(root)
}

/// Why a container takes no more tasks.
#[cold]
fn closed(container: &Container) -> Failure {
    if let Some(why) = container.quarantined() {
        let message = format!("{} is in quarantine: {why}", container.shown());
        return Failure::new(CHI_FAULT, message);
    }
    Failure::new(
        CHI_CANCELLED,
        format!("pool '{}' was destroyed before the task ran", container.name()),
    )
}

/// Checks whether a task may start, and so perhaps be suspended, although many are already
/// suspended.
#[cold]
fn look_for_room(worker: &Worker, record: &Record) -> Result<(), Failure> {
    if worker.coroutines.are_starving() {
        return Err(no_stack(worker));
    }
    let config = &worker.shared.config;
    let all = worker.shared.coroutines.load(Ordering::Relaxed);
    match &record.origin {
        Origin::Client { session, .. } => {
            let there_are = config.max_suspended_in(worker.shared.budget, all);
            let most = most_in_flight(worker).max(at_most(FEW_IN_FLIGHT, there_are));
            if session.tasks_in_flight() > most {
                let raise = narrower(worker, there_are);
                let message = format!(
                    "more than {most} of the client's tasks are in flight, and many tasks are \
                     suspended in the runtime: wait for some of them, or: {raise}"
                );
                return Err(Failure::new(CHI_NO_SPACE, message));
            }
        }
        // Suspended tasks may be unable to end before their subtasks do, so subtasks get some extra
        // room, part of which is reserved for sessions with very few tasks in flight.
        Origin::Internal => {
            let limit = config.max_suspended;
            if all > most_coroutines(limit, 16) && worker.coroutines.need_another() {
                let raise = narrower(worker, config.max_suspended_in(worker.shared.budget, all));
                let message = format!(
                    "too many tasks are suspended in the runtime for another subtask to start: {raise}"
                );
                return Err(Failure::new(CHI_NO_SPACE, message));
            }
        }
    }
    Ok(())
}

/// What to raise for more suspended tasks than `there_are`: memory for their stacks may be the narrower limit.
fn narrower(worker: &Worker, there_are: usize) -> String {
    let limit = worker.shared.config.max_suspended;
    match there_are < limit {
        true => worker.shared.budget.exhausted(Use::Stacks).to_string(),
        false => format!("raise limits.suspended_tasks ({limit})"),
    }
}

fn no_stack(worker: &Worker) -> Failure {
    let budget = worker.shared.budget;
    let why = match budget.is_tight(Use::Stacks) {
        true => format!(": {}", budget.exhausted(Use::Stacks)),
        false => String::new(),
    };
    Failure::new(CHI_NO_SPACE, format!("the runtime has no memory for another task's stack{why}"))
}

/// Why a postponed task ends before it was accepted: the suspended tasks may never end without it.
#[cold]
pub(super) fn no_room_in_time(worker: &Worker) -> Failure {
    let (budget, limit) = (worker.shared.budget, worker.shared.config.max_suspended);
    if worker.coroutines.are_starving() {
        return no_stack(worker);
    }
    let why = match [Use::Records, Use::Stacks].into_iter().find(|what| budget.is_tight(*what)) {
        Some(what) => budget.exhausted(what).to_string(),
        None => format!("raise limits.suspended_tasks ({limit})"),
    };
    let message = format!(
        "too many tasks are suspended in the runtime for another to start, and none of this \
         client's has ended for a while: {why}"
    );
    Failure::new(CHI_NO_SPACE, message)
}

/// The number of tasks in flight at which no more are taken from a session's rings. The more tasks
/// are suspended on this worker, the lower the limit, so that one session cannot shut out the
/// others however many tasks it has suspended.
#[inline]
pub(super) fn most_in_flight(worker: &Worker) -> usize {
    let config = &worker.shared.config;
    if worker.shared.budget.is_tight(Use::Records) {
        return FEWEST_IN_FLIGHT;
    }
    if worker.coroutines.have_room() {
        return config.max_in_flight;
    }
    let waiting = worker.coroutines.in_use();
    // There is a stack for another task, whatever the budget says.
    if waiting < FEW_COROUTINES {
        return config.max_in_flight;
    }
    let all = || worker.shared.coroutines.load(Ordering::Relaxed);
    let limit = config.max_suspended_in(worker.shared.budget, all());
    let share = |of: usize| share_of(of, limit, config.workers);
    // This worker may also use what the others leave unused, except for an eighth.
    let unused = |of: usize| of.saturating_sub(all().saturating_sub(waiting) + of / 8);
    // Above this, only sessions with few tasks in flight are served, so that one session's
    // suspended tasks do not keep the others out.
    let many = many_of(limit);
    if waiting <= share(many).max(unused(many)) {
        config.max_in_flight
    } else if waiting <= share(limit) {
        at_most(FEW_IN_FLIGHT, limit)
    } else if all() <= most_coroutines(limit, 8) {
        at_most(VERY_FEW_IN_FLIGHT, limit)
    } else {
        0
    }
}

/// Another worker that has room for more suspended tasks, for the rings of sessions with few tasks that this one
/// holds back, and how many are few.
#[cold]
pub(super) fn worker_with_room(worker: &Worker) -> Option<(u32, usize)> {
    let (shared, config) = (&worker.shared, &worker.shared.config);
    // Then it is not this worker that has no room.
    if shared.budget.is_tight(Use::Records) {
        return None;
    }
    let all = shared.coroutines.load(Ordering::Relaxed);
    let limit = config.max_suspended_in(shared.budget, all);
    let suspended =
        |of: u32| shared.page().lines[of as usize].suspended.load(Ordering::Relaxed) as usize;
    let room = share_of(many_of(limit), limit, config.workers);
    let other = shared.least_loaded(false, |of, _| suspended(of))?;
    (other != worker.index && suspended(other) < room)
        .then_some((other, at_most(FEW_IN_FLIGHT, limit)))
}

/// How many suspended tasks are many.
fn many_of(limit: usize) -> usize {
    limit / 7 * 5
}

/// A worker's share of so many of the suspended tasks that there may be.
fn share_of(of: usize, limit: usize, workers: usize) -> usize {
    (of / workers).max(64.min(limit / workers / 2))
}

/// A number of tasks, and at most a part of the limit on suspended ones.
fn at_most((number, part): (usize, usize), limit: usize) -> usize {
    number.min(limit / part).max(1)
}

/// The limit on coroutines: the limit on suspended tasks plus one `part`-th of it.
fn most_coroutines(limit: usize, part: usize) -> usize {
    limit + limit / part
}
