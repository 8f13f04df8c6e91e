//! A record: the runtime's private side of one task.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Instant;

use chimaera_abi::*;

use super::block::{NoMemory, PrivateBlock};
use super::cancel_reason::{CancelReason, CancelScope};
use super::lent::LentBlocks;
use super::period::Period;
use super::replicas::Replicas;
use super::texts::Texts;
use crate::log::{Subject, TaskContext};
use crate::metrics::{OwnMetrics, Timing};
use crate::pool::{Container, ContainerLane, Life, PoolMethod, TaskHandle};
use crate::session::{BorrowedSegment, Clients, Session, SuspendedAt, TaskRef};
use crate::sync::{CompletionWord, Far, Holdings, Passage};
use crate::sys::{Budget, Charge, Use};

/// Where a task came from.
pub(crate) enum Origin {
    /// From a client: the task is at this offset of its session's segment.
    Client { session: TaskRef, offset: u64 },
    /// From the runtime or a module's method; the task is in private memory.
    Internal,
}

/// A string or vector of a client's task whose bytes are not in its session's segment.
pub(super) struct Taken {
    /// Where methods see them.
    pub(super) data: *mut u8,
    /// The descriptor that the client wrote.
    pub(super) original: chi_shm_vector,
    /// The segment in which they are. It stays mapped until the module's `Del` has run, which may be after the
    /// client has been told of the end of the task.
    pub(super) segment: Option<Arc<BorrowedSegment>>,
}

/// The size of the largest body that is stored in the record itself.
const INLINE: usize = 320;
/// Every body is preceded by the address of its record, in a space that keeps the body aligned to
/// 64.
const BACK: usize = 64;

#[repr(C, align(64))]
struct InlineBody {
    back: *mut Record,
    _pad: [u64; 7],
    body: [u64; INLINE / 8],
}

/// The runtime's private side of one task. Whatever queues or runs the task owns its record; while
/// an internal task is idle or complete, the method that created it owns the record.
#[repr(C)]
pub(crate) struct Record {
    inline: InlineBody,
    large: Option<PrivateBlock>,
    pub(crate) origin: Origin,
    /// The session that the task or its root task came from; 0 for tasks that the runtime and its
    /// modules start by themselves. Used for limits, for the rights of the task, and in the log.
    pub(crate) session: u64,
    /// Null until the task has been resolved and admitted.
    pub(crate) container: *const Container,
    pub(crate) method: *const PoolMethod,
    pub(crate) lane: *const ContainerLane,
    /// Blocks that were allocated for the task in the runtime's arena of its session.
    pub(crate) blocks: Vec<u64>,
    pub(crate) private: Vec<PrivateBlock>,
    /// Vectors of strings or vectors, whose blocks were copied, and strings and vectors in segments that the
    /// client has lent.
    pub(super) copies: Vec<Taken>,
    /// Published memory that its strings and vectors may refer to.
    pub(crate) lent: LentBlocks,
    /// Bytes of copies that count against the limit of the task's session.
    pub(crate) copied: u64,
    /// The task's messages.
    pub(crate) texts: Texts,
    /// For a task that was created inside the runtime: whether it is in flight, and what waits for
    /// it.
    pub(crate) completion: CompletionWord,
    /// The task has been suspended since it started, so its lane has moved on without it.
    pub(crate) suspended: Cell<bool>,
    /// The task's root, and the locks that the task holds.
    pub(crate) holdings: Holdings,
    /// Why the task is cancelled, the number of a [`CancelReason`]; 0 while it is not.
    cancelled: AtomicU32,
    /// The suspended task has been told that it is cancelled.
    pub(crate) told: Cell<bool>,
    /// When the task is cancelled if it has not ended.
    pub(crate) deadline: Cell<Option<Instant>>,
    /// When the task runs again, if it is periodic.
    pub(crate) period: Option<Period>,
    /// The estimated run time in nanoseconds where it matters, otherwise 0.
    pub(crate) estimate: u32,
    /// The worker whose load includes the estimate.
    pub(crate) charged: u32,
    /// When it came to which stage, if it is measured.
    pub(crate) timing: Timing,
    /// Bytes of strings and vectors that came with it or, once it has ended, go back.
    pub(crate) moved: u64,
    /// The task is for all containers of its pool.
    pub(crate) everywhere: bool,
    /// Its replicas while it is being broadcast. The record owns them, so that they are freed even
    /// if the frames of its method are lost.
    pub(crate) replicas: Cell<Option<Box<Replicas>>>,
    /// The charge for the record itself.
    charge: Charge,
    /// The record is also reached through its body, so no reference to it is unique.
    _shared: PhantomPinned,
}

impl Record {
    /// The value of `charged` for a task that counts in no worker's load.
    pub(crate) const UNCHARGED: u32 = u32::MAX;

