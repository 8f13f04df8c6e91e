//! A record: the runtime's private side of one task.

use std::alloc::Layout;
use std::cell::Cell;
use std::marker::PhantomPinned;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use chimaera_abi::*;

use crate::cancel::Why;
use crate::container::{Container, ContainerLane};
use crate::locks::Holdings;
use crate::method::Method;
use crate::properties::Period;
use crate::session::{Place, Session};

/// Where a task came from.
pub(crate) enum Origin {
    /// From a client: the task lies at this offset of its session's segment.
    Client { session: Arc<Session>, offset: u64 },
    /// From a method of a module, in private memory.
    Internal,
}

/// A block of private memory that belongs to a task.
pub(crate) struct PrivateBlock {
    data: *mut u8,
    layout: Layout,
}

impl PrivateBlock {
    /// A block of `size` bytes, at least one, aligned to 64, zeroed; `None` when there is no memory.
    pub(crate) fn new(size: usize) -> Option<PrivateBlock> {
        let layout = Layout::from_size_align(size, 64).ok()?;
        // SAFETY: the layout's size is not zero.
        let data = unsafe { std::alloc::alloc_zeroed(layout) };
        (!data.is_null()).then_some(PrivateBlock { data, layout })
    }

    pub(crate) fn data(&self) -> *mut u8 {
        self.data
    }

    pub(crate) fn size(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for PrivateBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.data, self.layout) }
    }
}

/// Bytes of a body that need no allocation of their own.
const INLINE: usize = 320;
/// Before a body stands the address of its record, in a space that keeps the body aligned to 64.
const BACK: usize = 64;

#[repr(C, align(64))]
struct InlineBody {
    back: *mut Record,
    _pad: [u64; 7],
    body: [u64; INLINE / 8],
}

/// The fiber that waits for an internal task, and which of its waits it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    /// Below 256.
    pub(crate) worker: u32,
    /// Below 2^24.
    pub(crate) fiber: u32,
    pub(crate) turn: u32,
}

impl Waiter {
    /// All of it in one word.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.worker) << 56 | u64::from(self.fiber) << 32 | u64::from(self.turn)
    }

    pub(crate) fn unpack(bits: u64) -> Waiter {
        Waiter {
            worker: (bits >> 56) as u32,
            fiber: (bits >> 32) as u32 & 0xff_ffff,
            turn: bits as u32,
        }
    }
}

/// The runtime's private side of one task. Owned by whoever runs it; records of internal tasks belong
/// to the method that made them while they are idle or complete.
#[repr(C)]
pub(crate) struct Record {
    inline: InlineBody,
    large: Option<PrivateBlock>,
    pub(crate) origin: Origin,
    /// The session that the task, or its root, came from; 0 for what the runtime and its modules do of
    /// themselves. For those who read the log: it decides nothing.
    pub(crate) session: u64,
    /// Null until the task is routed.
    pub(crate) container: *const Container,
    pub(crate) method: *const Method,
    pub(crate) lane: *const ContainerLane,
    /// Blocks in the runtime's arena of the task's session.
    pub(crate) blocks: Vec<u64>,
    pub(crate) private: Vec<PrivateBlock>,
    /// Vectors of strings or vectors, whose blocks were copied: the copy, and what the client wrote.
    pub(crate) copies: Vec<(*mut u8, chi_shm_vector)>,
    /// Bytes of copies that are counted in the task's session.
    pub(crate) copied: u64,
    /// Why an internal task failed.
    pub(crate) message: String,
    /// Who waits for the internal task, one at a time: a packed `Waiter` while the task's word says parked.
    pub(crate) waiter: AtomicU64,
    /// The task has been suspended since it started; its lane went on without it.
    pub(crate) suspended: Cell<bool>,
    /// The task's root, and the locks that it has.
    pub(crate) holdings: Holdings,
    /// Why the task is cancelled, a number of `Why`; 0 while it is not.
    cancelled: AtomicU32,
    /// The task, suspended, was told that it is cancelled.
    pub(crate) told: Cell<bool>,
    /// When the task is of no use any more.
    pub(crate) deadline: Cell<Option<Instant>>,
    /// When it runs again.
    pub(crate) period: Option<Period>,
    /// How long it is estimated to run, in nanoseconds, when that matters; else 0.
    pub(crate) estimate: u32,
    /// The worker whose load the estimate is a part of.
    pub(crate) charged: u32,
    /// The task is for all containers of its pool.
    pub(crate) everywhere: bool,
    /// The record is also reached through its body, so no reference to it is ever the only one.
    _shared: PhantomPinned,
}

