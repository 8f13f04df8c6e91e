//! What must always be true, checked by an observer who sees all nodes at one true time.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::{Time, MS, SECOND};
use super::host::Host;
use crate::calls::{Outcome, Place};
use crate::effect::Start;
use crate::ids::{ContainerId, Epoch, Life, NodeId, PoolId};
use crate::state::Ownership;

/// A call of the workload.
#[derive(Clone, Debug)]
pub(super) struct Called {
    pub(super) host: usize,
    pub(super) container: ContainerId,
    pub(super) idempotent: bool,
    pub(super) begun: Time,
    pub(super) deadline: Option<Time>,
    pub(super) ended: Option<Outcome>,
}

/// How often things happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) calls: u64,
    pub(super) done: u64,
    pub(super) lost: u64,
    pub(super) takeovers: u64,
    pub(super) elections: u64,
    pub(super) entries: u64,
    pub(super) refused: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.calls += other.calls;
        self.done += other.done;
        self.lost += other.lost;
        self.takeovers += other.takeovers;
        self.elections += other.elections;
        self.entries += other.entries;
        self.refused += other.refused;
    }
}

#[derive(Debug, Default)]
pub(super) struct Check {
    pub(super) calls: BTreeMap<u64, Called>,
    /// How often each call has started.
    runs: BTreeMap<u64, u32>,
    /// The newest epoch at which each container has been served.
    newest: BTreeMap<ContainerId, Epoch>,
    served_by: BTreeMap<(ContainerId, Epoch), Life>,
    answered: BTreeSet<Place>,
    leaders: BTreeMap<u64, NodeId>,
    states: BTreeMap<u64, u64>,
    names: BTreeMap<String, PoolId>,
    /// Who has the state of each container, and since when.
    state_of: BTreeMap<ContainerId, (Epoch, Life)>,
    /// Where containers that store something on their node were served first.
    stored: BTreeMap<ContainerId, NodeId>,
    /// Those of them that somebody has wanted elsewhere.
    pub(super) unbound: BTreeSet<ContainerId>,
    pub(super) counts: Counts,
}

pub(super) type Checked = Result<(), String>;

/// Whether a container stores something on its node: those of every second pool do.
pub(super) fn stores(container: ContainerId) -> bool {
    container.pool.0.is_multiple_of(2)
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        crate::mix::spread(hash ^ u64::from_le_bytes(word))
    })
}

impl Check {
    /// After every event of a host.
    pub(super) fn host(&mut self, hosts: &[Host], at: usize, now: Time, before: u64) -> Checked {
        let Some(node) = &hosts[at].node else { return Ok(()) };
        let life = hosts[at].life;
        let (term, leads) = node.term();
        if leads {
            let first = self.leaders.insert(term, life.node);
            self.counts.elections += u64::from(first.is_none());
            if first.is_some_and(|first| first != life.node) {
                return Err(format!("two leaders in term {term}: {first:?} and {life}"));
            }
        }
        let applied = node.agreed().applied();
        if applied != before && applied.is_multiple_of(4) {
            let own = hash(&node.agreed().to_bytes());
            if *self.states.entry(applied).or_insert(own) != own {
                return Err(format!("the states at {applied} diverge at {life}"));
            }
            for (id, pool) in node.agreed().pools() {
                if pool.name.starts_with("once-") {
                    let first = *self.names.entry(pool.name.clone()).or_insert(*id);
                    if first != *id {
                        return Err(format!("pool {} was created twice", pool.name));
                    }
                }
            }
        }
        for (container, owned) in node.agreed().containers() {
            if owned.moving_to.is_some() {
                self.unbound.insert(*container);
            }
        }
        self.counts.entries = self.counts.entries.max(applied);
        let own_now = hosts[at].clock.at(now);
        for container in node.agreed().containers().keys() {
            let Some(epoch) = node.serves(own_now, *container) else { continue };
            for other in hosts.iter().filter(|other| other.life.node != life.node) {
                let Some(there) = &other.node else { continue };
                if let Some(also) = there.serves(other.clock.at(now), *container) {
                    return Err(format!(
                        "{container} is served by {life} at {epoch} and by {} at {also}",
                        other.life
                    ));
                }
            }
            self.serves(*container, epoch, life)?;
        }
        Ok(())
    }

    fn serves(&mut self, container: ContainerId, epoch: Epoch, life: Life) -> Checked {
        let newest = self.newest.entry(container).or_insert(epoch);
        self.counts.takeovers += u64::from(*newest < epoch);
        if *newest > epoch {
            return Err(format!("{container} is served at {epoch} by {life} after {newest}"));
        }
        *newest = epoch;
        if stores(container) {
            let first = *self.stored.entry(container).or_insert(life.node);
            if first != life.node && !self.unbound.contains(&container) {
                return Err(format!("{container} is served by {life}, but stored on {first}"));
            }
        }
        let first = *self.served_by.entry((container, epoch)).or_insert(life);
        if first != life {
            return Err(format!("{container} is served at {epoch} by {first} and {life}"));
        }
        Ok(())
    }

