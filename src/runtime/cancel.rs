//! Cancellation: how a task that shall end learns of it.
//!
//! A record is marked first; a task that has not started sees the mark when its turn comes, one that
//! runs sees it at its next wait or when it asks. A session knows where its suspended tasks are; when a
//! pool or a session ends, every worker looks through its fibers. A wait for a time, a lock or a
//! descriptor ends early; a wait for a task marks that task in turn, and goes on until it has ended. So a method never leaves a wait while the task
//! that it waits for still uses its fields.

use chimaera_abi::*;

use crate::fiber::Context;
use crate::record::{Origin, Record};
use crate::session::{At, Place, Session};
use crate::shared::{Mailbox, Note};
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
    const ALL: [Why; 6] =
        [Why::Asked, Why::Gone, Why::Destroyed, Why::Deadline, Why::Parent, Why::Deadlock];

    pub(crate) fn from_number(number: u32) -> Option<Why> {
        Why::ALL.into_iter().find(|why| *why as u32 == number)
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

/// How a wait that ends early in a method says so. The SDKs of both languages have some of these words,
/// and a module brings its own SDK along.
const WAIT_ENDED: [&str; 4] = [
    IT_SHOULD_END,
    "the task was cancelled while it waited for a lock",
    "the task was cancelled while it waited for an event",
    "the runtime is stopping, or the client has gone",
];
/// How `sleep` and `yield_now` say it.
pub(crate) const IT_SHOULD_END: &str = "the task is cancelled: it should end";

/// What the method of a cancelled task says of its end besides what it was told itself.
fn own_words(record: &Record, text: &str) -> Option<String> {
    let reasons = Why::ALL.map(|why| why.failure().message);
    let mut told = WAIT_ENDED.into_iter().chain(reasons.iter().map(String::as_str));
    let own = match told.find_map(|told| text.strip_suffix(told)) {
        None => text,
        // What comes before a replica's reason only says which replica it was.
        Some(_) if record.everywhere => "",
        Some(before) => before.trim_end_matches([':', ' ']),
    };
    (!own.is_empty()).then(|| own.to_owned())
}

/// Which tasks a cancellation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of a session.
    Session(u64),
    /// All of a pool.
    Pool(chi_pool_id),
}

impl Which {
    /// The reason for which this cancels a task; `None` when it is not one of them.
    fn why(&self, record: &Record) -> Option<Why> {
        match (self, &record.origin) {
            (Which::Session(number), Origin::Client { session, .. }) => {
                (session.number == *number).then_some(Why::Gone)
            }
            // SAFETY: null, or the container in which the task is counted.
            (Which::Pool(id), _) => match unsafe { record.container.as_ref() } {
                Some(container) => (container.id == *id).then_some(Why::Destroyed),
                None => None,
            },
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

    /// Cancels this worker's tasks, as far as they rest.
    pub(crate) fn cancel_here(&self, which: &Which) {
        self.cancel_where(|record| which.why(record));
    }

    /// Has all workers look for the tasks that are marked.
    pub(crate) fn look_for_marked(&self) {
        self.shared.mailboxes.iter().for_each(Mailbox::tell_marked);
    }

    /// Looks for the tasks that are marked here.
    pub(crate) fn find_marked(&self) {
        self.mailbox().forget_marked();
        self.cancel_where(Record::why_cancelled);
    }

    fn cancel_where(&self, why: impl Fn(&Record) -> Option<Why>) {
        let mut marked = false;
        self.fibers.each(|number, context| {
            // SAFETY: null, or the record of the task that is suspended on the fiber.
            let Some(record) = (unsafe { context.record.get().as_ref() }) else { return };
            if let Some(why) = why(record) {
                marked |= self.tell(number, context, record, why);
            }
        });
        if marked {
            self.look_for_marked();
        }
        self.stop_periodic(why);
    }

    /// Tells a suspended task that it is cancelled. True when it waits for a task, which is marked now.
    fn tell(&self, number: u32, context: &Context, record: &Record, why: Why) -> bool {
        record.cancel(why);
        if record.told.replace(true) {
            return false;
        }
        match context.waits_for.get() {
            WaitsFor::Anyone => {
                self.wake(number, context.turn.get());
                false
            }
            // SAFETY: the record that is waited for is there as long as the wait lasts, which ends on
            // this thread.
            WaitsFor::Task(child) => unsafe { (*child).cancel(Why::Parent) },
        }
    }

    /// The running task's wait for `child` shall be over soon, because the task is cancelled.
    pub(crate) fn cancel_child(&self, child: &Record) {
        if child.cancel(Why::Parent) {
            self.look_for_marked();
        }
    }

    /// The outcome of a task whose method ends because the task is cancelled, and says `text`. Why it is
    /// cancelled, the method cannot know.
    #[cold]
    pub(crate) fn cancelled(&self, record: &Record, why: Why, text: Option<&str>) -> Failure {
        let mut failure = why.failure();
        if let Some(circle) = self.take_circle(record) {
            failure.message = format!("the task waited in a circle: {circle}");
        }
        if let Some(own) = text.and_then(|text| own_words(record, text)) {
            failure.message = format!("{}: {own}", failure.message);
        }
        failure
    }

    /// True when the running task should come to its end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.shared.is_stopping()
            || self.running().is_some_and(|record| record.look_for_cancellation().is_some())
    }

    /// A client asks for the cancellation of its task at `offset`. One that does not rest finds the
    /// request in its completion word.
    pub(crate) fn client_cancels(&self, session: &Session, offset: u64) {
        let Some(Place { worker, at }) = session.take_resting(offset) else { return };
        if worker == self.index {
            self.cancel_at(at, session.number, offset);
        } else {
            let note = Note::CancelAt { at, session: session.number, offset };
            self.shared.mailboxes[worker as usize].send(note);
        }
    }

    /// Cancels the client's task at `offset`, if it rests here and its client still wants that.
    pub(crate) fn cancel_at(&self, at: At, session: u64, offset: u64) {
        // Another run of the task may have come here since it was asked for; its place stays known then.
        let is_meant = |record: &Record| {
            record.is_of(session, offset)
                && (record.client_asks_to_cancel() || {
                    record.note_resting(Place { worker: self.index, at });
                    record.client_asks_to_cancel()
                })
        };
        match at {
            At::Fiber(fiber) => {
                let mut marked = false;
                self.fibers.with(fiber, |context| {
                    // SAFETY: null, or the record of the task that is suspended on the fiber.
                    let record = unsafe { context.record.get().as_ref() };
                    if let Some(record) = record.filter(|record| is_meant(record)) {
                        marked = self.tell(fiber, context, record, Why::Asked);
                    }
                });
                if marked {
                    self.look_for_marked();
                }
            }
            At::Period(number) => {
                if self.periodic.borrow().get(&number).is_some_and(|record| is_meant(record)) {
                    self.stop_run(number, Why::Asked);
                }
            }
        }
    }
}
