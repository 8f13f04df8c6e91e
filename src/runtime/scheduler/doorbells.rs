//! Rings at rest, which have been empty for a while, and the doorbells that bring them back.
//! However many resting rings a worker has, it polls none of them.
//!
//! A set can move to another worker as a whole: it has an epoll instance of its own, which is
//! registered with that of its worker. Taking over thousands of sessions thus costs two system
//! calls.

use std::collections::{HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{epoll, Timespec};

use crate::session::{Ring, Session};

/// How many doorbell events one system call fetches.
const AT_ONCE: usize = 64;

/// Rings at rest, by session, and the doorbells of their sessions.
pub(crate) struct Doorbells {
    epoll: OwnedFd,
    /// The sessions whose doorbells are in `epoll`.
    watched: HashSet<u64>,
    resting: HashMap<u64, Vec<Ring>>,
}

impl Doorbells {
    pub(super) fn new() -> std::io::Result<Doorbells> {
        Ok(Doorbells {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            watched: HashSet::new(),
            resting: HashMap::new(),
        })
    }

    /// Makes the worker with this epoll instance wake up when a doorbell rings. The event stays
    /// pending until [`rung`](Self::rung) is called.
    pub(super) fn join(&self, worker: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let data = epoll::EventData::new_u64(0);
        epoll::add(worker, &self.epoll, data, epoll::EventFlags::IN)
    }

    /// The opposite of [`join`](Self::join).
    pub(super) fn leave(&self, worker: BorrowedFd<'_>) {
        // This fails only if the set has not joined.
        let _ = epoll::delete(worker, &self.epoll);
    }

    /// Watches the doorbell of a session.
    pub(super) fn watch(&mut self, session: &Session) -> rustix::io::Result<()> {
        if self.watched.contains(&session.number) {
            return Ok(());
        }
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(session.number);
        epoll::add(&self.epoll, &session.doorbell, data, flags)?;
        self.watched.insert(session.number);
        Ok(())
    }

    /// Stops watching the doorbell of a session.
    pub(super) fn unwatch(&mut self, session: &Session) {
        if self.watched.remove(&session.number) {
            // It is registered: `watch` has added it.
            let _ = epoll::delete(&self.epoll, session.doorbell.as_fd());
        }
    }

    pub(super) fn is_watched(&self, session: u64) -> bool {
        self.watched.contains(&session)
    }

    /// Whether rings of this session are at rest.
    pub(super) fn has_rings(&self, session: u64) -> bool {
        self.resting.contains_key(&session)
    }

    /// Keeps a ring until its session's doorbell rings. The ring's consumer must be parked.
    pub(super) fn rest(&mut self, ring: Ring) {
        self.resting.entry(ring.session.number).or_default().push(ring);
    }

    /// Removes and returns the resting rings of a session.
    pub(super) fn take(&mut self, session: u64) -> Vec<Ring> {
        self.resting.remove(&session).unwrap_or_default()
    }

    /// Drops the rings at rest of sessions that have ended.
    pub(super) fn drop_dead(&mut self) {
        let is_dead =
            |_: &u64, rings: &mut Vec<Ring>| rings.iter().any(|ring| ring.session.is_dead());
        for (_, rings) in self.resting.extract_if(is_dead).collect::<Vec<_>>() {
            self.unwatch(&rings[0].session);
        }
    }

    /// How many doorbells the set watches.
    pub(super) fn watched_count(&self) -> usize {
        self.watched.len()
    }

    /// Gives up the set, and returns its rings at rest.
    pub(super) fn into_rings(self) -> impl Iterator<Item = Ring> {
        self.resting.into_values().flatten()
    }

    /// True if no ring is at rest.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.resting.is_empty()
    }

    /// Removes the rings of the sessions whose doorbells have rung, and passes them to `take`, to
    /// be polled again.
    pub(super) fn rung(&mut self, mut take: impl FnMut(Ring)) {
        loop {
            let mut space = [const { MaybeUninit::uninit() }; AT_ONCE];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            // The call does not wait, and so is not interrupted.
            let Ok((events, _)) = epoll::wait(&self.epoll, &mut space, Some(&now)) else { return };
            for event in events.iter() {
                for mut ring in self.take(event.data.u64()) {
                    ring.consumer.unpark();
                    take(ring);
                }
            }
            if events.len() < AT_ONCE {
                return;
            }
        }
    }
}
