//! Ending queued tasks that are cancelled or late without the worker whose turn they wait for, because a
//! method keeps it busy. Any other worker may do this.

use super::path::{end_postponed, refuse};
use super::worker::Worker;
use crate::pool::{ContainerLane, TaskHandle};
use crate::task::{CancelReason, Record};

/// Ends the cancelled and late ones among the tasks that are queued behind other workers' methods or
/// postponed here, if it is time to look for them.
pub(super) fn end_if_due(worker: &Worker) {
    let Some(began) = worker.looks.begin() else { return };
    end_postponed_ones(worker);
    let complete = end_behind_others(worker);
    worker.looks.end(began, complete);
}

/// Whoever cancelled them may have said so in another ring than that in which they are postponed.
fn end_postponed_ones(worker: &Worker) {
    let mut withdrawn = Vec::new();
    for ring in &mut worker.run_queue().entries().rings {
        for offset in ring.withdraw_all() {
            withdrawn.push((ring.session.begin_task(), offset));
        }
    }
    for (session, offset) in withdrawn {
        end_postponed(worker, session, offset, CancelReason::Asked.failure());
    }
}

/// False if there may be more, because others are in the way now.
fn end_behind_others(worker: &Worker) -> bool {
    let shared = &worker.shared;
    let is_blocked = |index: u32| index != worker.index && shared.run_queue(index).is_busy();
    if !(0..shared.started() as u32).any(is_blocked) {
        return true;
    }
    let mut complete = true;
    // The pools live as long as this table of them.
    let table = shared.table();
    for pool in table.iter() {
        for container in pool.containers() {
            container.each_lane(|lane| {
                let owner = lane.state.owner().filter(|owner| is_blocked(*owner));
                let Some(owner) = owner.filter(|_| lane.has_queued()) else { return };
                complete &= end_in_lane(worker, lane, owner);
            });
        }
    }
    complete
}

/// False if others are in the way now.
fn end_in_lane(worker: &Worker, lane: &ContainerLane, owner: u32) -> bool {
    let mut ended = None;
    worker.shared.run_queue(owner).while_away(|| {
        ended = Some(Vec::new());
        let Some(still) = lane.state.keep_still(owner) else { return };
        let taken_out = lane.take_out(|handle| reason_to_end(worker, handle).is_some());
        lane.state.let_go(still, taken_out.len());
        ended = Some(Vec::from(taken_out));
    });
    let complete = ended.is_some();
    for handle in ended.into_iter().flatten() {
        let reason = reason_to_end(worker, &handle);
        // SAFETY: it was queued as a handle of a record, and has been taken out of its lane.
        let mut record = unsafe { Record::from_handle(handle) };
        // It has been counted out.
        record.lane = std::ptr::null();
        // SAFETY: a task that was placed has a method, which lives as long as the task is counted in its container.
        unsafe { &*record.method }.metrics.unqueue(worker.metrics());
        if record.timing.is_measured() {
            record.timing.start();
        }
        let reason = reason.expect("a cancellation is never taken back");
        refuse(worker, record, reason.failure());
    }
    complete
}

/// Why a queued task is to end; `None` if it is to start in its turn.
fn reason_to_end(worker: &Worker, handle: &TaskHandle) -> Option<CancelReason> {
    // SAFETY: the handle in a lane is that of a record, which nobody else uses until it is taken out.
    let record = unsafe { Record::of_handle(handle) };
    if record.is_orphan() {
        record.cancel(CancelReason::Gone);
    } else if record.client_asks_to_cancel() {
        record.cancel(CancelReason::Asked);
    }
    let stops = worker.shared.is_stopping() && record.is_of_client();
    record.reason_not_to_start().or(stops.then_some(CancelReason::Stopping))
}
