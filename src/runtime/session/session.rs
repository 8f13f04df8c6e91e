//! The state of a session.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use super::borrowed::BorrowedSegment;
use super::completions::Completions;
use super::leases::{Lease, Leases};
use super::loan::Loan;
use super::parked;
use super::presence::Presence;
use super::queues::Queues;
use crate::access::Caller;
use crate::failure::Failure;
use crate::metrics::SessionMetrics;
use crate::sys::{lock, Budget, Charge, Exhausted, Guard, Use};
use chimaera_abi::{chi_pool_id, chi_task, CHI_INVALID, CHI_NO_SPACE, CHI_TASK_CANCEL};
use chimaera_ipc::arena::{Arena, Failed};
use chimaera_ipc::futex;
use chimaera_ipc::layout::{Layout, RING_SLOTS};
use chimaera_ipc::ring::ring_bytes;
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::ticks;
use chimaera_ipc::word::Waiters;

/// What the runtime holds for completed tasks until their clients release it.
struct Holds {
    lists: Vec<Hold>,
    free: Vec<u32>,
    charge: Charge,
}

/// What it holds for one task.
#[derive(Default)]
struct Hold {
    /// In the runtime's arena.
    blocks: Vec<u64>,
    leases: Vec<Lease>,
    /// It had leases in a process before this one.
    is_reserved: bool,
}

impl Hold {
    fn is_free(&self) -> bool {
        self.blocks.is_empty() && self.leases.is_empty() && !self.is_reserved
    }
}

/// The bytes that a hold of a few blocks is charged.
const HOLD_COST: u64 = 96;

/// The runtime's arena, and the charge for its metadata and the memory behind it.
struct Results {
    arena: Arena,
    charge: Charge,
    /// The part of the charge that is for the session itself.
    fixed: u64,
}

impl Results {
    /// The bytes to charge: the session's own, the memory that may be behind the arena, and an
    /// eighth of that for metadata.
    fn cost(&self) -> u64 {
        self.fixed + self.arena.touched() / 8 * 9
    }
}

/// Why no block for a result is available.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoRoom {
    /// The segment cannot provide it.
    Segment(Failed),
    /// The runtime's memory budget is exhausted.
    Budget(Exhausted),
}

/// The bytes that a session is charged before it has rings and tasks, without its arena's metadata.
const SESSION_COST: u64 = 16 << 10;
/// Up to this many bytes, the memory of an empty arena is not worth giving back.
const LITTLE_TOUCHED: u64 = 1 << 20;

/// The completion word has 24 bits for the number of a hold.
const MAX_HOLDS: usize = 1 << 24;

/// Bytes of a task's header.
const HEADER: u64 = std::mem::size_of::<chi_task>() as u64;

/// The limit on the private copies of one session's tasks, in bytes, unless the budget sets a lower
/// one.
const MAX_COPIES: u64 = 256 << 20;

/// How many restricted pools a session remembers as callable by its client.
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

/// What a session is made of.
pub(crate) struct Parts {
    /// Declared before the mapping, so that it is dropped first, as in the session.
    pub(crate) guard: Guard,
    pub(crate) mapping: Mapping,
    /// The segment itself, for a successor of this process.
    pub(crate) segment: OwnedFd,
    pub(crate) doorbell: OwnedFd,
    pub(crate) charge: Charge,
}

/// What the runtime has allocated in a session's segment for its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allocated {
    /// The blocks in use: offset and bytes.
    pub(crate) blocks: Vec<(u64, u64)>,
    /// The holds that have not been released: number and blocks.
    pub(crate) holds: Vec<(u32, Vec<u64>)>,
    /// The numbers of holds without blocks that have not been released.
    pub(crate) reserved: Vec<u32>,
}

