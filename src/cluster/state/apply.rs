//! What each command does to the state.

use std::collections::BTreeMap;

use super::command::MAX_CONTAINERS;
use super::{Agreed, Command, Member, Ownership, Pool, Proposal, Reply, Standing};
use crate::guard::{holds, Guard};
use crate::ids::{ContainerId, Epoch, Index, Life, NodeId, PoolId};

/// The largest number of pools.
const MAX_POOLS: usize = 1 << 10;
/// The largest size of what all pools are made with, in bytes. With it, a state fits into one message.
const MAX_POOL_BYTES: usize = 1 << 20;
/// The largest size of all reasons for refusals, in bytes. Those beyond are left out.
const MAX_REASONS: usize = 256 << 10;

impl Agreed {
    /// Applies what stands at a place in the log, which is the next or a later one: places in between hold
    /// nothing for the state. Returns what came of the proposal; `None` if it was applied before.
    pub fn apply(&mut self, index: Index, proposal: &Proposal) -> Option<Reply> {
        debug_assert!(index > self.applied);
        self.applied = index;
        let is_known = proposal.number == 0 || self.members.contains_key(&proposal.origin.node);
        if !is_known || !self.once.is_new(proposal) {
            return None;
        }
        let reply = self.perform(index, &proposal.command);
        self.once.note(proposal, reply);
        Some(reply)
    }

    /// Notes a place in the log that holds nothing for the state.
    pub fn pass(&mut self, index: Index) {
        self.applied = index;
    }

    fn perform(&mut self, index: Index, command: &Command) -> Reply {
        if command.check().is_err() {
            // No node proposes such a thing.
            return Reply::Outdated {};
        }
        match command {
            Command::Nothing {} => Reply::Done {},
            Command::Enter { life, name, address } => self.enter(index, *life, name, address),
            Command::Settle { life } => match self.present(*life) {
                Some(member) => {
                    if member.standing == (Standing::Joining {}) {
                        member.standing = Standing::Member {};
                        self.place_orphans(index);
                    }
                    Reply::Done {}
                }
                None => Reply::Outdated {},
            },
            Command::Lose { life } => self.lose(index, *life),
            Command::Return { life } => self.bring_back(index, *life),
            Command::TakeOver { life, lost_at } => self.take_over(index, *life, *lost_at),
            Command::Drain { node } => match self.members.get_mut(node) {
                Some(member) => {
                    match &mut member.standing {
                        Standing::Lost { draining, .. } => *draining = true,
                        standing => *standing = Standing::Draining {},
                    }
                    Reply::Done {}
                }
                None => Reply::NoSuchNode {},
            },
            Command::Remove { node } => self.remove(*node),
            Command::CreatePool { name, module, params, containers, nodes, flags } => {
                let pool = Pool {
                    name: name.clone(),
                    module: module.clone(),
                    params: params.clone(),
                    wanted: *containers,
                    containers: *containers,
                    nodes: *nodes,
                    flags: *flags,
                    refused: BTreeMap::new(),
                };
                self.create(index, pool)
            }
            Command::Refuse { container, epoch, why } => {
                self.refuse(index, *container, *epoch, why)
            }
            Command::DestroyPool { pool } => self.destroy(*pool),
            Command::Move { container, to } => self.begin_move(*container, *to),
            Command::Made { container, epoch } => self.made(*container, *epoch),
            Command::Store { container, epoch } => self.store(*container, *epoch),
            Command::GiveUp { pool, number } => self.give_up(index, *pool, *number),
            Command::HandOver { container, epoch } => self.hand_over(index, *container, *epoch),
            Command::Stay { container, epoch } => match self.containers.get_mut(container) {
                Some(owned) if owned.epoch == *epoch => {
                    owned.moving_to = None;
                    Reply::Done {}
                }
                Some(_) => Reply::Outdated {},
                None => Reply::NoSuchContainer {},
            },
        }
    }

