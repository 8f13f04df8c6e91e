//! Questions to all workers, from a thread that waits for the answers.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::{Answers, Mailbox, Question, WorkerMessage};
use super::shared::Shared;
use crate::sync::Wait;
use crate::sys::lock;

/// How long to wait for the workers' answers. On a busy machine a worker may not answer in time.
const ANSWER_BOUND: Duration = Duration::from_millis(100);

/// The workers that are asked. One that a method keeps busy does not answer, and unread questions would pile
/// up in its mailbox; one that has not been started has no tasks.
pub(super) struct Workers<'s> {
    mailboxes: Vec<&'s Mailbox>,
    /// Whether a worker has not been asked, or has not answered.
    lacks_answers: Cell<bool>,
}

impl<'s> Workers<'s> {
    pub(super) fn of(shared: &'s Shared) -> Workers<'s> {
        let is_busy = |worker: usize| shared.run_queue(worker as u32).busy_since().is_some();
        Workers::new(shared.mailboxes(), shared.started(), is_busy)
    }

    pub(super) fn new(
        mailboxes: &'s [Mailbox],
        started: usize,
        is_busy: impl Fn(usize) -> bool,
    ) -> Workers<'s> {
        let started = mailboxes.iter().take(started).enumerate();
        let (busy, asked): (Vec<_>, Vec<_>) = started.partition(|(worker, _)| is_busy(*worker));
        let mailboxes = asked.into_iter().map(|(_, mailbox)| mailbox).collect();
        Workers { mailboxes, lacks_answers: Cell::new(!busy.is_empty()) }
    }

    /// Whether the answers so far are incomplete.
    pub(super) fn lack_answers(&self) -> bool {
        self.lacks_answers.get()
    }

    /// Asks the workers and collects their answers.
    pub(super) fn ask<T: Default>(&self, message: impl Fn(Question<T>) -> WorkerMessage) -> T {
        let question = Question::<T>::default();
        for mailbox in &self.mailboxes {
            mailbox.send(message(question.clone()));
        }
        let until = Instant::now() + ANSWER_BOUND;
        while lock(&question).workers < self.mailboxes.len() && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        let Answers { found, workers } = std::mem::take(&mut *lock(&question));
        if workers < self.mailboxes.len() {
            self.lacks_answers.set(true);
        }
        found
    }

    /// Describes these waits, and only those: there may be tens of thousands of others. `None` if one has
    /// ended, or its worker has not answered in time.
    pub(super) fn describe(&self, waits: &[Wait]) -> Option<Vec<String>> {
        let ids = Arc::new(waits.iter().map(|wait| wait.id).collect::<Vec<_>>());
        let told: Vec<(_, String)> =
            self.ask(|question| WorkerMessage::DescribeWaits(ids.clone(), question));
        let text = |id| told.iter().find(|(other, _)| other == id).map(|(_, text)| text.clone());
        ids.iter().map(text).collect()
    }
}
