//! The document that tells the successor everything, and the messages around it.

use serde::{Deserialize, Serialize};

use crate::durable::PoolRecord;
use crate::failure::Failure;
use crate::session::QueueRecord;

/// The version of the document and the messages. Fields may be added to it without a new number, if they
/// have a default.
pub(crate) const FORMAT: u32 = 1;

/// What the predecessor says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSuccessor {
    /// Take over. With the descriptors of the document, of the listening socket and of the instance's
    /// lock.
    Take,
    /// With the descriptors of the session with this number: socket, segment, doorbell, and the process
    /// if there is one. In the order of the document.
    Session(u64),
    /// With the descriptor of the bell of a completion queue: those of a session come behind it, in the order of the
    /// document.
    Queue,
    /// With the descriptor of the socket of a client that has not said anything yet.
    Greeting,
    /// Serve: the predecessor does nothing any more.
    Go,
    /// End: the predecessor goes on.
    Abort,
}

/// What the successor says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToPredecessor {
    /// The modules are loaded.
    Ready {
        /// [`FORMAT`] of the successor.
        format: u32,
        /// The version of the program.
        version: String,
    },
    /// The pools are there, with their states.
    Loaded,
    /// It serves.
    Serving,
    /// It cannot take over, and ends.
    Failed(Refused),
}

/// A failure, on its way between processes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) status: i32,
    pub(crate) message: String,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused { status: failure.status, message: failure.message }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        Failure::new(refused.status, refused.message)
    }
}

/// Everything that the successor needs besides descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    /// The number of the next session.
    pub(crate) next_session: u64,
    /// The minor number of the next pool.
    pub(crate) next_minor: u32,
    /// The pools, the oldest first.
    pub(crate) pools: Vec<PoolRecord>,
    pub(crate) sessions: Vec<SessionRecord>,
    /// How many clients have not said anything yet.
    pub(crate) greeting: usize,
    /// The lock of the durable pools comes after the instance's.
    #[serde(default)]
    pub(crate) has_durable: bool,
    /// What the numbers begin with by which modules know the clients. None from a version that did not say.
    #[serde(default)]
    pub(crate) clients: Option<u64>,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) number: u64,
    /// Bytes of its segment.
    pub(crate) size: u64,
    /// The runtime's share of its arenas, in percent.
    pub(crate) share: u64,
    /// Where the client has mapped it.
    pub(crate) client_base: u64,
    /// For how long it has existed, in milliseconds.
    pub(crate) age_ms: u64,
    /// By index, how many entries have been taken from each ring, and the submissions that are postponed.
    pub(crate) rings: Vec<(u64, Vec<u64>)>,
    /// The offsets of tasks that have been accepted, and are held.
    pub(crate) held: Vec<u64>,
    /// The blocks in use of the runtime's arena: offset and bytes.
    pub(crate) blocks: Vec<(u64, u64)>,
    /// The blocks that are held until the client releases them, by number.
    pub(crate) holds: Vec<(u32, Vec<u64>)>,
    /// Its completion queues.
    #[serde(default)]
    pub(crate) queues: Vec<QueueRecord>,
    /// The numbers of those without blocks, for which the client has something on lease.
    #[serde(default)]
    pub(crate) reserved: Vec<u32>,
    /// How many numbers of segments of published memory its client knows.
    #[serde(default)]
    pub(crate) published: u64,
}
