//! The contents of a worker's run queue: rings, lanes, periodic and held tasks, and the doorbells of the rings.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use super::doorbells::Doorbells;
use crate::pool::LanePtr;
use crate::session::{Ring, Session, SessionRef};
use crate::task::{PeriodicTasks, Resting};

/// The contents of a run queue.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) rings: Vec<Ring>,
    /// The worker's lanes with low-latency tasks to start.
    pub(super) lanes: VecDeque<LanePtr>,
    /// The worker's lanes with high-latency tasks to start.
    pub(super) high_latency_lanes: VecDeque<LanePtr>,
    /// Periodic tasks between two runs.
    pub(super) periodic: PeriodicTasks,
    /// Rings at rest, and the doorbells of the sessions of all rings.
    pub(super) doorbells: Vec<Doorbells>,
    /// The doorbells of some of `rings` could not be watched, for lack of descriptors or memory. They are
    /// polled, and never rest, until they can be.
    pub(super) unwatched: bool,
    /// The ring whose entry is being accepted, or was last; `None` while held tasks are submitted again.
    pub(super) accepting: Option<usize>,
}

/// What stays with a worker that is stolen from while a monitor places a client's task: what that task must
/// not be overtaken by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Staying {
    Nothing,
    /// The ring that the task came from.
    Ring(usize),
    /// The rings and held tasks of this session: the task was held itself.
    Session(u64),
}

/// How many sets of doorbells a worker keeps apart after take-overs.
const MOST_SETS: usize = 4;
/// A set of this many doorbells or fewer is not worth a descriptor of its own.
const FEW_DOORBELLS: usize = 16;

/// A ring that has rested, to be polled again.
pub(super) fn awake(mut ring: Ring) -> Ring {
    ring.consumer.unpark();
    ring
}

impl Entries {
    /// Lets an empty ring rest until its session's doorbell brings it back. Returns false, and the
    /// ring is still polled, if it turns out not to be empty.
    pub(super) fn let_rest(&mut self, index: usize) -> bool {
        let ring = &mut self.rings[index];
        ring.polls.found_entry();
        let number = ring.session.number;
        let set = self.doorbells.iter_mut().find(|set| set.is_watched(number));
        match set {
            Some(set) if ring.postponed.is_empty() && ring.consumer.rest() => {
                set.rest(self.rings.swap_remove(index));
                true
            }
            _ => false,
        }
    }

    /// Records that a ring is empty, and lets it rest if it has been for long.
    #[inline]
    pub(super) fn found_nothing(&mut self, index: usize) {
        let ring = &mut self.rings[index];
        ring.consumer.show_progress();
        if ring.polls.found_nothing() {
            self.let_rest(index);
        }
    }

    /// Removes and returns the sets that watch any doorbells, for another worker. `worker` is the
    /// epoll instance of this worker, which then has a set of its own, if a descriptor is
    /// available.
    pub(super) fn take_doorbells(&mut self, worker: BorrowedFd<'_>) -> Vec<Doorbells> {
        let taken: Vec<Doorbells> =
            self.doorbells.extract_if(.., |set| set.watched_count() > 0).collect();
        taken.iter().for_each(|set| set.leave(worker));
        if self.doorbells.is_empty() {
            // If this fails, the set is created when a doorbell has to be watched.
            if let Ok(own) = Doorbells::new() {
                if own.join(worker).is_ok() {
                    self.doorbells.push(own);
                }
            }
        }
        taken
    }

    /// The next entry is accepted from this ring.
    #[inline]
    pub(super) fn accept_from(&mut self, ring: usize) {
        self.accepting = Some(ring);
    }

    /// From now on held tasks are submitted again.
    pub(super) fn accept_held(&mut self) {
        self.accepting = None;
    }

    /// Takes the rings, resting ones included, and the periodic and held tasks, except what has to stay.
    pub(super) fn take_all(&mut self, epoll: BorrowedFd<'_>, stays: Staying) -> Taken {
        let mut doorbells = self.take_doorbells(epoll);
        let is_staying = |(index, ring): &(usize, Ring)| match stays {
            Staying::Nothing => false,
            Staying::Ring(of) => *index == of,
            Staying::Session(number) => ring.session.number == number,
        };
        let rings = std::mem::take(&mut self.rings).into_iter().enumerate();
        let (staying, going): (Vec<_>, Vec<_>) = rings.partition(is_staying);
        for (_, ring) in staying {
            let number = ring.session.number;
            for set in doorbells.iter_mut().filter(|set| !set.has_rings(number)) {
                set.unwatch(&ring.session);
            }
            // It is watched here again when the worker is back.
            self.unwatched = true;
            self.rings.push(ring);
        }
        if let Staying::Ring(_) = stays {
            self.accepting = Some(0);
        }
        let periodic = self.periodic.take_if(|record| match stays {
            Staying::Session(number) => record.session != number || !record.container.is_null(),
            _ => true,
        });
        Taken { rings: going.into_iter().map(|(_, ring)| ring).collect(), doorbells, periodic }
    }

