//! A worker: a thread that polls rings and lanes and runs tasks on fibers.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_ipc::ring::{Consumer, Entry};
use rustix::event::epoll;

use crate::container::ContainerLane;
use crate::fiber::{Context, Fiber, Pause};
use crate::record::{Origin, Record, Waiter};
use crate::session::Session;
use crate::shared::{Note, Order, PoolTable, Shared};

/// Entries taken from one ring before the next has its turn.
const RING_BATCH: usize = 32;
/// Tasks taken from one lane before the next has its turn.
pub(crate) const LANE_BATCH: usize = 32;
/// Records kept for reuse.
const SPARE_RECORDS: usize = 4096;
/// Fibers without a task that are kept; each has a stack.
const SPARE_FIBERS: usize = 256;
/// Tasks of one session under way that are few.
const FEW_IN_FLIGHT: usize = 256;
/// Rounds without work between two looks at the clock.
const ROUNDS_PER_LOOK: u32 = 64;

struct Ring {
    session: Arc<Session>,
    consumer: Consumer,
}

/// A worker. Used by its own thread only; what others may touch is its mailbox.
pub(crate) struct Worker {
    pub(crate) index: u32,
    pub(crate) shared: Arc<Shared>,
    rings: RefCell<Vec<Ring>>,
    /// Own lanes with tasks to start.
    lanes: RefCell<VecDeque<*const ContainerLane>>,
    fibers: RefCell<Vec<Option<Fiber>>>,
    /// Fibers whose tasks can go on.
    ready: RefCell<VecDeque<usize>>,
    /// Fibers without a task.
    spare: RefCell<Vec<usize>>,
    fiber_count: Cell<usize>,
    timers: RefCell<BinaryHeap<Reverse<(Instant, u32, u32)>>>,
    #[expect(clippy::vec_box, reason = "a record's address must not change")]
    pub(crate) records: RefCell<Vec<Box<Record>>>,
    table: RefCell<Arc<PoolTable>>,
    table_version: Cell<u64>,
    current_fiber: Cell<usize>,
    current: Cell<*const Context>,
    /// Counts pauses, so that a loop notices that it was away.
    pauses: Cell<u64>,
    /// Roots that have been given a number here.
    roots: Cell<u64>,
    /// For lanes without a monitor.
    pub(crate) lane_turn: Cell<usize>,
    /// For tasks that any container of their pool may run.
    pub(crate) container_turn: Cell<usize>,
    epoll: OwnedFd,
}

thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// The worker that this thread is.
#[inline]
pub(crate) fn current() -> Option<&'static Worker> {
    // SAFETY: set while the worker lives, on its own thread only; callers do not keep it beyond the
    // call that they serve.
    unsafe { WORKER.get().as_ref() }
}

/// Runs a worker until the runtime ends.
pub(crate) fn run(index: u32, shared: Arc<Shared>) -> std::io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    let own = shared.mailboxes[index as usize].descriptor();
    epoll::add(&epoll, own, epoll::EventData::new_u64(0), flags)?;
    let worker = Rc::new(Worker {
        index,
        shared,
        rings: RefCell::default(),
        lanes: RefCell::default(),
        fibers: RefCell::default(),
        ready: RefCell::default(),
        spare: RefCell::default(),
        fiber_count: Cell::new(0),
        timers: RefCell::default(),
        records: RefCell::default(),
        table: RefCell::default(),
        table_version: Cell::new(0),
        current_fiber: Cell::new(0),
        current: Cell::new(ptr::null()),
        pauses: Cell::new(0),
        roots: Cell::new(0),
        lane_turn: Cell::new(index as usize),
        container_turn: Cell::new(index as usize),
        epoll,
    });
    WORKER.set(Rc::as_ptr(&worker));
    let result = switch_between_fibers(&worker);
    WORKER.set(ptr::null());
    result
}

