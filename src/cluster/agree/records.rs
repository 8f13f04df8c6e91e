//! What lasts of the log, as records: for a store that keeps bytes under numbers, and knows nothing of the engine.

use raft::eraftpb::{Entry, HardState, Snapshot};

use super::disk::{Disk, Write};
use crate::ids::Index;
use crate::wire::{from_bytes, to_bytes, Malformed};

/// A snapshot or an entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub index: Index,
    /// The term in which it got there.
    pub term: u64,
    /// The whole of it.
    pub bytes: Vec<u8>,
}

impl Write {
    /// The engine's own few numbers, if they change.
    #[must_use]
    pub fn hard_state_record(&self) -> Option<Vec<u8>> {
        self.hard_state.as_ref().map(to_bytes)
    }

    /// What the log continues from here on. If that is behind the present snapshot, nothing changes; else an entry
    /// of the same index and term, and those before it, are to go, or, if there is no such entry, all entries.
    #[must_use]
    pub fn snapshot_record(&self) -> Option<Record> {
        let snapshot = self.snapshot.as_ref()?;
        let (index, term) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
        Some(Record { index, term, bytes: to_bytes(snapshot) })
    }

    /// Entries to append, in their order; after the snapshot. Those that are there from the first one's place on are
    /// to go.
    pub fn entry_records(&self) -> impl Iterator<Item = Record> + '_ {
        let record =
            |entry: &Entry| Record { index: entry.index, term: entry.term, bytes: to_bytes(entry) };
        self.entries.iter().map(record)
    }
}

impl Disk {
    /// A disk from the records that all its writes have left: the last hard state and snapshot, if there were any,
    /// and the entries in their order.
    ///
    /// # Errors
    ///
    /// Records that do not belong together.
    pub fn from_records(
        hard_state: Option<&[u8]>,
        snapshot: Option<&[u8]>,
        entries: impl IntoIterator<Item = Record>,
    ) -> Result<Disk, Malformed> {
        let mut write = Write::default();
        let mut disk = Disk::default();
        if let Some(bytes) = snapshot {
            disk.snapshot = from_bytes::<Snapshot>(bytes)?;
        }
        for record in entries {
            let entry: Entry = from_bytes(&record.bytes)?;
            let next = disk.base() + 1 + write.entries.len() as u64;
            let is_it = (entry.index, entry.term) == (record.index, record.term);
            if !is_it || entry.index != next {
                return Err(Malformed);
            }
            write.entries.push(entry);
        }
        if let Some(bytes) = hard_state {
            write.hard_state = Some(from_bytes::<HardState>(bytes)?);
        }
        disk.write(&write);
        disk.hard_state.commit = disk.hard_state.commit.max(disk.base());
        if disk.hard_state.commit > disk.last() {
            return Err(Malformed);
        }
        Ok(disk)
    }

    /// The change that makes this disk of an empty one.
    #[must_use]
    pub fn as_write(&self) -> Write {
        Write {
            number: 0,
            hard_state: Some(self.hard_state.clone()),
            snapshot: Some(self.snapshot.clone()).filter(|_| self.base() > 0),
            entries: self.entries.clone(),
        }
    }
}
