//! Tasks that wait for each other in a circle: the watch asks every worker who waits for whom, twice; a
//! circle that is there both times, of the same waits, is one that nobody will ever leave. One of its
//! tasks is told so, and its wait ends.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::about::About;
use crate::cancel::Why;
use crate::lock;
use crate::record::Record;
use crate::shared::{Note, Shared};
use crate::wait::WaitsFor;
use crate::worker::Worker;

/// How long a worker may take to answer; one that a method keeps busy does not.
const ANSWER_BOUND: Duration = Duration::from_millis(100);
/// Between the two questions.
const BETWEEN: Duration = Duration::from_millis(5);

/// What a wait is for, and what a lock is held by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// A task, by its record's address.
    Task(usize),
    /// A lock, by its number.
    Lock(u64),
}

/// A suspended task's wait without bound.
#[derive(Clone, Debug)]
struct Wait {
    task: usize,
    worker: u32,
    fiber: u32,
    turn: u32,
    what: Node,
    /// The wait of a broadcast for its replicas: it must last until they have ended.
    lasting: bool,
    text: String,
}

/// What the workers have answered.
#[derive(Default)]
pub(crate) struct Answers {
    /// The waits are to be described.
    described: bool,
    workers: usize,
    waits: Vec<Wait>,
    /// Who holds which lock.
    held: Vec<(u64, usize)>,
}

impl Worker {
    /// Answers the watch.
    pub(crate) fn tell_waits(&self, answers: &Mutex<Answers>) {
        let (mut waits, mut held) = (Vec::new(), Vec::new());
        let described = lock(answers).described;
        self.fibers.each(|fiber, context| {
            // SAFETY: null, or the record of the task that is suspended on the fiber.
            let Some(record) = (unsafe { context.record.get().as_ref() }) else { return };
            let task = std::ptr::from_ref(record).addr();
            held.extend(record.holdings.locks().map(|number| (number, task)));
            if context.bounded.get() || !context.waiting.get() {
                return;
            }
            // SAFETY: null, or the lock that the task waits for, which its wait keeps.
            let waited_for = unsafe { context.lock.get().as_ref() };
            let about;
            let (what, name): (_, &dyn fmt::Display) = match (waited_for, context.waits_for.get()) {
                (Some(lock), _) => (Node::Lock(lock.number()), lock),
                (None, WaitsFor::Task(child)) => {
                    // SAFETY: the record that is waited for is there as long as the wait lasts, which
                    // ends on this thread. So is its pool: should the task have ended just now, the pool
                    // outlasts what this worker is doing.
                    about = About::task(unsafe { &*child });
                    (Node::Task(child.addr()), &about)
                }
                (None, WaitsFor::Anyone) => return,
            };
            let text = match described {
                true => format!("{} waits for {name}", About::task(record)),
                false => String::new(),
            };
            let (worker, turn) = (self.index, context.turn.get());
            waits.push(Wait { task, worker, fiber, turn, what, lasting: record.everywhere, text });
        });
        let mut answers = lock(answers);
        answers.workers += 1;
        answers.waits.append(&mut waits);
        answers.held.append(&mut held);
    }

    /// Ends the wait of a fiber, whose task waits in a circle.
    pub(crate) fn break_wait(&self, fiber: u32, turn: u32, circle: String) {
        self.fibers.with(fiber, |context| {
            // SAFETY: null, or the record of the task that is suspended on the fiber.
            let Some(record) = (unsafe { context.record.get().as_ref() }) else { return };
            if context.turn.get() == turn && context.waiting.get() {
                if record.cancel(Why::Deadlock) {
                    self.circles.borrow_mut().insert(std::ptr::from_ref(record).addr(), circle);
                }
                record.told.set(true);
                self.wake(fiber, turn);
            }
        });
    }

    /// What is to be said of a task that was told that it waits in a circle.
    pub(crate) fn take_circle(&self, record: &Record) -> Option<String> {
        self.circles.borrow_mut().remove(&std::ptr::from_ref(record).addr())
    }
}

/// Asks all workers.
fn ask(shared: &Shared, described: bool) -> Answers {
    let answers = Arc::new(Mutex::new(Answers { described, ..Answers::default() }));
    for mailbox in &shared.mailboxes {
        mailbox.send(Note::TellWaits(answers.clone()));
    }
    let until = Instant::now() + ANSWER_BOUND;
    while lock(&answers).workers < shared.mailboxes.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_micros(200));
    }
    let answers = std::mem::take(&mut *lock(&answers));
    answers
}

