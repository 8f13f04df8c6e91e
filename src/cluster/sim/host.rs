//! A machine with a clock and a disk, and a node on it or not.

use std::collections::{BTreeMap, VecDeque};

use super::clock::{Clock, Time};
use crate::agree::{Disk, Write};
use crate::bounds::Instant;
use crate::calls::TaskNumber;
use crate::effect::Start;
use crate::ids::{BootId, ContainerId, Epoch, Life, NodeId};
use crate::node::Node;

pub(super) struct Host {
    pub(super) clock: Clock,
    pub(super) node: Option<Node>,
    /// The number of the tick that is to come, and when, by the host's clock.
    pub(super) tick: (u64, Instant),
    pub(super) life: Life,
    /// What is on the disk, and what is on its way there.
    pub(super) disk: Disk,
    pub(super) unsynced: VecDeque<Write>,
    /// Counts lives and disks: events of an earlier one are nobody's.
    pub(super) incarnation: u64,
    pub(super) paused_until: Time,
    /// The end of the last pause.
    pub(super) was_paused_until: Time,
    pub(super) tasks: BTreeMap<TaskNumber, Start>,
    /// The states of containers that are in its memory, and as whose they were saved.
    pub(super) states: BTreeMap<ContainerId, Epoch>,
    /// For each other host: how often in a row nothing was heard of it.
    pub(super) misses: Vec<u32>,
    /// Whether the node is to be given a new disk when it starts again.
    pub(super) wiped: bool,
}

/// What a crash leaves on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// All that was written.
    Clean,
    /// What was synced, and perhaps some more, in order.
    Unsynced { kept: usize },
    /// Nothing.
    Disk,
}

/// What a store gives back.
fn through_records(disk: &Disk) -> Disk {
    let write = disk.as_write();
    let snapshot = write.snapshot_record().map(|record| record.bytes);
    Disk::from_records(
        write.hard_state_record().as_deref(),
        snapshot.as_deref(),
        write.entry_records(),
    )
    .expect("its own records")
}

impl Host {
    pub(super) fn new(life: Life, disk: Disk, clock: Clock, hosts: usize) -> Host {
        Host {
            clock,
            node: None,
            life,
            disk,
            unsynced: VecDeque::new(),
            incarnation: 0,
            paused_until: 0,
            was_paused_until: 0,
            tick: (0, Instant(0)),
            tasks: BTreeMap::new(),
            states: BTreeMap::new(),
            misses: vec![0; hosts],
            wiped: false,
        }
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        self.node = None;
        self.incarnation += 1;
        self.tasks.clear();
        self.states.clear();
        self.paused_until = 0;
        let kept = match crash {
            Crash::Clean => usize::MAX,
            Crash::Unsynced { kept } => kept,
            Crash::Disk => 0,
        };
        for write in self.unsynced.drain(..).take(kept) {
            self.disk.write(&write);
        }
        if crash == Crash::Disk {
            self.disk = Disk::default();
            self.wiped = true;
        }
        self.disk = through_records(&self.disk);
    }

    /// The next life, or the first of a new id.
    pub(super) fn next_life(&mut self, fresh: NodeId) {
        self.life = if std::mem::take(&mut self.wiped) {
            Life { node: fresh, boot: BootId(1) }
        } else {
            Life { node: self.life.node, boot: BootId(self.life.boot.0 + 1) }
        };
        self.misses.fill(0);
    }
}