impl Record {
    /// In place of a waiter: nobody waits; somebody is about to. No waiter has such a number.
    pub(crate) const NO_WAITER: u64 = u64::MAX;
    pub(crate) const CLAIMED: u64 = u64::MAX - 1;

    /// In place of the worker of a task that counts in no worker's load.
    pub(crate) const UNCHARGED: u32 = u32::MAX;

    /// A fresh record with a zeroed body of `size` bytes. `None` when there is no memory for a large
    /// body.
    pub(crate) fn new(origin: Origin, size: usize) -> Option<Box<Record>> {
        let mut record = Box::new(Record {
            inline: InlineBody { back: ptr::null_mut(), _pad: [0; 7], body: [0; INLINE / 8] },
            large: None,
            origin,
            session: 0,
            container: ptr::null(),
            method: ptr::null(),
            lane: ptr::null(),
            blocks: Vec::new(),
            private: Vec::new(),
            copies: Vec::new(),
            copied: 0,
            message: String::new(),
            waiter: AtomicU64::new(Record::NO_WAITER),
            suspended: Cell::new(false),
            holdings: Holdings::default(),
            cancelled: AtomicU32::new(0),
            told: Cell::new(false),
            deadline: Cell::new(None),
            period: None,
            estimate: 0,
            charged: Record::UNCHARGED,
            everywhere: false,
            _shared: PhantomPinned,
        });
        record.inline.back = &mut *record;
        record.make_room(size).then_some(record)
    }

    /// Makes a used record a fresh one.
    #[inline(always)]
    pub(crate) fn renew(&mut self, origin: Origin) {
        debug_assert!(matches!(self.origin, Origin::Internal));
        // SAFETY: the origin that `clear` left has nothing to drop.
        unsafe { ptr::write(&mut self.origin, origin) };
        self.session = 0;
        self.container = ptr::null();
        self.method = ptr::null();
        self.lane = ptr::null();
        self.message.clear();
        self.holdings.renew(0);
        self.set_out();
    }

    /// The task begins anew: nothing has happened to it yet.
    #[inline(always)]
    pub(crate) fn set_out(&mut self) {
        self.suspended.set(false);
        self.everywhere = false;
        *self.cancelled.get_mut() = 0;
        self.told.set(false);
        self.deadline.set(None);
        self.period = None;
        self.estimate = 0;
    }

    /// Marks the task as cancelled. True when it was not.
    pub(crate) fn cancel(&self, why: Why) -> bool {
        let order = Ordering::Relaxed;
        self.cancelled.compare_exchange(0, why as u32, order, order).is_ok()
    }

    /// Why the task is cancelled, when it is.
    #[inline]
    pub(crate) fn why_cancelled(&self) -> Option<Why> {
        match self.cancelled.load(Ordering::Relaxed) {
            0 => None,
            number => Why::from_number(number),
        }
    }

    /// Marks the task when something has happened that cancels it, and says why it is cancelled.
    pub(crate) fn look_for_cancellation(&self) -> Option<Why> {
        if self.why_cancelled().is_none() {
            // SAFETY: null, or the container in which the task is counted.
            let container = unsafe { self.container.as_ref() };
            if self.is_orphan() {
                self.cancel(Why::Gone);
            } else if self.client_asks_to_cancel() {
                self.cancel(Why::Asked);
            } else if container.is_some_and(|container| !container.is_live()) {
                self.cancel(Why::Destroyed);
            } else if self.deadline.get().is_some_and(|at| Instant::now() >= at) {
                self.cancel(Why::Deadline);
            }
        }
        self.why_cancelled()
    }