/// Looks for circles, and breaks one. True when there was one: there may be others.
pub(crate) fn look(shared: &Shared) -> bool {
    let before = ask(shared, false);
    if before.waits.is_empty() {
        return false;
    }
    std::thread::sleep(BETWEEN);
    let now = ask(shared, true);
    let lasting: HashSet<_> =
        before.waits.iter().map(|wait| (wait.worker, wait.fiber, wait.turn)).collect();
    let lasts = |wait: &&Wait| lasting.contains(&(wait.worker, wait.fiber, wait.turn));
    let waits: Vec<&Wait> = now.waits.iter().filter(lasts).collect();
    let Some(circle) = find(&waits, &now.held) else { return false };
    let text = circle.iter().map(|wait| wait.text.as_str()).collect::<Vec<_>>().join("; ");
    tracing::error!(circle = text, "tasks wait for each other in a circle");
    let Some(victim) = victim(&circle) else { return false };
    let (fiber, turn) = (victim.fiber, victim.turn);
    let note = Note::Break { fiber, turn, circle: text };
    shared.mailboxes[victim.worker as usize].send(note);
    true
}

/// The wait of a circle that is to end: one for a lock when there is one, for a task that waits for another
/// has lent it memory. Some wait is not lasting: a broadcast waits for its replicas only, and none of them
/// is a broadcast.
fn victim<'w>(circle: &[&'w Wait]) -> Option<&'w Wait> {
    let for_lock = circle.iter().find(|wait| matches!(wait.what, Node::Lock(_)));
    for_lock.or_else(|| circle.iter().find(|wait| !wait.lasting)).copied()
}

/// A circle of waits, if there is one.
fn find<'w>(waits: &[&'w Wait], held: &[(u64, usize)]) -> Option<Vec<&'w Wait>> {
    let by_task: HashMap<usize, &Wait> = waits.iter().map(|wait| (wait.task, *wait)).collect();
    let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
    for (number, task) in held {
        holders.entry(*number).or_default().push(*task);
    }
    let mut done: HashSet<usize> = HashSet::new();
    for wait in waits {
        // A walk in depth from this wait; `path` leads to where it is, with the ways not yet gone.
        let mut path: Vec<(&Wait, Vec<usize>)> = Vec::new();
        let next = |wait: &Wait| match wait.what {
            Node::Task(task) => vec![task],
            Node::Lock(number) => holders.get(&number).cloned().unwrap_or_default(),
        };
        let mut on_path: HashSet<usize> = HashSet::new();
        if done.insert(wait.task) {
            on_path.insert(wait.task);
            path.push((wait, next(wait)));
        }
        while let Some((_, ways)) = path.last_mut() {
            let Some(task) = ways.pop() else {
                let left = path.pop().map(|(wait, _)| wait.task);
                left.map(|task| on_path.remove(&task));
                continue;
            };
            if on_path.contains(&task) {
                let at = path.iter().position(|(wait, _)| wait.task == task)?;
                return Some(path[at..].iter().map(|(wait, _)| *wait).collect());
            }
            if let Some(wait) = by_task.get(&task).filter(|wait| done.insert(wait.task)) {
                on_path.insert(task);
                path.push((wait, next(wait)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(task: usize, what: Node) -> Wait {
        let (fiber, text) = (task as u32, String::new());
        Wait { task, worker: 0, fiber, turn: 1, what, lasting: false, text }
    }

    fn circle(waits: &[Wait], held: &[(u64, usize)]) -> Option<Vec<usize>> {
        let waits: Vec<&Wait> = waits.iter().collect();
        let mut found: Vec<usize> = find(&waits, held)?.iter().map(|wait| wait.task).collect();
        found.sort_unstable();
        Some(found)
    }

    #[test]
    fn circles_of_tasks_and_locks_are_found() {
        assert_eq!(circle(&[wait(1, Node::Task(1))], &[]), Some(vec![1]));
        let chain = [wait(1, Node::Task(2)), wait(2, Node::Task(3))];
        assert_eq!(circle(&chain, &[]), None);
        let crossed = [wait(1, Node::Lock(8)), wait(2, Node::Lock(9)), wait(3, Node::Task(1))];
        assert_eq!(circle(&crossed, &[(8, 2), (9, 1)]), Some(vec![1, 2]));
        assert_eq!(circle(&crossed, &[(8, 2), (9, 4)]), None, "4 runs");
        let mixed = [wait(1, Node::Lock(8)), wait(2, Node::Task(3)), wait(3, Node::Lock(7))];
        assert_eq!(circle(&mixed, &[(8, 5), (8, 2), (7, 1)]), Some(vec![1, 2, 3]));
    }

    #[test]
    fn a_broadcast_does_not_leave_a_circle_and_other_parents_only_if_they_must() {
        let victim = |circle: &[&Wait]| victim(circle).map(|wait| wait.task);
        let broadcast = Wait { lasting: true, ..wait(1, Node::Task(2)) };
        let (parent, locked) = (wait(2, Node::Task(3)), wait(3, Node::Lock(8)));
        assert_eq!(victim(&[&broadcast, &parent, &locked]), Some(3));
        assert_eq!(victim(&[&broadcast, &parent]), Some(2));
    }

    #[test]
    fn many_waits_without_a_circle_take_little() {
        let waits: Vec<Wait> = (0..20_000).map(|task| wait(task, Node::Task(task + 1))).collect();
        assert_eq!(circle(&waits, &[]), None);
    }
}
