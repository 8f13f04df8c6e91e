//! Handing sessions over to another process: the workers give up the rings and the held tasks of all
//! clients, and get them back if the other process does not take them.

use std::collections::BTreeMap;

use super::given_up::GivenUp;
use super::hold;
use super::loot::Loot;
use super::mailbox::{Question, WorkerMessage};
use super::path;
use super::shared::Shared;
use super::worker::Worker;
use crate::session::{Ring, SessionRef};
use crate::sys::lock;

/// Gives the workers back what they have given up: the held tasks of a session together with its rings, so
/// that they stay before those that are still there. Called before the holds end.
pub(crate) fn give_back(shared: &Shared, given: GivenUp) {
    let mut sessions: BTreeMap<u64, Loot> = BTreeMap::new();
    for ring in given.rings {
        sessions.entry(ring.session.number).or_default().rings.push(ring);
    }
    for (from, task) in given.held {
        sessions.entry(task.record.session).or_default().periodic.push((from, task));
    }
    let mut load = vec![0; shared.config.all_workers()];
    for work in sessions.into_values() {
        let worker = shared.least_loaded(false, |worker, _| load[worker as usize]).unwrap_or(0);
        load[worker as usize] += work.rings.len();
        shared.mailbox(worker).send(WorkerMessage::TakeOver(Box::new(work)));
    }
}

/// Has workers poll rings, each the one that has the fewest of them.
pub(crate) fn add_rings(shared: &Shared, rings: impl IntoIterator<Item = Ring>) {
    let mut load = vec![0; shared.config.all_workers()];
    for ring in rings {
        let worker = shared.least_loaded(false, |worker, _| load[worker as usize]).unwrap_or(0);
        load[worker as usize] += 1;
        shared.mailbox(worker).send(WorkerMessage::AddRing(Box::new(ring)));
    }
}

/// Asks all workers to give up what they have of clients.
pub(crate) fn ask(shared: &Shared, question: &Question<GivenUp>) -> usize {
    let mailboxes = shared.mailboxes();
    for mailbox in mailboxes {
        mailbox.send(WorkerMessage::GiveUp(question.clone()));
    }
    mailboxes.len()
}

/// Gives up the rings and the held tasks of clients that this worker has.
pub(super) fn give_up(worker: &Worker, question: &Question<GivenUp>) {
    let mut answers = lock(question);
    answers.workers += 1;
    answers.found.add(|| {
        let queue = worker.run_queue();
        let sets = queue.entries().take_doorbells(queue.epoll());
        let mut rings: Vec<Ring> = sets.into_iter().flat_map(|set| set.into_rings()).collect();
        let mut entries = queue.entries();
        rings.append(&mut entries.rings);
        rings.iter_mut().for_each(|ring| ring.consumer.show_progress());
        let mut kept = entries.periodic.take_if(|_| true);
        kept.sort_unstable_by_key(|task| task.number);
        let (own, held): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|task| !task.record.is_of_client());
        own.into_iter().for_each(|task| entries.periodic.insert(task));
        (rings, held.into_iter().map(|task| (worker.index, task)).collect())
    });
}

/// Has a worker accept tasks that another process has accepted and held, in their order. They are before
/// all that come from the rings of their sessions, once the question is answered.
pub(crate) fn accept_held(shared: &Shared, tasks: Vec<(SessionRef, Vec<u64>)>) -> Question<()> {
    let question = Question::default();
    let message = WorkerMessage::AcceptHeld(Box::new((tasks, question.clone())));
    let worker = shared.least_loaded(false, |_, _| ()).unwrap_or(0);
    shared.mailbox(worker).send(message);
    question
}

/// Accepts tasks that another process has accepted and held.
pub(super) fn accept(worker: &Worker, tasks: Vec<(SessionRef, Vec<u64>)>, question: &Question<()>) {
    for (session, offsets) in tasks {
        for offset in offsets {
            path::accept_held(worker, session.begin_task(), offset);
        }
    }
    hold::retry_all(worker);
    lock(question).workers += 1;
}