    /// True when the client has asked for the cancellation of its task.
    pub(crate) fn client_asks_to_cancel(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, offset } if session.asks_to_cancel(*offset))
    }

    /// True when nobody waits for the task.
    pub(crate) fn is_forgotten(&self) -> bool {
        // SAFETY: the body is private, and has at least a header.
        let flags = unsafe { (*self.body()).task_flags_.bits_ };
        flags & CHI_TASK_FIRE_AND_FORGET != 0
    }

    /// The task rests from now on, so that its client's wish to cancel it must be told. To be looked for
    /// once more after this: it may have come before.
    pub(crate) fn note_resting(&self, place: Place) {
        if let Origin::Client { session, offset } = &self.origin {
            session.note_resting(*offset, place);
        }
    }

    /// The task goes on, or has ended.
    pub(crate) fn forget_resting(&self, place: Place) {
        if let Origin::Client { session, offset } = &self.origin {
            session.forget_resting(*offset, place);
        }
    }

    /// True when this is a client's task at this place of its session.
    pub(crate) fn is_of(&self, number: u64, at: u64) -> bool {
        matches!(&self.origin, Origin::Client { session, offset }
            if session.number == number && *offset == at)
    }

    /// Lets go of everything that the task held.
    #[inline]
    pub(crate) fn clear(&mut self) {
        let lists = self.blocks.capacity() | self.private.capacity() | self.copies.capacity();
        if self.large.is_some() || lists != 0 {
            self.give_back();
        }
        self.origin = Origin::Internal;
    }

    #[inline(never)]
    fn give_back(&mut self) {
        self.large = None;
        empty(&mut self.blocks);
        empty(&mut self.private);
        empty(&mut self.copies);
        if let Origin::Client { session, .. } = &self.origin {
            session.uncount_copies(std::mem::take(&mut self.copied));
        }
    }

    /// Makes sure that the body holds `size` bytes; what it held before is kept up to 64 bytes. False
    /// when there is no memory.
    #[must_use]
    pub(crate) fn make_room(&mut self, size: usize) -> bool {
        if size <= INLINE {
            return true;
        }
        let Some(block) = PrivateBlock::new(BACK + size) else { return false };
        let header = std::mem::size_of::<chi_task>();
        // SAFETY: the block has room for the back pointer, and behind it for a whole body; the old
        // body has at least a header.
        unsafe {
            block.data().cast::<*mut Record>().write(self);
            ptr::copy_nonoverlapping(self.body().cast::<u8>(), block.data().add(BACK), header);
        }
        self.large = Some(block);
        true
    }

    /// The task's private body.
    #[inline]
    pub(crate) fn body(&self) -> *mut chi_task {
        match &self.large {
            None => self.inline.body.as_ptr().cast_mut().cast(),
            // SAFETY: a large block begins with the space for the back pointer.
            Some(block) => unsafe { block.data().add(BACK).cast() },
        }
    }

    /// The task's place in the tree of tasks.
    #[inline]
    pub(crate) fn node(&self) -> chi_task_node {
        // SAFETY: the body is private, and has at least a header.
        unsafe { (*self.body()).task_node_ }
    }

    /// The record of a body.
    ///
    /// # Safety
    /// `body` must be what `body` returned of a live record.
    #[inline]
    pub(crate) unsafe fn of(body: *const chi_task) -> *mut Record {
        // SAFETY: the back pointer stands before every body.
        unsafe { body.byte_sub(BACK).cast::<*mut Record>().read() }
    }

    /// True when the task came from a client that has gone meanwhile.
    pub(crate) fn is_orphan(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, .. } if session.is_dead())
    }
}

/// Empties a list, and keeps room for as many entries as most tasks have.
fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(16);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_fits_a_word() {
        let waiter = Waiter { worker: 255, fiber: 0xff_ffff, turn: u32::MAX };
        assert_eq!(Waiter::unpack(waiter.pack()), waiter);
        let waiter = Waiter { worker: 1, fiber: 2, turn: 3 };
        assert_eq!(Waiter::unpack(waiter.pack()), waiter);
    }

    #[test]
    fn a_body_leads_back_to_its_record() {
        for size in [64, INLINE, INLINE + 1, CHI_MAX_TASK_SIZE as usize] {
            let record = Record::new(Origin::Internal, size).unwrap();
            assert_eq!(record.body() as usize % 64, 0);
            // SAFETY: the record is live, and its body has `size` bytes.
            unsafe {
                record.body().cast::<u8>().write_bytes(0xff, size);
                assert!(ptr::eq(Record::of(record.body()), &*record));
            }
        }
    }
}
