//! The names of things in a cluster.

use std::fmt;

/// A daemon's place in the cluster, for as long as its disk lasts: a node that lost its disk comes back under
/// another one. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// One life of a node, counted up on its disk before the node says its first word: of two, the larger is the
/// later, and the earlier is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

/// A node in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// The node.
    pub node: NodeId,
    /// Which of its lives.
    pub boot: BootId,
}

/// A pool, in the whole cluster. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// A container, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId {
    /// Its pool.
    pub pool: PoolId,
    /// Its number in the pool, from 0.
    pub number: u32,
}

impl ContainerId {
    /// All containers that a pool may have.
    #[must_use]
    pub fn all_of(pool: PoolId) -> std::ops::RangeInclusive<ContainerId> {
        ContainerId { pool, number: 0 }..=ContainerId { pool, number: u32::MAX }
    }
}

/// Which agreement made a node a container's owner: the place of that agreement in the log, so a later owner's
/// is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A place in the log of agreement.
pub type Index = u64;

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node.0, self.boot.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool.0, self.number)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}
