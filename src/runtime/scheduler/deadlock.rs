//! Deadlocks: tasks that wait for each other in a circle. The watchdog asks every worker twice
//! which tasks wait for what. A circle that consists of the same waits both times can never resolve
//! itself: its waits are described in the log, and one of them is ended with that description. As long as
//! not every worker has answered, a circle may have been overlooked, and the watchdog looks again.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::{Answers, Mailbox, Question, WorkerMessage};
use super::shared::Shared;
use crate::log::{LineKind, Subject};
use crate::sync::{find_circle, victim, Wait, Waits};
use crate::sys::lock;

/// How long to wait for the workers' answers. A worker that a method keeps busy does not answer.
const ANSWER_BOUND: Duration = Duration::from_millis(100);
/// The pause between the two questions.
const BETWEEN: Duration = Duration::from_millis(5);

/// The workers, as the watchdog asks them.
struct Workers<'s> {
    mailboxes: &'s [Mailbox],
    /// Whether a worker has been started. One that has not has no tasks.
    is_started: &'s dyn Fn(usize) -> bool,
    /// Whether a method keeps a worker busy, which then does not answer.
    is_busy: &'s dyn Fn(usize) -> bool,
    /// Whether a worker has not answered a question.
    lacks_answers: Cell<bool>,
}

impl<'s> Workers<'s> {
    fn new(
        mailboxes: &'s [Mailbox],
        is_started: &'s dyn Fn(usize) -> bool,
        is_busy: &'s dyn Fn(usize) -> bool,
    ) -> Workers<'s> {
        Workers { mailboxes, is_started, is_busy, lacks_answers: Cell::new(false) }
    }

    /// Asks all workers and collects their answers.
    fn ask<T: Default>(&self, message: impl Fn(Question<T>) -> WorkerMessage) -> T {
        let question = Question::<T>::default();
        let mut asked = 0;
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            if !(self.is_started)(worker) {
                continue;
            }
            // Unread questions would pile up.
            if (self.is_busy)(worker) {
                self.lacks_answers.set(true);
                continue;
            }
            asked += 1;
            mailbox.send(message(question.clone()));
        }
        let until = Instant::now() + ANSWER_BOUND;
        while lock(&question).workers < asked && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        let Answers { found, workers } = std::mem::take(&mut *lock(&question));
        if workers < asked {
            self.lacks_answers.set(true);
        }
        found
    }

    /// Looks for a circle that lasts. Returns its waits, and their description. If a worker does not
    /// describe its waits in time, the circle is left for the next look: it lasts.
    fn find_circle(&self) -> Option<(Vec<Wait>, String)> {
        let before: Waits = self.ask(WorkerMessage::ReportWaits);
        if before.waits.is_empty() {
            return None;
        }
        std::thread::sleep(BETWEEN);
        let now: Waits = self.ask(WorkerMessage::ReportWaits);
        let lasting: HashSet<_> = before.waits.iter().map(|wait| wait.id).collect();
        let waits: Vec<&Wait> =
            now.waits.iter().filter(|wait| lasting.contains(&wait.id)).collect();
        let circle: Vec<Wait> = find_circle(&waits, &now.held)?.into_iter().copied().collect();
        let text = self.in_words(&circle)?;
        Some((circle, text))
    }

    /// Describes the waits of a circle, and only those: there may be tens of thousands of others. `None`
    /// if not all workers have answered in time.
    fn in_words(&self, circle: &[Wait]) -> Option<String> {
        let ids = Arc::new(circle.iter().map(|wait| wait.id).collect::<Vec<_>>());
        let told: Vec<(_, String)> =
            self.ask(|question| WorkerMessage::DescribeWaits(ids.clone(), question));
        let text = |id| told.iter().find(|(other, _)| other == id).map(|(_, text)| text.as_str());
        let texts: Option<Vec<_>> = ids.iter().map(text).collect();
        Some(texts?.join("; "))
    }
}

