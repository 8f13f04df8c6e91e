//! Placement: the container and lane in which a task runs, and the worker that serves an empty
//! lane.

use std::sync::atomic::Ordering;

use chimaera_abi::*;

use super::admission::{admit, Moment};
use super::call::{ask_monitor, NO_ANSWER};
use super::mailbox::WorkerMessage;
use super::run_queue::RunQueue;
use super::worker::Worker;
use crate::failure::Failure;
use crate::pool::{Container, ContainerLane, Entered, LanePtr, Pool, PoolMethod};
use crate::task::{destination, Record};

/// Asks a method's monitor which containers a task is for, and counts the task in the container
/// that it names. If it names none, the containers take turns.
///
/// The task must be counted in the first container of the pool.
pub(super) fn choose_container(
    worker: &Worker,
    record: &mut Record,
    pool: &Pool,
    method: &PoolMethod,
) -> Result<(), Failure> {
    let first = &**pool.asked();
    debug_assert!(std::ptr::eq(record.container, first));
    ask_monitor(worker, record, first, method, CHI_MONITOR_GLOBAL_SCHEDULE)?;
    // The monitor wrote its choice into the query. Restore the caller's dynamic query, in case the
    // caller submits the task again.
    // SAFETY: the body is private, and has at least a header.
    let query = unsafe {
        let dynamic = chi_domain_query { kind_: CHI_DOMAIN_DYNAMIC, value_: 0 };
        std::mem::replace(&mut (*record.body()).dom_query_, dynamic)
    };
    let chosen = destination(pool, query, false, &worker.next_container).map_err(|failure| {
        let (name, why) = (&method.name, failure.message);
        let message = format!("the monitor of {name} sent the task nowhere: {why}");
        Failure::new(failure.status, message)
    })?;
    if !std::ptr::eq(chosen, first) {
        admit(worker, record, chosen, Moment::Entering)?;
        record.container = chosen;
        first.admission.leave();
    }
    record.everywhere = query.kind_ == CHI_DOMAIN_GLOBAL_BCAST;
    Ok(())
}

/// Asks a method's monitor for the task's lane, or chooses one that suits the task's latency.
#[inline(always)]
pub(super) fn choose_lane(
    worker: &Worker,
    record: &mut Record,
    container: &Container,
    method: &PoolMethod,
) -> Result<*const ContainerLane, Failure> {
    let only = container.only_lane();
    if !method.monitored && !is_high_latency(record) && !only.is_null() {
        return Ok(only);
    }
    choose_among_lanes(worker, record, container, method)
}

#[inline]
fn is_high_latency(record: &Record) -> bool {
    // SAFETY: the body is private, and has at least a header.
    let flags = unsafe { (*record.body()).task_flags_.bits_ };
    flags & CHI_TASK_HIGH_LATENCY != 0
}

fn choose_among_lanes(
    worker: &Worker,
    record: &mut Record,
    container: &Container,
    method: &PoolMethod,
) -> Result<*const ContainerLane, Failure> {
    // For a broadcast, the monitor is asked about each replica instead.
    if method.monitored && !record.everywhere {
        let rctx = ask_monitor(worker, record, container, method, CHI_MONITOR_LOCAL_SCHEDULE)?;
        ask_estimate(worker, record, container, method)?;
        if !rctx.lane_.is_null() {
            return match container.own_lane(rctx.lane_) {
                Some(lane) => Ok(lane),
                None => Err(no_lane(container, method)),
            };
        }
    }
    let next = worker.next_lane.get();
    worker.next_lane.set(next.wrapping_add(1));
    Ok(container.any_lane(next, is_high_latency(record)))
}

#[cold]
fn no_lane(container: &Container, method: &PoolMethod) -> Failure {
    let (method, pool) = (&method.name, container.name());
    let message =
        format!("the monitor of {method} of pool '{pool}' chose a lane that does not exist");
    Failure::new(CHI_INVALID, message)
}

