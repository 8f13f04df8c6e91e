//! The rings of clients that a worker polls, and how much it takes from them.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use chimaera_abi::CHI_NO_SPACE;
use chimaera_ipc::ring::Entry;

use crate::desk::Ring;
use crate::record::{Origin, Record};
use crate::session::Session;
use crate::shared::Order;
use crate::worker::Worker;
use crate::Failure;

/// Entries taken from one ring before the next has its turn.
const RING_BATCH: usize = 32;
/// Tasks of one session under way that are few, and very few.
const FEW_IN_FLIGHT: usize = 256;
const VERY_FEW_IN_FLIGHT: usize = 64;
/// Submissions of one ring that are held back; beyond that the ring fills up.
const MOST_HELD: usize = 1 << 16;

impl Worker {
    /// Polls a ring from now on.
    pub(crate) fn add_ring(&self, ring: Ring) {
        // The session may have ended on its way here.
        if ring.session.is_dead() {
            return;
        }
        match self.desk().watch(&ring.session) {
            Ok(()) => self.desk().work().rings.push(ring),
            Err(error) => {
                self.kill(&ring.session, &format!("its doorbell cannot be watched: {error}"));
            }
        }
    }

    /// Lets go of a session's rings.
    pub(crate) fn drop_rings(&self, session: u64) {
        let mut work = self.desk().work();
        for index in (0..work.rings.len()).rev() {
            if work.rings[index].session.number == session {
                let ring = work.rings.remove(index);
                self.desk().unwatch(&ring.session);
            }
        }
    }

    /// Takes a batch from a ring. False when there is no ring of this index.
    #[inline]
    pub(crate) fn poll_ring(&self, index: usize, most: usize, busy: &mut bool) -> bool {
        let pauses = self.fibers.pauses();
        for _ in 0..RING_BATCH {
            let (entry, session) = {
                let mut work = self.desk().work();
                let Some(ring) = work.rings.get_mut(index) else { return false };
                let full = Arc::strong_count(&ring.session) > most;
                if full && ring.held.len() >= MOST_HELD {
                    return true;
                }
                let held = if full { None } else { ring.held.pop_front() };
                let entry = match held {
                    Some(offset) => Some(Some(Entry::Submit { offset })),
                    None => ring.consumer.pop(),
                };
                match entry {
                    None => {
                        ring.consumer.show_progress();
                        return true;
                    }
                    Some(Some(Entry::Submit { offset })) if full => {
                        ring.held.push_back(offset);
                        continue;
                    }
                    Some(entry) => (entry, ring.session.clone()),
                }
            };
            *busy = true;
            match entry {
                Some(Entry::Submit { offset }) => self.take_in(session, offset),
                Some(Entry::Release { hold }) => session.release(hold),
                Some(Entry::Cancel { offset }) => self.client_cancels(&session, offset),
                None => self.kill(&session, "wrote an entry into its ring that means nothing"),
            }
            if self.fibers.pauses() != pauses {
                return true;
            }
        }
        if let Some(ring) = self.desk().work().rings.get_mut(index) {
            ring.consumer.show_progress();
        }
        true
    }

    pub(crate) fn kill(&self, session: &Arc<Session>, reason: &str) {
        session.set_dead();
        let order = Order::Kill { session: session.number, reason: reason.to_owned() };
        self.shared.order(order);
    }

    /// How many tasks of a session may be under way for more of them to be taken: the more tasks wait
    /// on this worker, the fewer. Whatever one session has waiting, others have their turn.
    #[inline]
    pub(crate) fn most_in_flight(&self) -> usize {
        let config = &self.shared.config;
        if self.fibers.have_room() {
            return config.max_in_flight;
        }
        let waiting = self.fibers.in_use();
        let share = |of: usize| (of / config.workers).max(64);
        // Above this, only sessions with few tasks under way are served, so that one session's waiting
        // tasks do not keep the others out.
        let many = config.max_suspended / 7 * 5;
        if waiting <= share(many) {
            config.max_in_flight
        } else if waiting <= share(config.max_suspended) {
            FEW_IN_FLIGHT
        } else if self.shared.fibers.load(Ordering::Relaxed) <= most_fibers(config.max_suspended, 8)
        {
            VERY_FEW_IN_FLIGHT
        } else {
            0
        }
    }

    /// Why this task must not start, when there is no room for another one that may wait.
    #[inline]
    pub(crate) fn too_many(&self, record: &Record) -> Option<Failure> {
        if self.fibers.have_room() {
            return None;
        }
        self.look_for_room(record)
    }

    #[cold]
    fn look_for_room(&self, record: &Record) -> Option<Failure> {
        if self.fibers.are_starving() {
            let message = "the runtime has no memory for another task's stack";
            return Some(Failure::new(CHI_NO_SPACE, message));
        }
        match &record.origin {
            Origin::Client { session, .. } => {
                let most = self.most_in_flight().max(FEW_IN_FLIGHT);
                (Arc::strong_count(session) > most).then(|| {
                    let message =
                        "too many of the client's tasks wait in the runtime; let some of them end";
                    Failure::new(CHI_NO_SPACE, message)
                })
            }
            // Those that wait can only end when their subtasks do, so these have some room more; but some is
            // left to sessions that have very few.
            Origin::Internal => {
                let limit = self.shared.config.max_suspended;
                let full = self.shared.fibers.load(Ordering::Relaxed) > most_fibers(limit, 16);
                (full && self.fibers.need_another()).then(|| {
                    let message = format!(
                        "too many tasks wait in the runtime (limits.suspended_tasks is {limit}) for \
                         another subtask to start"
                    );
                    Failure::new(CHI_NO_SPACE, message)
                })
            }
        }
    }
}

/// How many fibers there may be at a limit of suspended tasks and a part of that more.
fn most_fibers(limit: usize, part: usize) -> usize {
    limit + limit / part
}
