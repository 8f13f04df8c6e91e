//! A session: its socket, its segment, the client's arena, its rings.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{fence, AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use chimaera_ipc::arena::{Arena, Failed};
use chimaera_ipc::instance::Instance;
use chimaera_ipc::marks::{self, Marks};
use chimaera_ipc::published::PublishedView;
use chimaera_ipc::ring::Producer;
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::wire::{Kind, Message};
use chimaera_ipc::{clock, futex};
use rustix::io::Errno;

use crate::connect::{answer_bound, ask, gone, Asked, Link};
use crate::watcher::Watcher;

/// The number of tasks deleted in flight that triggers the first sweep.
const SWEEP_AT: usize = 16;

/// How long a thread that deletes a task waits for published memory to map.
const MAP_BOUND: Duration = Duration::from_millis(100);
/// How many numbers of its segments there are.
const MOST_NUMBERS: u64 = 1 << (CHI_SHM_PUBLISHED_SHIFT - CHI_SHM_OFFSET_BITS);

pub(crate) struct Session {
    instance: Instance,
    mapping: Mapping,
    doorbell: Arc<OwnedFd>,
    /// Requests hold the lock until their answer has come; the watcher waits for the hang-up
    /// without it.
    socket: Arc<OwnedFd>,
    watcher: Watcher,
    gone: Failure,
    clock_offset: i64,
    /// What to keep of `chi_task.status_` when a task is submitted that has a layout there: all or
    /// nothing.
    layout_mask: chi_status,
    /// Held by the thread that asks the runtime for something. The answer to a thread that has given up that is still to
    /// come, if there is one.
    asking: Mutex<Option<Kind>>,
    /// Whether the runtime knows completion queues.
    has_completions: bool,
    boards: Mutex<Boards>,
    arena: Mutex<Arena>,
    /// Rings of threads that have ended, for reuse by new threads.
    idle_rings: Mutex<Vec<Producer>>,
    /// Tasks that were deleted in flight.
    pending_frees: Mutex<Vec<u64>>,
    pending_free_count: AtomicUsize,
    /// How many pending frees make the next sweep worthwhile.
    sweep_at: AtomicUsize,
    /// Releases that could not be sent because the ring was full.
    unsent: Mutex<Vec<u32>>,
    unsent_count: AtomicUsize,
    /// For tasks that were submitted again: the number under which the runtime holds the blocks of
    /// the previous run, which are inputs now.
    kept: Mutex<HashMap<u64, u32>>,
    kept_count: AtomicUsize,
    /// The published memory that is mapped: results may be there.
    published: Mutex<Vec<Option<PublishedView>>>,
    /// It has been unmapped: results that the runtime left there when the session ended are gone.
    has_unmapped: AtomicBool,
    dead: AtomicBool,
}

/// The part of a completion queue that the runtime knows.
pub(crate) struct Board {
    pub(crate) number: u32,
    offset: u64,
    places: u32,
    /// Readable when a place was marked while the client rested, or when the runtime has hung up.
    pub(crate) bell: OwnedFd,
}

/// The fewest places that a completion queue has, so that others may use it afterwards.
const FEWEST_PLACES: u32 = 1024;

#[derive(Default)]
struct Boards {
    /// The number of the next one, if none is free.
    next: u32,
    free_numbers: Vec<u32>,
    /// How many blocks of the segment they take.
    blocks: u64,
    /// Those of completion queues that were deleted: a worker may still mark places in them.
    idle: Vec<Board>,
    /// To tell the queues of the session's end.
    nudges: Vec<Weak<OwnedFd>>,
}

