//! Bytes between the daemons of a cluster.
//!
//! An [`Endpoint`] carries messages, whose content it does not look at, to and from other nodes over
//! TCP. It knows nothing of tasks. A thread polls the sockets and calls the [`Handler`], or others in
//! its stead ([`Endpoint::look`]); whoever sends on an idle connection writes the socket itself.
//!
//! **What is promised.** Messages of one [`Class`] to one node arrive in the order in which `send`
//! accepted them, each once at most. They are lost if the connection breaks, which
//! [`Handler::broken`] tells, or if the node cannot be reached for [`Config::give_up`], which
//! [`Handler::unreached`] tells. Whether an accepted message has been processed, only an answer of
//! the layer above can say.
//!
//! **Bounds.** For each node and class: one connection and `queue_bytes` of messages that wait to be
//! written, and one message that is being read. Connecting takes 2 s at most, a handshake 3 s; 64
//! incoming handshakes are under way at most. A peer that is gone without a word is noticed after
//! [`Config::dead_after`] and 0.2 s. Time for which this process was stopped does not count.
//!
//! ```
//! use std::sync::Arc;
//! use chimaera_link::{Bytes, Class, Config, Endpoint, Handler, Peer};
//!
//! struct Print;
//! impl Handler for Print {
//!     fn received(&self, from: &Peer, _class: Class, message: Bytes) {
//!         assert_eq!((from.node, &message[..]), (1, &b"hello"[..]));
//!     }
//! }
//!
//! let one = Endpoint::start(Config::new("test", 1, 1), Arc::new(Print))?;
//! let two = Endpoint::start(Config::new("test", 2, 1), Arc::new(Print))?;
//! one.learn(2, two.local_addr())?;
//! one.send(2, Class::Small, &[b"hel", b"lo"])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod conn;
mod endpoint;
mod greet;
mod hello;
mod io;
mod key;
mod lanes;
mod queue;
mod shared;
mod traffic;
mod wire;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use bytes::Bytes;

pub use endpoint::Endpoint;
pub use hello::VERSION;
pub use key::{ClusterKey, Identity};

/// What a message is for. Each class has a connection of its own, so none waits behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// What the cluster itself says: leases, agreement.
    Control,
    /// Messages for which the time to arrive matters.
    Small,
    /// Messages of which there are many bytes.
    Bulk,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Class; 3] = [Class::Control, Class::Small, Class::Bulk];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// A node in one of its lives, as its handshake said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The id of the node; with TLS, the one that its certificate names.
    pub node: u64,
    /// Its life: grows with every start.
    pub boot: u64,
    /// Its name, for people.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The version of the wire that it speaks, major and minor.
    pub version: (u16, u16),
}

/// What is known of a node at the moment.
#[derive(Clone, Debug)]
pub struct PeerState {
    /// The id of the node.
    pub node: u64,
    /// Its last known life; none before the first handshake.
    pub peer: Option<Peer>,
    /// Since when there has been a connection to it; none if there is none now.
    pub connected: Option<Instant>,
    /// How long ago the last byte came from it.
    pub heard: Option<Duration>,
    /// The smoothed round trip of the endpoint's own pings.
    pub round_trip: Option<Duration>,
    /// Bytes that wait to be written, by class.
    pub queued: [usize; 3],
    /// Which classes have a connection now.
    pub open: [bool; 3],
    /// Messages given to the kernel or the queue, and their bytes.
    pub sent: (u64, u64),
    /// Messages received, and their bytes.
    pub received: (u64, u64),
    /// Connections that broke; those that closed because they were idle do not count.
    pub breaks: u64,
}

