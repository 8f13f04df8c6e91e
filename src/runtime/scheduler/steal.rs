//! Stealing: a worker takes over the work of another worker of its group that a method keeps busy.
//! One that attends takes what needs no task to be started.
//! A worker also gives work away: half of it to an idle worker, or all of it when it comes to rest.

use std::collections::VecDeque;

use super::doorbells::Doorbells;
use super::entries::{Entries, Taken};
use super::loot::Loot;
use super::mailbox::{Mailbox, WorkerMessage};
use super::role::Role;
use super::run_queue::RunQueue;
use super::shared::Shared;
use crate::pool::{ContainerLane, LanePtr};
use crate::session::Ring;

/// Steals, for the worker `me`, the work that is waiting for the worker `busy`: its rings, its
/// periodic tasks, and the lanes of which no task has started. If that worker has come back
/// meanwhile, only some of its unread messages are taken.
pub(super) fn steal(shared: &Shared, me: u32, busy: u32) -> Loot {
    let (queue, mailbox) = (shared.run_queue(busy), shared.mailbox(busy));
    let attends = shared.run_queue(me).role() == Role::Attending;
    // A lane whose next task this worker must not start is left alone.
    let is_refused = |lane: &ContainerLane| {
        let session = lane.held_back();
        attends || session != 0 && shared.is_standby(me) && shared.blocks_its_share(session)
    };
    let (mut loot, mut away) = (Loot::default(), false);
    queue.steal(|taken, entries| {
        away = true;
        let Taken { rings, doorbells, periodic } = taken;
        let periodic = periodic.into_iter().map(|task| (busy, task)).collect();
        loot = Loot { rings, doorbells, periodic, ..Loot::default() };
        for lanes in [&mut entries.lanes, &mut entries.high_latency_lanes] {
            take_lanes(
                me,
                busy,
                lanes,
                1,
                |lane| !is_refused(lane),
                |lane| loot.lanes.push(LanePtr(lane)),
            );
        }
    });
    steal_messages(me, mailbox, is_refused, away, &mut loot);
    if attends {
        let runs = loot.runs.drain(..).map(|(method, f)| WorkerMessage::Run(method, f));
        runs.for_each(|run| mailbox.send(run));
    }
    loot
}

/// Takes every `step`-th lane, from the end, from a list of the worker `from`.
fn take_lanes(
    me: u32,
    from: u32,
    list: &mut VecDeque<LanePtr>,
    step: usize,
    may_take: impl Fn(&ContainerLane) -> bool,
    mut take: impl FnMut(*const ContainerLane),
) {
    for index in (0..list.len()).rev().step_by(step) {
        // SAFETY: the container of a listed lane lives until the worker on whose list it is has
        // counted a round after the container's destruction, and that worker does not count one
        // meanwhile.
        let lane = unsafe { &*list[index].0 };
        if may_take(lane) && lane.state.take_over(me) {
            list.remove(index);
            lane.unlist(from);
            take(lane);
        }
    }
}

/// Steals from a busy worker's unread messages. What others have given to it is taken only with what it
/// had, which may have come from the same rings: when it was `away`.
fn steal_messages(
    me: u32,
    mailbox: &Mailbox,
    is_refused: impl Fn(&ContainerLane) -> bool,
    away: bool,
    loot: &mut Loot,
) {
    let mut others = Vec::new();
    while let Some(message) = mailbox.take() {
        match message {
            WorkerMessage::AddRing(ring) => loot.rings.push(*ring),
            WorkerMessage::TakeOver(given) if away => loot.append(*given),
            WorkerMessage::Run(method, f) => loot.runs.push((method, f)),
            WorkerMessage::Lane(lane) => {
                // SAFETY: the message was sent for a task in the lane, which keeps it alive. If
                // that task has ended since, its container lives until every worker has counted
                // further rounds, and the worker `me`, which runs this, counts none meanwhile.
                let found = unsafe { &*lane.0 };
                if !is_refused(found) && found.state.take_over(me) {
                    loot.lanes.push(lane);
                } else {
                    others.push(WorkerMessage::Lane(lane));
                }
            }
            other => others.push(other),
        }
    }
    others.into_iter().for_each(|message| mailbox.send(message));
}

/// Removes half of the entries of the worker `me`, for the worker `idle`. Rings of sessions that have held
/// tasks here stay.
pub(super) fn share(me: u32, idle: u32, queue: &RunQueue) -> Vec<WorkerMessage> {
    let (keep, held) = {
        let entries = queue.entries();
        (entries.rings.len().div_ceil(2), entries.periodic.sessions_held())
    };
    let given = give(me, idle, queue, keep, 2, |ring| !held.contains(&ring.session.number));
    let rings = given.rings.into_iter().map(Box::new).map(WorkerMessage::AddRing);
    given.lanes.into_iter().map(WorkerMessage::Lane).chain(rings).collect()
}

/// Removes the rings that are held back on this worker and that `may_give` picks, for another one.
pub(super) fn give_held_back(queue: &RunQueue, may_give: impl Fn(&Ring) -> bool) -> Vec<Ring> {
    let mut entries = queue.entries();
    let held = entries.periodic.sessions_held();
    let Entries { rings, doorbells, .. } = &mut *entries;
    let is_given = |ring: &mut Ring| {
        let is_held_back = !ring.postponed.is_empty() && !ring.waits_for_memory();
        is_held_back && !held.contains(&ring.session.number) && may_give(ring)
    };
    let given: Vec<_> = rings.extract_if(.., is_given).collect();
    given.into_iter().map(|ring| send_off(ring, rings, doorbells)).collect()
}

/// Removes all movable entries of the worker `me`, for the worker `to`.
pub(super) fn give_all(me: u32, to: u32, queue: &RunQueue) -> Vec<WorkerMessage> {
    let doorbells = queue.entries().take_doorbells(queue.epoll());
    let mut given = Loot { doorbells, ..give(me, to, queue, 0, 1, |_| true) };
    let periodic = queue.entries().periodic.take_if(|_| true).into_iter();
    given.periodic = periodic.map(|task| (me, task)).collect();
    let lanes = std::mem::take(&mut given.lanes).into_iter().map(WorkerMessage::Lane);
    lanes.chain([WorkerMessage::TakeOver(Box::new(given))]).collect()
}

fn give(
    me: u32,
    to: u32,
    queue: &RunQueue,
    keep: usize,
    step: usize,
    may_give: impl Fn(&Ring) -> bool,
) -> Loot {
    let mut entries = queue.entries();
    let Entries { rings, lanes, high_latency_lanes, doorbells, .. } = &mut *entries;
    let mut given = Loot::default();
    for list in [high_latency_lanes, lanes] {
        let take = |lane| given.lanes.push(LanePtr(lane));
        take_lanes(to, me, list, step, |_| true, take);
    }
    let (going, staying): (Vec<_>, Vec<_>) = rings.split_off(keep).into_iter().partition(may_give);
    rings.extend(staying);
    given.rings = going.into_iter().map(|ring| send_off(ring, rings, doorbells)).collect();
    given
}

/// Prepares a ring for another worker. `rings` are those that stay here.
fn send_off(mut ring: Ring, rings: &[Ring], doorbells: &mut [Doorbells]) -> Ring {
    ring.consumer.show_progress();
    let number = ring.session.number;
    let is_its = |other: &Ring| other.session.number == number;
    // Rings of the session that stay need its doorbell here.
    if !rings.iter().any(is_its) && !doorbells.iter().any(|set| set.has_rings(number)) {
        doorbells.iter_mut().for_each(|set| set.unwatch(&ring.session));
    }
    ring
}
