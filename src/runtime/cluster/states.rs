//! What the shell of one node says to that of another, beside what the nodes themselves say; and the states of
//! containers on their way to other nodes.
//!
//! ```text
//! message  0, a message of the nodes themselves
//!          1, pool u32, container u32, epoch u64, size u64, offset u64, bytes   a part of a state
//!          2, pool u32, container u32, epoch u64                                the state is here
//!          3                                                                    nothing: a reason to connect
//!          4, number u64, bytes                                                 a question about waits
//!          5, number u64, bytes                                                 the answer
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_cluster::{Agreed, ContainerId, Epoch, Life, NodeId, Ownership, PoolId};

use crate::sys::lock;

/// The size of a part, in bytes.
pub(super) const PART: usize = 1 << 20;
/// The largest state that goes from one node to another, in bytes. Both have it in memory.
pub(super) const MOST: u64 = 4 << 30;
/// How many bytes of a state arrive in a second at least.
pub(super) const SLOWEST: u64 = 10 << 20;
/// How long a state may take to arrive besides, and how long sending it may make no progress.
pub(super) const BOUND: Duration = Duration::from_secs(10);
/// After how long a state that nobody has come for is forgotten.
const KEPT: Duration = Duration::from_secs(600);

const NODES: u8 = 0;
const STATE: u8 = 1;
const ARRIVED: u8 = 2;
/// A message that says nothing.
pub(super) const NOTHING: [u8; 1] = [3];

const QUESTION: u8 = 4;
const ANSWER: u8 = 5;

/// What has come.
pub(super) enum Heard<'m> {
    Nodes(&'m [u8]),
    Part(Part<'m>),
    Arrived(ContainerId, Epoch),
    Nothing,
    Question(u64, &'m [u8]),
    Answer(u64, &'m [u8]),
}

/// A part of a state.
pub(super) struct Part<'m> {
    pub(super) container: ContainerId,
    /// As whose it was saved.
    pub(super) epoch: Epoch,
    size: u64,
    offset: u64,
    bytes: &'m [u8],
}

/// The byte before a message of the nodes themselves.
pub(super) const OF_NODES: [u8; 1] = [NODES];

fn head(kind: u8, container: ContainerId, epoch: Epoch) -> Vec<u8> {
    let mut head = vec![kind];
    head.extend(container.pool.0.to_le_bytes());
    head.extend(container.number.to_le_bytes());
    head.extend(epoch.0.to_le_bytes());
    head
}

/// The beginning of a part, whose bytes follow.
pub(super) fn part(container: ContainerId, epoch: Epoch, size: u64, offset: u64) -> Vec<u8> {
    let mut part = head(STATE, container, epoch);
    part.extend(size.to_le_bytes());
    part.extend(offset.to_le_bytes());
    part
}

/// Says that a state has arrived.
pub(super) fn arrived(container: ContainerId, epoch: Epoch) -> Vec<u8> {
    head(ARRIVED, container, epoch)
}

/// The beginning of a question, whose bytes follow.
pub(super) fn question(number: u64) -> Vec<u8> {
    [&[QUESTION][..], &number.to_le_bytes()].concat()
}

/// The beginning of the answer to a question, whose bytes follow.
pub(super) fn answer(question: u64) -> Vec<u8> {
    [&[ANSWER][..], &question.to_le_bytes()].concat()
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*number)
}

/// Reads what has come. `None` if it makes no sense.
pub(super) fn read(message: &[u8]) -> Option<Heard<'_>> {
    let (kind, mut rest) = message.split_first()?;
    if *kind == NODES {
        return Some(Heard::Nodes(rest));
    }
    if message == NOTHING {
        return Some(Heard::Nothing);
    }
    if [QUESTION, ANSWER].contains(kind) {
        let which = u64::from_le_bytes(number(&mut rest)?);
        let heard = if *kind == QUESTION { Heard::Question } else { Heard::Answer };
        return Some(heard(which, rest));
    }
    let pool = PoolId(u32::from_le_bytes(number(&mut rest)?));
    let container = ContainerId { pool, number: u32::from_le_bytes(number(&mut rest)?) };
    let epoch = Epoch(u64::from_le_bytes(number(&mut rest)?));
    match *kind {
        STATE => {
            let size = u64::from_le_bytes(number(&mut rest)?);
            let offset = u64::from_le_bytes(number(&mut rest)?);
            Some(Heard::Part(Part { container, epoch, size, offset, bytes: rest }))
        }
        ARRIVED if rest.is_empty() => Some(Heard::Arrived(container, epoch)),
        _ => None,
    }
}

/// A state that has arrived, or is arriving.
struct Arriving {
    from: NodeId,
    epoch: Epoch,
    size: u64,
    bytes: Vec<u8>,
    last: Instant,
}

/// The states that are here, and whose containers are not.
#[derive(Default)]
pub(super) struct States(Mutex<HashMap<ContainerId, Arriving>>);

impl States {
    /// Takes a part. True if the state is whole now.
    pub(super) fn take(&self, from: NodeId, part: &Part<'_>) -> bool {
        let mut states = lock(&self.0);
        states.retain(|_, state| state.last.elapsed() < KEPT);
        if part.size > MOST {
            return false;
        }
        let last = Instant::now();
        if part.offset == 0 {
            let bytes = Vec::new();
            let begun = Arriving { from, epoch: part.epoch, size: part.size, bytes, last };
            states.insert(part.container, begun);
        }
        let Some(state) = states.get_mut(&part.container) else { return false };
        let fits = (state.from, state.epoch, state.size) == (from, part.epoch, part.size)
            && state.bytes.len() as u64 == part.offset
            && part.bytes.len() as u64 <= part.size - part.offset;
        if !fits {
            // A part was lost, or is of an earlier attempt.
            return false;
        }
        state.bytes.extend_from_slice(part.bytes);
        state.last = last;
        state.bytes.len() as u64 == state.size
    }

    /// Keeps a state that was sent, in case the container comes back.
    pub(super) fn keep(&self, own: NodeId, container: ContainerId, epoch: Epoch, bytes: Vec<u8>) {
        let (size, last) = (bytes.len() as u64, Instant::now());
        lock(&self.0).insert(container, Arriving { from: own, epoch, size, bytes, last });
    }

    /// The state with which a container begins that is this node's from `epoch` on, if one is here.
    pub(super) fn begin(&self, container: ContainerId, epoch: Epoch) -> Option<Vec<u8>> {
        let state = lock(&self.0).remove(&container)?;
        (state.bytes.len() as u64 == state.size && state.epoch < epoch).then_some(state.bytes)
    }

    /// Forgets what nobody needs any more: states that this node, in this life, has kept for containers that are no
    /// longer on their way from it.
    pub(super) fn follow(&self, own: Life, agreed: &Agreed) {
        lock(&self.0).retain(|container, state| {
            // Until it is agreed on that it has moved, it is this node's.
            let is_needed = |owned: &Ownership| {
                owned.arriving == Some(own)
                    || (owned.owner == Some(own) && owned.epoch <= state.epoch)
            };
            state.from != own.node || agreed.containers().get(container).is_some_and(is_needed)
        });
    }
}

/// Whoever waits until another node has a state.
pub(super) type Sent = Arc<super::waiting::Waiting<bool>>;
