//! How a task ends: who is told, and what is given back.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use chimaera_abi::*;

use crate::aside::What;
use crate::cancel::Why;
use crate::container::{Container, ContainerLane};
use crate::ipc_table::TASK_DELETED;
use crate::marshal;
use crate::record::{Origin, Record, Waiter};
use crate::worker::Worker;

impl Worker {
    /// Completes a task, counts it out, and lets go of its record; a periodic one that is not over is kept
    /// for its next run. True when the caller still serves the lane.
    #[inline]
    pub(crate) fn finish(
        &self,
        mut record: Box<Record>,
        status: chi_status,
        message: &str,
    ) -> bool {
        let (container, lane) = (record.container, record.lane);
        let suspended = record.suspended.get();
        if !record.holdings.is_empty() {
            self.leave_locks(&record);
        }
        if suspended {
            record.forget_resting(self.own_fiber());
            if record.why_cancelled() == Some(Why::Deadlock) {
                self.take_circle(&record);
            }
        }
        self.count(status != CHI_OK);
        let kept = if record.period.is_some() && status == CHI_OK {
            self.end_run(record)
        } else {
            self.uncharge(&mut record);
            self.complete(record, status, message);
            None
        };
        // SAFETY: the task is counted in the lane until now, and in the container until `leave` below.
        let serves = unsafe { self.leave_lane(lane, suspended) };
        match kept {
            Some(record) => self.keep_until_due(record),
            None => {
                // SAFETY: null for a task that was never routed; else counted until now.
                if let Some(container) = unsafe { container.as_ref() } {
                    container.leave();
                }
            }
        }
        serves
    }

    /// Counts a task out of its lane. True when the caller still serves the lane.
    ///
    /// # Safety
    /// `lane` must be null for a task that is in no lane, else a lane in which it is counted, and which
    /// its container keeps.
    #[inline]
    pub(crate) unsafe fn leave_lane(&self, lane: *const ContainerLane, suspended: bool) -> bool {
        // SAFETY: by the caller's promise.
        match unsafe { lane.as_ref() } {
            None => false,
            Some(lane) if suspended => {
                if lane.turn.leave_suspended() && !lane.queue.is_empty() {
                    self.list(lane);
                }
                false
            }
            Some(lane) => lane.turn.leave(),
        }
    }

    /// Tells whoever waits for a task how it ended.
    #[inline(always)]
    fn complete(&self, mut record: Box<Record>, status: chi_status, message: &str) {
        let container = record.container;
        if status != CHI_OK && record.is_forgotten() {
            self.report_forgotten(&record, status, message);
        }
        match &record.origin {
            Origin::Client { session, .. } => {
                if session.is_dead() {
                    let blocks = std::mem::take(&mut record.blocks);
                    session.free(&blocks);
                } else {
                    marshal::complete(&mut record, status, message);
                }
                self.let_go(&mut record, container);
                self.recycle(record);
            }
            Origin::Internal => {
                self.let_go(&mut record, container);
                self.finish_internal(record, status, message);
            }
        }
    }

    /// A run of a periodic task has succeeded. Gives the task back when it runs again.
    fn end_run(&self, mut record: Box<Record>) -> Option<Box<Record>> {
        let why = match record.look_for_cancellation() {
            None if self.shared.is_stopping() => Why::Destroyed,
            None => {
                // Its next run is placed anew.
                self.uncharge(&mut record);
                return Some(record);
            }
            Some(why) => why,
        };
        let failure = why.failure();
        self.uncharge(&mut record);
        self.complete(record, failure.status, &failure.message);
        None
    }

    /// Has the module drop what it attached to the private body.
    #[inline]
    fn let_go(&self, record: &mut Record, container: *const Container) {
        // SAFETY: null for a task that was never routed; else live and counted.
        let Some(container) = (unsafe { container.as_ref() }) else { return };
        if let Some(del) = container.ops().del {
            let own = ptr::from_mut(record);
            // SAFETY: the record is the caller's, the body private and of the method's layout.
            self.aside(What::Del(own), || unsafe {
                del(container.object(), (*(*own).method).number, (*own).body());
            });
        }
    }

    pub(crate) fn finish_internal(
        &self,
        mut record: Box<Record>,
        status: chi_status,
        message: &str,
    ) {
        record.message.clear();
        record.message.push_str(message);
        let body = record.body();
        let record = Box::into_raw(record);
        // SAFETY: the record was the runtime's until the swap; after it, it belongs to whoever waits
        // or deletes, except when it was deleted before.
        unsafe {
            (*body).status_ = status;
            let word = AtomicU32::from_ptr(&raw mut (*body).state_);
            let mut before = word.load(Ordering::Acquire);
            let waiter = loop {
                // Valid if the word still says parked when it is exchanged.
                let waiter = (*record).waiter.load(Ordering::Relaxed);
                let done = word.compare_exchange(
                    before,
                    CHI_TASK_COMPLETE,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                match done {
                    Ok(_) => break waiter,
                    Err(now) => before = now,
                }
            };
            if before & TASK_DELETED != 0 {
                self.recycle(Box::from_raw(record));
            } else if before & CHI_TASK_PARKED != 0 {
                self.wake_waiter(Waiter::unpack(waiter));
            }
        }
    }
}
