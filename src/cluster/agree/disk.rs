//! What has to last of the log: as the shell writes it, as it is read at the start, and as the engine has it in
//! memory meanwhile.

use raft::eraftpb::{self, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::ids::{Index, Life};
use crate::state::Agreed;

/// A change of the disk. Changes are written in their order, each as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Write {
    /// For [`crate::Node::written`], when it is on the disk.
    pub number: u64,
    /// The engine's own few numbers, if they have changed.
    pub hard_state: Option<HardState>,
    /// What the log continues from here on.
    pub snapshot: Option<Snapshot>,
    /// Entries to append; older ones in their place, and those after it, are gone.
    pub entries: Vec<eraftpb::Entry>,
}

/// The log from its last snapshot on. An empty one is that of a node that has never been in a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disk {
    pub(super) hard_state: HardState,
    /// What the entries continue. Its place is 0 for a node that has never been given anything.
    pub(super) snapshot: Snapshot,
    pub(super) entries: Vec<eraftpb::Entry>,
    /// A newer state for nodes that lag behind; not on the disk.
    offer: Option<Snapshot>,
}

impl Disk {
    /// The log of a cluster that consists of one node.
    #[must_use]
    pub fn founded_by(life: Life, name: &str, address: &str) -> Disk {
        let mut snapshot = Snapshot::default();
        snapshot.set_data(Agreed::founded_by(life, name, address).to_bytes().into());
        snapshot.mut_metadata().index = 1;
        snapshot.mut_metadata().term = 1;
        snapshot.mut_metadata().mut_conf_state().set_voters(vec![life.node.0]);
        let mut hard_state = HardState::default();
        (hard_state.term, hard_state.commit) = (1, 1);
        Disk { hard_state, snapshot, ..Disk::default() }
    }

    /// The first change of the log of a cluster that consists of one node.
    #[must_use]
    pub fn founding(life: Life, name: &str, address: &str) -> Write {
        let Disk { hard_state, snapshot, .. } = Disk::founded_by(life, name, address);
        Write {
            number: 0,
            hard_state: Some(hard_state),
            snapshot: Some(snapshot),
            entries: Vec::new(),
        }
    }

    /// Makes a change, as the disk does.
    pub fn write(&mut self, write: &Write) {
        if let Some(snapshot) = &write.snapshot {
            let (index, term) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
            if index > self.base() {
                if self.term_at(index) == Some(term) {
                    self.entries.drain(..usize::try_from(index - self.base()).unwrap_or(0));
                } else {
                    self.entries.clear();
                }
                self.snapshot = snapshot.clone();
                self.offer = None;
                self.hard_state.commit = self.hard_state.commit.max(index);
            }
        }
        if let Some(first) = write.entries.first() {
            let keep = first.index.saturating_sub(self.base() + 1);
            self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
            self.entries.extend_from_slice(&write.entries);
        }
        if let Some(hard_state) = &write.hard_state {
            self.hard_state = hard_state.clone();
        }
    }

    /// Whether the node has been in a cluster.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base() == 0 && self.entries.is_empty()
    }

    /// The length of the log, in entries.
    #[must_use]
    pub fn length(&self) -> usize {
        self.entries.len()
    }

    /// Offers a state to nodes that lag behind.
    pub(super) fn offer(&mut self, snapshot: Snapshot) {
        self.offer = Some(snapshot);
    }

    pub(super) fn base(&self) -> Index {
        self.snapshot.get_metadata().index
    }

    pub(super) fn term_at(&self, index: Index) -> Option<u64> {
        if index == self.base() {
            return Some(self.snapshot.get_metadata().term);
        }
        let at = index.checked_sub(self.base() + 1)?;
        self.entries.get(usize::try_from(at).ok()?).map(|entry| entry.term)
    }

    pub(super) fn last(&self) -> Index {
        self.base() + self.entries.len() as u64
    }
}

impl Storage for Disk {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let conf = self.snapshot.get_metadata().get_conf_state().clone();
        Ok(RaftState::new(self.hard_state.clone(), conf))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        let base = self.base();
        if low <= base {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let place = |index: u64| usize::try_from(index - base - 1).unwrap_or(usize::MAX);
        let range = place(low)..place(high);
        let missing = raft::Error::Store(StorageError::Unavailable);
        let mut entries = self.entries.get(range).ok_or(missing)?.to_vec();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let missing = match index < self.base() {
            true => StorageError::Compacted,
            false => StorageError::Unavailable,
        };
        self.term_at(index).ok_or(raft::Error::Store(missing))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _: u64) -> raft::Result<Snapshot> {
        let newest = self.offer.as_ref().unwrap_or(&self.snapshot);
        if newest.get_metadata().index < request_index {
            return Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(newest.clone())
    }
}