    /// Allocates a record with a zeroed body of a header's size. It is charged to the budget
    /// whether or not there is room.
    pub(crate) fn new(origin: Origin, budget: &'static Budget) -> Box<Record> {
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
            lent: LentBlocks::default(),
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
            timing: Timing::default(),
            moved: 0,
            everywhere: false,
            replicas: Cell::new(None),
            charge: budget.charge_anyway(Use::Records, size_of::<Record>() as u64),
            _shared: PhantomPinned,
        });
        record.completion.renew(matches!(record.origin, Origin::Client { .. }));
        record.inline.back = &mut *record;
        record
    }

    /// Resets a used record for a new task.
    #[inline(always)]
    pub(super) fn renew(&mut self, origin: Origin) {
        debug_assert!(matches!(self.origin, Origin::Internal));
        self.completion.renew(matches!(origin, Origin::Client { .. }));
        // SAFETY: `clear` left `Origin::Internal`, which has nothing to drop.
        unsafe { ptr::write(&mut self.origin, origin) };
        self.session = 0;
        self.container = ptr::null();
        self.method = ptr::null();
        self.lane = ptr::null();
        self.holdings.renew(0);
        self.reset_for_submit();
    }

    /// Clears the state left by the task's previous flight.
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
        self.timing.reset();
    }

    /// Marks the task as cancelled. True if it was not cancelled before.
    pub(crate) fn cancel(&self, reason: CancelReason) -> bool {
        let order = Ordering::Relaxed;
        self.cancelled.compare_exchange(0, reason as u32, order, order).is_ok()
    }

    /// Why the task is cancelled, if it is.
    #[inline]
    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        match self.cancelled.load(Ordering::Relaxed) {
            0 => None,
            number => CancelReason::from_number(number),
        }
    }

    /// Marks the task as cancelled if something has happened that cancels it. Returns why it is
    /// cancelled, if it is.
    #[inline]
    pub(crate) fn look_for_cancellation(&self) -> Option<CancelReason> {
        if self.cancel_reason().is_none() {
            // SAFETY: the pointer is null, or points to the container in which the task is counted,
            // which keeps it alive.
            let container = unsafe { self.container.as_ref() };
            if self.is_orphan() {
                self.cancel(CancelReason::Gone);
            } else if self.client_asks_to_cancel() {
                self.cancel(CancelReason::Asked);
            } else if container.is_some_and(|container| !container.admission.is_live()) {
                let abandoned = container.is_some_and(|found| found.admission.is_abandoned());
                self.cancel(match abandoned {
                    true => CancelReason::Quarantined,
                    false => CancelReason::Destroyed,
                });
            } else if self.deadline.get().is_some_and(|at| Instant::now() >= at) {
                self.cancel(CancelReason::Deadline);
            }
        }
        self.cancel_reason()
    }

    /// True if the client has asked to cancel its task.
    #[inline]
    pub(crate) fn client_asks_to_cancel(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, offset } if session.asks_to_cancel(*offset))
    }

    /// True for a task that waits to be admitted to this pool.
    pub(crate) fn is_held_for(&self, pool: chi_pool_id) -> bool {
        // SAFETY: the body is private, and has at least a header.
        self.container.is_null() && unsafe { (*self.body()).pool_ } == pool
    }

    /// Leaves its pool between two runs, if it is in this one. It has to be routed again.
    pub(super) fn leave_pool(&mut self, pool: chi_pool_id) {
        self.leave_pool_if(|container| container.id == pool);
    }

    /// Leaves its pool between two runs, if the pool's tasks are held, so that it does not keep them so.
    pub(crate) fn leave_pool_that_is_held(&mut self) {
        self.leave_pool_if(|container| container.admission.life() == Life::Holding);
    }

    fn leave_pool_if(&mut self, leaves: impl Fn(&Container) -> bool) {
        // SAFETY: the pointers are null, or point to the container in which the task is counted until
        // `leave`, and to a method of its pool.
        let (container, method) = unsafe { (self.container.as_ref(), self.method.as_ref()) };
        let (Some(container), Some(method)) = (container, method) else { return };
        if leaves(container) {
            if let Some(period) = &mut self.period {
                period.leave(method.shape());
            }
            (self.container, self.method) = (ptr::null(), ptr::null());
            self.lane = ptr::null();
            container.admission.leave();
        }
    }

    /// True for a fire-and-forget task.
    #[inline]
    pub(crate) fn is_forgotten(&self) -> bool {
        // SAFETY: the body is private, and has at least a header.
        let flags = unsafe { (*self.body()).task_flags_.bits_ };
        flags & CHI_TASK_FIRE_AND_FORGET != 0
    }

    /// Counts that the running task is suspended for the first time.
    #[cold]
    pub(crate) fn count_suspended(&self, own: OwnMetrics<'_>) {
        // SAFETY: the pointer is null if the runtime itself runs, for a task of its own; otherwise the method lives
        // as long as the task is counted in its container.
        if let Some(method) = unsafe { self.method.as_ref() } {
            method.metrics.suspend(own);
        }
    }

    /// Records that the task is suspended, so that its client's request to cancel it is passed on.
    /// The caller must check for such a request once more afterwards, because it may have come
    /// before.
    #[inline]
    pub(crate) fn note_suspended(&self, at: SuspendedAt) {
        if let Origin::Client { session, offset } = &self.origin {
            session.note_suspended(*offset, at);
        }
    }

    /// Records that the task has been resumed or has ended.
    #[inline]
    pub(crate) fn forget_suspended(&self, at: SuspendedAt) {
        if let Origin::Client { session, offset } = &self.origin {
            session.forget_suspended(*offset, at);
        }
    }

    /// Why a cancellation with this scope cancels the task; `None` if it does not.
    pub(crate) fn cancelled_by(&self, scope: &CancelScope) -> Option<CancelReason> {
        match (scope, &self.origin) {
            (CancelScope::Session(number), Origin::Client { session, .. }) => {
                (session.number == *number).then_some(CancelReason::Gone)
            }
            (CancelScope::Clients, Origin::Client { .. }) if self.is_of_client() => {
                Some(CancelReason::Stopping)
            }
            // SAFETY: the pointer is null, or points to the container in which the task is counted,
            // which keeps it alive.
            (CancelScope::Pool(id), _) => match unsafe { self.container.as_ref() } {
                Some(container) => (container.id == *id).then_some(CancelReason::Destroyed),
                None => None,
            },
            // SAFETY: as above.
            (CancelScope::Container(id, number), _) => match unsafe { self.container.as_ref() } {
                Some(found) => {
                    let is_it = found.id == *id && found.number == *number;
                    is_it.then_some(CancelReason::Quarantined)
                }
                None => None,
            },
            _ => None,
        }
    }

    /// True for a task that a client submitted, and false for one that was made inside the runtime or by a
    /// module in a module host.
    #[inline]
    pub(crate) fn is_of_client(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, .. } if !session.is_of_modules())
    }

    /// What was taken from the client to this address. The list must be sorted.
    pub(super) fn taken_at(&self, data: *mut u8) -> Option<&Taken> {
        let found = self.copies.binary_search_by_key(&data, |taken| taken.data);
        found.ok().map(|at| &self.copies[at])
    }

    /// The session of the client that submitted the task; `None` if it was made inside the runtime or by a
    /// module.
    pub(crate) fn client_session(&self) -> Option<&Session> {
        match &self.origin {
            Origin::Client { session, .. } if session.completions().is_none() => Some(session),
            _ => None,
        }
    }

    /// The number by which modules know the client that submitted the task; 0 if none did.
    pub(crate) fn client(&self, clients: &Clients) -> u64 {
        match &self.origin {
            Origin::Client { session, .. } if session.is_of_modules() => 0,
            // SAFETY: the body is private, and has at least a header.
            Origin::Client { session, .. } if session.completions().is_some() => unsafe {
                // `forward` has put it there.
                (*self.body()).period_ns_
            },
            Origin::Client { session, .. } => clients.number_of(session.number),
            Origin::Internal => 0,
        }
    }

    /// Where a task came from that another process of this node has sent over a link.
    pub(crate) fn came_from(&self) -> Option<Far> {
        let Origin::Client { session, offset } = &self.origin else { return None };
        let worker = session.completions()?.worker;
        Some(Far::Process(Passage { process: session.caller.pid, worker, task: *offset }))
    }

    /// Why a task that is about to start must not; `None` if it may.
    #[inline]
    pub(crate) fn reason_not_to_start(&self) -> Option<CancelReason> {
        if let Some(reason) = self.cancel_reason() {
            return Some(reason);
        }
        let deadline = self.deadline.get()?;
        (Instant::now() >= deadline).then_some(CancelReason::Deadline)
    }

    /// The task's fields in a log line.
    pub(crate) fn log_context(&self) -> TaskContext<'_> {
        // SAFETY: the pointers are null, or point to the container in which the task is counted and
        // to a method of its pool; the pool lives as long as a task is counted in it.
        let (container, method) = unsafe { (self.container.as_ref(), self.method.as_ref()) };
        TaskContext {
            pool: container.map(|container| container.name()),
            method: method.map(|method| method.name.as_str()),
            ..TaskContext::default()
        }
        .at(self.session, self.node())
    }

    /// The key under which the log's rate limit counts this task's lines.
    pub(crate) fn log_subject(&self) -> Subject {
        // SAFETY: as above.
        let (container, method) = unsafe { (self.container.as_ref(), self.method.as_ref()) };
        match (container.map(|container| container.id), method) {
            (Some(pool), Some(method)) => Subject::Method { pool, method: method.number },
            (Some(pool), None) => Subject::Pool(pool),
            (None, _) => Subject::Runtime,
        }
    }

    /// The client that submitted the task, as the subject of lines about what it asks for.
    pub(crate) fn client_as_subject(&self) -> Subject {
        match &self.origin {
            Origin::Client { session, .. } => {
                let (pid, uid) = (session.caller.pid, session.caller.uid);
                Subject::Process { pid, uid }
            }
            Origin::Internal => Subject::Runtime,
        }
    }

    /// Turns the record into a handle for a lane.
    #[inline]
    pub(crate) fn into_handle(self: Box<Record>) -> TaskHandle {
        TaskHandle(NonNull::from(Box::leak(self)).cast())
    }

    /// # Safety
    /// The handle must come from `into_handle`, and only be used once.
    #[inline]
    pub(crate) unsafe fn from_handle(handle: TaskHandle) -> Box<Record> {
        // SAFETY: by the caller's promise.
        unsafe { Box::from_raw(handle.0.cast::<Record>().as_ptr()) }
    }

    /// # Safety
    /// The handle must come from `into_handle`, and nobody else may use the record.
    pub(crate) unsafe fn of_handle(handle: &TaskHandle) -> &Record {
        // SAFETY: by the caller's promise; whoever has the handle owns the record.
        unsafe { handle.0.cast::<Record>().as_ref() }
    }

    /// True if this is the task at offset `at` of the session with this number.
    pub(crate) fn is_of(&self, number: u64, at: u64) -> bool {
        matches!(&self.origin, Origin::Client { session, offset }
            if session.number == number && *offset == at)
    }

    /// Frees or releases everything that the task held.
    #[inline]
    pub(super) fn clear(&mut self) {
        let lists = self.blocks.capacity()
            | self.private.capacity()
            | self.copies.capacity()
            | self.lent.capacity();
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
        self.lent.clear();
        if let Origin::Client { session, .. } = &self.origin {
            session.uncount_copies(std::mem::take(&mut self.copied));
        }
    }

    /// The budget that the record and what it owns are charged to.
    pub(super) fn budget(&self) -> &'static Budget {
        self.charge.budget()
    }

    /// How many bytes `make_room` allocates for a body of `size` bytes.
    pub(super) fn room_for(size: usize) -> usize {
        match size <= INLINE {
            true => 0,
            false => BACK + size,
        }
    }

    /// Makes sure that the body has room for `size` bytes; a body that moves keeps its first 64
    /// bytes.
    #[inline]
    pub(crate) fn make_room(&mut self, size: usize, of: Use) -> Result<(), NoMemory> {
        match Record::room_for(size) {
            0 => Ok(()),
            room => self.allocate(room, of),
        }
    }

    #[inline(never)]
    fn allocate(&mut self, room: usize, of: Use) -> Result<(), NoMemory> {
        let block = PrivateBlock::new(room, self.budget(), of)?;
        let header = std::mem::size_of::<chi_task>();
        // SAFETY: the block has room for the back pointer and, after it, for a whole body; the old
        // body has at least a header.
        unsafe {
            block.data().cast::<*mut Record>().write(self);
            ptr::copy_nonoverlapping(self.body().cast::<u8>(), block.data().add(BACK), header);
        }
        self.large = Some(block);
        Ok(())
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

    /// The task's position in the tree of tasks.
    #[inline]
    pub(crate) fn node(&self) -> chi_task_node {
        // SAFETY: the body is private, and has at least a header.
        unsafe { (*self.body()).task_node_ }
    }

    /// The record to which a body belongs.
    ///
    /// # Safety
    /// `body` must be the body of a live record.
    #[inline]
    pub(crate) unsafe fn of(body: *const chi_task) -> *mut Record {
        // SAFETY: every body is preceded by the pointer to its record.
        unsafe { body.byte_sub(BACK).cast::<*mut Record>().read() }
    }

    /// True if the task came from a client that is gone.
    #[inline]
    pub(crate) fn is_orphan(&self) -> bool {
        matches!(&self.origin, Origin::Client { session, .. } if session.is_dead())
    }
}

/// Empties a list but keeps room for as many entries as most tasks have.
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
            let mut record = Record::new(Origin::Internal, Budget::endless());
            record.make_room(size, Use::Modules).unwrap();
            assert_eq!(record.body() as usize % 64, 0);
            // SAFETY: the record is live, and its body has `size` bytes.
            unsafe {
                record.body().cast::<u8>().write_bytes(0xff, size);
                assert!(ptr::eq(Record::of(record.body()), &*record));
            }
        }
    }
}