    /// A container is made by its owner, with its state or without.
    pub(super) fn makes(
        &mut self,
        container: ContainerId,
        owned: &Ownership,
        life: Life,
        has_state: bool,
    ) -> Checked {
        let before = self.state_of.get(&container).copied();
        if before.is_some_and(|(epoch, _)| owned.epoch < epoch) {
            // It does not know yet that it is another's: it is let serve no more.
            return Ok(());
        }
        self.state_of.insert(container, (owned.epoch, life));
        match before {
            Some((epoch, had)) if owned.epoch > epoch && !owned.lost && !has_state => {
                Err(format!("{life} makes {container} without its state, which {had} has"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn container_of(&self, call: u64) -> ContainerId {
        self.calls[&call].container
    }

    /// A task starts.
    pub(super) fn starts(&mut self, host: &Host, now: Time, start: &Start, id: u64) -> Checked {
        let node = host.node.as_ref().expect("it runs");
        let serves = node.serves(host.clock.at(now), start.container);
        if serves != Some(start.epoch) {
            return Err(format!(
                "call {id} starts in {} at {} on {}, which serves it at {serves:?}",
                start.container, start.epoch, host.life
            ));
        }
        let runs = self.runs.entry(id).or_insert(0);
        *runs += 1;
        if *runs > 1 && !self.calls[&id].idempotent {
            return Err(format!("call {id} runs for the second time, on {}", host.life));
        }
        Ok(())
    }

    /// A result leaves its server.
    pub(super) fn answers(
        &mut self,
        host: &Host,
        now: Time,
        place: Place,
        container: ContainerId,
        epoch: Epoch,
    ) -> Checked {
        if !self.answered.insert(place) {
            // The same answer again.
            return Ok(());
        }
        let node = host.node.as_ref().expect("it runs");
        let serves = node.serves(host.clock.at(now), container);
        let newest = self.newest.get(&container);
        if serves != Some(epoch) || newest.is_some_and(|newest| *newest > epoch) {
            return Err(format!(
                "an answer of {container} at {epoch} leaves {}, which serves it at {serves:?}; \
                 the newest epoch is {newest:?}",
                host.life
            ));
        }
        Ok(())
    }

    /// A call has ended.
    pub(super) fn ended(
        &mut self,
        hosts: &[Host],
        now: Time,
        id: u64,
        outcome: Outcome,
    ) -> Checked {
        let call = self.calls.get_mut(&id).expect("it was begun");
        let runs = self.runs.get(&id).copied().unwrap_or(0);
        if let Some(before) = &call.ended {
            return Err(format!("call {id} ends twice: {before:?}, {outcome:?}"));
        }
        let may_have_run = match &outcome {
            Outcome::Done(_) => runs > 0,
            Outcome::NodeLost { may_have_run }
            | Outcome::TimedOut { may_have_run }
            | Outcome::Cancelled { may_have_run } => *may_have_run || runs == 0,
            Outcome::Busy | Outcome::NoSuchContainer => runs == 0,
        };
        if !may_have_run {
            return Err(format!("call {id} ends with {outcome:?} after {runs} runs"));
        }
        let host = &hosts[call.host];
        let bound = call.deadline.unwrap_or(call.begun + 40 * SECOND).max(host.was_paused_until);
        if now > bound + 300 * MS {
            return Err(format!("call {id} ended {} ms late", (now - bound) / MS));
        }
        self.counts.done += u64::from(matches!(outcome, Outcome::Done(_)));
        self.counts.lost += u64::from(matches!(outcome, Outcome::NodeLost { .. }));
        call.ended = Some(outcome);
        Ok(())
    }

    /// A call that ran after it was said not to have run, and calls that never ended.
    pub(super) fn at_the_end(&self) -> Checked {
        for (id, call) in &self.calls {
            let runs = self.runs.get(id).copied().unwrap_or(0);
            let not_run = matches!(
                call.ended,
                Some(
                    Outcome::NodeLost { may_have_run: false }
                        | Outcome::TimedOut { may_have_run: false }
                        | Outcome::Cancelled { may_have_run: false }
                        | Outcome::Busy
                        | Outcome::NoSuchContainer
                )
            );
            if not_run && runs > 0 {
                return Err(format!("call {id} ran after its end, {:?}", call.ended));
            }
            if call.ended.is_none() {
                return Err(format!("call {id} has not ended"));
            }
        }
        Ok(())
    }
}
