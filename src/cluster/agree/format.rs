//! How what belongs to the engine is written down, on the disk and between nodes. In the crate's own format, and
//! not in that of `protobuf`, whose parser recurses as deep as its input says, and makes a hundred bytes of two.

use protobuf::ProtobufEnum;
use raft::eraftpb::{
    ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot, SnapshotMetadata,
};

use super::packet::Packet;
use crate::wire::{bytes_of, put_bytes, Malformed, Wire};

/// Values one after the other, behind their number.
fn put_all<T: Wire>(values: &[T], to: &mut Vec<u8>) {
    values.len().put(to);
    values.iter().for_each(|value| value.put(to));
}

fn take_all<T: Wire>(from: &mut &[u8]) -> Result<Vec<T>, Malformed> {
    // Grows with what is there, whatever the number says.
    let mut values = Vec::new();
    for _ in 0..usize::take(from)? {
        values.push(T::take(from)?);
    }
    Ok(values)
}

fn take_variant<T: ProtobufEnum>(from: &mut &[u8]) -> Result<T, Malformed> {
    T::from_i32(i32::from(u8::take(from)?)).ok_or(Malformed)
}

fn put_variant(variant: &impl ProtobufEnum, to: &mut Vec<u8>) {
    // All of the engine's numbers are below 32.
    to.push(variant.value() as u8);
}

impl Wire for HardState {
    fn put(&self, to: &mut Vec<u8>) {
        [self.term, self.vote, self.commit].iter().for_each(|number| number.put(to));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let (term, vote, commit) = (u64::take(from)?, u64::take(from)?, u64::take(from)?);
        Ok(HardState { term, vote, commit, ..HardState::default() })
    }
}

impl Wire for Entry {
    fn put(&self, to: &mut Vec<u8>) {
        put_variant(&self.entry_type, to);
        self.term.put(to);
        self.index.put(to);
        put_bytes(&self.data, to);
        put_bytes(&self.context, to);
        self.sync_log.put(to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Entry {
            entry_type: take_variant::<EntryType>(from)?,
            term: Wire::take(from)?,
            index: Wire::take(from)?,
            data: bytes_of(from)?.to_vec().into(),
            context: bytes_of(from)?.to_vec().into(),
            sync_log: Wire::take(from)?,
            ..Entry::default()
        })
    }
}

impl Wire for ConfState {
    fn put(&self, to: &mut Vec<u8>) {
        put_all(&self.voters, to);
        put_all(&self.learners, to);
        put_all(&self.voters_outgoing, to);
        put_all(&self.learners_next, to);
        self.auto_leave.put(to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(ConfState {
            voters: take_all(from)?,
            learners: take_all(from)?,
            voters_outgoing: take_all(from)?,
            learners_next: take_all(from)?,
            auto_leave: Wire::take(from)?,
            ..ConfState::default()
        })
    }
}

impl Wire for Snapshot {
    fn put(&self, to: &mut Vec<u8>) {
        let meta = self.get_metadata();
        meta.index.put(to);
        meta.term.put(to);
        meta.get_conf_state().put(to);
        put_bytes(&self.data, to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let (index, term) = (u64::take(from)?, u64::take(from)?);
        let mut meta = SnapshotMetadata { index, term, ..SnapshotMetadata::default() };
        meta.set_conf_state(ConfState::take(from)?);
        let mut snapshot =
            Snapshot { data: bytes_of(from)?.to_vec().into(), ..Snapshot::default() };
        snapshot.set_metadata(meta);
        Ok(snapshot)
    }
}

impl Wire for Packet {
    fn put(&self, to: &mut Vec<u8>) {
        let packet = &self.0;
        put_variant(&packet.msg_type, to);
        for number in [
            packet.to,
            packet.from,
            packet.term,
            packet.log_term,
            packet.index,
            packet.commit,
            packet.commit_term,
            packet.request_snapshot,
            packet.reject_hint,
            packet.deprecated_priority,
        ] {
            number.put(to);
        }
        packet.priority.put(to);
        packet.reject.put(to);
        put_bytes(&packet.context, to);
        put_all(&packet.entries, to);
        let snapshot = packet.snapshot.as_ref();
        snapshot.is_some().put(to);
        if let Some(snapshot) = snapshot {
            snapshot.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let packet = Message {
            msg_type: take_variant(from)?,
            to: Wire::take(from)?,
            from: Wire::take(from)?,
            term: Wire::take(from)?,
            log_term: Wire::take(from)?,
            index: Wire::take(from)?,
            commit: Wire::take(from)?,
            commit_term: Wire::take(from)?,
            request_snapshot: Wire::take(from)?,
            reject_hint: Wire::take(from)?,
            deprecated_priority: Wire::take(from)?,
            priority: Wire::take(from)?,
            reject: Wire::take(from)?,
            context: bytes_of(from)?.to_vec().into(),
            entries: take_all::<Entry>(from)?.into(),
            snapshot: <Option<Snapshot> as Wire>::take(from)?.into(),
            ..Message::default()
        };
        if is_for_others(&packet) && is_row(&packet) {
            Ok(Packet(packet))
        } else {
            Err(Malformed)
        }
    }
}

/// Whether an engine says such a thing to another. The rest it says to itself, and takes from itself as true; and
/// proposals do not travel this way.
fn is_for_others(packet: &Message) -> bool {
    !matches!(
        packet.msg_type,
        MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgPropose
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
    )
}

/// Whether the entries are a row, which continues what the packet says that it does.
fn is_row(packet: &Message) -> bool {
    let follows = |(one, two): (&Entry, &Entry)| one.index.checked_add(1) == Some(two.index);
    let entries = &packet.entries;
    let first = entries.first().filter(|_| packet.msg_type == MessageType::MsgAppend);
    first.is_none_or(|first| packet.index.checked_add(1) == Some(first.index))
        && entries.iter().zip(entries.iter().skip(1)).all(follows)
}