/// The thread's own stack: it does nothing but choose the next fiber.
fn switch_between_fibers(worker: &Rc<Worker>) -> std::io::Result<()> {
    loop {
        let next = worker.ready.borrow_mut().pop_front();
        let next = next.or_else(|| worker.spare.borrow_mut().pop());
        let number = match next {
            Some(number) => number,
            None => {
                let own = worker.clone();
                let fiber = match Fiber::new(worker.shared.config.stack_size, move || own.work()) {
                    Ok(fiber) => fiber,
                    Err(error) => {
                        worker.starve(&error);
                        continue;
                    }
                };
                let mut fibers = worker.fibers.borrow_mut();
                let free = fibers.iter().position(Option::is_none);
                let number = free.unwrap_or(fibers.len());
                if free.is_none() {
                    fibers.push(None);
                }
                fibers[number] = Some(fiber);
                worker.fiber_count.set(worker.fiber_count.get() + 1);
                number
            }
        };
        let mut fiber =
            worker.fibers.borrow_mut()[number].take().expect("a fiber on a list is not running");
        worker.current_fiber.set(number);
        worker.current.set(&*fiber.context);
        let paused = fiber.resume();
        worker.pauses.set(worker.pauses.get() + 1);
        match paused {
            Some(Pause::Spare) if worker.spare.borrow().len() >= SPARE_FIBERS => {
                fiber.context.retired.set(true);
                let left = fiber.resume();
                debug_assert!(left.is_none(), "a retired fiber's body returns");
                worker.fiber_count.set(worker.fiber_count.get() - 1);
            }
            Some(pause) => {
                worker.fibers.borrow_mut()[number] = Some(fiber);
                if matches!(pause, Pause::Spare) {
                    worker.spare.borrow_mut().push(number);
                }
            }
            // The body returned: the runtime ends. Fibers that still wait then are those whose tasks
            // did not end in time; their stacks are left as they are.
            None if worker.spare.borrow().is_empty() && worker.ready.borrow().is_empty() => {
                for fiber in worker.fibers.borrow_mut().drain(..).flatten() {
                    std::mem::forget(fiber);
                }
                return Ok(());
            }
            None => {}
        }
    }
}