/// What a block is for.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Task,
    Buffer,
    /// Belongs to the task at this offset, and is freed with it.
    BlockOf(u64),
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks can panic halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session whose handshake is complete.
    pub(crate) fn new(link: Link) -> Result<Session> {
        let Link {
            instance,
            socket,
            mapping,
            doorbell,
            clock_offset,
            compares_layouts,
            has_completions,
        } = link;
        let layout = mapping.layout();
        let arena = Arena::new(layout.client_arena, layout.runtime_arena - layout.client_arena);
        let gone = gone(
            &instance,
            "it has stopped, or has ended this session: `chimaera status` shows whether it is running, and its log why",
        );
        Ok(Session {
            instance,
            mapping,
            doorbell: Arc::new(doorbell),
            socket: Arc::new(socket),
            watcher: Watcher::new()?,
            gone,
            clock_offset,
            layout_mask: if compares_layouts { -1 } else { 0 },
            asking: Mutex::new(None),
            has_completions,
            boards: Mutex::default(),
            arena: Mutex::new(arena),
            idle_rings: Mutex::default(),
            pending_frees: Mutex::default(),
            pending_free_count: AtomicUsize::new(0),
            sweep_at: AtomicUsize::new(SWEEP_AT),
            unsent: Mutex::default(),
            unsent_count: AtomicUsize::new(0),
            kept: Mutex::default(),
            kept_count: AtomicUsize::new(0),
            published: Mutex::default(),
            has_unmapped: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        })
    }

    #[inline]
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Fails when the session is over.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_dead() {
            return Err(self.gone.clone());
        }
        Ok(())
    }

    /// The time on the runtime's monotonic clock `ns` nanoseconds from now.
    pub(crate) fn runtime_time_in(&self, ns: u64) -> u64 {
        clock::monotonic_ns().saturating_add_signed(self.clock_offset).saturating_add(ns)
    }

    pub(crate) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// The runtime has hung up: everything in flight is over.
    #[cold]
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        // A thread that submits finds the session dead afterwards, or its task is found here.
        fence(Ordering::SeqCst);
        let mut parked = Vec::new();
        let arena = lock(&self.arena);
        for task in arena.tasks() {
            if self.end_task(task) {
                parked.push(task);
            }
        }
        drop(arena);
        parked.into_iter().for_each(|task| futex::wake_all(self.state(task)));
        let nudges = {
            let boards = &mut *lock(&self.boards);
            boards.idle.clear();
            std::mem::take(&mut boards.nudges)
        };
        for nudge in nudges.into_iter().filter_map(|nudge| nudge.upgrade()) {
            // It fails only if the counter is full, and then it is readable anyway.
            let _ = rustix::io::write(&nudge, &1_u64.to_ne_bytes());
        }
        self.sweep();
        self.unmap_published();
    }

    /// Ends a task that no completion will ever come for. True when threads sleep until it
    /// completes.
    pub(crate) fn end_task(&self, task: u64) -> bool {
        let word = self.state(task);
        let mut state = word.load(Ordering::Acquire);
        while state & CHI_TASK_IN_FLIGHT != 0 {
            self.status(task).store(CHI_UNAVAILABLE, Ordering::Relaxed);
            match word.compare_exchange(
                state,
                CHI_TASK_COMPLETE,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return state & CHI_TASK_PARKED != 0,
                Err(now) => state = now,
            }
        }
        false
    }

    pub(crate) fn disconnect(&self) {
        // The runtime notices the hang-up. Other errors mean that the socket is already shut down.
        let ended = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        if let Err(Errno::BADF | Errno::NOTSOCK) = ended {
            self.be_cut_off();
        }
        self.dead.store(true, Ordering::Relaxed);
    }

    /// True while the application holds blocks in the segment.
    pub(crate) fn holds_tasks(&self) -> bool {
        let blocks = lock(&self.boards).blocks;
        lock(&self.arena).live() > blocks
    }

    /// Why this session can no longer be used.
    pub(crate) fn gone(&self) -> &Failure {
        &self.gone
    }

    /// A ring for a thread.
    pub(crate) fn ring(&self) -> Result<Producer> {
        if let Some(ring) = lock(&self.idle_rings).pop() {
            return Ok(ring);
        }
        let (answer, _) = self.request(&Message::new(Kind::Ring, &[]))?;
        Ok(self.ring_of(&answer))
    }

    fn ring_of(&self, answer: &Message) -> Producer {
        Producer::new(self.mapping.ring(answer.words[0]))
    }

    /// Asks the runtime for something. The answer is of the same kind.
    fn request(&self, question: &Message) -> Result<(Message, Vec<OwnedFd>)> {
        // Also for those who wait until others have asked.
        let bound = answer_bound();
        self.request_until(question, bound, lock(&self.asking))
    }

    /// The same until a time that may come soon. Fails at once if another thread is asking.
    fn request_by(&self, question: &Message, bound: Instant) -> Result<(Message, Vec<OwnedFd>)> {
        match self.asking.try_lock() {
            Ok(owed) => self.request_until(question, bound, owed),
            Err(_) => Err(Failure::new(CHI_BUSY, "another thread is asking the runtime")),
        }
    }

    fn request_until(
        &self,
        question: &Message,
        bound: Instant,
        mut owed: MutexGuard<'_, Option<Kind>>,
    ) -> Result<(Message, Vec<OwnedFd>)> {
        self.check()?;
        if let Some(kind) = *owed {
            let (answer, _) = self.ask(&mut owed, None, kind, bound)?;
            if kind == Kind::Ring {
                lock(&self.idle_rings).push(self.ring_of(&answer));
            }
        }
        self.ask(&mut owed, Some(question), question.kind, bound)
    }

    fn ask(
        &self,
        owed: &mut Option<Kind>,
        question: Option<&Message>,
        kind: Kind,
        bound: Instant,
    ) -> Result<(Message, Vec<OwnedFd>)> {
        let asked = ask(&self.instance, &self.socket, question, kind, bound);
        let asked = asked.inspect_err(|failure| {
            if failure.status == CHI_UNAVAILABLE {
                self.disconnect();
            }
        });
        // A runtime that is only slow still has the tasks of other threads: the session goes on.
        *owed = match &asked {
            Ok(Asked::Late { unsent: false }) => Some(kind),
            Ok(Asked::Late { unsent: true }) => *owed,
            Ok(Asked::Answered(..)) | Err(_) => None,
        };
        asked?.in_time(&self.instance)
    }

    /// The part of a completion queue that the runtime knows. `nudge` is rung when the session ends.
    pub(crate) fn board(&self, places: u32, nudge: &Arc<OwnedFd>) -> Result<Board> {
        if !self.has_completions {
            let why = "completion queues need a runtime with ABI 1.2 or later";
            return Err(Failure::new(CHI_VERSION, why));
        }
        let idle = {
            let boards = &mut *lock(&self.boards);
            boards.nudges.retain(|nudge| nudge.strong_count() > 0);
            boards.nudges.push(Arc::downgrade(nudge));
            let fits = boards.idle.iter().enumerate().filter(|(_, board)| board.places >= places);
            let best = fits.min_by_key(|(_, board)| board.places).map(|(at, _)| at);
            best.map(|at| boards.idle.swap_remove(at))
        };
        match idle {
            Some(board) => Ok(board),
            None => self.new_board(places.max(FEWEST_PLACES)),
        }
    }

    fn new_board(&self, places: u32) -> Result<Board> {
        let words = marks::words(places);
        let (offset, _) = self.alloc(8 * words as u64, What::Buffer)?;
        // SAFETY: the block is inside the segment, and has so many words.
        let memory = unsafe { self.mapping.double_words(offset, words) };
        memory.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let made = self.take_number().and_then(|number| {
            // Without the lock: if the runtime is gone, this ends the session, which takes it.
            let question = [number.into(), offset, places.into()];
            let answered = self.request(&Message::new(Kind::Completions, &question));
            if answered.as_ref().is_err_and(|failure| failure.status != CHI_UNAVAILABLE) {
                // It was refused: the runtime does not know it.
                self.give_number(number);
            }
            let bell = answered?.1.pop();
            let bell = bell.ok_or_else(|| Failure::new(CHI_UNAVAILABLE, "it has sent no bell"))?;
            Ok(Board { number, offset, places, bell })
        });
        if made.as_ref().is_err_and(|failure| failure.status != CHI_UNAVAILABLE) {
            self.free(offset);
        }
        made
    }

    /// A number for a completion queue whose block the runtime is about to know.
    fn take_number(&self) -> Result<u32> {
        let boards = &mut *lock(&self.boards);
        let number = boards.free_numbers.pop().unwrap_or(boards.next);
        if number >= CHI_MAX_COMPLETIONS {
            let why = format!(
                "completion queue limit ({CHI_MAX_COMPLETIONS} per session) reached: use one for \
                 more tasks, or delete one that is as large"
            );
            return Err(Failure::new(CHI_NO_SPACE, why));
        }
        boards.next = boards.next.max(number + 1);
        boards.blocks += 1;
        Ok(number)
    }

    fn give_number(&self, number: u32) {
        let boards = &mut *lock(&self.boards);
        boards.free_numbers.push(number);
        boards.blocks -= 1;
    }

    pub(crate) fn give_board(&self, board: Board) {
        if !self.is_dead() {
            lock(&self.boards).idle.push(board);
        }
    }

    /// The marks of a completion queue of this session.
    pub(crate) fn marks(&self, board: &Board) -> Marks<'_> {
        // SAFETY: the block is inside the segment, has so many words, and is never freed.
        let memory = unsafe { self.mapping.double_words(board.offset, marks::words(board.places)) };
        Marks::over(memory, board.places)
    }

    /// Maps the published memory that the runtime has for the client, so that it need not copy further results from there.
    /// Without an answer soon, they are copied, as before.
    #[cold]
    pub(crate) fn map_published(&self) {
        // If another thread is at it, that is enough.
        let Ok(mut views) = self.published.try_lock() else { return };
        let (mut told, bound) = ([0, 0], Instant::now() + MAP_BOUND);
        loop {
            let question = Message::new(Kind::Published, &told);
            let Ok((answer, mut fds)) = self.request_by(&question, bound) else { break };
            let [number, size, ..] = answer.words;
            if size == 0 || number >= MOST_NUMBERS {
                break;
            }
            let view = fds.pop().and_then(|fd| PublishedView::new(fd.as_fd(), size).ok());
            told = [1, view.as_ref().map_or(0, PublishedView::base)];
            // A number is used again when nothing of what it was for is on lease any more.
            let number = number as usize;
            if number >= views.len() {
                views.resize_with(number + 1, || None);
            }
            views[number] = view;
        }
        drop(views);
        if self.is_dead() {
            self.unmap_published();
        }
    }

    /// Unmaps published memory once the session is over and nothing there is on lease: it is that of a runtime which may
    /// have ended, and would stay as long as it is mapped.
    #[cold]
    pub(crate) fn unmap_published(&self) {
        // Whoever maps some looks afterwards.
        let Ok(mut views) = self.published.try_lock() else { return };
        // Before the look: what the runtime completes after that is not returned.
        self.has_unmapped.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let has_lease = |task| self.state(task).load(Ordering::Acquire) & CHI_TASK_ON_LEASE != 0;
        // A task that was submitted again still has what it got before.
        if !lock(&self.kept).is_empty() || lock(&self.arena).tasks().any(has_lease) {
            return self.has_unmapped.store(false, Ordering::SeqCst);
        }
        views.clear();
    }

    pub(crate) fn give_ring(&self, ring: Producer) {
        lock(&self.idle_rings).push(ring);
    }

    pub(crate) fn ring_doorbell(&self) {
        match rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes()) {
            // When the counter is at its maximum, the runtime is signalled anyway.
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(_) => self.be_cut_off(),
        }
    }

    /// The process has closed the session's descriptors: the runtime cannot be woken any more. Their numbers may be
    /// those of others by now, or soon, and so are never closed.
    #[cold]
    fn be_cut_off(&self) {
        self.end();
        if self.watcher.forsake() {
            for descriptor in [&self.doorbell, &self.socket] {
                std::mem::forget(descriptor.clone());
            }
        }
    }

    /// Allocates a block.
    #[inline]
    pub(crate) fn alloc(&self, size: u64, what: What) -> Result<(u64, u64)> {
        match self.try_alloc(size, what) {
            Ok(block) => Ok(block),
            Err(failed) => self.alloc_after_sweep(size, what, failed),
        }
    }

    /// Tries again, if that is worth it, after an allocation has failed.
    #[cold]
    fn alloc_after_sweep(&self, size: u64, what: What, failed: Failed) -> Result<(u64, u64)> {
        let mut found = Err(failed);
        if failed == Failed::Full && self.sweep() {
            found = self.try_alloc(size, what);
        }
        let layout = self.mapping.layout();
        let room = layout.runtime_arena - layout.client_arena;
        found.map_err(|failed| match failed {
            Failed::Full => Failure::new(
                CHI_NO_SPACE,
                format!(
                    "cannot allocate {size} bytes: the segment's {room} bytes for tasks and \
                     buffers are full; delete some, or open the session with a larger segment"
                ),
            ),
            Failed::TooLarge => Failure::new(
                CHI_TOO_LARGE,
                format!(
                    "cannot allocate {size} bytes: the segment has only {room} bytes for tasks and \
                     buffers; open the session with a larger segment"
                ),
            ),
        })
    }

    #[inline]
    fn try_alloc(&self, size: u64, what: What) -> std::result::Result<(u64, u64), Failed> {
        let mut arena = lock(&self.arena);
        let block = match what {
            What::Task => arena.alloc_task(size)?,
            What::Buffer | What::BlockOf(_) => arena.alloc(size)?,
        };
        if let What::BlockOf(owner) = what {
            let linked = arena.link(owner, block.0);
            debug_assert!(linked, "the owner is a live task of this session");
        }
        Ok(block)
    }

    /// Frees a block and the blocks linked to it. False when there is no block at this offset.
    pub(crate) fn free(&self, offset: u64) -> bool {
        lock(&self.arena).free(offset)
    }

    /// The completion word of the task at an offset.
    #[inline]
    pub(crate) fn state(&self, task: u64) -> &AtomicU32 {
        // SAFETY: `task` is the offset of a task of this session, which is aligned to 64, and the
        // field lies at a multiple of 4 in it.
        unsafe { self.mapping.word(task + std::mem::offset_of!(chi_task, state_) as u64) }
    }

    /// What `chi_task.status_` is at the submission of a task: without an outcome, but with the layout
    /// that the caller was built with, if the runtime knows what that is.
    #[inline]
    pub(crate) fn layout_in(&self, status: chi_status) -> chi_status {
        status.min(CHI_OK) & self.layout_mask
    }

    /// The status of a complete task of a session that is over.
    pub(crate) fn outcome(&self, task: u64) -> Option<chi_status> {
        let state = self.state(task).load(Ordering::Acquire);
        if state & CHI_TASK_ON_LEASE != 0 && self.has_unmapped.load(Ordering::SeqCst) {
            // The runtime has completed it when the session had ended.
            self.status(task).store(CHI_UNAVAILABLE, Ordering::Relaxed);
        }
        (state & CHI_TASK_COMPLETE != 0).then(|| self.status(task).load(Ordering::Relaxed))
    }

    /// The status of the task at an offset.
    fn status(&self, task: u64) -> &AtomicI32 {
        let word = task + std::mem::offset_of!(chi_task, status_) as u64;
        // SAFETY: as for `state`.
        unsafe { AtomicI32::from_ptr(self.mapping.address(word).cast().as_ptr()) }
    }

    /// Deletes a task once it is complete.
    pub(crate) fn defer_free(&self, task: u64) {
        let mut pending = lock(&self.pending_frees);
        pending.push(task);
        self.pending_free_count.store(pending.len(), Ordering::Relaxed);
    }

    /// True when enough tasks were deleted in flight that some are likely to be complete.
    #[inline]
    pub(crate) fn must_sweep(&self) -> bool {
        self.pending_free_count.load(Ordering::Relaxed) >= self.sweep_at.load(Ordering::Relaxed)
    }

    /// Frees the tasks that were deleted in flight and are complete now. True when there were any.
    pub(crate) fn sweep(&self) -> bool {
        let mut done = Vec::new();
        let mut pending = lock(&self.pending_frees);
        pending.retain(|&task| {
            let state = self.state(task).load(Ordering::Acquire);
            let over = state & CHI_TASK_COMPLETE != 0 || self.is_dead();
            if over {
                done.push((task, state));
            }
            !over
        });
        self.pending_free_count.store(pending.len(), Ordering::Relaxed);
        self.sweep_at.store(SWEEP_AT.max(2 * pending.len()), Ordering::Relaxed);
        drop(pending);
        for &(task, state) in &done {
            let kept = self.replace_kept(task, None);
            hold_of(state).into_iter().chain(kept).for_each(|hold| self.release_later(hold));
            let freed = self.free(task);
            debug_assert!(freed, "a task that was deleted in flight is a block in use");
        }
        !done.is_empty()
    }

    /// Remembers the blocks that the runtime holds for a task that is submitted again; `None` when
    /// the task is deleted. Returns those of the previous run, which can now be released.
    #[inline]
    pub(crate) fn replace_kept(&self, task: u64, hold: Option<u32>) -> Option<u32> {
        if hold.is_none() && self.kept_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut kept = lock(&self.kept);
        let before = match hold {
            Some(hold) => kept.insert(task, hold),
            None => kept.remove(&task),
        };
        self.kept_count.store(kept.len(), Ordering::Relaxed);
        before
    }

    /// Queues a release for the next thread whose ring has space.
    pub(crate) fn release_later(&self, hold: u32) {
        lock(&self.unsent).push(hold);
        self.unsent_count.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent_count.load(Ordering::Relaxed) != 0
    }

    /// Takes a queued release.
    pub(crate) fn take_unsent(&self) -> Option<u32> {
        let hold = lock(&self.unsent).pop()?;
        self.unsent_count.fetch_sub(1, Ordering::Relaxed);
        Some(hold)
    }
}

/// The number under which the runtime holds blocks for a complete task.
#[inline]
pub(crate) fn hold_of(state: u32) -> Option<u32> {
    (state & CHI_TASK_HAS_BLOCKS != 0).then_some(state >> CHI_TASK_HOLD_SHIFT)
}