/// A client's session. Its rings and tasks keep it alive; its segment is unmapped when the last of
/// them drops its reference.
pub(crate) struct Session {
    /// Declared before the mapping, so that it is dropped first: once the segment is unmapped,
    /// another mapping may be given its address.
    guard: Guard,
    pub(crate) number: u64,
    _presence: Presence,
    /// The client.
    pub(crate) caller: Caller,
    /// When it was opened.
    pub(crate) since: Instant,
    /// The same in ticks: no task was submitted before.
    pub(crate) opened_ticks: u64,
    pub(crate) mapping: Mapping,
    /// The segment itself, for a successor of this process.
    pub(crate) segment: OwnedFd,
    /// The address at which the client has mapped the segment. Only ever returned to the client,
    /// never used here.
    pub(crate) client_base: u64,
    pub(crate) doorbell: OwnedFd,
    results: Mutex<Results>,
    holds: Mutex<Holds>,
    /// Bytes of private copies of its tasks.
    copies: AtomicU64,
    /// How many submissions are postponed in its rings.
    postponed: AtomicUsize,
    budget: &'static Budget,
    dead: AtomicBool,
    /// It had something on lease when it ended.
    ends_with_leases: AtomicBool,
    /// The ids of restricted pools that the client is known to be allowed to call, each at the
    /// index given by the low bits of its slot.
    callable: [AtomicU64; CALLABLE],
    /// How many tasks it may have in flight under the limits of its user and its process.
    share: AtomicUsize,
    /// Set while its user or its process has taken more than its share of the workers' time.
    paused: AtomicBool,
    /// Where suspended tasks are, by their offsets, unless they have already been told that they
    /// are cancelled.
    suspended: Mutex<HashMap<u64, SuspendedAt>>,
    /// Set if the client is another runtime.
    completions: OnceLock<Completions>,
    /// The client's completion queues.
    pub(crate) queues: Queues,
    /// The client's leases on published memory.
    pub(crate) leases: Leases,
    /// The module hosts to which the segment is lent.
    loans: Mutex<Vec<Arc<Loan>>>,
    /// What is counted of its tasks.
    pub(crate) metrics: SessionMetrics,
}

impl Session {
    /// A session of this client, which has mapped the segment at `client_base`.
    pub(crate) fn new(
        presence: Presence,
        caller: Caller,
        client_base: u64,
        parts: Parts,
    ) -> Session {
        let Parts { guard, mapping, segment, doorbell, charge } = parts;
        let layout = *mapping.layout();
        let arena = Arena::new(layout.runtime_arena, layout.size - layout.runtime_arena);
        let (budget, fixed) = (charge.budget(), charge.bytes());
        let held = budget.nothing(Use::Sessions);
        Session {
            number: presence.session(),
            _presence: presence,
            leases: Leases::new(caller.pid),
            caller,
            since: Instant::now(),
            opened_ticks: ticks::now(),
            mapping,
            segment,
            client_base,
            doorbell,
            results: Mutex::new(Results { arena, charge, fixed }),
            holds: Mutex::new(Holds { lists: Vec::new(), free: Vec::new(), charge: held }),
            copies: AtomicU64::new(0),
            postponed: AtomicUsize::new(0),
            budget,
            dead: AtomicBool::new(false),
            ends_with_leases: AtomicBool::new(false),
            callable: Default::default(),
            share: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            suspended: Mutex::default(),
            completions: OnceLock::new(),
            queues: Queues::default(),
            loans: Mutex::default(),
            metrics: SessionMetrics::default(),
            guard,
        }
    }

    /// What the runtime has allocated for the client.
    pub(crate) fn allocated(&self) -> Allocated {
        let mut holds = lock(&self.holds);
        // What is on lease stays in memory that the client has mapped, and that nobody writes any more; but the number of its
        // hold is not free. A runtime that does not know leases learns that from a block, if there is room for one.
        for hold in holds.lists.iter_mut().filter(|hold| !hold.leases.is_empty()) {
            if hold.blocks.is_empty() {
                hold.blocks.extend(self.alloc(1).map(|(block, _)| block));
            }
        }
        let numbered = || holds.lists.iter().zip(0..);
        let in_use = numbered().filter(|(hold, _)| !hold.blocks.is_empty());
        let reserved = numbered().filter(|(hold, _)| hold.blocks.is_empty() && !hold.is_free());
        Allocated {
            blocks: lock(&self.results).arena.blocks().collect(),
            holds: in_use.map(|(hold, number)| (number, hold.blocks.clone())).collect(),
            reserved: reserved.map(|(_, number)| number).collect(),
        }
    }