/// Looks for a circle and breaks it. True if there may be others: it found one, or not all workers have
/// answered.
pub(super) fn look(shared: &Shared) -> bool {
    let is_started = |worker| worker < shared.started();
    let is_busy = |worker: usize| shared.run_queue(worker as u32).busy_since().is_some();
    let workers = Workers::new(shared.mailboxes(), &is_started, &is_busy);
    let found = workers.find_circle();
    let Some((circle, text)) = found else { return workers.lacks_answers.get() };
    if let Some(left_out) = shared.rate_limit.pass(LineKind::Circle, Subject::default()) {
        tracing::error!(circle = text, left_out, "tasks wait for each other in a circle");
    }
    let Some(victim) = victim(&circle) else { return workers.lacks_answers.get() };
    let message = WorkerMessage::BreakWait { id: victim.id, circle: text };
    shared.mailbox(victim.id.worker).send(message);
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::sync::{Node, WaitId, WaitNumber};

    /// How many tasks wait on each worker.
    const MANY: usize = 20_000;

    /// The wait of a task on a worker.
    fn wait(worker: u32, task: usize, what: usize) -> Wait {
        let id = WaitId { worker, coroutine: task as u32, number: WaitNumber::default() };
        Wait { id, task, what: Node::Task(what), lasting: false }
    }

    /// What a worker's tasks wait for. Task 7, on worker 0, and task `MANY + 7`, on worker 1, wait
    /// for each other; all others wait for one that runs.
    fn waits(worker: u32) -> Vec<Wait> {
        let (circle, running) = ([7, MANY + 7], 2 * MANY);
        let first = worker as usize * MANY;
        let what = |task| match circle.contains(&task) {
            true => circle[usize::from(task == circle[0])],
            false => running,
        };
        (first..first + MANY).map(|task| wait(worker, task, what(task))).collect()
    }

    /// How a worker describes its wait in the circle.
    fn name(worker: u32) -> String {
        format!("the task on worker {worker}")
    }

    /// Answers the questions to a worker. Returns the waits that it was asked to describe.
    fn answer(worker: u32, mailbox: &Mailbox, is_over: &AtomicBool) -> Vec<WaitId> {
        let mut asked = Vec::new();
        while !is_over.load(Ordering::Acquire) {
            match mailbox.take() {
                Some(WorkerMessage::ReportWaits(question)) => {
                    let mut answers = lock(&question);
                    answers.workers += 1;
                    answers.found.waits.extend(waits(worker));
                }
                Some(WorkerMessage::DescribeWaits(ids, question)) => {
                    let mut answers = lock(&question);
                    answers.workers += 1;
                    for id in ids.iter().filter(|id| id.worker == worker) {
                        asked.push(*id);
                        answers.found.push((*id, name(worker)));
                    }
                }
                Some(_) => panic!("the watchdog only asks"),
                None => std::thread::yield_now(),
            }
        }
        asked
    }

    /// A circle whose waits are not described is not broken without saying why.
    #[test]
    fn a_circle_that_is_not_described_is_left_for_the_next_look() {
        let mailboxes = [Mailbox::new().unwrap()];
        let workers = Workers::new(&mailboxes, &|_| true, &|_| false);
        let circle = [wait(0, 7, MANY + 7)];
        assert!(workers.in_words(&circle).is_none(), "the worker does not answer");
        assert!(workers.lacks_answers.get());
    }

    /// A worker that a method keeps busy is not asked, so its mailbox does not fill, but it is known that
    /// its tasks were not seen.
    #[test]
    fn a_busy_worker_is_looked_at_later() {
        let mailboxes = [Mailbox::new().unwrap(), Mailbox::new().unwrap()];
        let workers = Workers::new(&mailboxes, &|worker| worker == 0, &|_| true);
        assert!(workers.find_circle().is_none());
        assert!(workers.lacks_answers.get());
        assert!(mailboxes.iter().all(|mailbox| mailbox.take().is_none()));
        let workers = Workers::new(&mailboxes, &|_| false, &|_| true);
        assert!(workers.find_circle().is_none());
        assert!(!workers.lacks_answers.get(), "none of them has tasks");
    }

    #[test]
    fn only_the_waits_of_the_circle_are_described() {
        let mailboxes = [Mailbox::new().unwrap(), Mailbox::new().unwrap()];
        let is_over = AtomicBool::new(false);
        let (found, asked) = std::thread::scope(|scope| {
            let start = |worker: u32| {
                let (mailbox, is_over) = (&mailboxes[worker as usize], &is_over);
                scope.spawn(move || answer(worker, mailbox, is_over))
            };
            let threads = [start(0), start(1)];
            let workers = Workers::new(&mailboxes, &|_| true, &|_| false);
            // A worker that gets no processor time does not answer in time.
            let found = (0..100).find_map(|_| workers.find_circle());
            is_over.store(true, Ordering::Release);
            (found, threads.map(|thread| thread.join().unwrap()))
        });
        let (circle, text) = found.expect("there is a circle");
        assert!((0..2).all(|worker| text.contains(&name(worker))), "{text}");
        let mut tasks: Vec<usize> = circle.iter().map(|wait| wait.task).collect();
        tasks.sort_unstable();
        assert_eq!(tasks, [7, MANY + 7]);
        for (worker, asked) in asked.iter().enumerate() {
            let others = asked.iter().filter(|id| id.coroutine as usize != worker * MANY + 7);
            assert_eq!((asked.is_empty(), others.count()), (false, 0), "worker {worker}");
        }
    }
}
