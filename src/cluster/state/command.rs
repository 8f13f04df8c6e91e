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
        /// What its containers are.
        module: String,
        /// What they are made with; for the module.
        params: Vec<u8>,
        /// How many containers; 0: one for each node that it is kept on when this is applied.
        containers: u32,
        /// On how many members it is kept; 0: on all.
        nodes: u32,
        /// For those that make its containers.
        flags: u32,
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
    /// The owner cannot make a container: it goes to another node, and this one gets no more of its pool, unless it only
    /// lacks the state.
    Refuse {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
        /// For people; empty if it only lacks the state.
        why: String,
    },
    /// What a container stores is on its owner's node.
    Store {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
    },
    /// A person wants containers of a pool that nobody owns to be made by any node, whatever is lost with that.
    GiveUp {
        /// Which pool.
        pool: PoolId,
        /// Which of its containers; none: all.
        number: Option<u32>,
    },
    /// The owner has made a container that was handed over, or whose former owner was lost.
    Made {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
    },
}

/// The largest name of a node, a pool or a module, the largest address, and the longest reason, in bytes.
pub(crate) const MAX_NAME: usize = 255;
/// The largest parameters of a pool, in bytes.
const MAX_PARAMS: usize = 64 << 10;
/// The largest number of containers in a cluster.
pub(super) const MAX_CONTAINERS: u32 = 1 << 15;

/// A command that is larger than commands may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// A name, an address or a reason.
    #[error("a name, an address or a reason has more than 255 bytes")]
    Name,
    /// The parameters of a pool.
    #[error("the pool's parameters have more than 64 KiB: let them name a file or another pool")]
    Params,
    /// A pool's containers.
    #[error("a pool has at most 32768 containers")]
    Containers,
}

impl Command {
    /// Whether it keeps to the bounds of commands.
    pub(crate) fn check(&self) -> Result<(), TooLarge> {
        let texts: [&str; 2] = match self {
            Command::Enter { name, address, .. } => [name, address],
            Command::CreatePool { name, module, .. } => [name, module],
            Command::Refuse { why, .. } => [why, ""],
            _ => ["", ""],
        };
        if texts.iter().any(|text| text.len() > MAX_NAME) {
            return Err(TooLarge::Name);
        }
        match self {
            Command::CreatePool { params, .. } if params.len() > MAX_PARAMS => {
                Err(TooLarge::Params)
            }
            Command::CreatePool { containers, .. } if *containers > MAX_CONTAINERS => {
                Err(TooLarge::Containers)
            }
            _ => Ok(()),
        }
    }
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
    /// The pool of that name has another module, other parameters, or another number of containers.
    OtherPool {
        /// The pool that has the name.
        id: PoolId,
    },
    /// Another node has this name, or had an hour ago and is not known to be gone.
    NameTaken {},
    /// What the command was about has changed meanwhile.
    Outdated {},
    /// The node cannot make containers of this pool.
    Refused {},
    /// The cluster has as many containers or pools, or their parameters are as large, as can be.
    Full {},
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
    8 => CreatePool { name, module, params, containers, nodes, flags },
    9 => DestroyPool { pool },
    10 => Move { container, to },
    11 => HandOver { container, epoch },
    12 => Stay { container, epoch },
    13 => Refuse { container, epoch, why },
    14 => Made { container, epoch },
    15 => Store { container, epoch },
    16 => GiveUp { pool, number },
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
    7 => Refused {},
    8 => Full {},
});
