//! What the leader sees to: leases, lost nodes, nodes to be emptied, voters.

use std::collections::{BTreeMap, BTreeSet};

use crate::agree::{Change, Engine};
use crate::bounds::{Bounds, Instant};
use crate::ids::{Index, Life, NodeId};
use crate::lease::Granter;
use crate::state::{Agreed, Command, Standing};

/// The largest number of containers that are told to move in one tick.
const MOVES: usize = 8;

/// A leader, from its election on.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) leases: Granter,
    /// Confirmations that wait until the log is applied that far.
    confirmed: Vec<(u64, Index)>,
    /// What was proposed lately.
    asked: Vec<(Command, Instant)>,
    /// Lost members that have spoken since.
    back: BTreeSet<Life>,
    /// Those that want to be members.
    joining: BTreeMap<NodeId, Command>,
}

impl Leader {
    pub(crate) fn new(now: Instant) -> Leader {
        Leader {
            leases: Granter::new(now),
            confirmed: Vec::new(),
            asked: Vec::new(),
            back: BTreeSet::new(),
            joining: BTreeMap::new(),
        }
    }

    /// This node led when the log ended at `index`.
    pub(crate) fn confirmed(&mut self, number: u64, index: Index) {
        self.confirmed.push((number, index));
    }

    /// The leases to grant now: the state that decides on them is no older than the confirmation.
    pub(crate) fn grants(&mut self, now: Instant, agreed: &Agreed) -> Vec<(Life, u64, Index)> {
        let mut grants = Vec::new();
        for (confirmed, _) in self.confirmed.extract_if(.., |(_, at)| *at <= agreed.applied()) {
            for (life, number) in self.leases.confirmed(confirmed) {
                if agreed.is_present(life) {
                    self.leases.grant(now, life.node);
                    grants.push((life, number, agreed.members()[&life.node].changed_at));
                }
            }
        }
        grants
    }

    /// A node wants to be a member.
    pub(crate) fn wants_to_join(&mut self, life: Life, name: String, address: String) {
        if self.joining.len() < 1024 {
            self.joining.insert(life.node, Command::Enter { life, name, address });
        }
    }

    /// A member that was lost has spoken.
    pub(crate) fn is_back(&mut self, life: Life) {
        self.back.insert(life);
    }

    /// Whether it has nothing to see to but time.
    pub(crate) fn rests(&self) -> bool {
        self.confirmed.is_empty() && self.back.is_empty() && self.joining.is_empty()
    }

    /// What to propose now.
    pub(crate) fn duties(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        me: NodeId,
        agreed: &Agreed,
        suspects: &BTreeSet<NodeId>,
    ) -> Vec<Command> {
        let mut duties: Vec<Command> = std::mem::take(&mut self.joining).into_values().collect();
        for (node, member) in agreed.members() {
            let life = member.life;
            let owns = |moving: bool| {
                let of_it = |owned: &&crate::state::Ownership| {
                    owned.owner == Some(life) && (moving || owned.moving_to.is_none())
                };
                agreed.containers().values().any(|owned| of_it(&owned))
            };
            match member.standing {
                Standing::Lost { .. } if self.back.contains(&life) => {
                    duties.push(Command::Return { life });
                }
                Standing::Lost { at, .. } => {
                    if owns(true) && self.leases.is_over(bounds, now, *node) {
                        duties.push(Command::TakeOver { life, lost_at: at });
                    }
                }
                _ if suspects.contains(node) && *node != me => duties.push(Command::Lose { life }),
                Standing::Draining {} if owns(false) => {
                    let its = agreed.containers().iter().filter(|(_, owned)| {
                        owned.owner == Some(life) && owned.moving_to.is_none()
                    });
                    let mut places = BTreeMap::new();
                    for (container, _) in its.take(MOVES) {
                        let pool = container.pool;
                        let places = places.entry(pool).or_insert_with(|| agreed.places(pool));
                        if let Some(to) = places.next() {
                            duties.push(Command::Move { container: *container, to });
                        }
                    }
                }
                Standing::Draining {} | Standing::Joining {} | Standing::Member {} => {}
            }
        }
        self.back.clear();
        self.asked.retain(|(_, since)| now - *since < 2 * bounds.renewal);
        duties.retain(|duty| !self.asked.iter().any(|(asked, _)| asked == duty));
        self.asked.extend(duties.iter().map(|duty| (duty.clone(), now)));
        duties
    }
}

/// The next step towards three or five voters, all of them members that answer. Their number is always odd: of
/// two or four, no more may be lost than of one or three. Only a single voter that is to go has a second one for a
/// moment, to lead after it.
pub(crate) fn voters(engine: &Engine, agreed: &Agreed, me: NodeId) -> Option<Change> {
    let (voters, learners) = (engine.voters(), engine.learners());
    if !voters.contains(&me) {
        return None;
    }
    let standing = |node: &NodeId| agreed.members().get(node).map(|member| member.standing);
    let is_good = |node: &&NodeId| standing(node) == Some(Standing::Member {});
    let unknown = |node: &&NodeId| !voters.contains(*node) && !learners.contains(*node);
    if let Some(node) = agreed.members().keys().find(unknown) {
        return Some(Change::Learn(*node));
    }
    if let Some(node) = learners.iter().find(|node| standing(node).is_none()) {
        return Some(Change::Forget(*node));
    }
    let is_lost = |node: &&NodeId| matches!(standing(node), Some(Standing::Lost { .. }));
    // Lost nodes count: they come back, or are replaced.
    let stays = |node: &&NodeId| is_good(node) || is_lost(node);
    let wanted = match agreed.members().keys().filter(stays).count() {
        0..=2 => 1,
        3..=4 => 3,
        _ => 5,
    };
    let mut good = learners.iter().filter(is_good).filter(|node| engine.is_near(**node));
    let others = || voters.iter().filter(|node| **node != me);
    let gone = others().filter(|node| standing(node).is_none());
    let lost = others().filter(is_lost);
    let bad = others().filter(|node| standing(node).is_some() && !is_good(node) && !is_lost(node));
    let bad = lost.chain(bad);
    let fine = others().rev().filter(is_good);
    let mut worst = gone.chain(bad);
    if standing(&me) != Some(Standing::Member {}) {
        // Another is to lead first, and if no voter can, one that can is to vote.
        if others().any(|node| is_good(&node) && engine.is_near(*node)) {
            return None;
        }
        let good = *good.next()?;
        return Some(worst.next().map_or(Change::Add(good), |worst| Change::Swap(good, *worst)));
    }
    if voters.len().is_multiple_of(2) {
        return worst.chain(fine).next().map(|worst| Change::Drop(*worst));
    }
    if voters.len() < wanted {
        return Some(Change::Grow(*good.next()?, *good.next()?));
    }
    if voters.len() > wanted {
        let mut worst = worst.chain(fine);
        let (one, two) = (*worst.next()?, *worst.next()?);
        let left = voters.iter().filter(|node| **node != one && **node != two);
        let near = left.filter(|node| **node == me || engine.is_near(**node)).count();
        return (2 * near > voters.len() - 2).then_some(Change::Shrink(one, two));
    }
    let worst = worst.next()?;
    Some(Change::Swap(*good.next()?, *worst))
}