    fn enter(&mut self, index: Index, life: Life, name: &str, address: &str) -> Reply {
        if self.removed.contains(&life.node) {
            return Reply::NoSuchNode {};
        }
        let namesake = self.members.values().find(|member| member.name == name);
        if let Some(other) = namesake.map(|member| member.life).filter(|o| o.node != life.node) {
            // Two nodes with one name, unless the first is lost and all that it owned is elsewhere.
            if self.is_present(other) || self.is_needed(other.node) {
                return Reply::NameTaken {};
            }
            self.remove(other.node);
        }
        let known = self.members.get(&life.node).map(|member| (member.life, member.standing));
        let standing = match known {
            Some((before, _)) if before.boot >= life.boot => return Reply::Outdated {},
            None | Some((_, Standing::Joining {})) => Standing::Joining {},
            Some((_, Standing::Draining {} | Standing::Lost { draining: true, .. })) => {
                Standing::Draining {}
            }
            Some(_) => Standing::Member {},
        };
        let (name, address) = (name.to_owned(), address.to_owned());
        let member = Member { life, name, address, standing, changed_at: index };
        self.members.insert(life.node, member);
        self.forget_refusals(life.node);
        // The containers died with the life before. Another's would have to wait for its lease, which no
        // one holds any more: the new life may have them at once.
        for owned in self.containers.values_mut() {
            if owned.owner.is_some_and(|owner| owner.node == life.node) {
                // It may not have stored yet what another one has.
                let is_elsewhere = owned.stored_on.is_some_and(|node| node != life.node);
                owned.owner =
                    Some(life).filter(|_| !(is_elsewhere && holds(Guard::StoredOnOneNode)));
                (owned.moving_to, owned.arriving) = (None, None);
                owned.lost = true;
                if holds(Guard::NewLifeNewEpoch) {
                    owned.epoch = Epoch(index);
                }
            }
        }
        self.place_orphans(index);
        Reply::Done {}
    }

    fn lose(&mut self, index: Index, life: Life) -> Reply {
        let Some(member) = self.present(life) else { return Reply::Outdated {} };
        let draining = member.standing == (Standing::Draining {});
        if member.standing == (Standing::Joining {}) {
            // It owns nothing, and may enter again.
            self.members.remove(&life.node);
            return Reply::Done {};
        }
        member.standing = Standing::Lost { at: index, draining };
        member.changed_at = index;
        Reply::Done {}
    }

    fn bring_back(&mut self, index: Index, life: Life) -> Reply {
        let Some(member) = self.members.get_mut(&life.node).filter(|m| m.life == life) else {
            return Reply::Outdated {};
        };
        let Standing::Lost { draining, .. } = member.standing else { return Reply::Outdated {} };
        member.standing = if draining { Standing::Draining {} } else { Standing::Member {} };
        member.changed_at = index;
        self.forget_refusals(life.node);
        self.place_orphans(index);
        Reply::Done {}
    }

    fn take_over(&mut self, index: Index, life: Life, lost_at: Index) -> Reply {
        let is_lost = self.members.get(&life.node).is_some_and(|member| {
            member.life == life
                && matches!(member.standing, Standing::Lost { at, .. } if at == lost_at)
        });
        if !is_lost {
            return Reply::Outdated {};
        }
        for owned in self.containers.values_mut() {
            if owned.owner == Some(life) {
                let epoch = Epoch(index);
                (owned.owner, owned.epoch, owned.moving_to) = (None, epoch, None);
                (owned.lost, owned.arriving) = (true, None);
            }
        }
        self.place_orphans(index);
        Reply::Done {}
    }

    fn remove(&mut self, node: NodeId) -> Reply {
        if !self.members.contains_key(&node) {
            return Reply::NoSuchNode {};
        }
        if self.is_needed(node) {
            return Reply::Outdated {};
        }
        self.members.remove(&node);
        self.removed.insert(node);
        self.once.forget(node);
        self.forget_refusals(node);
        Reply::Done {}
    }

    fn create(&mut self, index: Index, mut pool: Pool) -> Reply {
        if let Some(id) = self.pool_named(&pool.name) {
            let there = &self.pools[&id];
            let is_same = (&there.module, &there.params) == (&pool.module, &pool.params)
                && (there.wanted == pool.wanted || there.containers == pool.wanted);
            return match is_same {
                true => Reply::Pool { id, created: false },
                false => Reply::OtherPool { id },
            };
        }
        let id = PoolId(self.next_pool + 1);
        if pool.wanted == 0 {
            let able = self.members.keys().filter(|node| self.can_own(**node)).count();
            let able = u32::try_from(able).unwrap_or(u32::MAX);
            let chosen = if pool.nodes == 0 { able } else { able.min(pool.nodes) };
            pool.containers = chosen.max(1);
        }
        if !self.has_place_for(&pool) {
            return Reply::Full {};
        }
        self.next_pool = id.0;
        for number in 0..pool.containers {
            let nobody = Ownership::fresh(Epoch(index));
            self.containers.insert(ContainerId { pool: id, number }, nobody);
        }
        self.names.insert(pool.name.clone(), id);
        self.pools.insert(id, pool);
        self.place_orphans(index);
        Reply::Pool { id, created: true }
    }

