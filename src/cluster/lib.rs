//! The decisions of a cluster of runtimes: who is a member, which node owns which container, when it may serve it,
//! and how calls between nodes end.
//!
//! There are no sockets, threads, clocks or files in here. A [`Node`] is told what happens and at what time, and
//! says what to do ([`Effect`]). The same code so runs under real daemons and in a simulation, which decides
//! about time, network and disk by a seed. `docs/cluster-design.md` has the protocol.

mod agree;
mod bounds;
mod calls;
mod effect;
mod format;
mod guard;
mod holding;
mod ids;
mod leader;
mod lease;
mod message;
mod mix;
mod node;
mod proposals;
#[cfg(test)]
mod sim;
mod state;
mod view;
mod wire;

pub use agree::{Disk, Packet, Record, Write};
pub use bounds::{Bounds, Instant};
pub use calls::{Answer, Call, CallNumber, Outcome, Payload, Place, Request, TaskNumber, Verdict};
pub use effect::{Effect, Start};
pub use ids::{BootId, ContainerId, Epoch, Index, Life, NodeId, PoolId};
pub use message::Message;
pub use node::{Node, Setup, Unusable};
pub use proposals::{TooMany, Unproposed};
pub use state::{Agreed, Command, Member, Ownership, Pool, Proposal, Reply, Standing, TooLarge};
pub use wire::Malformed;
