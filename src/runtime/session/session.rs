//! The state of a session.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Instant;

use crate::access::Caller;
use crate::failure::Failure;
use crate::sys::{lock, Guard};
use chimaera_abi::{chi_pool_id, chi_task, CHI_TASK_CANCEL};
use chimaera_ipc::arena::{Arena, Failed};
use chimaera_ipc::segment::Mapping;

/// The lists of blocks that the runtime holds for completed tasks until their clients release them.
#[derive(Default)]
struct Holds {
    lists: Vec<Vec<u64>>,
    free: Vec<u32>,
}

/// The completion word has 24 bits for the number of a hold.
const MAX_HOLDS: usize = 1 << 24;

/// The limit on the private copies of descriptors of one session's tasks, in bytes.
const MAX_COPIES: u64 = 256 << 20;

/// How many restricted pools a session remembers that its client may call.
const CALLABLE: usize = 16;

/// Where a task is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SuspendedAt {
    pub(crate) worker: u32,
    pub(crate) as_what: SuspendedAs,
}

/// The form in which a worker keeps a suspended task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuspendedAs {
    /// On the coroutine with this number.
    Coroutine(u32),
    /// Between two runs, as the periodic task with this number.
    Periodic(u64),
}

/// A client's session. Its rings and tasks keep it alive; its segment is unmapped when the last of
/// them drops its reference.
pub(crate) struct Session {
    /// Declared before the mapping, so that it is dropped first: afterwards another mapping may get
    /// the same address.
    guard: Guard,
    pub(crate) number: u64,
    /// The client.
    pub(crate) caller: Caller,
    /// When it was opened.
    pub(crate) since: Instant,
    pub(crate) mapping: Mapping,
    /// The address at which the client has mapped the segment. Only ever returned to the client,
    /// never used here.
    pub(crate) client_base: u64,
    pub(crate) doorbell: OwnedFd,
    arena: Mutex<Arena>,
    holds: Mutex<Holds>,
    /// Bytes of private copies of descriptors.
    copies: AtomicU64,
    dead: AtomicBool,
    /// The ids of restricted pools that the client may call, as far as that has been asked: each in the
    /// place that the last bits of its slot say.
    callable: [AtomicU64; CALLABLE],
    /// How many tasks it may have in flight, so that its user's sessions stay within their limit.
    share: AtomicUsize,
    /// Where suspended tasks are, by their offsets, unless they have already been told that they
    /// are cancelled.
    suspended: Mutex<HashMap<u64, SuspendedAt>>,
}

impl Session {
    pub(crate) fn new(
        number: u64,
        caller: Caller,
        mapping: Mapping,
        client_base: u64,
        doorbell: OwnedFd,
        guard: Guard,
    ) -> Session {
        let layout = *mapping.layout();
        let arena = Arena::new(layout.runtime_arena, layout.size - layout.runtime_arena);
        Session {
            number,
            caller,
            since: Instant::now(),
            mapping,
            client_base,
            doorbell,
            arena: Mutex::new(arena),
            holds: Mutex::default(),
            copies: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            callable: Default::default(),
            share: AtomicUsize::new(0),
            suspended: Mutex::default(),
            guard,
        }
    }

    #[inline]
    /// A session with a segment of its own, behind which there is no client.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn without_client(number: u64) -> std::io::Result<super::SessionRef> {
        use std::os::fd::AsFd;
        let layout = chimaera_ipc::layout::Layout::of(chimaera_ipc::layout::MIN_SEGMENT);
        let fd = chimaera_ipc::segment::create(&layout)?;
        let mapping = Mapping::new(fd.as_fd(), layout)?;
        let doorbell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let guard = Guard::new(&mapping, doorbell.as_fd())
            .ok_or_else(|| std::io::Error::other("no slot for a guard"))?;
        let session = Session::new(number, Caller::own(), mapping, 1 << 40, doorbell, guard);
        Ok(super::SessionRef::new(session))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Fails if the client may not call this pool. What a pool allows never changes, nor do a client's user
    /// and groups, so they are compared only once, unless the client uses many such pools.
    #[inline]
    pub(crate) fn check_call(
        &self,
        pool: chi_pool_id,
        check: impl FnOnce(&Caller) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let known = &self.callable[pool.major_ as usize % CALLABLE];
        let id = u64::from(pool.major_) << 32 | u64::from(pool.minor_);
        if known.load(Ordering::Relaxed) == id {
            return Ok(());
        }
        check(&self.caller)?;
        known.store(id, Ordering::Relaxed);
        Ok(())
    }