impl Worker {
    /// The loop, on a fiber. Returns when the runtime ends.
    fn work(&self) {
        let mut idle_rounds = 0;
        let mut idle_since: Option<Instant> = None;
        loop {
            if !self.ready.borrow().is_empty() {
                self.context().pause(Pause::Spare);
                if self.context().retired.get() {
                    return;
                }
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            if self.round() {
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            if self.shared.is_ending() {
                return;
            }
            idle_rounds += 1;
            std::hint::spin_loop();
            if idle_rounds % ROUNDS_PER_LOOK == 0 {
                let since = *idle_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.shared.config.spin {
                    self.park();
                    (idle_rounds, idle_since) = (0, None);
                }
            }
        }
    }

    /// There is no memory for another fiber. Until a task that waits can go on, nothing new starts.
    #[cold]
    fn starve(&self, error: &std::io::Error) {
        tracing::error!(worker = self.index, %error, "no memory for another task's stack");
        while self.ready.borrow().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            self.ring_timers();
            // A note that is not about waiting may run a module's code, which needs a fiber.
            let mut others = Vec::new();
            while let Some(note) = self.mailbox().take() {
                match note {
                    Note::Wake { fiber, turn } => self.wake(fiber, turn),
                    other => others.push(other),
                }
            }
            others.into_iter().for_each(|note| self.mailbox().send(note));
        }
    }

    /// How many tasks of a session may be under way for more of them to be taken: the more tasks wait
    /// on this worker, the fewer.
    #[inline]
    fn most_in_flight(&self) -> usize {
        let config = &self.shared.config;
        if self.fiber_count.get() <= SPARE_FIBERS {
            return config.max_in_flight;
        }
        let waiting = self.fiber_count.get() - self.spare.borrow().len();
        let share = |of: usize| (of / config.workers).max(64);
        // Above this, only sessions with few tasks under way are served, so that one session's waiting
        // tasks do not keep the others out.
        let many = config.max_suspended / 7 * 5;
        if waiting <= share(many) {
            config.max_in_flight
        } else if waiting <= share(config.max_suspended) {
            FEW_IN_FLIGHT
        } else {
            0
        }
    }

    /// True when another task of this session may not wait here, too: others' would have no room.
    #[inline]
    pub(crate) fn has_too_many(&self, record: &Record) -> bool {
        if self.fiber_count.get() <= SPARE_FIBERS {
            return false;
        }
        match &record.origin {
            Origin::Client { session, .. } => {
                Arc::strong_count(session) > self.most_in_flight().max(FEW_IN_FLIGHT)
            }
            Origin::Internal => false,
        }
    }

    /// Looks everywhere once. True when there was something to do.
    #[inline]
    fn round(&self) -> bool {
        let mut busy = false;
        while let Some(note) = self.mailbox().take() {
            busy = true;
            self.note(note);
        }
        self.mailbox().count_round();
        if !self.timers.borrow().is_empty() {
            busy |= self.ring_timers();
        }
        let pauses = self.pauses.get();
        let lanes = self.lanes.borrow().len();
        for _ in 0..lanes {
            let Some(lane) = self.lanes.borrow_mut().pop_front() else { break };
            busy = true;
            self.serve(lane);
            if self.pauses.get() != pauses {
                return true;
            }
        }
        let most = self.most_in_flight();
        let mut index = 0;
        while most > 0 && self.poll_ring(index, most, &mut busy) {
            if self.pauses.get() != pauses {
                return true;
            }
            index += 1;
        }
        busy
    }

    /// Takes a batch from a ring. False when there is no ring of this index.
    #[inline]
    fn poll_ring(&self, index: usize, most: usize, busy: &mut bool) -> bool {
        let pauses = self.pauses.get();
        for _ in 0..RING_BATCH {
            let (entry, session) = {
                let mut rings = self.rings.borrow_mut();
                let Some(ring) = rings.get_mut(index) else { return false };
                if Arc::strong_count(&ring.session) > most {
                    return true;
                }
                let entry = ring.consumer.pop();
                match entry {
                    None => {
                        ring.consumer.show_progress();
                        return true;
                    }
                    Some(entry) => (entry, ring.session.clone()),
                }
            };
            *busy = true;
            match entry {
                Some(Entry::Submit { offset }) => self.take_in(session, offset),
                Some(Entry::Release { hold }) => session.release(hold),
                None => self.kill(&session, "wrote an entry into its ring that means nothing"),
            }
            if self.pauses.get() != pauses {
                return true;
            }
        }
        let mut rings = self.rings.borrow_mut();
        if let Some(ring) = rings.get_mut(index) {
            ring.consumer.show_progress();
        }
        true
    }

    pub(crate) fn kill(&self, session: &Arc<Session>, reason: &str) {
        session.set_dead();
        let order = Order::Kill { session: session.number, reason: reason.to_owned() };
        self.shared.order(order);
    }

    fn note(&self, note: Note) {
        match note {
            Note::Ring { session, consumer } => {
                let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
                let data = epoll::EventData::new_u64(session.number);
                match epoll::add(&self.epoll, &session.doorbell, data, flags) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {
                        self.rings.borrow_mut().push(Ring { session, consumer });
                    }
                    Err(error) => {
                        self.kill(&session, &format!("its doorbell cannot be watched: {error}"));
                    }
                }
            }
            Note::Drop { session } => {
                let mut rings = self.rings.borrow_mut();
                let mut gone = Vec::new();
                for index in (0..rings.len()).rev() {
                    if rings[index].session.number == session {
                        gone.push(rings.remove(index));
                    }
                }
                drop(rings);
                if let Some(ring) = gone.first() {
                    // It fails only when the doorbell was never added.
                    let _ = epoll::delete(&self.epoll, ring.session.doorbell.as_fd());
                }
            }
            Note::Lane(lane) => self.told_of(lane.0),
            Note::CreatePool { index, answer } => {
                let wanted = &self.shared.config.pools[index];
                // SAFETY: the table is the worker's, and this is its thread.
                let made = unsafe {
                    chimaera_ipc::admin::create_pool(
                        crate::ipc_table::worker_ipc(),
                        wanted.module.as_bytes(),
                        wanted.name.as_bytes(),
                        &wanted.params,
                        wanted.containers,
                    )
                };
                // It fails only when the start has been given up.
                let _ = answer.send(made.map(|_| ()).map_err(|(_, message)| message));
            }
            Note::CloseAll => {
                // What modules do at their end, they do as a task: it may hold locks.
                let record = self.record(Origin::Internal);
                self.context().record.set(std::ptr::from_ref(&*record).cast_mut());
                self.shared.pools.close_all(self);
                self.context().record.set(ptr::null_mut());
                if !record.holdings.is_empty() {
                    self.leave_locks(&record);
                }
                self.recycle(record);
                self.shared.order(Order::PoolsClosed);
            }
            Note::Wake { fiber, turn } => self.wake(fiber, turn),
            Note::LookAtLocks => self.wake_waiters_of_locks(),
        }
    }