    fn has_place_for(&self, pool: &Pool) -> bool {
        // A name is there twice.
        let size = |pool: &Pool| 2 * pool.name.len() + pool.module.len() + pool.params.len();
        let all: usize = self.pools.values().map(size).sum();
        self.pools.len() < MAX_POOLS
            && all + size(pool) <= MAX_POOL_BYTES
            && self.containers.len() + pool.containers as usize <= MAX_CONTAINERS as usize
    }

    fn destroy(&mut self, id: PoolId) -> Reply {
        let Some(pool) = self.pools.remove(&id) else { return Reply::NoSuchContainer {} };
        self.names.remove(&pool.name);
        self.containers.retain(|container, _| container.pool != id);
        Reply::Done {}
    }

    fn begin_move(&mut self, container: ContainerId, to: NodeId) -> Reply {
        let can_own = self.can_own(to);
        let Some(owned) = self.containers.get_mut(&container) else {
            return Reply::NoSuchContainer {};
        };
        if !can_own {
            return Reply::NoSuchNode {};
        }
        if self.pools[&container.pool].refused.contains_key(&to) {
            return Reply::Refused {};
        }
        match (owned.owner, owned.moving_to) {
            (Some(owner), None) if owner.node == to => Reply::Done {},
            (Some(_), Some(before)) if before == to => Reply::Done {},
            (Some(_), None) => {
                owned.moving_to = Some(to);
                Reply::Done {}
            }
            // One move ends before the next begins: its owner may have stopped serving already.
            (Some(_), Some(_)) | (None, _) => Reply::Outdated {},
        }
    }

    fn hand_over(&mut self, index: Index, container: ContainerId, epoch: Epoch) -> Reply {
        let Some(owned) = self.containers.get(&container).copied() else {
            return Reply::NoSuchContainer {};
        };
        let (Some(from), Some(to)) = (owned.owner, owned.moving_to) else {
            return Reply::Outdated {};
        };
        if owned.epoch != epoch {
            return Reply::Outdated {};
        }
        // Its owner has stopped serving it. If nobody can take it, it goes back, at another epoch.
        let can_take = self.has_place_on(to, container.pool);
        let owner = Some(if can_take { self.members[&to].life } else { from });
        let arriving = Some(from);
        let lost = !can_take && owned.stored_on.is_some();
        // Until the new owner has stored it, too, it is where it was.
        let stored_on = owned.stored_on;
        let owned =
            Ownership { owner, lost, stored_on, arriving, ..Ownership::fresh(Epoch(index)) };
        self.containers.insert(container, owned);
        Reply::Done {}
    }

    fn made(&mut self, container: ContainerId, epoch: Epoch) -> Reply {
        let Some(owned) = self.containers.get_mut(&container) else {
            return Reply::NoSuchContainer {};
        };
        if owned.owner.is_none() || owned.epoch != epoch {
            return Reply::Outdated {};
        }
        (owned.lost, owned.given_up, owned.arriving) = (false, false, None);
        // Whoever stores something has said so before. What the former owner has is worth nothing any more.
        owned.stored_on =
            owned.stored_on.filter(|node| owned.owner.is_some_and(|o| o.node == *node));
        Reply::Done {}
    }

    fn store(&mut self, container: ContainerId, epoch: Epoch) -> Reply {
        let Some(owned) = self.containers.get_mut(&container) else {
            return Reply::NoSuchContainer {};
        };
        let Some(owner) = owned.owner.filter(|_| owned.epoch == epoch) else {
            return Reply::Outdated {};
        };
        owned.stored_on = Some(owner.node);
        Reply::Done {}
    }

