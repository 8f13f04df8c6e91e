//! Stealing: what an idle worker takes over from one of its group that a method keeps busy, and what a busy
//! one gives away.

use std::collections::VecDeque;

use super::mailbox::{Mailbox, WorkerMessage};
use super::run_queue::{Entries, RunQueue};
use crate::pool::{ContainerLane, LanePtr};
use crate::session::Ring;

/// What was stolen.
#[derive(Default)]
pub(super) struct Loot {
    pub(crate) rings: Vec<Ring>,
    /// Lanes that are the stealer's now, with tasks in them.
    pub(crate) lanes: Vec<*const ContainerLane>,
}

/// Takes over, for the worker `me`, what waits for the worker `busy`: its rings, and the lanes of which no
/// task has started. When that worker is back meanwhile, only what it has not read yet is taken.
pub(super) fn steal(me: u32, busy: u32, queue: &RunQueue, mailbox: &Mailbox) -> Loot {
    let mut loot = Loot::default();
    queue.steal(|entries| {
        loot.rings.append(&mut entries.rings);
        steal_lanes(me, busy, &mut entries.lanes, &mut loot.lanes);
        steal_lanes(me, busy, &mut entries.high_latency_lanes, &mut loot.lanes);
    });
    for ring in &loot.rings {
        queue.unwatch(&ring.session);
    }
    steal_messages(me, mailbox, &mut loot);
    loot
}

/// Takes lanes off a list of the worker `from`.
fn steal_lanes(
    me: u32,
    from: u32,
    list: &mut VecDeque<LanePtr>,
    taken: &mut Vec<*const ContainerLane>,
) {
    for index in (0..list.len()).rev() {
        // SAFETY: its container is there as long as the lane stands on the list of a worker that
        // has not counted a round since.
        let lane = unsafe { &*list[index].0 };
        if lane.state.take_over(me) {
            list.remove(index);
            lane.unlist(from);
            taken.push(lane);
        }
    }
}

/// Takes over what a busy worker has been told and has not read.
fn steal_messages(me: u32, mailbox: &Mailbox, loot: &mut Loot) {
    let mut others = Vec::new();
    while let Some(message) = mailbox.take() {
        match message {
            WorkerMessage::AddRing(ring) => loot.rings.push(ring),
            WorkerMessage::Lane(lane) => {
                // SAFETY: the message says that there are tasks in it, which keep it.
                if unsafe { (*lane.0).state.take_over(me) } {
                    loot.lanes.push(lane.0);
                } else {
                    others.push(WorkerMessage::Lane(lane));
                }
            }
            other => others.push(other),
        }
    }
    others.into_iter().for_each(|message| mailbox.send(message));
}

/// Takes half of the entries of the worker `me` for the worker `idle`, which is to be told so.
pub(super) fn share(me: u32, idle: u32, queue: &RunQueue) -> Vec<WorkerMessage> {
    let mut entries = queue.entries();
    let Entries { rings, lanes, high_latency_lanes } = &mut *entries;
    let mut given = Vec::new();
    let mut give = |list: &mut VecDeque<LanePtr>| {
        for index in (0..list.len()).rev().step_by(2) {
            // SAFETY: a listed lane's container is there until this worker has counted a round.
            let lane = unsafe { &*list[index].0 };
            if lane.state.take_over(idle) {
                list.remove(index);
                lane.unlist(me);
                given.push(WorkerMessage::Lane(LanePtr(lane)));
            }
        }
    };
    give(high_latency_lanes);
    give(lanes);
    let keep = rings.len().div_ceil(2);
    for mut ring in rings.split_off(keep) {
        ring.consumer.show_progress();
        if !rings.iter().any(|other| other.session.number == ring.session.number) {
            queue.unwatch(&ring.session);
        }
        given.push(WorkerMessage::AddRing(ring));
    }
    given
}