/// What an endpoint calls. All functions are called by its I/O thread or by whoever looks, one at a
/// time, and must not block: everything else waits meanwhile. They may call the endpoint, but not
/// [`Endpoint::look`].
pub trait Handler: Send + Sync + 'static {
    /// A message has come. Its bytes, and parts of them, can be kept without a copy.
    fn received(&self, from: &Peer, class: Class, message: Bytes);
    /// There is a connection to the node, and there was none before, or only to a former life.
    fn connected(&self, _peer: &Peer) {}
    /// A connection broke; messages of its class may be lost. Not called when one closes because it
    /// was idle.
    fn broken(&self, _peer: &Peer, _class: Class, _why: &str) {}
    /// Nothing reached the node for [`Config::give_up`]; the messages that waited for it are lost.
    fn unreached(&self, _node: u64, _class: Class, _why: &str) {}
    /// A handshake failed or was refused, by this side or the other. It is tried again if there is
    /// a reason to.
    fn refused(&self, _addr: SocketAddr, _why: &str) {}
}

/// How an endpoint works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Beyond loopback, `tls` is needed. Default: a free port of `127.0.0.1`.
    pub listen: SocketAddr,
    /// The name of the cluster, up to 255 bytes; nodes of others are refused.
    pub cluster: String,
    /// The id of this node; not 0.
    pub node: u64,
    /// Its life: larger than all before.
    pub boot: u64,
    /// Its name, up to 255 bytes.
    pub name: String,
    /// Proves who this node is, and encrypts. Default: none.
    pub tls: Option<Identity>,
    /// A connection without messages for so long is closed. Default: 60 s.
    pub idle_close: Duration,
    /// How many bytes may wait to be written, for each node and class. Large messages that wait are kept whole until
    /// they are written. Default: 16 MiB.
    pub queue_bytes: usize,
    /// The longest message, in both directions. Default: 8 MiB.
    pub max_message: usize,
    /// A connection on which nothing came for so long, or somewhat less, is asked for a sign of life. Default: 1 s.
    pub ping_every: Duration,
    /// A connection on which nothing came or went for so long is broken. Default: 5 s.
    pub dead_after: Duration,
    /// How long messages wait for a connection, and 5 s more if an attempt is under way then.
    /// Default: 10 s.
    pub give_up: Duration,
    /// How many nodes are known at most. Default: 1,024.
    pub max_peers: usize,
}

impl Config {
    /// The defaults, for a node in one of its lives.
    pub fn new(cluster: &str, node: u64, boot: u64) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            cluster: cluster.to_owned(),
            node,
            boot,
            name: format!("node{node}"),
            tls: None,
            idle_close: Duration::from_secs(60),
            queue_bytes: 16 << 20,
            max_message: 8 << 20,
            ping_every: Duration::from_secs(1),
            dead_after: Duration::from_secs(5),
            give_up: Duration::from_secs(10),
            max_peers: 1024,
        }
    }
}

/// Why something could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither encryption nor proof of identity on an address that others reach.
    #[error("{0} is beyond loopback, which needs TLS: create a cluster key and give the nodes identities of it")]
    Plain(SocketAddr),
    /// The configuration contradicts itself or a bound.
    #[error("{0}")]
    Config(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The kernel refused something.
    #[error("cannot {0}: {1}")]
    System(&'static str, std::io::Error),
    /// The file of a cluster's key.
    #[error("cluster key {0}: {1}")]
    Key(std::path::PathBuf, String),
    /// A certificate could not be made or used.
    #[error("TLS: {0}")]
    Tls(String),
    /// No room for another node.
    #[error("{0} nodes are known already: raise max_peers")]
    Peers(usize),
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The node reads too slowly, or cannot be reached: `queue_bytes` wait already.
    #[error("{queued} bytes wait for node {node} already, the limit is {limit}: try again later")]
    Full {
        /// The node.
        node: u64,
        /// What waits.
        queued: usize,
        /// `queue_bytes`.
        limit: usize,
    },
    /// Nobody said where the node is.
    #[error("node {0} is not known")]
    Unknown(u64),
    /// Longer than `max_message`.
    #[error("the message has {length} bytes, the limit is {limit}")]
    TooLong {
        /// What it has.
        length: usize,
        /// `max_message`.
        limit: usize,
    },
    /// The endpoint was stopped.
    #[error("the endpoint was stopped")]
    Stopped,
}
