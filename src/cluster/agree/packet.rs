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

/// A packet as it could come from an engine, or not, by a sequence of numbers below one that is given.
#[cfg(test)]
pub(crate) fn random_packet(padding: usize, below: &mut dyn FnMut(u64) -> u64) -> Packet {
    use raft::eraftpb::{Entry, EntryType, MessageType, Snapshot};

    let kinds = [MessageType::MsgAppend, MessageType::MsgHeartbeat, MessageType::MsgSnapshot];
    let mut message = Message { msg_type: kinds[below(3) as usize], ..Message::default() };
    (message.to, message.from, message.term) = (below(u64::MAX), below(9), below(u64::MAX));
    (message.index, message.commit, message.log_term) = (below(1 << 50), below(99), below(99));
    (message.reject, message.reject_hint) = (below(2) == 0, below(99));
    (message.request_snapshot, message.commit_term) = (below(99), below(99));
    (message.priority, message.deprecated_priority) = (-1, below(3));
    message.context = vec![3; padding].into();
    for after in 1..=below(5) {
        let kind = [EntryType::EntryNormal, EntryType::EntryConfChangeV2][below(2) as usize];
        let mut entry = Entry { entry_type: kind, term: below(9), ..Entry::default() };
        entry.index = message.index + after;
        entry.data = vec![7; below(40) as usize].into();
        entry.sync_log = below(2) == 0;
        message.entries.push(entry);
    }
    if message.msg_type == MessageType::MsgSnapshot {
        let mut snapshot = Snapshot::default();
        snapshot.set_data(vec![1; below(100) as usize].into());
        (snapshot.mut_metadata().index, snapshot.mut_metadata().term) = (below(99), below(99));
        let conf = snapshot.mut_metadata().mut_conf_state();
        (conf.voters, conf.learners) = (vec![below(9), below(9)], vec![below(9)]);
        (conf.voters_outgoing, conf.auto_leave) = (vec![below(9); 2], below(2) == 0);
        message.set_snapshot(snapshot);
    }
    Packet(message)
}
