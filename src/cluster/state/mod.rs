//! What the cluster has agreed on: members, pools, and which node owns which container. A state is the outcome
//! of the log's commands, and the same on every node that has applied the same.

mod apply;
mod command;
mod once;
mod place;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use command::MAX_NAME;
pub use command::{Command, Proposal, Reply, TooLarge};

use crate::ids::{ContainerId, Epoch, Index, Life, NodeId, PoolId};
use crate::wire::{self, wire_enum, wire_struct, Malformed};

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has entered, and has not caught up yet: it owns nothing.
    Joining {},
    /// It may own containers.
    Member {},
    /// It owns what it still owns, and gets nothing more.
    Draining {},
    /// It does not answer. If it does again, it is a member again.
    Lost {
        /// By which agreement.
        at: Index,
        /// Whether it was draining.
        draining: bool,
    },
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its present life.
    pub life: Life,
    /// What people call it.
    pub name: String,
    /// Where other nodes reach it.
    pub address: String,
    /// What it may do.
    pub standing: Standing,
    /// The last agreement that may have taken something from it: a lease is good only for a node that has
    /// applied it.
    pub changed_at: Index,
}

impl Member {
    /// Whether it may have what it has stored.
    fn is_settled(&self) -> bool {
        matches!(self.standing, Standing::Member {} | Standing::Draining {})
    }
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// What its containers are.
    pub module: String,
    /// What they are made with.
    pub params: Vec<u8>,
    /// How many containers were wanted; 0: one for each node.
    pub wanted: u32,
    /// How many containers it has.
    pub containers: u32,
    /// On how many members it is kept; 0: on all.
    pub nodes: u32,
    /// For those that make its containers.
    pub flags: u32,
    /// The nodes that cannot make its containers, and why. A node that starts again is asked again.
    pub refused: BTreeMap<NodeId, String>,
}

/// Who owns a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The node, in the life in which it got the container. `None` while no member can own it.
    pub owner: Option<Life>,
    /// Since which agreement.
    pub epoch: Epoch,
    /// Where it is to go.
    pub moving_to: Option<NodeId>,
    /// Its last owner was lost with what it had in memory: whoever makes it recovers it. Until that is done.
    pub lost: bool,
    /// Who has handed it over, and still has its state: until its new owner has made it.
    pub arriving: Option<Life>,
    /// The node that has what the container stores: no other makes it, unless a person says so.
    pub stored_on: Option<NodeId>,
    /// A person has said that it is to be made, whatever is lost with that. Until that is done.
    pub given_up: bool,
}

impl Ownership {
    /// Whether its owner has not been agreed on to have made it, after it was handed over, lost or given up.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.lost || self.given_up || self.arriving.is_some()
    }

    /// A container that nobody has had.
    fn fresh(epoch: Epoch) -> Ownership {
        Ownership {
            owner: None,
            epoch,
            moving_to: None,
            lost: false,
            arriving: None,
            stored_on: None,
            given_up: false,
        }
    }
}

/// The agreed state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    applied: Index,
    next_pool: u32,
    members: BTreeMap<NodeId, Member>,
    /// Those that were members and never will be again.
    removed: BTreeSet<NodeId>,
    pools: BTreeMap<PoolId, Pool>,
    names: BTreeMap<String, PoolId>,
    containers: BTreeMap<ContainerId, Ownership>,
    once: once::Applied,
}

impl Agreed {
    /// The state of a cluster that consists of one node.
    #[must_use]
    pub fn founded_by(life: Life, name: &str, address: &str) -> Agreed {
        let member = Member {
            life,
            name: name.to_owned(),
            address: address.to_owned(),
            standing: Standing::Member {},
            changed_at: 1,
        };
        Agreed { applied: 1, members: [(life.node, member)].into(), ..Agreed::default() }
    }

    /// The place in the log of the last command that is in this state.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// All members, lost ones, too.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// Whether another node than this one has a name, and cannot be without it yet.
    #[must_use]
    pub fn is_taken(&self, name: &str, node: NodeId) -> bool {
        let namesake = self.members.values().find(|member| member.name == name);
        let namesake = namesake.map(|member| member.life).filter(|other| other.node != node);
        namesake.is_some_and(|other| self.is_present(other) || self.is_needed(other.node))
    }

    /// Whether a node was removed.
    #[must_use]
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    /// All pools.
    #[must_use]
    pub fn pools(&self) -> &BTreeMap<PoolId, Pool> {
        &self.pools
    }

    /// The pool of a name.
    #[must_use]
    pub fn pool_named(&self, name: &str) -> Option<PoolId> {
        self.names.get(name).copied()
    }

    /// All containers.
    #[must_use]
    pub fn containers(&self) -> &BTreeMap<ContainerId, Ownership> {
        &self.containers
    }

    /// Whether this is a node's present life, and the node is not lost.
    #[must_use]
    pub fn is_present(&self, life: Life) -> bool {
        self.members.get(&life.node).is_some_and(|member| {
            member.life == life && !matches!(member.standing, Standing::Lost { .. })
        })
    }

    /// Whether a life is over, or counts as lost.
    #[must_use]
    pub fn is_gone(&self, life: Life) -> bool {
        match self.members.get(&life.node) {
            Some(member) => {
                member.life.boot > life.boot
                    || (member.life == life && matches!(member.standing, Standing::Lost { .. }))
            }
            None => self.removed.contains(&life.node),
        }
    }

    /// What came of a proposal, if this state has it and its origin may still ask.
    #[must_use]
    pub fn reply(&self, origin: Life, number: u64) -> Option<Reply> {
        self.once.reply(origin.node, origin.boot, number)
    }

    /// The bytes of the state, for a snapshot.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::to_bytes(self)
    }

    /// The state of a snapshot.
    ///
    /// # Errors
    ///
    /// Bytes that [`Agreed::to_bytes`] never makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Agreed, Malformed> {
        wire::from_bytes(bytes)
    }
}

wire_enum!(Standing {
    0 => Joining {},
    1 => Member {},
    2 => Draining {},
    3 => Lost { at, draining },
});
wire_struct!(Member { life, name, address, standing, changed_at });
wire_struct!(Pool { name, module, params, wanted, containers, nodes, flags, refused });
wire_struct!(Ownership { owner, epoch, moving_to, lost, arriving, stored_on, given_up });
wire_struct!(Agreed { applied, next_pool, members, removed, pools, names, containers, once });

#[cfg(test)]
mod tests;
