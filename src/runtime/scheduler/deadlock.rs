//! Deadlocks: tasks that wait for each other in a circle. The watchdog asks every worker twice
//! which tasks wait for what. A circle that consists of the same waits both times can never resolve
//! itself: its waits are described in the log, and one of them is ended with that description.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::{Answers, Question, WorkerMessage};
use super::shared::Shared;
use crate::log::{LineKind, Subject};
use crate::sync::{find_circle, victim, Wait, Waits};
use crate::sys::lock;

/// How long to wait for the workers' answers. A worker that a method keeps busy does not answer.
const ANSWER_BOUND: Duration = Duration::from_millis(100);
/// The pause between the two questions.
const BETWEEN: Duration = Duration::from_millis(5);

/// Asks all workers and collects their answers.
fn ask<T: Default>(shared: &Shared, message: impl Fn(Question<T>) -> WorkerMessage) -> T {
    let question = Question::<T>::default();
    for mailbox in shared.mailboxes() {
        mailbox.send(message(question.clone()));
    }
    let until = Instant::now() + ANSWER_BOUND;
    while lock(&question).workers < shared.started() && Instant::now() < until {
        std::thread::sleep(Duration::from_micros(200));
    }
    let Answers { found, .. } = std::mem::take(&mut *lock(&question));
    found
}

/// Looks for a circle and breaks it. True if there was one: there may be others.
pub(super) fn look(shared: &Shared) -> bool {
    let before: Waits = ask(shared, WorkerMessage::ReportWaits);
    if before.waits.is_empty() {
        return false;
    }
    std::thread::sleep(BETWEEN);
    let now: Waits = ask(shared, WorkerMessage::ReportWaits);
    let lasting: HashSet<_> = before.waits.iter().map(|wait| wait.id).collect();
    let waits: Vec<&Wait> = now.waits.iter().filter(|wait| lasting.contains(&wait.id)).collect();
    let Some(circle) = find_circle(&waits, &now.held) else { return false };
    let text = in_words(shared, &circle);
    if let Some(left_out) = shared.rate_limit.pass(LineKind::Circle, Subject::default()) {
        tracing::error!(circle = text, left_out, "tasks wait for each other in a circle");
    }
    let Some(victim) = victim(&circle) else { return false };
    let message = WorkerMessage::BreakWait { id: victim.id, circle: text };
    shared.mailbox(victim.id.worker).send(message);
    true
}

/// Describes the waits of a circle, and only those: there may be tens of thousands of others.
fn in_words(shared: &Shared, circle: &[&Wait]) -> String {
    let ids = Arc::new(circle.iter().map(|wait| wait.id).collect::<Vec<_>>());
    let told: Vec<(_, String)> =
        ask(shared, |question| WorkerMessage::DescribeWaits(ids.clone(), question));
    let text = |id| told.iter().find(|(other, _)| other == id).map(|(_, text)| text.as_str());
    ids.iter().filter_map(text).collect::<Vec<_>>().join("; ")
}
