//! The engine, driven: time and messages in, messages, writes and what was agreed on out.

use std::collections::{BTreeSet, VecDeque};

use raft::eraftpb::{
    ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, EntryType, Message, Snapshot,
};
use raft::{Config, RawNode, SnapshotStatus, StateRole};

use super::disk::{Disk, Write};
use super::packet::Packet;
use crate::bounds::Bounds;
use crate::guard::{holds, Guard};
use crate::ids::{Index, NodeId};
use crate::mix::spread;

/// Within how many ticks a node stands for election whose connection to the leader has broken.
const SOON: usize = 4;

/// The largest size of the entries in one message, in bytes.
const MESSAGE: u64 = 256 << 10;

/// What stands in the log, in its order.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A proposal's bytes.
    Proposal(Index, Vec<u8>),
    /// Something of the engine's own.
    Own(Index),
    /// The voters or learners have changed.
    Voters(Index, ConfState),
    /// The state begins anew from here.
    Snapshot(Vec<u8>),
}

/// What an input has led to.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) packets: Vec<Packet>,
    pub(crate) writes: Vec<Write>,
    pub(crate) entries: Vec<Entry>,
    /// Confirmations of leadership: the number that was asked with, and what must have been applied.
    pub(crate) confirmed: Vec<(u64, Index)>,
}

/// A change of who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new node, which only listens.
    Learn(NodeId),
    /// A learner becomes a voter.
    Add(NodeId),
    /// A voter becomes a learner.
    Drop(NodeId),
    /// Two learners become voters, in one step.
    Grow(NodeId, NodeId),
    /// Two voters become learners, in one step.
    Shrink(NodeId, NodeId),
    /// A learner becomes a voter, and a voter a learner, in one step.
    Swap(NodeId, NodeId),
    /// A node is gone.
    Forget(NodeId),
}

pub(crate) struct Engine {
    raw: RawNode<Disk>,
    seed: u64,
    ticks: u64,
    bounds: (u32, u32),
    /// Packets that wait until a write is on the disk.
    waiting: VecDeque<(u64, Vec<Message>)>,
    /// Snapshots that were sent lately, by whom they are for, and when.
    sent: Vec<(NodeId, u64)>,
    /// Snapshots that are not on the disk yet, by the number of their write.
    snapshots: VecDeque<(u64, Index)>,
    conf: ConfState,
}