/// Asks the monitor how long the task will run. A monitor that gives no estimate is asked again
/// only after a while.
fn ask_estimate(
    worker: &Worker,
    record: &mut Record,
    container: &Container,
    method: &PoolMethod,
) -> Result<(), Failure> {
    if !method.is_monitor_worth_asking() {
        return Ok(());
    }
    match ask_monitor(worker, record, container, method, CHI_MONITOR_EST_LOAD)?.est_ns_ {
        NO_ANSWER => method.note_silence(),
        found => record.estimate = u32::try_from(found).unwrap_or(u32::MAX).max(1),
    }
    Ok(())
}

/// Queues a task that takes long or may be kept waiting. If its lane is empty, the lane goes to the
/// least loaded worker.
#[cold]
pub(super) fn queue_on_least_loaded(
    worker: &Worker,
    mut record: Box<Record>,
    lane: &ContainerLane,
) {
    let chosen = least_loaded(worker, lane.high_latency);
    let entered = lane.state.enter(chosen, false);
    let owner = match entered {
        Entered::First => chosen,
        Entered::Behind { owner } => owner,
    };
    let load = &worker.shared.run_queue(owner).load;
    load.fetch_add(record.estimate.into(), Ordering::Relaxed);
    record.charged = owner;
    queue(worker, record, lane);
}

/// Queues a task that is counted in its lane, and notifies the lane's owner. The lane may have been
/// taken over since the task was counted, even if this is the only task in it.
#[inline]
pub(super) fn queue(worker: &Worker, record: Box<Record>, lane: &ContainerLane) {
    // SAFETY: a routed task has a method, which lives as long as the task is counted in its container.
    unsafe { &*record.method }.metrics.queue(worker.metrics());
    record.timing.queue(worker.about_now());
    lane.push(record.into_handle());
    match lane.state.owner_to_notify(worker.index) {
        Some(owner) if owner == worker.index => worker.list(lane),
        Some(owner) => {
            let message = WorkerMessage::Lane(LanePtr(lane));
            worker.shared.mailbox(owner).send(message);
        }
        None => {}
    }
}

/// Handles the message that another worker queued a task in a lane that this worker owned at the
/// time.
pub(super) fn on_lane_notified(worker: &Worker, lane: *const ContainerLane) {
    // SAFETY: the task that was queued with this message keeps lane and container alive. If another
    // message has already led to the task and it has ended, the container is still alive: it is
    // freed only after every worker has read the messages that were sent before its destruction.
    let lane = unsafe { &*lane };
    match lane.state.on_notified() {
        Some(owner) if owner != worker.index => {
            let message = WorkerMessage::Lane(LanePtr(lane));
            worker.shared.mailbox(owner).send(message);
        }
        Some(_) if lane.has_queued() => worker.list(lane),
        _ => {}
    }
}

/// The least loaded worker in a lane's group; this one if no other has less load.
fn least_loaded(worker: &Worker, high_latency: bool) -> u32 {
    let shared = &worker.shared;
    let high_latency = high_latency && shared.config.high_latency_workers > 0;
    let load = |of: u32, queue: &RunQueue| (queue.load.load(Ordering::Relaxed), of != worker.index);
    shared.least_loaded(high_latency, load).unwrap_or(worker.index)
}

/// Removes a task that has ended from the load of its worker.
#[inline]
pub(super) fn uncharge(worker: &Worker, record: &mut Record) {
    if record.estimate != 0 {
        let estimate = u64::from(std::mem::take(&mut record.estimate));
        if record.charged != Record::UNCHARGED {
            let load = &worker.shared.run_queue(record.charged).load;
            load.fetch_sub(estimate, Ordering::Relaxed);
            record.charged = Record::UNCHARGED;
        }
    }
}

/// True if this worker can only expect work so far off that spinning is not worthwhile.
#[cold]
pub(super) fn must_wait_long(worker: &Worker) -> bool {
    let spin = worker.shared.config.spin.as_nanos() as u64;
    let mut others = worker.shared.run_queues().iter().enumerate().filter_map(|(index, queue)| {
        let load = queue.load.load(Ordering::Relaxed);
        (index != worker.index as usize && load > 0).then_some(load)
    });
    worker.coroutines.has_suspended()
        && others.next().is_some_and(|first| others.fold(first, u64::min) > spin)
}
