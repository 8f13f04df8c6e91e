//! Pools of a cluster, which agrees on them.

use std::net::SocketAddr;
use std::time::Duration;

use chimaera_abi::{chi_place, chi_pool_id};

use super::worker::Worker;
use crate::config::Policy;
use crate::failure::Failure;
use crate::pool::Container;
use crate::sync::NodeCall;

/// A pool that somebody wants.
#[derive(Clone, Copy)]
pub(crate) struct AgreedPool<'a> {
    pub(crate) name: &'a str,
    pub(crate) module: &'a str,
    /// In the module's own form.
    pub(crate) params: &'a [u8],
    pub(crate) containers: u32,
    /// On how many nodes; 0 for all.
    pub(crate) nodes: u32,
    pub(crate) policy: Policy,
}

/// What people want of the cluster.
pub(crate) enum Order {
    /// This node is to ask there to be let in.
    Join(SocketAddr),
    /// The node with this name is to own nothing more.
    Drain(String),
    /// The node with this name, which owns nothing, is no member any more.
    Remove(String),
    /// This container of the pool with this name is to go to the node with this name.
    Move(String, u32, String),
    /// This container of the pool with this name, which no node has, is to be made by any node, whatever is lost with
    /// that.
    GiveUp(String, u32),
    /// The pool with this name is to be no more.
    Destroy(String),
}

/// Where an answer goes.
pub(crate) type Answer = Box<dyn FnOnce(Result<serde_json::Value, Failure>) + Send>;

/// The cluster that this runtime is a node of. Its functions with a worker suspend the running task.
pub(crate) trait AgreedPools: Send + Sync {
    /// Has a pool agreed on, and waits until it is here. The flag is true if it existed.
    fn create(
        &self,
        worker: &Worker,
        wanted: &AgreedPool<'_>,
    ) -> Result<(chi_pool_id, bool), Failure>;

    /// Has it agreed on that a pool is no more, and waits until it is gone here.
    fn destroy(&self, worker: &Worker, id: chi_pool_id) -> Result<(), Failure>;

    /// The members, and what they own. `None` if the cluster's thread does not answer.
    fn describe(&self) -> Option<serde_json::Value>;

    /// Has something done that people want. The answer may take some time.
    fn order(&self, order: Order, answer: Answer);

    /// Where a container of a pool of this node is, and how many tasks its node has said are in it.
    fn place(&self, container: &Container) -> chi_place;

    /// Answers a call of another node for which nobody will: what served it was abandoned.
    fn give_up_serving(&self, call: NodeCall, why: &str);

    /// The id of this node.
    fn node(&self) -> u64;

    /// Asks another node, or all that can be reached, something about the waits of its tasks, which
    /// [`super::between_nodes::answer`] answers there. Returns the answers that come within `bound`, for which
    /// the calling thread waits, each with its node and the node's name.
    fn ask_about_waits(
        &self,
        node: Option<u64>,
        question: &[u8],
        bound: Duration,
    ) -> Vec<(u64, String, Vec<u8>)>;

    /// Ends being a node. Does not wait for it.
    fn end(&self);
}
