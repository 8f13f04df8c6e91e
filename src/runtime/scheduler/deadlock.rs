//! Deadlocks: tasks that wait for each other in a circle. The watchdog asks every worker twice
//! which tasks wait for what. A circle that consists of the same waits both times can never resolve
//! itself: its waits are described in the log, and one of them is ended with that description. As long as
//! not every worker has answered, a circle may have been overlooked, and the watchdog looks again.
//!
//! Where tasks wait for others in module hosts, the daemon also asks the hosts for their chains of waits
//! (`chains`): first 200 ms after the first of those waits was seen, and then at intervals that double. The
//! same goes for tasks that wait for others on other nodes (`between_nodes`).

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::between_nodes;
use super::chains::{self, Asked, At, Beyond, Chain, Ends, Told};
use super::mailbox::WorkerMessage;
use super::questions::Workers;
use super::shared::Shared;
use crate::host::Peer;
use crate::log::{LineKind, Subject};
use crate::sync::{find_circle, victim, Far, Wait, Waits};

/// The pause between the two questions.
pub(super) const BETWEEN: Duration = Duration::from_millis(5);
/// The intervals at which hosts are asked.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The search for circles, from one look to the next.
pub(super) struct Search {
    /// When to ask the hosts or nodes, if tasks wait there.
    next: Option<Instant>,
    pause: Duration,
    /// The thread that is asking them, which may take a while to answer.
    asking: Option<JoinHandle<bool>>,
}

impl Search {
    pub(super) fn new() -> Search {
        Search { next: None, pause: FIRST_PAUSE, asking: None }
    }

    /// When to look again even if no task has begun to wait.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Ends the search, within the time that hosts have to answer.
    pub(super) fn end(self) {
        // One that has panicked has said so in the log.
        let _ = self.asking.map(JoinHandle::join);
    }

    /// Looks for a circle and breaks it. True if there may be others: it found one, or not all workers
    /// have answered.
    pub(super) fn look(&mut self, shared: &Arc<Shared>) -> bool {
        let workers = Workers::of(shared);
        let (circle, waits) = search(&workers);
        if let Some(circle) = circle {
            return workers.describe(&circle).is_none_or(|texts| {
                let text = texts.join("; ");
                say(shared, &text);
                break_wait(shared, &circle, text)
            });
        }
        let is_daemon = shared.hosts.daemon().is_none();
        let away = waits.iter().filter_map(|wait| wait.what.far()).filter(|_| is_daemon);
        let (processes, nodes): (Vec<_>, Vec<_>) = away.partition(|far| far.passage().is_some());
        self.look_beyond(shared, !processes.is_empty(), !nodes.is_empty());
        workers.lack_answers()
    }

    /// Has a thread look for circles through module hosts and other nodes, when it is time, if tasks wait
    /// there.
    fn look_beyond(&mut self, shared: &Arc<Shared>, in_hosts: bool, on_nodes: bool) {
        let waits = in_hosts || on_nodes;
        if self.asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            self.next = Some(Instant::now() + FIRST_PAUSE);
            return;
        }
        let found = self.asking.take().is_some_and(|asking| asking.join().unwrap_or(false));
        if found || !waits {
            self.pause = FIRST_PAUSE;
        }
        self.next = match self.next {
            _ if !waits => None,
            Some(at) if at <= Instant::now() => {
                let theirs = shared.clone();
                let look = move || {
                    in_hosts && look_beyond(&theirs) || on_nodes && between_nodes::look(&theirs)
                };
                // Without a thread, it is tried again later.
                self.asking =
                    std::thread::Builder::new().name("chi-circles".into()).spawn(look).ok();
                self.pause = LONGEST_PAUSE.min(2 * self.pause);
                Some(Instant::now() + self.pause)
            }
            Some(at) => Some(at),
            None => Some(Instant::now() + self.pause),
        };
    }
}

pub(super) fn say(shared: &Shared, circle: &str) {
    if let Some(left_out) = shared.rate_limit.pass(LineKind::Circle, Subject::default()) {
        tracing::error!(circle, left_out, "tasks wait for each other in a circle");
    }
}

/// Ends one of the waits of a circle in this process. False if none of them may be ended.
fn break_wait(shared: &Shared, waits: &[Wait], circle: String) -> bool {
    let Some(victim) = victim(waits) else { return false };
    let message = WorkerMessage::BreakWait { id: victim.id, circle };
    shared.mailbox(victim.id.worker).send(message);
    true
}

/// The waits that last from one moment to a later one, and the locks that are held then.
pub(super) fn lasting(before: &Waits, now: Waits) -> Waits {
    let ids: HashSet<_> = before.waits.iter().map(|wait| wait.id).collect();
    let waits = now.waits.into_iter().filter(|wait| ids.contains(&wait.id)).collect();
    Waits { waits, held: now.held }
}

fn copied(circle: Vec<&Wait>) -> Vec<Wait> {
    circle.into_iter().copied().collect()
}