    pub(crate) fn mailbox(&self) -> &crate::shared::Mailbox {
        &self.shared.mailboxes[self.index as usize]
    }

    /// Puts one of this worker's own lanes on the list, once.
    pub(crate) fn list(&self, lane: &ContainerLane) {
        if lane.list() {
            self.lanes.borrow_mut().push_back(lane);
        }
    }

    /// The pools that are open for tasks.
    #[inline]
    pub(crate) fn table(&self) -> std::cell::Ref<'_, Arc<PoolTable>> {
        let version = self.shared.table_version();
        if version != self.table_version.get() {
            *self.table.borrow_mut() = self.shared.table();
            self.table_version.set(version);
        }
        self.table.borrow()
    }

    /// The fiber that is running.
    #[inline]
    pub(crate) fn context(&self) -> &Context {
        // SAFETY: set before a fiber is resumed, and a fiber's context is boxed; the caller runs on
        // that fiber.
        unsafe { &*self.current.get() }
    }

    /// A record, fresh or used before.
    #[inline]
    pub(crate) fn record(&self, origin: Origin) -> Box<Record> {
        match self.records.borrow_mut().pop() {
            Some(mut record) => {
                record.renew(origin);
                record
            }
            None => Record::new(origin, 64).expect("a small body needs no memory of its own"),
        }
    }

    /// Takes a record back.
    #[inline]
    pub(crate) fn recycle(&self, mut record: Box<Record>) {
        record.clear();
        let mut records = self.records.borrow_mut();
        if records.len() < SPARE_RECORDS {
            records.push(record);
        }
    }

    /// A number for the root of a task, unique in the runtime and neither 0 nor the largest.
    pub(crate) fn fresh_root(&self) -> u64 {
        self.roots.set(self.roots.get() + 1);
        u64::from(self.index) << 54 | self.roots.get()
    }

    // Waiting ---------------------------------------------------------------------------------------

    /// Prepares a wait of the running fiber; `wait` then waits.
    pub(crate) fn prepare_wait(&self) -> Waiter {
        let context = self.context();
        context.turn.set(context.turn.get().wrapping_add(1));
        context.waiting.set(true);
        let fiber = self.current_fiber.get() as u32;
        Waiter { worker: self.index, fiber, turn: context.turn.get() }
    }

    /// Gives the wait up before it began.
    pub(crate) fn forget_wait(&self) {
        let context = self.context();
        context.turn.set(context.turn.get().wrapping_add(1));
        context.waiting.set(false);
    }

    /// Suspends the running task until its prepared wait is over. Its lane goes on without it.
    pub(crate) fn wait(&self) {
        let context = self.context();
        // SAFETY: the record of the running task lives until the task has ended.
        if let Some(record) = unsafe { context.record.get().as_ref() } {
            if !record.suspended.replace(true) {
                // SAFETY: null, or the lane that the task was started from, which is still in it.
                if let Some(lane) = unsafe { record.lane.as_ref() } {
                    lane.set_serving(false);
                    if !lane.queue.is_empty() {
                        self.list(lane);
                    }
                }
            }
        }
        context.pause(Pause::Waiting);
    }

    /// Ends the wait `turn` of a fiber of this worker.
    pub(crate) fn wake(&self, fiber: u32, turn: u32) {
        let fibers = self.fibers.borrow();
        let Some(Some(found)) = fibers.get(fiber as usize) else { return };
        if found.context.turn.get() == turn && found.context.waiting.replace(false) {
            self.ready.borrow_mut().push_back(fiber as usize);
        }
    }

    /// Has the fibers that wait for a lock look whether they still may.
    fn wake_waiters_of_locks(&self) {
        for (number, fiber) in self.fibers.borrow().iter().enumerate() {
            let Some(fiber) = fiber else { continue };
            if !fiber.context.lock.get().is_null() && fiber.context.waiting.replace(false) {
                self.ready.borrow_mut().push_back(number);
            }
        }
    }

    /// Ends a wait, on whichever worker.
    pub(crate) fn wake_waiter(&self, waiter: Waiter) {
        if waiter.worker == self.index {
            self.wake(waiter.fiber, waiter.turn);
        } else {
            let note = Note::Wake { fiber: waiter.fiber, turn: waiter.turn };
            self.shared.mailboxes[waiter.worker as usize].send(note);
        }
    }

    /// Ends the prepared wait at `at`, if nothing else does before.
    pub(crate) fn set_timer(&self, at: Instant, waiter: Waiter) {
        self.timers.borrow_mut().push(Reverse((at, waiter.fiber, waiter.turn)));
    }

    /// Suspends the running task for a time.
    pub(crate) fn sleep(&self, time: Duration) {
        let waiter = self.prepare_wait();
        self.set_timer(Instant::now() + time, waiter);
        self.wait();
    }

    /// Lets everything else have a turn.
    pub(crate) fn yield_now(&self) {
        let waiter = self.prepare_wait();
        self.set_timer(Instant::now(), waiter);
        self.wait();
    }

    fn ring_timers(&self) -> bool {
        let now = Instant::now();
        let mut rung = false;
        loop {
            let due = match self.timers.borrow().peek() {
                Some(Reverse(timer)) if timer.0 <= now => *timer,
                _ => return rung,
            };
            self.timers.borrow_mut().pop();
            self.wake(due.1, due.2);
            rung = true;
        }
    }

    /// Sleeps until a doorbell, a note or a timer.
    #[cold]
    fn park(&self) {
        let mut must_sleep = self.mailbox().park();
        for ring in self.rings.borrow_mut().iter_mut() {
            must_sleep &= ring.consumer.park();
        }
        if must_sleep && !self.shared.is_ending() {
            let line = &self.shared.page().lines[self.index as usize];
            line.parks.store(line.parks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            let next = self.timers.borrow().peek().map(|Reverse(timer)| timer.0);
            let timeout = next.map(|at| {
                let rest = at.saturating_duration_since(Instant::now());
                rustix::event::Timespec {
                    tv_sec: rest.as_secs() as i64,
                    tv_nsec: rest.subsec_nanos().into(),
                }
            });
            let mut events = [const { std::mem::MaybeUninit::uninit() }; 16];
            // The descriptors are never read: being edge-triggered, they tell of each ring once. An
            // interrupted wait is a reason to look around, like any event.
            let _ = epoll::wait(&self.epoll, &mut events, timeout.as_ref());
        }
        self.mailbox().unpark();
        for ring in self.rings.borrow_mut().iter_mut() {
            ring.consumer.unpark();
        }
    }

    /// Counts a completed task on the status page.
    #[inline]
    pub(crate) fn count(&self, failed: bool) {
        let line = &self.shared.page().lines[self.index as usize];
        line.tasks.store(line.tasks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if failed {
            line.failed.store(line.failed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}
