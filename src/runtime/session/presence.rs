//! Which clients are there, for modules that keep something for a client.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use super::roll::{Roll, RollReader};
use crate::sys::lock;

/// The sessions of a runtime that are open, or whose tasks have not all ended.
pub(crate) struct Clients {
    /// What is added to a session's number, so that no other runtime has the same numbers, except the
    /// successor, to which the sessions go.
    base: AtomicU64,
    known: Mutex<Known>,
    /// In a module host: those of the daemon.
    of_daemon: OnceLock<RollReader>,
}

#[derive(Default)]
struct Known {
    /// The numbers of sessions.
    there: HashSet<u64>,
    /// The highest one that there has been.
    last: u64,
    /// Sessions of a predecessor are still to come.
    adopts: bool,
    /// What module hosts read, once there is one.
    roll: Option<Roll>,
}

impl Clients {
    /// Those of a runtime that begins now.
    pub(crate) fn new() -> Arc<Clients> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        let base = AtomicU64::new(now);
        Arc::new(Clients { base, known: Mutex::default(), of_daemon: OnceLock::new() })
    }

    /// Notes that a session is there, until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, session: u64) -> Presence {
        let mut known = lock(&self.known);
        known.there.insert(session);
        known.last = known.last.max(session);
        known.roll.iter().for_each(|roll| roll.enter(session));
        Presence { clients: self.clone(), session }
    }

    /// What the numbers begin with, for a successor.
    pub(crate) fn base(&self) -> u64 {
        self.base.load(Ordering::Relaxed)
    }

    /// Takes over the numbers of a predecessor, before there is a session. Until `end_adoption`, its sessions
    /// that are not there yet are unknown.
    pub(crate) fn begin_adoption(&self, base: u64) {
        lock(&self.known).adopts = true;
        self.base.store(base, Ordering::Relaxed);
    }

    /// Notes that all sessions of the predecessor are there which have not ended, of those before this one.
    pub(crate) fn end_adoption(&self, next: u64) {
        let mut known = lock(&self.known);
        if std::mem::take(&mut known.adopts) {
            known.last = known.last.max(next.saturating_sub(1));
        }
    }

    /// The number by which modules know the client of a session.
    pub(crate) fn number_of(&self, session: u64) -> u64 {
        self.base().wrapping_add(session)
    }

    /// What the runtime of a module host `follow`s. None while sessions of a predecessor are still to come:
    /// their absence means nothing.
    pub(crate) fn roll(&self) -> std::io::Result<Option<OwnedFd>> {
        let known = &mut *lock(&self.known);
        if known.adopts {
            return Ok(None);
        }
        if known.roll.is_none() {
            let roll = Roll::new(self.base())?;
            roll.begin(&known.there, known.last);
            known.roll = Some(roll);
        }
        known.roll.as_ref().map(Roll::memfd).transpose()
    }

    /// In a module host: takes the daemon's word for who is there.
    pub(crate) fn follow(&self, roll: &OwnedFd) -> std::io::Result<()> {
        let reader = RollReader::new(roll)?;
        self.of_daemon.get_or_init(|| reader);
        Ok(())
    }

    /// Whether the client with this number is there; none if it is not one of this runtime.
    pub(crate) fn is_there(&self, client: u64) -> Option<bool> {
        if let Some(daemon) = self.of_daemon.get() {
            return daemon.is_there(client);
        }
        let session = client.wrapping_sub(self.base());
        let known = lock(&self.known);
        match known.there.contains(&session) {
            true => Some(true),
            false if known.adopts => None,
            false => (1..=known.last).contains(&session).then_some(false),
        }
    }
}

/// A session's presence. The session owns it, and the tasks and rings keep the session alive.
pub(crate) struct Presence {
    clients: Arc<Clients>,
    session: u64,
}

impl Presence {
    /// The session's number.
    pub(super) fn session(&self) -> u64 {
        self.session
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut known = lock(&self.clients.known);
        known.there.remove(&self.session);
        known.roll.iter().for_each(|roll| roll.leave(self.session));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn clients_are_there_until_they_leave_and_those_of_others_are_unknown() {
        let clients = Clients::new();
        let (first, second) = (clients.enter(1), clients.enter(5));
        let there = |session| clients.is_there(clients.number_of(session));
        assert_eq!([1, 3, 5].map(there), [Some(true), Some(false), Some(true)]);
        drop(first);
        assert_eq!([0, 1, 5, 6].map(there), [None, Some(false), Some(true), None]);
        drop(second);
        assert_eq!(there(5), Some(false));
        assert_eq!(Clients::new().is_there(clients.number_of(5)), None);
        assert_eq!(clients.is_there(0), None);
    }

    #[test]
    fn a_successor_knows_who_is_there_and_who_is_gone() {
        let before = Clients::new();
        let (_first, _third) = (before.enter(1), before.enter(3));
        let numbers = [1, 2, 3, 4].map(|session| before.number_of(session));
        let after = Clients::new();
        after.begin_adoption(before.base());
        assert_eq!(numbers.map(|number| after.is_there(number)), [None; 4]);
        let third = after.enter(3);
        let there = || numbers.map(|number| after.is_there(number));
        assert_eq!(there(), [None, None, Some(true), None]);
        let _first = after.enter(1);
        after.end_adoption(4);
        assert_eq!(there(), [Some(true), Some(false), Some(true), None]);
        drop(third);
        assert_eq!(there(), [Some(true), Some(false), Some(false), None]);
    }
}