    fn give_up(&mut self, index: Index, id: PoolId, number: Option<u32>) -> Reply {
        let Some(pool) = self.pools.get_mut(&id) else { return Reply::NoSuchContainer {} };
        if number.is_some_and(|number| number >= pool.containers) {
            return Reply::NoSuchContainer {};
        }
        // A node that is there, and has not tried, comes first.
        let members = &self.members;
        let may_try = |node: &NodeId| {
            members.get(node).is_some_and(Member::is_settled) && !pool.refused.contains_key(node)
        };
        let mut any = false;
        for (container, owned) in self.containers.range_mut(ContainerId::all_of(id)) {
            if owned.owner.is_none() && number.is_none_or(|number| number == container.number) {
                owned.stored_on = owned.stored_on.filter(may_try);
                (owned.given_up, any) = (true, true);
            }
        }
        if !any {
            return Reply::Outdated {};
        }
        // Those that could not recover it are asked once more: it may begin without.
        pool.refused.clear();
        self.place_orphans(index);
        Reply::Done {}
    }

    fn refuse(&mut self, index: Index, container: ContainerId, epoch: Epoch, why: &str) -> Reply {
        let Some(owned) = self.containers.get(&container) else {
            return Reply::NoSuchContainer {};
        };
        let Some(owner) = owned.owner.filter(|_| owned.epoch == epoch) else {
            return Reply::Outdated {};
        };
        // Whoever handed it over still has its state, and nobody has served it since.
        let from = owned.arriving.filter(|_| holds(Guard::StateGoesBack));
        let back = from.filter(|from| *from != owner && self.is_present(*from));
        // What it stores is where it was: it has not been served here.
        let stored_on = match from {
            Some(from) if owned.stored_on == Some(owner.node) => Some(from.node),
            _ => owned.stored_on,
        };
        // Whoever gets back what it has stored begins with that, and not with what it had in memory.
        let recovers = from.is_some() && (back.is_none() || stored_on.is_some());
        let next = Ownership {
            owner: back,
            lost: owned.lost || recovers,
            arriving: back,
            stored_on,
            given_up: owned.given_up,
            ..Ownership::fresh(Epoch(index))
        };
        self.containers.insert(container, next);
        let reasons = self.pools.values().flat_map(|pool| pool.refused.values());
        let fits = reasons.map(String::len).sum::<usize>() + why.len() <= MAX_REASONS;
        let pool = self.pools.get_mut(&container.pool).filter(|_| !why.is_empty());
        if let Some(pool) = pool {
            pool.refused.insert(owner.node, if fits { why.to_owned() } else { String::new() });
        }
        self.place_orphans(index);
        Reply::Done {}
    }

    /// A node may have been given what it lacked, or is gone.
    fn forget_refusals(&mut self, node: NodeId) {
        for pool in self.pools.values_mut() {
            pool.refused.remove(&node);
        }
    }

    /// Gives what nobody owns to those who can own it.
    fn place_orphans(&mut self, index: Index) {
        let orphans = self.containers.iter().filter(|(_, owned)| owned.owner.is_none());
        let orphans: Vec<ContainerId> = orphans.map(|(container, _)| *container).collect();
        let mut places = BTreeMap::new();
        for container in orphans {
            let of_pool =
                places.entry(container.pool).or_insert_with(|| self.places(container.pool));
            let chosen = match self.containers[&container].stored_on {
                // It gets nothing new, so it may drain.
                Some(node) if holds(Guard::StoredOnOneNode) => Some(node).filter(|node| {
                    self.members.get(node).is_some_and(Member::is_settled)
                        && !self.pools[&container.pool].refused.contains_key(node)
                }),
                _ => of_pool.next(),
            };
            if let Some(node) = chosen {
                let owner = Some(self.members[&node].life);
                let owned = self.containers.get_mut(&container).expect("it is an orphan");
                (owned.owner, owned.epoch, owned.moving_to) = (owner, Epoch(index), None);
            }
        }
    }

    fn has_place_on(&self, node: NodeId, pool: PoolId) -> bool {
        self.can_own(node) && !self.pools[&pool].refused.contains_key(&node)
    }

    pub(super) fn can_own(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.standing == (Standing::Member {}))
    }

    pub(super) fn owns(&self, node: NodeId) -> bool {
        self.containers.values().any(|owned| owned.owner.is_some_and(|owner| owner.node == node))
    }

    /// Whether a node owns containers, or has what containers store, or the state of one that is on its way.
    #[must_use]
    pub fn is_needed(&self, node: NodeId) -> bool {
        self.owns(node)
            || self.containers.values().any(|owned| {
                owned.stored_on == Some(node)
                    || owned.arriving.is_some_and(|from| from.node == node)
            })
    }

    fn present(&mut self, life: Life) -> Option<&mut Member> {
        let is_present = self.is_present(life);
        self.members.get_mut(&life.node).filter(|_| is_present)
    }
}
