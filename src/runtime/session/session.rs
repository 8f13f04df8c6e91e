//! A session as the runtime sees it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;

use crate::sys::{lock, Guard};
use chimaera_abi::{chi_task, CHI_TASK_CANCEL};
use chimaera_ipc::arena::{Arena, Failed};
use chimaera_ipc::segment::Mapping;

/// Lists of blocks that the runtime holds for complete tasks, until their release.
#[derive(Default)]
struct Holds {
    lists: Vec<Vec<u64>>,
    free: Vec<u32>,
}

/// The number of a hold has 24 bits in the completion word.
const MAX_HOLDS: usize = 1 << 24;

/// What private copies of descriptors a session's tasks may take at a time, in bytes.
const MAX_COPIES: u64 = 256 << 20;

/// Where a task rests that has started and does not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SuspendedAt {
    pub(crate) worker: u32,
    pub(crate) as_what: SuspendedAs,
}

/// As what a task rests on its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuspendedAs {
    /// On the coroutine of this number.
    Coroutine(u32),
    /// Between two runs, as the periodic task of this number.
    Periodic(u64),
}

/// A client's session. Kept alive by its rings and by its tasks; unmapped when the last has let go.
pub(crate) struct Session {
    /// Before the mapping, so that it is dropped first: another mapping may get the same address.
    guard: Guard,
    pub(crate) number: u64,
    pub(crate) mapping: Mapping,
    /// Where the client has mapped the segment: only ever handed back to it.
    pub(crate) client_base: u64,
    pub(crate) doorbell: OwnedFd,
    arena: Mutex<Arena>,
    holds: Mutex<Holds>,
    /// Bytes of private copies.
    copies: AtomicU64,
    dead: AtomicBool,
    /// Where tasks rest that have neither ended nor been told that they are cancelled, by their offsets.
    suspended: Mutex<HashMap<u64, SuspendedAt>>,
}

impl Session {
    pub(crate) fn new(
        number: u64,
        mapping: Mapping,
        client_base: u64,
        doorbell: OwnedFd,
        guard: Guard,
    ) -> Session {
        let layout = *mapping.layout();
        let arena = Arena::new(layout.runtime_arena, layout.size - layout.runtime_arena);
        Session {
            number,
            mapping,
            client_base,
            doorbell,
            arena: Mutex::new(arena),
            holds: Mutex::default(),
            copies: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            suspended: Mutex::default(),
            guard,
        }
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// The task at `offset` rests here until it is woken or cancelled.
    pub(crate) fn note_suspended(&self, offset: u64, at: SuspendedAt) {
        lock(&self.suspended).insert(offset, at);
    }

    /// It no longer does.
    pub(crate) fn forget_suspended(&self, offset: u64, at: SuspendedAt) {
        let mut suspended = lock(&self.suspended);
        // A client may submit a task while it is in flight; then another run of it is noted here.
        if suspended.get(&offset) == Some(&at) {
            suspended.remove(&offset);
        }
    }

    /// Where the task at `offset` rests, if its client wants to cancel it. The answer is given once, so that a
    /// client that asks again and again costs nobody else anything.
    pub(crate) fn take_suspended(&self, offset: u64) -> Option<SuspendedAt> {
        let mut suspended = lock(&self.suspended);
        // The wish may be one for an earlier run of the task: then where this one rests stays known.
        if suspended.contains_key(&offset) && self.asks_to_cancel(offset) {
            suspended.remove(&offset)
        } else {
            None
        }
    }

    /// True when the client has asked for the cancellation of its task at `offset`, which has been taken in.
    pub(crate) fn asks_to_cancel(&self, offset: u64) -> bool {
        let at = offset + std::mem::offset_of!(chi_task, state_) as u64;
        // SAFETY: the task's header lies in the segment, aligned to 64: `accept` checked it.
        let word = unsafe { self.mapping.word(at) };
        word.load(Ordering::Relaxed) & CHI_TASK_CANCEL != 0
    }

    /// True when a page of the segment could not be had.
    pub(crate) fn has_faulted(&self) -> bool {
        self.guard.has_faulted()
    }

    /// Allocates a block that the client can see.
    pub(crate) fn alloc(&self, size: u64) -> Result<(u64, u64), Failed> {
        lock(&self.arena).alloc(size)
    }

    pub(crate) fn free(&self, blocks: &[u64]) {
        let mut arena = lock(&self.arena);
        for &block in blocks {
            let freed = arena.free(block);
            debug_assert!(freed, "the runtime frees what it allocated, once");
        }
    }

    /// Keeps blocks until the client releases them. `None`, and the blocks are freed, when the client
    /// has let too many pile up.
    pub(crate) fn hold(&self, blocks: Vec<u64>) -> Option<u32> {
        let mut holds = lock(&self.holds);
        let number = match holds.free.pop() {
            Some(number) => number,
            None if holds.lists.len() < MAX_HOLDS => {
                holds.lists.push(Vec::new());
                (holds.lists.len() - 1) as u32
            }
            None => {
                drop(holds);
                self.free(&blocks);
                return None;
            }
        };
        holds.lists[number as usize] = blocks;
        Some(number)
    }

    /// The client's release: a number that means nothing is ignored.
    pub(crate) fn release(&self, number: u32) {
        let blocks = {
            let mut holds = lock(&self.holds);
            let Some(blocks) = holds.lists.get_mut(number as usize).map(std::mem::take) else {
                return;
            };
            if blocks.is_empty() {
                return;
            }
            holds.free.push(number);
            blocks
        };
        self.free(&blocks);
    }

    /// Counts bytes that are to be copied for a task. False when there are too many already.
    pub(crate) fn count_copies(&self, bytes: u64) -> bool {
        if self.copies.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_COPIES {
            return true;
        }
        self.copies.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// The copies are gone.
    pub(crate) fn uncount_copies(&self, bytes: u64) {
        if bytes > 0 {
            self.copies.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes of the runtime's arena in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        lock(&self.arena).used_bytes()
    }
}
