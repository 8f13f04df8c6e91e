//! A record: the runtime's private side of one task.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use chimaera_abi::*;

use super::block::PrivateBlock;
use super::cancel_reason::{CancelReason, CancelScope};
use super::period::Period;
use super::replicas::Replicas;
use super::texts::Texts;
use crate::log::{Subject, TaskContext};
use crate::pool::{Container, ContainerLane, PoolMethod, TaskHandle};
use crate::session::{SuspendedAt, TaskRef};
use crate::sync::{CompletionWord, Holdings};

/// Where a task came from.
pub(crate) enum Origin {
    /// From a client: the task lies at this offset of its session's segment.
    Client { session: TaskRef, offset: u64 },
    /// From a method of a module, in private memory.
    Internal,
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
    pub(crate) method: *const PoolMethod,
    pub(crate) lane: *const ContainerLane,
    /// Blocks in the runtime's arena of the task's session.
    pub(crate) blocks: Vec<u64>,
    pub(crate) private: Vec<PrivateBlock>,
    /// Vectors of strings or vectors, whose blocks were copied: the copy, and what the client wrote.
    pub(crate) copies: Vec<(*mut u8, chi_shm_vector)>,
    /// Bytes of copies that are counted in the task's session.
    pub(crate) copied: u64,
    /// What is said of the task.
    pub(crate) texts: Texts,
    /// Of a task that was made inside the runtime: whether it is in flight, and who waits for it.
    pub(crate) completion: CompletionWord,
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
    /// Its replicas, while there are some: they are given back even if its method's frames are lost.
    pub(crate) replicas: Cell<Option<Box<Replicas>>>,
    /// The record is also reached through its body, so no reference to it is ever the only one.
    _shared: PhantomPinned,
}

