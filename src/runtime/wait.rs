//! Waiting: how a task gives up its worker and gets it back.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::alarms::Alarm;
use crate::cancel::Why;
use crate::fiber::Pause;
use crate::nap;
use crate::record::{Record, Waiter};
use crate::shared::Note;
use crate::worker::{Worker, LANE_BATCH};

/// What a fiber's task waits for.
#[derive(Clone, Copy)]
pub(crate) enum WaitsFor {
    /// For a time, or for somebody who ends the wait. A cancellation ends it early.
    Anyone,
    /// For the end of a task that was made in the runtime: a cancellation goes on to that task. The
    /// record is there as long as the wait lasts.
    Task(*const Record),
}

impl Worker {
    /// The record of the task that runs on this fiber, when there is one.
    pub(crate) fn running(&self) -> Option<&Record> {
        // SAFETY: null, or the record of the running task, which lives until the task has ended.
        unsafe { self.context().record.get().as_ref() }
    }

    /// Prepares a wait of the running fiber; `wait` then waits.
    pub(crate) fn prepare_wait(&self) -> Waiter {
        let context = self.context();
        context.turn.set(context.turn.get().wrapping_add(1));
        context.waiting.set(true);
        Waiter { worker: self.index, fiber: self.fibers.current(), turn: context.turn.get() }
    }

    /// Gives the wait up before it began.
    pub(crate) fn forget_wait(&self) {
        let context = self.context();
        context.turn.set(context.turn.get().wrapping_add(1));
        context.waiting.set(false);
    }

    /// Suspends the running task until its prepared wait is over, or it is cancelled. Its lane goes on
    /// without it.
    pub(crate) fn wait(&self, waits_for: WaitsFor) {
        let context = self.context();
        let code = self.desk().leave_module();
        let mut deadline = None;
        if let Some(record) = self.running() {
            let first = !record.suspended.get();
            if first {
                record.note_resting(self.own_fiber());
            }
            if record.look_for_cancellation().is_some() && !record.told.replace(true) {
                match waits_for {
                    WaitsFor::Anyone => {
                        if first {
                            record.forget_resting(self.own_fiber());
                        }
                        self.forget_wait();
                        self.desk().enter_module(code);
                        return;
                    }
                    // SAFETY: the record that is waited for is there as long as the wait lasts.
                    WaitsFor::Task(child) => self.cancel_child(unsafe { &*child }),
                }
            }
            if first {
                record.suspended.set(true);
                // SAFETY: null, or the lane that the task was started from, which is still in it.
                if let Some(lane) = unsafe { record.lane.as_ref() } {
                    lane.turn.suspend();
                    if !lane.queue.is_empty() {
                        self.list(lane);
                    }
                }
            }
            if record.deadline.get().is_some() {
                context.bounded.set(true);
            }
            deadline = record.deadline.get().filter(|_| record.why_cancelled().is_none());
            if let Some(at) = deadline {
                let turn = context.turn.get();
                self.set_timer(
                    at,
                    Waiter { worker: self.index, fiber: self.fibers.current(), turn },
                );
            }
        }
        if !context.bounded.get() {
            self.desk().count_wait();
        }
        context.waits_for.set(waits_for);
        context.pause(Pause::Waiting);
        context.waits_for.set(WaitsFor::Anyone);
        context.bounded.set(false);
        if let (Some(at), Some(record)) = (deadline, self.running()) {
            if Instant::now() >= at {
                record.cancel(Why::Deadline);
            }
        }
        if let Some(record) = self.running() {
            self.desk().show(record);
        }
        self.desk().enter_module(code);
    }

    /// Ends the wait `turn` of a fiber of this worker.
    pub(crate) fn wake(&self, fiber: u32, turn: u32) {
        self.fibers.with(fiber, |context| {
            if context.turn.get() == turn && context.waiting.replace(false) {
                self.fibers.make_ready(fiber);
            }
        });
    }

    /// Ends a wait, on whichever worker.
    pub(crate) fn wake_waiter(&self, waiter: Waiter) {
        if waiter.worker == self.index {
            self.wake(waiter.fiber, waiter.turn);
        } else {
            let note = Note::Wake { fiber: waiter.fiber, turn: waiter.turn };
            self.shared.mailboxes[waiter.worker as usize].send(note);
        }
    }

    /// Ends the prepared wait at `at`, if nothing else does before.
    pub(crate) fn set_timer(&self, at: Instant, waiter: Waiter) {
        self.alarms.set(at, Alarm::Wake { fiber: waiter.fiber, turn: waiter.turn });
    }

    /// Suspends the running task for a time, or less when it is cancelled meanwhile.
    pub(crate) fn sleep(&self, time: Duration) {
        let waiter = self.prepare_wait();
        // So far away that it makes no difference, when the clock cannot express it.
        let at = Instant::now().checked_add(time);
        let at = at.unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 32));
        self.set_timer(at, waiter);
        self.context().bounded.set(true);
        self.wait(WaitsFor::Anyone);
    }

    /// Lets everything else have a turn.
    pub(crate) fn yield_now(&self) {
        let waiter = self.prepare_wait();
        self.set_timer(Instant::now(), waiter);
        self.context().bounded.set(true);
        self.wait(WaitsFor::Anyone);
    }

    /// Does what is due. True when there was something.
    pub(crate) fn ring_alarms(&self) -> bool {
        let now = Instant::now();
        let (mut rung, mut runs) = (false, 0);
        while let Some(alarm) = self.alarms.due(now) {
            rung = true;
            match alarm {
                Alarm::Wake { fiber, turn } => self.wake(fiber, turn),
                Alarm::Run { number } => {
                    self.run_again(number);
                    runs += 1;
                }
            }
            // However many periodic tasks a client has, rings and lanes have their turn between them.
            if runs == LANE_BATCH {
                break;
            }
        }
        rung
    }

    /// Forgets the alarms that do not matter any more.
    #[cold]
    pub(crate) fn sweep_alarms(&self) {
        self.alarms.sweep(|alarm| match alarm {
            Alarm::Run { number } => self.periodic.borrow().contains_key(&number),
            Alarm::Wake { fiber, turn } => {
                // The one that runs is preparing a wait, or has none.
                let mut matters = fiber == self.fibers.current();
                self.fibers.with(fiber, |context| {
                    matters = context.turn.get() == turn && context.waiting.get();
                });
                matters
            }
        });
    }

    /// True when an alarm is due so soon that it is not worth to sleep: waking up might take longer.
    #[cold]
    pub(crate) fn is_due_soon(&self) -> bool {
        let soon = self.shared.config.spin;
        self.alarms.next().is_some_and(|at| at.saturating_duration_since(Instant::now()) <= soon)
    }

    /// Sleeps until a doorbell, a note or an alarm.
    #[cold]
    pub(crate) fn park(&self) {
        let mut must_sleep = self.mailbox().park();
        must_sleep &= self.desk().park_rings();
        if must_sleep && !self.shared.is_ending() {
            let line = &self.shared.page().lines[self.index as usize];
            line.parks.store(line.parks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            let rest = |at: Instant| at.saturating_duration_since(Instant::now());
            nap::until_event(self.desk().epoll(), self.alarms.next().map(rest));
        }
        self.mailbox().unpark();
        self.desk().unpark_rings();
        self.shared.watch.wake();
    }
}
