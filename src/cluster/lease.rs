//! Leases: the time for which a node may serve what it owns.
//!
//! The holder asks the leader, again and again, and counts from when it asked. The granter, before it answers,
//! makes sure that it still leads, so whoever leads later was elected after the holder asked: a leader that
//! waits for one lease from its own election, and from the last one it granted itself, has waited for all.

use std::collections::BTreeMap;

use crate::bounds::{Bounds, Instant};
use crate::guard::{holds, Guard};
use crate::ids::{Index, Life, NodeId};

/// The lease of this node.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The number of the last question, and when those without an answer were asked.
    last: u64,
    asked: BTreeMap<u64, Instant>,
    /// Until when, and from which applied place in the log on.
    granted: Vec<(Instant, Index)>,
}

/// The largest number of questions that may get an answer yet: older ones would hardly be of use.
const QUESTIONS: usize = 8;

impl Held {
    /// Asks for a lease: the number to ask with.
    pub(crate) fn ask(&mut self, now: Instant) -> u64 {
        self.last += 1;
        self.asked.insert(self.last, now);
        while self.asked.len() > QUESTIONS {
            self.asked.pop_first();
        }
        self.last
    }

    /// An answer has come. The lease is good once `needs` has been applied here.
    pub(crate) fn granted(&mut self, bounds: &Bounds, now: Instant, number: u64, needs: Index) {
        let Some(asked) = self.asked.remove(&number) else { return };
        let from = if holds(Guard::LeaseFromSending) { asked } else { now };
        let needs = if holds(Guard::LeaseWaitsForLog) { needs } else { 0 };
        self.granted.retain(|(until, _)| *until > now);
        if !self.granted.contains(&(from + bounds.lease, needs)) {
            self.granted.push((from + bounds.lease, needs));
        }
    }

    /// Until when this node may serve what it owns by a state that has applied this much.
    pub(crate) fn until(&self, applied: Index) -> Option<Instant> {
        let good = self.granted.iter().filter(|(_, needs)| *needs <= applied);
        good.map(|(until, _)| *until).max()
    }

    /// Whether this node may serve what it owns by a state that has applied this much.
    pub(crate) fn holds(&self, now: Instant, applied: Index) -> bool {
        self.granted.iter().any(|(until, needs)| now < *until && *needs <= applied)
    }
}

/// The leases that this node grants while it leads.
#[derive(Debug)]
pub(crate) struct Granter {
    elected: Instant,
    last: BTreeMap<NodeId, Instant>,
    /// Questions by the number of the confirmation that they wait for.
    open: BTreeMap<u64, Vec<(Life, u64)>>,
    gathered: Vec<(Life, u64)>,
    confirmation: u64,
}

impl Granter {
    pub(crate) fn new(elected: Instant) -> Granter {
        let (last, open) = (BTreeMap::new(), BTreeMap::new());
        Granter { elected, last, open, gathered: Vec::new(), confirmation: 0 }
    }

    /// A node asks for a lease.
    pub(crate) fn asked(&mut self, life: Life, number: u64) {
        if self.gathered.len() < 4096 {
            self.gathered.push((life, number));
        }
    }

    /// The number to have leadership confirmed with, for all who have asked since the last one.
    pub(crate) fn confirm(&mut self) -> Option<u64> {
        if self.gathered.is_empty() {
            return None;
        }
        self.confirmation += 1;
        self.open.insert(self.confirmation, std::mem::take(&mut self.gathered));
        // A confirmation may be lost; those who asked ask again.
        while self.open.len() > 16 {
            self.open.pop_first();
        }
        Some(self.confirmation)
    }

    /// This node led after the questions of this number had come: who asked them.
    pub(crate) fn confirmed(&mut self, number: u64) -> Vec<(Life, u64)> {
        self.open.remove(&number).unwrap_or_default()
    }

    /// A lease is granted.
    pub(crate) fn grant(&mut self, now: Instant, node: NodeId) {
        self.last.insert(node, now);
    }

    /// Whether every lease that this node or a leader before it has granted to a node is over.
    pub(crate) fn is_over(&self, bounds: &Bounds, now: Instant, node: NodeId) -> bool {
        if !holds(Guard::WaitForLease) {
            return true;
        }
        let elected = holds(Guard::WaitForPredecessor).then_some(self.elected);
        let last = self.last.get(&node).copied().max(elected);
        last.is_none_or(|last| now >= last + bounds.lease_is_over_after())
    }
}
