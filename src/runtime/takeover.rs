//! Taking work over: an idle worker relieves one of its group that a method keeps busy, and a busy one
//! shares.

use std::collections::VecDeque;

use crate::desk::{Ring, Work};
use crate::shared::{LanePtr, Note};
use crate::worker::Worker;

impl Worker {
    /// Takes over what waits for a worker that a method keeps busy: its rings, and the lanes of which no
    /// task has started. When that worker is back meanwhile, nothing happens.
    pub(crate) fn help(&self, busy: u32) {
        let mut rings: Vec<Ring> = Vec::new();
        let mut lanes = Vec::new();
        let desk = &self.shared.desks[busy as usize];
        desk.take_from(|work| {
            rings.append(&mut work.rings);
            self.take_lanes(busy, &mut work.lanes, &mut lanes);
            self.take_lanes(busy, &mut work.late_lanes, &mut lanes);
        });
        for ring in rings {
            desk.unwatch(&ring.session);
            self.add_ring(ring);
        }
        lanes.into_iter().for_each(|lane| self.told_of(lane));
        self.take_notes(busy);
    }

    /// Takes lanes off a list of the worker `from`.
    fn take_lanes(
        &self,
        from: u32,
        list: &mut VecDeque<LanePtr>,
        taken: &mut Vec<*const crate::container::ContainerLane>,
    ) {
        for index in (0..list.len()).rev() {
            // SAFETY: its container is there as long as the lane stands on the list of a worker that
            // has not counted a round since.
            let lane = unsafe { &*list[index].0 };
            if lane.turn.take_over(self.index) {
                list.remove(index);
                lane.unlist(from);
                taken.push(lane);
            }
        }
    }

    /// Takes over what a busy worker has been told of and has not read.
    fn take_notes(&self, busy: u32) {
        let mailbox = &self.shared.mailboxes[busy as usize];
        let mut others = Vec::new();
        while let Some(note) = mailbox.take() {
            match note {
                Note::Ring(ring) => self.add_ring(ring),
                Note::Lane(lane) => {
                    // SAFETY: as in `told_of`.
                    let lane = unsafe { &*lane.0 };
                    if lane.turn.take_over(self.index) {
                        self.told_of(lane);
                    } else {
                        others.push(Note::Lane(LanePtr(lane)));
                    }
                }
                other => others.push(other),
            }
        }
        others.into_iter().for_each(|note| mailbox.send(note));
    }

    /// Gives half of what this worker serves to another one, which is idle.
    pub(crate) fn share(&self, with: u32) {
        let mut work = self.desk().work();
        let Work { rings, lanes, late_lanes } = &mut *work;
        let mut given = Vec::new();
        let mut give = |list: &mut VecDeque<LanePtr>| {
            for index in (0..list.len()).rev().step_by(2) {
                // SAFETY: a listed lane's container is there until this worker has counted a round.
                let lane = unsafe { &*list[index].0 };
                if lane.turn.take_over(with) {
                    list.remove(index);
                    lane.unlist(self.index);
                    given.push(Note::Lane(LanePtr(lane)));
                }
            }
        };
        give(late_lanes);
        give(lanes);
        let keep = rings.len().div_ceil(2);
        for mut ring in rings.split_off(keep) {
            ring.consumer.show_progress();
            if !rings.iter().any(|other| other.session.number == ring.session.number) {
                self.desk().unwatch(&ring.session);
            }
            given.push(Note::Ring(ring));
        }
        drop(work);
        for note in given {
            self.shared.mailboxes[with as usize].send(note);
        }
    }
}
