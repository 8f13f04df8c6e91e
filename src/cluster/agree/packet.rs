//! The engine's messages, as they are sent.

use raft::eraftpb::Message;

use crate::ids::NodeId;

/// A message of the engine of agreement to its peer on another node.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet(pub(super) Message);

impl Packet {
    /// For whom it is.
    #[must_use]
    pub fn to(&self) -> NodeId {
        NodeId(self.0.to)
    }

    /// From whom it is.
    #[must_use]
    pub fn from(&self) -> NodeId {
        NodeId(self.0.from)
    }

    /// Whether it carries a snapshot.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        self.0.msg_type == raft::eraftpb::MessageType::MsgSnapshot
    }

    /// A word for what it is, for a trace.
    #[must_use]
    pub fn kind(&self) -> String {
        format!("{:?} t{}", self.0.msg_type, self.0.term)
    }
}
