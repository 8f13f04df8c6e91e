//! Stealing: an idle worker takes over the work of another one in its group that a method keeps
//! busy, and a busy worker gives work away.

use std::collections::VecDeque;

use super::mailbox::{Mailbox, WorkerMessage};
use super::run_queue::{Entries, RunQueue};
use crate::pool::{ContainerLane, LanePtr};
use crate::session::Ring;

/// The stolen rings and lanes.
#[derive(Default)]
pub(super) struct Loot {
    pub(crate) rings: Vec<Ring>,
    /// Lanes with tasks in them, which the stealer now owns.
    pub(crate) lanes: Vec<*const ContainerLane>,
}

/// Steals, for the worker `me`, what is waiting for the worker `busy`: its rings, and the lanes of
/// which no task has started. If that worker is back meanwhile, only its unread messages are taken.
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

/// Steals lanes from a list of the worker `from`.
fn steal_lanes(
    me: u32,
    from: u32,
    list: &mut VecDeque<LanePtr>,
    taken: &mut Vec<*const ContainerLane>,
) {
    for index in (0..list.len()).rev() {
        // SAFETY: the container of a listed lane lives until the worker on whose list it is has
        // counted a round after its destruction, and that worker does not count one during a steal.
        let lane = unsafe { &*list[index].0 };
        if lane.state.take_over(me) {
            list.remove(index);
            lane.unlist(from);
            taken.push(lane);
        }
    }
}

/// Steals from a busy worker's unread messages.
fn steal_messages(me: u32, mailbox: &Mailbox, loot: &mut Loot) {
    let mut others = Vec::new();
    while let Some(message) = mailbox.take() {
        match message {
            WorkerMessage::AddRing(ring) => loot.rings.push(ring),
            WorkerMessage::Lane(lane) => {
                // SAFETY: the message was sent for a task in the lane, which keeps it alive. If
                // that task has ended since, the lane's container still lives until the worker to
                // which the message was sent has read its messages and counted further rounds, and
                // that worker is busy in module code.
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

/// Removes half of the entries of the worker `me`, as messages for the worker `idle`.
pub(super) fn share(me: u32, idle: u32, queue: &RunQueue) -> Vec<WorkerMessage> {
    let mut entries = queue.entries();
    let Entries { rings, lanes, high_latency_lanes } = &mut *entries;
    let mut given = Vec::new();
    let mut give = |list: &mut VecDeque<LanePtr>| {
        for index in (0..list.len()).rev().step_by(2) {
            // SAFETY: the container of a listed lane lives until this worker has counted a round
            // after its destruction.
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
