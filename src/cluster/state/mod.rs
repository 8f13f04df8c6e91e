//! What the cluster has agreed on: members, pools, and which node owns which container. A state is the outcome
//! of the log's commands, and the same on every node that has applied the same.

mod apply;
mod command;
mod once;
mod place;

use std::collections::{BTreeMap, BTreeSet};

pub use command::{Command, Proposal, Reply};
pub use place::place;

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

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How many containers it has.
    pub containers: u32,
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
wire_struct!(Pool { name, containers });
wire_struct!(Ownership { owner, epoch, moving_to });
wire_struct!(Agreed { applied, next_pool, members, removed, pools, names, containers, once });

#[cfg(test)]
mod tests {
    use super::{Agreed, Command, Proposal, Reply};
    use crate::ids::{BootId, Life, NodeId, PoolId};
    use crate::wire::{from_bytes, to_bytes, Malformed};

    const FIRST: Life = Life { node: NodeId(1), boot: BootId(1) };

    fn proposal(number: u64, command: Command) -> Proposal {
        Proposal { origin: FIRST, number, floor: 1, command }
    }

    fn some() -> Agreed {
        let mut agreed = Agreed::founded_by(FIRST, "one", "10.0.0.1:1");
        let create = Command::CreatePool { name: "store".to_owned(), containers: 3 };
        let reply = agreed.apply(2, &proposal(1, create.clone()));
        assert_eq!(reply, Some(Reply::Pool { id: PoolId(1), created: true }));
        let again = agreed.apply(3, &proposal(2, create));
        assert_eq!(again, Some(Reply::Pool { id: PoolId(1), created: false }));
        agreed
    }

    #[test]
    fn a_snapshot_is_the_state() {
        let agreed = some();
        assert_eq!(Agreed::from_bytes(&agreed.to_bytes()), Ok(agreed));
    }

    #[test]
    fn what_is_not_a_snapshot_is_refused() {
        let bytes = some().to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Agreed::from_bytes(&bytes[..length]), Err(Malformed), "{length} bytes");
        }
        assert_eq!(Agreed::from_bytes(&[&bytes[..], &[0]].concat()), Err(Malformed));
    }

    #[test]
    fn a_proposal_is_applied_once() {
        let mut agreed = some();
        let destroy = proposal(3, Command::DestroyPool { pool: PoolId(1) });
        assert_eq!(agreed.apply(4, &destroy), Some(Reply::Done {}));
        let create = Command::CreatePool { name: "store".to_owned(), containers: 3 };
        assert_eq!(agreed.apply(5, &proposal(1, create)), None);
        assert!(agreed.pools().is_empty());
        assert_eq!(agreed.reply(FIRST, 3), Some(Reply::Done {}));
    }

    #[test]
    fn commands_have_one_form() {
        let command = Command::TakeOver { life: FIRST, lost_at: 7 };
        let bytes = to_bytes(&proposal(9, command.clone()));
        assert_eq!(from_bytes(&bytes), Ok(proposal(9, command)));
        let mut unknown = bytes;
        unknown[32] = 200;
        assert_eq!(from_bytes::<Proposal>(&unknown), Err(Malformed));
    }
}
