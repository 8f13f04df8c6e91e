//! What can be agreed on.

use crate::ids::{ContainerId, Epoch, Index, Life, NodeId, PoolId};
use crate::wire::{wire_enum, wire_struct};

/// A change of the agreed state. What has come true or false since it was proposed is checked when it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A leader's first: says nothing.
    Nothing {},
    /// A node joins, or comes back in another life.
    Enter {
        /// Who.
        life: Life,
        /// What people call it; one name, one node.
        name: String,
        /// Where other nodes reach it.
        address: String,
    },
    /// A node that entered has caught up with the log, and can own containers.
    Settle {
        /// Who.
        life: Life,
    },
    /// A node does not answer. Its containers stay its own until its lease must be over.
    Lose {
        /// Who.
        life: Life,
    },
    /// A node that was lost answers.
    Return {
        /// Who.
        life: Life,
    },
    /// The lease of a lost node is over: others get its containers.
    TakeOver {
        /// Who.
        life: Life,
        /// By which agreement it was lost. If it has returned since, nothing happens.
        lost_at: Index,
    },
    /// A node is to own nothing more.
    Drain {
        /// Who.
        node: NodeId,
    },
    /// A node that owns nothing is no member any more.
    Remove {
        /// Who.
        node: NodeId,
    },
    /// A pool, or the one that has this name already.
    CreatePool {
        /// Its name.
        name: String,
        /// How many containers.
        containers: u32,
    },
    /// A pool is no more.
    DestroyPool {
        /// Which.
        pool: PoolId,
    },
    /// A container is to go to another node: its owner holds its tasks, and hands it over.
    Move {
        /// Which.
        container: ContainerId,
        /// Where.
        to: NodeId,
    },
    /// The owner of a container that is to move has stopped serving it.
    HandOver {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
    },
    /// The owner could not stop serving it.
    Stay {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
    },
}

/// A command on its way to agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Who wants it.
    pub origin: Life,
    /// Which of its proposals it is, from 1; 0 for one that may be applied as often as it comes.
    pub number: u64,
    /// All proposals of the origin below this number have ended.
    pub floor: u64,
    /// What it wants.
    pub command: Command,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done, or had been done.
    Done {},
    /// The pool of that name.
    Pool {
        /// Its id.
        id: PoolId,
        /// Whether this command created it.
        created: bool,
    },
    /// There is no such pool or container.
    NoSuchContainer {},
    /// There is no such node among the members.
    NoSuchNode {},
    /// The pool of that name has another number of containers.
    OtherPool {
        /// The pool that has the name.
        id: PoolId,
    },
    /// Another node has this name, or had an hour ago and is not known to be gone.
    NameTaken {},
    /// What the command was about has changed meanwhile.
    Outdated {},
}

wire_enum!(Command {
    0 => Nothing {},
    1 => Enter { life, name, address },
    2 => Settle { life },
    3 => Lose { life },
    4 => Return { life },
    5 => TakeOver { life, lost_at },
    6 => Drain { node },
    7 => Remove { node },
    8 => CreatePool { name, containers },
    9 => DestroyPool { pool },
    10 => Move { container, to },
    11 => HandOver { container, epoch },
    12 => Stay { container, epoch },
});
wire_struct!(Proposal { origin, number, floor, command });
wire_enum!(Reply {
    0 => Done {},
    1 => Pool { id, created },
    2 => NoSuchContainer {},
    3 => NoSuchNode {},
    4 => OtherPool { id },
    5 => NameTaken {},
    6 => Outdated {},
});