    /// How many tasks it may have in flight because of its user's limit.
    #[inline]
    pub(crate) fn share(&self) -> usize {
        self.share.load(Ordering::Relaxed)
    }

    /// Says how many it may have.
    pub(crate) fn set_share(&self, tasks: usize) {
        self.share.store(tasks, Ordering::Relaxed);
    }

    /// Notes that the task at `offset` is suspended until it is woken or cancelled.
    pub(crate) fn note_suspended(&self, offset: u64, at: SuspendedAt) {
        lock(&self.suspended).insert(offset, at);
    }

    /// Notes that it no longer is.
    pub(crate) fn forget_suspended(&self, offset: u64, at: SuspendedAt) {
        let mut suspended = lock(&self.suspended);
        // A client may, against the rules, submit a task that is in flight; then the entry is that
        // of another run.
        if suspended.get(&offset) == Some(&at) {
            suspended.remove(&offset);
        }
    }

    /// Returns where the task at `offset` is suspended, if its client has asked to cancel it. The
    /// answer is given once, so that a client that asks again and again costs others nothing.
    pub(crate) fn take_suspended(&self, offset: u64) -> Option<SuspendedAt> {
        let mut suspended = lock(&self.suspended);
        // The request may have been for an earlier run of the task; then the entry of this run
        // stays.
        if suspended.contains_key(&offset) && self.asks_to_cancel(offset) {
            suspended.remove(&offset)
        } else {
            None
        }
    }

    /// True if the client has asked to cancel its task at `offset`, which must have been accepted.
    pub(crate) fn asks_to_cancel(&self, offset: u64) -> bool {
        let at = offset + std::mem::offset_of!(chi_task, state_) as u64;
        // SAFETY: the task's header is inside the segment and aligned to 64: `accept` checked it.
        let word = unsafe { self.mapping.word(at) };
        word.load(Ordering::Relaxed) & CHI_TASK_CANCEL != 0
    }

    /// True if there was no memory for a page of the segment.
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

    /// Holds blocks until the client releases them, and returns the number of the hold. If the
    /// client has let too many pile up, frees the blocks and returns `None`.
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

    /// Frees the blocks of a hold that the client has released. An invalid number is ignored.
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

    /// Counts bytes that are about to be copied for a task. False if that would exceed the limit.
    pub(crate) fn count_copies(&self, bytes: u64) -> bool {
        if self.copies.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_COPIES {
            return true;
        }
        self.copies.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Discounts copies that have been freed.
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

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera_abi::CHI_DENIED;

    #[test]
    fn what_takes_the_place_of_a_pool_is_another_pool() {
        let session = Session::without_client(1).expect("there is memory");
        let id = |major_, minor_| chi_pool_id { major_, minor_ };
        let yes = |_: &Caller| Ok(());
        let no = |_: &Caller| Err(Failure::new(CHI_DENIED, ""));
        assert!(session.check_call(id(2, 1), no).is_err());
        assert!(
            session.check_call(id(2, 1), no).is_err(),
            "a refusal is not remembered as a right"
        );
        assert!(session.check_call(id(2, 1), yes).is_ok());
        assert!(session.check_call(id(2, 1), no).is_ok(), "it is not asked again");
        for other in [id(2, 2), id(3, 1), id(2 + CALLABLE as u32, 1)] {
            assert!(session.check_call(other, no).is_err(), "{other:?}");
        }
        assert!(session.check_call(id(2 + CALLABLE as u32, 1), yes).is_ok());
        assert!(session.check_call(id(2, 1), no).is_err(), "the other one has taken the place");
    }
}