    /// Takes over what another process has allocated for the client. Nothing must have been allocated
    /// here. Errors: `CHI_INVALID` if no runtime can have allocated that; `CHI_NO_SPACE` when the memory
    /// budget has no room for it.
    pub(crate) fn take_over(&self, allocated: &Allocated) -> Result<(), Failure> {
        let odd =
            |what: &str| Failure::new(CHI_INVALID, format!("the session's {what} are not valid"));
        let mut blocks: HashMap<u64, u64> = allocated.blocks.iter().copied().collect();
        let mut lists: Vec<Hold> = Vec::new();
        for (number, list) in &allocated.holds {
            let number = *number as usize;
            // Each block of a hold is in use, and in no other hold.
            if number >= MAX_HOLDS || list.iter().any(|block| blocks.remove(block).is_none()) {
                return Err(odd("holds"));
            }
            lists.resize_with(lists.len().max(number + 1), Hold::default);
            lists[number].blocks = list.clone();
        }
        for number in &allocated.reserved {
            let number = *number as usize;
            if number >= MAX_HOLDS || lists.get(number).is_some_and(|hold| !hold.is_free()) {
                return Err(odd("holds"));
            }
            lists.resize_with(lists.len().max(number + 1), Hold::default);
            lists[number].is_reserved = true;
        }
        {
            let results = &mut *lock(&self.results);
            let layout = self.mapping.layout();
            let (start, len) = (layout.runtime_arena, layout.size - layout.runtime_arena);
            results.arena = Arena::with_blocks(start, len, allocated.blocks.iter().copied())
                .ok_or_else(|| odd("blocks"))?;
            let grown = results.cost().saturating_sub(results.charge.bytes());
            results.charge.grow(grown).map_err(too_much)?;
        }
        let holds = &mut *lock(&self.holds);
        holds.charge.grow(HOLD_COST * lists.len() as u64).map_err(too_much)?;
        let free = lists.iter().zip(0..).filter(|(hold, _)| hold.is_free());
        holds.free = free.map(|(_, number)| number).collect();
        holds.lists = lists;
        Ok(())
    }

    /// Charges a session whose segment has this layout.
    pub(crate) fn charge(budget: &'static Budget, layout: &Layout) -> Result<Charge, Exhausted> {
        let arena = Arena::metadata_bytes(layout.size - layout.runtime_arena);
        budget.charge(Use::Sessions, SESSION_COST + arena)
    }

    /// Charges another ring: its part of the segment, and as much again for the runtime's own
    /// state.
    pub(crate) fn charge_ring(&self) -> Result<(), Failure> {
        let results = &mut *lock(&self.results);
        let bytes = 2 * ring_bytes(RING_SLOTS);
        let grown = results.charge.grow(bytes);
        grown.map_err(|why| Failure::new(CHI_NO_SPACE, why.to_string()))?;
        results.fixed += bytes;
        Ok(())
    }