    /// Takes all rings of a session, and stops watching its doorbell.
    pub(super) fn take_session(&mut self, session: u64) -> Vec<Ring> {
        let is_its = |ring: &mut Ring| ring.session.number == session;
        let mut taken: Vec<Ring> = self.rings.extract_if(.., is_its).collect();
        for set in &mut self.doorbells {
            taken.extend(set.take(session));
            if let Some(ring) = taken.first() {
                set.unwatch(&ring.session);
            }
        }
        self.drop_empty_sets();
        taken
    }

    /// Stops watching the doorbell of a ring whose session has ended, and returns the ring.
    pub(super) fn drop_ring(&mut self, ring: Ring) -> Ring {
        self.doorbells.iter_mut().for_each(|set| set.unwatch(&ring.session));
        self.drop_empty_sets();
        ring
    }

    /// Drops the sets that watch no doorbell. One stays for the next session.
    fn drop_empty_sets(&mut self) {
        if self.doorbells.iter().any(|set| set.watched_count() > 0) {
            self.doorbells.retain(|set| set.watched_count() > 0);
        } else {
            self.doorbells.truncate(1);
        }
    }

    /// Merges small sets of doorbells into the largest, and larger ones if there are many sets.
    /// Take-overs to and fro may have left several sets watching the same doorbell.
    /// Fails if some cannot be watched: their rings are polled.
    pub(super) fn merge_doorbells(&mut self) -> rustix::io::Result<()> {
        let mut merged = Ok(());
        while self.doorbells.len() > 1 {
            self.doorbells.sort_by_key(|set| std::cmp::Reverse(set.watched_count()));
            let is_small = |set: &mut Doorbells| set.watched_count() <= FEW_DOORBELLS;
            let few = self.doorbells.len() <= MOST_SETS;
            let Some(mut small) = self.doorbells.pop_if(|set| !few || is_small(set)) else { break };
            // The other set may have consumed the same doorbell's event before this set came here.
            small.rung(|ring| self.rings.push(ring));
            let large = &mut self.doorbells[0];
            for ring in self.rings.iter().filter(|ring| small.is_watched(ring.session.number)) {
                merged = large.watch(&ring.session).and(merged);
            }
            for ring in small.into_rings() {
                match large.watch(&ring.session) {
                    Ok(()) => large.rest(ring),
                    Err(error) => {
                        merged = Err(error);
                        self.rings.push(awake(ring));
                    }
                }
            }
        }
        self.unwatched |= merged.is_err();
        merged
    }

    /// Watches the doorbell of a session in a set that is here. `worker` is the epoll instance of this
    /// worker.
    pub(super) fn watch(
        &mut self,
        worker: BorrowedFd<'_>,
        session: &Session,
    ) -> std::io::Result<()> {
        if self.doorbells.iter().any(|set| set.is_watched(session.number)) {
            return Ok(());
        }
        if self.doorbells.is_empty() {
            let set = Doorbells::new()?;
            set.join(worker)?;
            self.doorbells.push(set);
        }
        Ok(self.doorbells[0].watch(session)?)
    }

    /// Watches the doorbells that could not be watched before.
    #[cold]
    pub(super) fn watch_again(&mut self, worker: BorrowedFd<'_>) {
        let sessions: Vec<SessionRef> =
            self.rings.iter().map(|ring| ring.session.clone()).collect();
        self.unwatched = sessions.iter().any(|session| self.watch(worker, session).is_err());
    }

    /// The list for high-latency or for low-latency lanes.
    #[inline]
    pub(super) fn lanes_of(&mut self, high_latency: bool) -> &mut VecDeque<LanePtr> {
        match high_latency {
            true => &mut self.high_latency_lanes,
            false => &mut self.lanes,
        }
    }
}

/// What was taken from a worker.
pub(super) struct Taken {
    pub(super) rings: Vec<Ring>,
    pub(super) doorbells: Vec<Doorbells>,
    pub(super) periodic: Vec<Resting>,
}
