//! Cancellation: how a task that shall end learns of it.
//!
//! A record is marked first; a task that has not started sees the mark when its turn comes, one that
//! runs sees it at its next wait or when it asks. For the tasks that are suspended, every worker looks
//! through its fibers: a wait for a time, a lock or a descriptor ends early; a wait for a task marks
//! that task in turn, and goes on until it has ended. So a method never leaves a wait while the task
//! that it waits for still uses its fields.

use std::sync::Arc;

use chimaera_abi::*;

use crate::record::{Origin, Record};
use crate::shared::Note;
use crate::wait::WaitsFor;
use crate::worker::Worker;
use crate::Failure;

/// Why a task is cancelled. The number is what a record keeps; 0 means that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Why {
    /// Its client asked for it, or has deleted it.
    Asked = 1,
    /// Its client has gone.
    Gone,
    /// Its pool is being destroyed.
    Destroyed,
    /// Its deadline has passed.
    Deadline,
    /// The task that waits for it is cancelled.
    Parent,
    /// It waits in a circle.
    Deadlock,
}

impl Why {
    pub(crate) fn from_number(number: u32) -> Option<Why> {
        let all =
            [Why::Asked, Why::Gone, Why::Destroyed, Why::Deadline, Why::Parent, Why::Deadlock];
        all.into_iter().find(|why| *why as u32 == number)
    }

    /// The outcome of a task that is cancelled for this reason.
    pub(crate) fn failure(self) -> Failure {
        let (status, text) = match self {
            Why::Asked => (CHI_CANCELLED, "the task was cancelled"),
            Why::Gone => (CHI_CANCELLED, "the task's client has gone"),
            Why::Destroyed => (CHI_CANCELLED, "the task's pool was destroyed"),
            Why::Deadline => (CHI_DEADLINE, "the task's deadline has passed"),
            Why::Parent => (CHI_CANCELLED, "the task that waits for this one was cancelled"),
            Why::Deadlock => (CHI_DEADLOCK, "the task waited in a circle of tasks"),
        };
        Failure::new(status, text)
    }
}

/// Which tasks a cancellation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The client's task at this offset.
    Task { session: u64, offset: u64 },
    /// All of a session.
    Session(u64),
    /// All of a pool.
    Pool(chi_pool_id),
    /// Those whose record is marked.
    Marked,
}

impl Which {
    /// The reason for which this cancels a task; `None` when it is not one of them.
    fn why(&self, record: &Record) -> Option<Why> {
        match (self, &record.origin) {
            (Which::Task { session: number, offset: at }, Origin::Client { session, offset }) => {
                (session.number == *number && offset == at).then_some(Why::Asked)
            }
            (Which::Session(number), Origin::Client { session, .. }) => {
                (session.number == *number).then_some(Why::Gone)
            }
            // SAFETY: null, or the container in which the task is counted.
            (Which::Pool(id), _) => match unsafe { record.container.as_ref() } {
                Some(container) => (container.id == *id).then_some(Why::Destroyed),
                None => None,
            },
            (Which::Marked, _) => record.why_cancelled(),
            _ => None,
        }
    }
}

impl Worker {
    /// Cancels tasks of all workers.
    pub(crate) fn cancel(&self, which: Which) {
        for (index, mailbox) in self.shared.mailboxes.iter().enumerate() {
            if index != self.index as usize {
                mailbox.send(Note::Cancel(which.clone()));
            }
        }
        self.cancel_here(&which);
    }

    /// Cancels this worker's tasks, as far as they are suspended.
    pub(crate) fn cancel_here(&self, which: &Which) {
        let mut marked = self.mark(which);
        while marked {
            for (index, mailbox) in self.shared.mailboxes.iter().enumerate() {
                if index != self.index as usize {
                    mailbox.send(Note::Cancel(Which::Marked));
                }
            }
            marked = self.mark(&Which::Marked);
        }
        self.stop_periodic(|record| which.why(record));
    }

    /// True when tasks were marked that some worker must look for.
    fn mark(&self, which: &Which) -> bool {
        let mut marked = false;
        self.each_fiber(|number, context| {
            // SAFETY: null, or the record of the task that is suspended on the fiber.
            let Some(record) = (unsafe { context.record.get().as_ref() }) else { return };
            let Some(why) = which.why(record) else { return };
            record.cancel(why);
            if record.told.replace(true) {
                return;
            }
            match context.waits_for.get() {
                WaitsFor::Anyone => self.wake(number, context.turn.get()),
                // SAFETY: the record that is waited for is there as long as the wait lasts, which
                // ends on this thread.
                WaitsFor::Task(child) => marked |= unsafe { (*child).cancel(Why::Parent) },
            }
        });
        marked
    }

    /// The running task's wait for `child` shall be over soon, because the task is cancelled.
    pub(crate) fn cancel_child(&self, child: &Record) {
        if child.cancel(Why::Parent) {
            self.cancel(Which::Marked);
        }
    }

    /// True when the running task should come to its end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.shared.is_stopping()
            || self.running().is_some_and(|record| record.look_for_cancellation().is_some())
    }

    /// A client asks for the cancellation of its task at `offset`.
    pub(crate) fn client_cancels(&self, session: &Arc<crate::session::Session>, offset: u64) {
        if session.suspended() > 0 {
            self.cancel(Which::Task { session: session.number, offset });
        }
    }
}
