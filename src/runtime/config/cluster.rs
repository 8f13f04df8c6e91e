//! The cluster that a runtime is a node of.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The cluster that a runtime is a node of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Its name: nodes of another one are refused.
    pub cluster: String,
    /// What people call this node. No two nodes of a cluster have one name.
    pub name: String,
    /// Where other nodes reach this one. Port 0 stands for any.
    pub listen: SocketAddr,
    /// Where nodes of the cluster can be asked to let this one in; none for a
    /// node without others. Once it is a member, a node finds the others by itself.
    pub seeds: Vec<SocketAddr>,
    /// Which node founds the cluster where there is none.
    pub founding: Founding,
    /// The key that all its nodes have, without which nobody can listen beyond the machine itself. The first
    /// node makes it if there is none.
    pub key: Option<PathBuf>,
    /// The directory of the node's log, which makes it the node that it is.
    pub directory: PathBuf,
}

/// Which node founds a cluster where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Founding {
    /// This one, at its first start.
    AtOnce,
    /// This one, of so many, once it hears from more than half of them and none knows of a cluster.
    IfNoneOf(usize),
    /// The first of its hosts, which may be just starting, too.
    ByFirst,
    /// None: it is to join one that is there.
    Never,
}