    /// The budget that the session and its tasks are charged to.
    pub(crate) fn budget(&self) -> &'static Budget {
        self.budget
    }

    /// A session with a segment of its own, but without a client.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn without_client(number: u64) -> std::io::Result<super::SessionRef> {
        use std::os::fd::AsFd;
        let layout = chimaera_ipc::layout::Layout::of(chimaera_ipc::layout::MIN_SEGMENT);
        let fd = chimaera_ipc::segment::create(&layout)?;
        let mapping = Mapping::new(fd.as_fd(), layout)?;
        let doorbell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let guard = Guard::new(&mapping, doorbell.as_fd())
            .ok_or_else(|| std::io::Error::other("no slot for a guard"))?;
        let charge = Budget::endless().nothing(Use::Sessions);
        let parts = Parts { guard, mapping, segment: fd, doorbell, charge };
        let presence = super::Clients::new().enter(number);
        let session = Session::new(presence, Caller::own(), 1 << 40, parts);
        Ok(super::SessionRef::new(session))
    }

    /// Has the client, which is another runtime, told of completions.
    pub(crate) fn tell_completions(&self, to: Completions) {
        let _ = self.completions.set(to);
    }

    /// How the client is told of completions, if it is another runtime.
    pub(crate) fn completions(&self) -> Option<&Completions> {
        self.completions.get()
    }

    /// Whether its client is a module host of this runtime, which sends tasks for modules.
    pub(crate) fn is_of_modules(&self) -> bool {
        self.completions.get().is_some_and(|completions| completions.of_modules())
    }

    /// A segment that the client has lent this process, if the client is the daemon of this module host.
    #[cold]
    pub(crate) fn borrowed(&self, number: u64) -> Option<Arc<BorrowedSegment>> {
        self.completions.get()?.borrowed()?.get(number)
    }

    /// The loan of the segment to this borrower, which `lend` makes if there is none.
    pub(crate) fn loan_to(
        &self,
        borrower: *const (),
        lend: impl FnOnce() -> Option<Arc<Loan>>,
    ) -> Option<Arc<Loan>> {
        let mut loans = lock(&self.loans);
        if let Some(loan) = loans.iter().find(|loan| loan.is_to(borrower)) {
            return Some(loan.clone());
        }
        let made = lend()?;
        loans.retain(|loan| !loan.is_over());
        loans.push(made.clone());
        Some(made)
    }

    /// Tells those who wait for the task at `offset`, which has this state word, that it is complete.
    #[cold]
    pub(crate) fn wake_client(&self, state: &AtomicU32, offset: u64, waiters: Waiters) {
        match self.completions.get() {
            None if waiters.sleep() => futex::wake_all(state),
            None => {}
            Some(completions) => completions.tell(offset),
        }
        if let Some(place) = waiters.place() {
            self.queues.mark(&self.mapping, place);
        }
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
        if self.leases.any() && !self.ends_with_leases.swap(true, Ordering::Relaxed) {
            parked::count_ending(true);
        }
    }

    /// Whether its client may have sent releases that matter although it has ended.
    pub(super) fn has_leases_to_release(&self) -> bool {
        self.is_dead() && self.leases.any()
    }

    /// Fails if the client may not call this pool. Neither a pool's rights nor a client's user and
    /// groups ever change, so they are compared only once, unless the client uses many restricted
    /// pools.
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

    /// How many tasks it may have in flight under the limits of its user and its process.
    #[inline]
    pub(crate) fn share(&self) -> usize {
        self.share.load(Ordering::Relaxed)
    }

    /// Sets how many tasks it may have in flight.
    pub(crate) fn set_share(&self, tasks: usize) {
        self.share.store(tasks, Ordering::Relaxed);
    }

    /// True while none of its tasks may start, because of a limit on the workers' time.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Pauses or resumes it. Returns whether it was paused before.
    pub(crate) fn set_paused(&self, paused: bool) -> bool {
        self.paused.swap(paused, Ordering::Relaxed)
    }

    /// Records that the task at `offset` is suspended until it is woken or cancelled.
    pub(crate) fn note_suspended(&self, offset: u64, at: SuspendedAt) {
        lock(&self.suspended).insert(offset, at);
    }

    /// Records that the task at `offset` is no longer suspended there.
    pub(crate) fn forget_suspended(&self, offset: u64, at: SuspendedAt) {
        let mut suspended = lock(&self.suspended);
        // A client may, against the rules, submit a task that is in flight; then the entry belongs
        // to another run.
        if suspended.get(&offset) == Some(&at) {
            suspended.remove(&offset);
        }
    }

    /// Returns where the task at `offset` is suspended, if its client has asked to cancel it. Does
    /// so only once, so that a client that keeps asking costs others nothing.
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

    /// True if the header of a task at `offset` is inside the client's arena.
    #[inline]
    pub(crate) fn has_place_for_task(&self, offset: u64) -> bool {
        let layout = self.mapping.layout();
        offset >= layout.client_arena && offset <= layout.runtime_arena - HEADER
    }

    /// True if the client has asked to cancel its task at `offset`, for which
    /// [`has_place_for_task`](Self::has_place_for_task) must be true.
    pub(crate) fn asks_to_cancel(&self, offset: u64) -> bool {
        let at = offset + std::mem::offset_of!(chi_task, state_) as u64;
        // SAFETY: the task's header is inside the segment, by this function's contract, and entries
        // of rings have only offsets that are aligned to 64.
        let word = unsafe { self.mapping.word(at) };
        word.load(Ordering::Relaxed) & CHI_TASK_CANCEL != 0
    }

    /// True if there was no memory for a page of the segment.
    pub(crate) fn has_faulted(&self) -> bool {
        self.guard.has_faulted()
    }

    /// Allocates a block that the client can see.
    pub(crate) fn alloc(&self, size: u64) -> Result<(u64, u64), NoRoom> {
        let results = &mut *lock(&self.results);
        let touched = results.arena.touched();
        let block = results.arena.alloc(size).map_err(NoRoom::Segment)?;
        if results.arena.touched() > touched {
            if let Err(exhausted) = self.charge_results(results) {
                let freed = results.arena.free(block.0);
                debug_assert!(freed, "it was allocated just now");
                results.arena.forget_beyond(touched);
                return Err(NoRoom::Budget(exhausted));
            }
        }
        Ok(block)
    }

    /// Charges the memory that the arena now uses.
    #[cold]
    fn charge_results(&self, results: &mut Results) -> Result<(), Exhausted> {
        let cost = results.cost();
        // Leaves room for the results of other sessions.
        if cost > self.budget.most() / 2 {
            return Err(self.budget.exhausted(Use::Sessions));
        }
        results.charge.grow(cost.saturating_sub(results.charge.bytes()))
    }

    pub(crate) fn free(&self, blocks: &[u64]) {
        let results = &mut *lock(&self.results);
        for &block in blocks {
            let freed = results.arena.free(block);
            debug_assert!(freed, "the runtime frees what it allocated, once");
        }
        if results.arena.live() == 0
            && results.arena.touched() > LITTLE_TOUCHED
            && self.budget.is_tight(Use::Sessions)
        {
            self.give_back_results(results);
        }
    }

    /// Gives the memory behind an empty arena back to the operating system.
    #[cold]
    fn give_back_results(&self, results: &mut Results) {
        let start = self.mapping.layout().runtime_arena;
        // This fails where memory cannot be given back; then the memory stays charged.
        if self.mapping.give_back(start, results.arena.touched()).is_ok() {
            results.arena.forget_beyond(0);
            results.charge.shrink_to(results.fixed);
        }
    }

    /// Holds blocks and leases until the client releases them, and returns the number of the hold. If the
    /// client has let too many pile up, or the budget has no room for another hold, frees the
    /// blocks, ends the leases and returns `None`.
    pub(crate) fn hold(&self, blocks: Vec<u64>, leases: Vec<Lease>) -> Option<u32> {
        let mut holds = lock(&self.holds);
        let number = match holds.free.pop() {
            Some(number) => number,
            None if holds.lists.len() < MAX_HOLDS && holds.charge.grow(HOLD_COST).is_ok() => {
                holds.lists.push(Hold::default());
                (holds.lists.len() - 1) as u32
            }
            None => {
                drop(holds);
                self.end_hold(Hold { blocks, leases, is_reserved: false });
                return None;
            }
        };
        holds.lists[number as usize] = Hold { blocks, leases, is_reserved: false };
        Some(number)
    }

    /// Ends a hold that the client has released. An invalid number is ignored.
    pub(crate) fn release(&self, number: u32) {
        let hold = {
            let mut holds = lock(&self.holds);
            let Some(hold) = holds.lists.get_mut(number as usize).map(std::mem::take) else {
                return;
            };
            if hold.is_free() {
                return;
            }
            holds.free.push(number);
            hold
        };
        self.end_hold(hold);
    }

    fn end_hold(&self, hold: Hold) {
        if !hold.blocks.is_empty() {
            self.free(&hold.blocks);
        }
        if !hold.leases.is_empty() {
            self.leases.end(hold.leases);
        }
    }

    /// The limit on the private copies of its tasks, in bytes.
    pub(crate) fn most_copies(&self) -> u64 {
        MAX_COPIES.min(self.budget.most() / 2)
    }

    /// Bytes of private copies of its tasks.
    pub(super) fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }

    /// Counts bytes that are about to be copied for a task that already has `own` bytes of copies.
    /// False if that would exceed the limit, unless no other task of the session has copies.
    pub(crate) fn count_copies(&self, bytes: u64, own: u64) -> bool {
        let before = self.copies.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= self.most_copies() || before <= own {
            return true;
        }
        self.copies.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Subtracts copies that have been freed.
    pub(crate) fn uncount_copies(&self, bytes: u64) {
        if bytes > 0 {
            self.copies.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes of the runtime's arena in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        lock(&self.results).arena.used_bytes()
    }

    /// Records that one of its submissions is postponed.
    pub(super) fn count_postponed(&self) {
        self.postponed.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that one of its submissions is no longer postponed.
    pub(super) fn uncount_postponed(&self) {
        self.postponed.fetch_sub(1, Ordering::Relaxed);
    }

    /// True while submissions of its client are postponed.
    pub(crate) fn has_postponed(&self) -> bool {
        self.postponed.load(Ordering::Relaxed) > 0
    }
}

/// The client may read what it has on lease for longer: as long as its process lives.
impl Drop for Session {
    fn drop(&mut self) {
        let holds = &mut *lock(&self.holds);
        let leases: Vec<Lease> =
            holds.lists.iter_mut().flat_map(|hold| std::mem::take(&mut hold.leases)).collect();
        if !leases.is_empty() {
            parked::park(self.caller.pid, leases);
        }
        if self.ends_with_leases.load(Ordering::Relaxed) {
            parked::count_ending(false);
        }
    }
}

fn too_much(why: Exhausted) -> Failure {
    Failure::new(CHI_NO_SPACE, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera_abi::CHI_DENIED;

    #[test]
    fn a_session_takes_over_what_another_has_allocated() {
        let session = |number| Session::without_client(number).expect("there is memory");
        let before = session(1);
        let block = |size| before.alloc(size).expect("there is room").0;
        let hold = |blocks| before.hold(blocks, Vec::new()).expect("there is room");
        let first = hold(vec![block(100), block(5000)]);
        let second = hold(vec![block(200_000)]);
        let third = hold(vec![block(64)]);
        before.release(second);
        let allocated = before.allocated();
        let after = session(2);
        after.take_over(&allocated).expect("it is valid");
        assert_eq!(after.allocated(), allocated);
        assert_eq!(after.used_bytes(), before.used_bytes());
        let more = after.alloc(64).expect("there is room").0;
        assert_eq!(after.hold(vec![more], Vec::new()), Some(second), "the number is free");
        [first, second, third].into_iter().for_each(|number| after.release(number));
        assert_eq!(after.used_bytes(), 0);

        let twice = Allocated {
            holds: [&allocated.holds[..], &allocated.holds[..]].concat(),
            ..allocated.clone()
        };
        let odd = Allocated { blocks: vec![(64, 64)], ..Allocated::default() };
        let both = Allocated { reserved: vec![first], ..allocated.clone() };
        let again = Allocated { reserved: vec![7, 7], ..Allocated::default() };
        let missing = Allocated { blocks: Vec::new(), ..allocated };
        for wrong in [twice, odd, both, again, missing] {
            assert_eq!(session(3).take_over(&wrong).expect_err("it is not").status, CHI_INVALID);
        }
    }

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