impl Engine {
    /// An engine with what is on the disk. `seed` makes nodes stand for election at different times.
    pub(crate) fn new(
        node: NodeId,
        disk: Disk,
        bounds: &Bounds,
        seed: u64,
    ) -> raft::Result<Engine> {
        let config = Config {
            id: node.0,
            election_tick: bounds.election_ticks as usize,
            heartbeat_tick: bounds.heartbeat_ticks as usize,
            applied: disk.base(),
            max_size_per_msg: MESSAGE,
            max_inflight_msgs: 64,
            check_quorum: true,
            pre_vote: holds(Guard::PreVote),
            max_uncommitted_size: 16 << 20,
            max_committed_size_per_ready: u64::MAX,
            ..Config::default()
        };
        let conf = disk.snapshot.get_metadata().get_conf_state().clone();
        let silent = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, disk, &silent)?;
        let bounds = (bounds.election_ticks, 2 * bounds.election_ticks);
        let (waiting, snapshots) = (VecDeque::new(), VecDeque::new());
        let mut engine =
            Engine { raw, seed, ticks: 0, bounds, waiting, sent: Vec::new(), snapshots, conf };
        engine.set_timeout();
        if engine.conf.get_voters() == [node.0] {
            // There is nobody whom it could disturb.
            engine.raw.raft.election_elapsed = engine.raw.raft.randomized_election_timeout();
        }
        Ok(engine)
    }

    /// The state that the log on the disk continues.
    pub(crate) fn base(&self) -> Option<(Index, &[u8])> {
        let disk = self.raw.store();
        (disk.base() > 0).then(|| (disk.base(), disk.snapshot.get_data()))
    }

    /// Whether this node leads, and has spoken to the others at the last tick.
    pub(crate) fn has_spoken(&self) -> bool {
        self.leads() && self.raw.raft.heartbeat_elapsed() == 0
    }

    /// The leader seems to be gone: this node stands for election soon, at another time than others. They say whether
    /// they have heard of the leader.
    pub(crate) fn miss_leader(&mut self) {
        if self.leads() {
            return;
        }
        let soon = 1 + spread(self.seed ^ self.ticks) as usize % SOON;
        let raft = &mut self.raw.raft;
        let elapsed = raft.randomized_election_timeout().saturating_sub(soon);
        raft.election_elapsed = raft.election_elapsed.max(elapsed);
    }

    /// For how many ticks nothing happens, if no packet comes.
    pub(crate) fn rests_for(&self) -> u32 {
        let raft = &self.raw.raft;
        let left = match self.leads() {
            true => raft.heartbeat_timeout().saturating_sub(raft.heartbeat_elapsed()),
            false => raft.randomized_election_timeout().saturating_sub(raft.election_elapsed),
        };
        left.saturating_sub(1) as u32
    }

    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
        // The engine sends nothing more to a node before it is told what became of a snapshot. If it did not
        // arrive, it is sent again; if it did, this costs a message.
        let (due, wait) = (self.ticks, u64::from(self.bounds.1));
        for (node, _) in self.sent.extract_if(.., |(_, at)| *at + wait <= due) {
            self.raw.report_snapshot(node.0, SnapshotStatus::Failure);
        }
        self.raw.tick();
        self.set_timeout();
    }

    /// A packet has come. One that means nothing here is dropped.
    pub(crate) fn receive(&mut self, packet: Packet) {
        // An error says that the packet is out of date or for nobody.
        let _ = self.raw.step(packet.0);
        self.set_timeout();
    }

    /// Wants something in the log; whether it goes there shows when it comes back. `false` where no leader is
    /// known to take it.
    pub(crate) fn propose(&mut self, bytes: Vec<u8>) -> bool {
        self.raw.propose(Vec::new(), bytes).is_ok()
    }

    /// Has leadership confirmed. Not that of a node that was elected while its vote was taken away: the engine
    /// would take the word of the only voter for that of the leader, who is another.
    pub(crate) fn confirm(&mut self, number: u64) {
        if !self.voters().contains(&NodeId(self.raw.raft.id)) {
            return;
        }
        self.raw.read_index(number.to_le_bytes().to_vec());
    }

    /// A write is on the disk, and all before it.
    pub(crate) fn written(&mut self, number: u64) -> Vec<Packet> {
        let mut packets = Vec::new();
        while self.waiting.front().is_some_and(|(write, _)| *write <= number) {
            let (_, messages) = self.waiting.pop_front().expect("there is a first");
            packets.extend(messages.into_iter().map(Packet));
        }
        self.raw.on_persist_ready(number);
        while self.snapshots.front().is_some_and(|(write, _)| *write <= number) {
            let (_, index) = self.snapshots.pop_front().expect("there is a first");
            if index > self.raw.raft.raft_log.applied() {
                self.raw.advance_apply_to(index);
            }
        }
        self.set_timeout();
        packets
    }

    /// All that the inputs since the last call have led to.
    pub(crate) fn output(&mut self) -> Output {
        let mut output = Output::default();
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            output.packets.extend(ready.take_messages().into_iter().map(Packet));
            for read in ready.take_read_states() {
                if let Ok(number) = read.request_ctx.as_slice().try_into() {
                    output.confirmed.push((u64::from_le_bytes(number), read.index));
                }
            }
            let mut write = Write { number: ready.number(), ..Write::default() };
            write.hard_state = ready.hs().cloned();
            if !ready.snapshot().is_empty() {
                let snapshot = ready.snapshot();
                let meta = snapshot.get_metadata();
                self.conf = meta.get_conf_state().clone();
                output.entries.push(Entry::Snapshot(snapshot.get_data().to_vec()));
                self.snapshots.push_back((write.number, meta.index));
                write.snapshot = Some(snapshot.clone());
            }
            let committed = ready.take_committed_entries();
            write.entries = ready.take_entries();
            let waiting = ready.take_persisted_messages();
            let applied = committed.last().map(|entry| entry.index);
            self.raw.mut_store().write(&write);
            self.raw.advance_append_async(ready);
            for entry in committed {
                output.entries.push(self.committed(entry));
            }
            if let Some(applied) = applied {
                self.raw.advance_apply_to(applied);
            }
            let is_write =
                write.hard_state.is_some() || write.snapshot.is_some() || !write.entries.is_empty();
            if is_write {
                if holds(Guard::SyncBeforeVote) {
                    self.waiting.push_back((write.number, waiting));
                } else {
                    output.packets.extend(waiting.into_iter().map(Packet));
                }
                output.writes.push(write);
            } else if let Some((_, before)) = self.waiting.back_mut() {
                // Nothing to write, but it may speak of what is being written.
                before.extend(waiting);
            } else {
                output.packets.extend(waiting.into_iter().map(Packet));
                self.raw.on_persist_ready(write.number);
            }
        }
        let snapshots = output.packets.iter().filter(|packet| packet.is_snapshot());
        self.sent.extend(snapshots.map(|packet| (packet.to(), self.ticks)));
        self.set_timeout();
        output
    }

    /// Continues the log from a state that has applied all that came out so far.
    pub(crate) fn compact(&mut self, index: Index, state: Vec<u8>) -> Option<Write> {
        let snapshot = self.snapshot(index, state, self.conf.clone())?;
        let write = Write { snapshot: Some(snapshot), ..Write::default() };
        self.raw.mut_store().write(&write);
        Some(write)
    }

    /// Offers a state to nodes that lag behind: one that knows them.
    pub(crate) fn offer(&mut self, index: Index, state: Vec<u8>, conf: ConfState) {
        if let Some(snapshot) = self.snapshot(index, state, conf) {
            self.raw.mut_store().offer(snapshot);
        }
    }

    pub(crate) fn log_length(&self) -> u64 {
        self.raw.store().length() as u64
    }

    pub(crate) fn leads(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    pub(crate) fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// Who leads, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        Some(self.raw.raft.leader_id).filter(|id| *id != 0).map(NodeId)
    }

    /// Those who vote, and those who still do while that changes.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        let all = self.conf.voters.iter().chain(&self.conf.voters_outgoing);
        all.copied().map(NodeId).collect()
    }

    /// Whether voters are changing, as far as this node has applied it.
    #[cfg(test)]
    pub(crate) fn is_changing(&self) -> bool {
        !self.conf.voters_outgoing.is_empty()
    }

    pub(crate) fn learners(&self) -> BTreeSet<NodeId> {
        self.conf.learners.iter().copied().map(NodeId).collect()
    }

    /// Whether a change of voters can be asked for now.
    pub(crate) fn can_change(&self) -> bool {
        self.leads() && !self.raw.raft.has_pending_conf() && self.conf.voters_outgoing.is_empty()
    }

    /// Whether a node has almost all of the log.
    pub(crate) fn is_near(&self, node: NodeId) -> bool {
        let progress = self.raw.raft.prs().get(node.0);
        progress.is_some_and(|at| {
            at.recent_active && at.matched + 16 >= self.raw.raft.raft_log.last_index()
        })
    }

    /// Asks for a change of voters.
    pub(crate) fn change(&mut self, change: Change) -> bool {
        use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
        let steps = match change {
            Change::Learn(node) | Change::Drop(node) => vec![(AddLearnerNode, node)],
            Change::Add(node) => vec![(AddNode, node)],
            Change::Grow(one, two) => vec![(AddNode, one), (AddNode, two)],
            Change::Shrink(one, two) => vec![(AddLearnerNode, one), (AddLearnerNode, two)],
            Change::Swap(up, down) => vec![(AddNode, up), (AddLearnerNode, down)],
            Change::Forget(node) => vec![(RemoveNode, node)],
        };
        let mut asked = ConfChangeV2::default();
        for (kind, node) in steps {
            let mut step = ConfChangeSingle { node_id: node.0, ..ConfChangeSingle::default() };
            step.set_change_type(kind);
            asked.mut_changes().push(step);
        }
        self.raw.propose_conf_change(Vec::new(), asked).is_ok()
    }

    /// Gives leadership to another voter, if it can take it.
    pub(crate) fn hand_leadership(&mut self, to: NodeId) {
        self.raw.transfer_leader(to.0);
    }

    fn committed(&mut self, entry: raft::eraftpb::Entry) -> Entry {
        match entry.get_entry_type() {
            EntryType::EntryNormal if entry.data.is_empty() => Entry::Own(entry.index),
            EntryType::EntryNormal => Entry::Proposal(entry.index, entry.data.to_vec()),
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                match change_of(&entry).and_then(|change| self.raw.apply_conf_change(&change).ok())
                {
                    Some(conf) => {
                        self.conf = conf.clone();
                        Entry::Voters(entry.index, conf)
                    }
                    None => Entry::Own(entry.index),
                }
            }
        }
    }

    fn snapshot(&self, index: Index, state: Vec<u8>, conf: ConfState) -> Option<Snapshot> {
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = index;
        snapshot.mut_metadata().term = self.raw.store().term_at(index)?;
        snapshot.mut_metadata().set_conf_state(conf);
        snapshot.set_data(state.into());
        Some(snapshot)
    }

    /// The engine takes its timeouts from the thread's own random numbers: each is replaced, before it is used, by
    /// one that depends on what came in alone.
    fn set_timeout(&mut self) {
        let (least, most) = self.bounds;
        let (term, phase) = (self.raw.raft.term, self.ticks >> 6);
        let random = spread(self.seed ^ spread(term.wrapping_mul(31).wrapping_add(phase)));
        let ticks = least + (random % u64::from(most - least)) as u32;
        self.raw.raft.set_randomized_election_timeout(ticks as usize);
    }
}

/// The largest size of an entry with a change of voters, in bytes. Its parser recurses with its length.
const MAX_CHANGE: usize = 1 << 10;

/// The change of voters in an entry. Those of the engine's older form are never asked for.
fn change_of(entry: &raft::eraftpb::Entry) -> Option<ConfChangeV2> {
    let is_change = entry.get_entry_type() == EntryType::EntryConfChangeV2;
    if !is_change || entry.data.len() > MAX_CHANGE {
        return None;
    }
    let mut change = ConfChangeV2::default();
    protobuf::Message::merge_from_bytes(&mut change, &entry.data).ok()?;
    Some(change)
}
