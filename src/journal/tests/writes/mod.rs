//! Changes of a log as an engine makes them: the same for the same seed.

use chimaera_cluster::{Disk, Write};
use raft::eraftpb::{Entry, HardState, Snapshot};

/// Endless changes, and the disk after the last of them.
pub(crate) struct Writes {
    state: u64,
    term: u64,
    commit: u64,
    /// The place and term of the snapshot.
    base: (u64, u64),
    /// The terms of the entries.
    terms: Vec<u64>,
    pub(crate) disk: Disk,
}

impl Writes {
    pub(crate) fn new(seed: u64) -> Writes {
        let (base, terms, disk) = ((0, 0), Vec::new(), Disk::default());
        Writes { state: seed, term: 1, commit: 0, base, terms, disk }
    }

    /// From 0 to `end`, without `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (bits ^ (bits >> 33)) % end
    }

    fn end(&self) -> u64 {
        self.base.0 + self.terms.len() as u64
    }

    fn append(&mut self, write: &mut Write) {
        for _ in 0..1 + self.below(4) {
            let mut entry = Entry { term: self.term, index: self.end() + 1, ..Entry::default() };
            let size = if self.below(50) == 0 { 60_000 } else { self.below(500) };
            entry.data = vec![self.below(256) as u8; size as usize].into();
            self.terms.push(self.term);
            write.entries.push(entry);
        }
    }

    fn snapshot(&mut self, index: u64, term: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.set_data(vec![self.below(256) as u8; self.below(30_000) as usize].into());
        (snapshot.mut_metadata().index, snapshot.mut_metadata().term) = (index, term);
        snapshot.mut_metadata().mut_conf_state().set_voters(vec![1, 2, 3]);
        self.base = (index, term);
        snapshot
    }
}

impl Iterator for Writes {
    type Item = Write;

    fn next(&mut self) -> Option<Write> {
        let mut write = Write::default();
        let mut is_vote = true;
        match self.below(20) {
            0..=10 => {
                self.append(&mut write);
                is_vote = self.below(2) == 0;
                self.commit += self.below(self.end() - self.commit + 1);
            }
            11..=13 => {
                // Another leader, with other entries in the place of those that were not agreed on.
                self.term += 1;
                let kept = self.commit + self.below(self.end() - self.commit + 1);
                self.terms.truncate((kept - self.base.0) as usize);
                self.append(&mut write);
            }
            14..=16 if self.commit > self.base.0 => {
                let index = self.base.0 + 1 + self.below(self.commit - self.base.0);
                let at = (index - self.base.0) as usize;
                let term = self.terms[at - 1];
                self.terms.drain(..at);
                write.snapshot = Some(self.snapshot(index, term));
                is_vote = false;
            }
            17 => {
                // The state of others that are ahead.
                self.term += 1;
                let index = self.end() + 1 + self.below(9);
                self.terms.clear();
                self.commit = index;
                write.snapshot = Some(self.snapshot(index, self.term));
            }
            _ => self.term += 1,
        }
        if is_vote {
            let (term, vote, commit) = (self.term, self.below(4), self.commit);
            write.hard_state = Some(HardState { term, vote, commit, ..HardState::default() });
        }
        self.disk.write(&write);
        Some(write)
    }
}