/// Looks for a circle within this process that lasts. Returns it, and all waits that last.
fn search(workers: &Workers<'_>) -> (Option<Vec<Wait>>, Vec<Wait>) {
    let before: Waits = workers.ask(WorkerMessage::ReportWaits);
    if before.waits.is_empty() {
        return (None, Vec::new());
    }
    std::thread::sleep(BETWEEN);
    let all = lasting(&before, workers.ask(WorkerMessage::ReportWaits));
    let waits: Vec<&Wait> = all.waits.iter().collect();
    let circle = find_circle(&waits, &all.held, |_| &[]).map(copied);
    (circle, all.waits)
}

/// The chains of all hosts.
fn ask_hosts(shared: &Shared) -> Vec<(i32, Vec<Chain>)> {
    let told = |peer: &Peer| match chains::ask(peer, &Asked::Chains) {
        Some(Told::Chains(chains)) => Some((peer.pid, chains)),
        _ => None,
    };
    shared.hosts.running().iter().filter_map(|peer| told(peer)).collect()
}

/// Looks for a circle through module hosts, and breaks it. True if there was one.
fn look_beyond(shared: &Shared) -> bool {
    let workers = Workers::of(shared);
    // What is there at both times was there in between, all of it together.
    let before: Waits = workers.ask(WorkerMessage::ReportWaits);
    let chains_before = ask_hosts(shared);
    std::thread::sleep(BETWEEN);
    let all = lasting(&before, workers.ask(WorkerMessage::ReportWaits));
    let beyond = Beyond::lasting(&chains_before, &ask_hosts(shared));
    let waits: Vec<&Wait> = all.waits.iter().collect();
    let circle = find_circle(&waits, &all.held, |far| beyond.from(far)).map(copied);
    circle.is_some_and(|circle| break_beyond(shared, &workers, &circle).is_some())
}

/// Describes a circle through module hosts, and ends one of its waits. `None` if that has to be tried again.
fn break_beyond(shared: &Shared, workers: &Workers<'_>, circle: &[Wait]) -> Option<()> {
    let peers = shared.hosts.running();
    let (mut texts, mut chains) = (Vec::new(), Vec::new());
    for (at, text) in workers.describe(circle)?.into_iter().enumerate() {
        texts.push(text);
        let Some(went) = circle[at].what.far().and_then(Far::passage) else { continue };
        // The task that waits next has come from there.
        let came = circle[(at + 1) % circle.len()].from.and_then(Far::passage)?;
        let ends = Ends { came: At::of(went), went: At::of(came) };
        let peer = peers.iter().find(|peer| peer.pid == went.process)?;
        match chains::ask(peer, &Asked::Describe(ends))? {
            Told::Described(text) => texts.push(text?),
            _ => return None,
        }
        chains.push((peer, ends));
    }
    let text = texts.join("; ");
    let is_broken = break_wait(shared, circle, text.clone())
        || chains.into_iter().any(|(peer, ends)| {
            let told = chains::ask(peer, &Asked::Break(ends, text.clone()));
            matches!(told, Some(Told::Broken(true)))
        });
    is_broken.then(|| say(shared, &text))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::mailbox::Mailbox;
    use super::*;
    use crate::sync::{Node, WaitId, WaitNumber};
    use crate::sys::lock;

    /// How many tasks wait on each worker.
    const MANY: usize = 20_000;

    /// The wait of a task on a worker.
    fn wait(worker: u32, task: usize, what: usize) -> Wait {
        let id = WaitId { worker, coroutine: task as u32, number: WaitNumber::default() };
        Wait { id, task, what: Node::Task(what), lasting: false, from: None }
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
        let workers = Workers::new(&mailboxes, 1, |_| false);
        let circle = [wait(0, 7, MANY + 7)];
        assert!(workers.describe(&circle).is_none(), "the worker does not answer");
        assert!(workers.lack_answers());
    }

    /// A worker that a method keeps busy is not asked, so its mailbox does not fill, but it is known that
    /// its tasks were not seen.
    #[test]
    fn a_busy_worker_is_looked_at_later() {
        let mailboxes = [Mailbox::new().unwrap(), Mailbox::new().unwrap()];
        let workers = Workers::new(&mailboxes, 1, |_| true);
        assert!(search(&workers).0.is_none());
        assert!(workers.lack_answers());
        assert!(mailboxes.iter().all(|mailbox| mailbox.take().is_none()));
        let workers = Workers::new(&mailboxes, 0, |_| true);
        assert!(search(&workers).0.is_none());
        assert!(!workers.lack_answers(), "none of them has tasks");
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
            let workers = Workers::new(&mailboxes, 2, |_| false);
            // A worker that gets no processor time does not answer in time.
            let found = (0..100).find_map(|_| {
                let circle = search(&workers).0?;
                Some((workers.describe(&circle)?.join("; "), circle))
            });
            is_over.store(true, Ordering::Release);
            (found, threads.map(|thread| thread.join().unwrap()))
        });
        let (text, circle) = found.expect("there is a circle");
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