impl Record {
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
            texts: Texts::default(),
            completion: CompletionWord::new(),
            suspended: Cell::new(false),
            holdings: Holdings::default(),
            cancelled: AtomicU32::new(0),
            told: Cell::new(false),
            deadline: Cell::new(None),
            period: None,
            estimate: 0,
            charged: Record::UNCHARGED,
            everywhere: false,
            replicas: Cell::new(None),
            _shared: PhantomPinned,
        });
        record.completion.renew(matches!(record.origin, Origin::Client { .. }));
        record.inline.back = &mut *record;
        record.make_room(size).then_some(record)
    }

    /// Makes a used record a fresh one.
    #[inline(always)]
    pub(crate) fn renew(&mut self, origin: Origin) {
        debug_assert!(matches!(self.origin, Origin::Internal));
        self.completion.renew(matches!(origin, Origin::Client { .. }));
        // SAFETY: the origin that `clear` left has nothing to drop.
        unsafe { ptr::write(&mut self.origin, origin) };
        self.session = 0;
        self.container = ptr::null();
        self.method = ptr::null();
        self.lane = ptr::null();
        self.holdings.renew(0);
        self.reset_for_submit();
    }

    /// The task begins anew: nothing has happened to it yet.
    #[inline(always)]
    pub(crate) fn reset_for_submit(&mut self) {
        self.texts.clear();
        self.suspended.set(false);
        self.everywhere = false;
        *self.cancelled.get_mut() = 0;
        self.told.set(false);
        self.deadline.set(None);
        self.period = None;
        self.estimate = 0;
    }

    /// Marks the task as cancelled. True when it was not.
    pub(crate) fn cancel(&self, reason: CancelReason) -> bool {
        let order = Ordering::Relaxed;
        self.cancelled.compare_exchange(0, reason as u32, order, order).is_ok()
    }

    /// Why the task is cancelled, when it is.
    #[inline]
    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        match self.cancelled.load(Ordering::Relaxed) {
            0 => None,
            number => CancelReason::from_number(number),
        }
    }

    /// Marks the task when something has happened that cancels it, and says why it is cancelled.
    #[inline]
    pub(crate) fn look_for_cancellation(&self) -> Option<CancelReason> {
        if self.cancel_reason().is_none() {
            // SAFETY: null, or the container in which the task is counted.
            let container = unsafe { self.container.as_ref() };
            if self.is_orphan() {
                self.cancel(CancelReason::Gone);
            } else if self.client_asks_to_cancel() {
                self.cancel(CancelReason::Asked);
            } else if container.is_some_and(|container| !container.admission.is_live()) {
                self.cancel(CancelReason::Destroyed);
            } else if self.deadline.get().is_some_and(|at| Instant::now() >= at) {
                self.cancel(CancelReason::Deadline);
            }
        }
        self.cancel_reason()
    }

    /// True when the client has asked for the cancellation of its task.
    #[inline]
    pub(crate) fn client_asks_to_cancel(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, offset } if session.asks_to_cancel(*offset))
    }

    /// True when nobody waits for the task.
    #[inline]
    pub(crate) fn is_forgotten(&self) -> bool {
        // SAFETY: the body is private, and has at least a header.
        let flags = unsafe { (*self.body()).task_flags_.bits_ };
        flags & CHI_TASK_FIRE_AND_FORGET != 0
    }

    /// The task rests from now on, so that its client's wish to cancel it must be told. To be looked for
    /// once more after this: it may have come before.
    #[inline]
    pub(crate) fn note_suspended(&self, at: SuspendedAt) {
        if let Origin::Client { session, offset } = &self.origin {
            session.note_suspended(*offset, at);
        }
    }

    /// The task goes on, or has ended.
    #[inline]
    pub(crate) fn forget_suspended(&self, at: SuspendedAt) {
        if let Origin::Client { session, offset } = &self.origin {
            session.forget_suspended(*offset, at);
        }
    }

    /// Why a cancellation of this scope cancels the task; `None` when it does not.
    pub(crate) fn cancelled_by(&self, scope: &CancelScope) -> Option<CancelReason> {
        match (scope, &self.origin) {
            (CancelScope::Session(number), Origin::Client { session, .. }) => {
                (session.number == *number).then_some(CancelReason::Gone)
            }
            // SAFETY: null, or the container in which the task is counted.
            (CancelScope::Pool(id), _) => match unsafe { self.container.as_ref() } {
                Some(container) => (container.id == *id).then_some(CancelReason::Destroyed),
                None => None,
            },
            _ => None,
        }
    }

    /// Why a task that is about to start must not; `None` when it may.
    #[inline]
    pub(crate) fn reason_not_to_start(&self) -> Option<CancelReason> {
        if let Some(reason) = self.cancel_reason() {
            return Some(reason);
        }
        let deadline = self.deadline.get()?;
        (Instant::now() >= deadline).then_some(CancelReason::Deadline)
    }

    /// What the log says of the task.
    pub(crate) fn log_context(&self) -> TaskContext<'_> {
        // SAFETY: null, or the container in which the task is counted, with whose pool a method lives.
        let (container, method) = unsafe { (self.container.as_ref(), self.method.as_ref()) };
        TaskContext {
            pool: container.map(|container| container.name()),
            method: method.map(|method| method.name.as_str()),
            ..TaskContext::default()
        }
        .at(self.session, self.node())
    }

    /// What bounds the lines of the log about tasks like this one.
    pub(crate) fn log_subject(&self) -> Subject {
        // SAFETY: as above.
        let (container, method) = unsafe { (self.container.as_ref(), self.method.as_ref()) };
        let none = Subject::default();
        Subject {
            pool: container.map_or(none.pool, |container| container.id),
            method: method.map_or(none.method, |method| method.number),
        }
    }

    /// The task on its way through a lane.
    #[inline]
    pub(crate) fn into_handle(self: Box<Record>) -> TaskHandle {
        TaskHandle(NonNull::from(Box::leak(self)).cast())
    }

    /// # Safety
    /// The handle must be what `into_handle` made, and is used up.
    #[inline]
    pub(crate) unsafe fn from_handle(handle: TaskHandle) -> Box<Record> {
        // SAFETY: by the caller's promise.
        unsafe { Box::from_raw(handle.0.cast::<Record>().as_ptr()) }
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
        if self.large.is_some() || lists != 0 || !self.texts.is_empty() {
            self.give_back();
        }
        self.origin = Origin::Internal;
    }

    #[inline(never)]
    fn give_back(&mut self) {
        self.large = None;
        self.texts.clear();
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
    #[inline]
    pub(crate) fn is_orphan(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, .. } if session.is_dead())
    }
}

/// Empties a list, and keeps room for as many entries as most tasks have.
fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(4);
}

#[cfg(test)]
mod tests {
    use super::*;

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
