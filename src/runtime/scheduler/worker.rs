//! A worker: what a thread that runs tasks owns, and how the running task waits.
//!
//! Only its own thread uses a worker; other threads use its mailbox and its run queue. The path of
//! tasks through it is in `path`, and its loop is in `event_loop`.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::status_page::WorkerLine;

use super::looks::Looks;
use super::mailbox::Mailbox;
use super::role::Role;
use super::run_queue::RunQueue;
use super::running::Running;
use super::shared::Shared;
use super::timers::{Timer, Timers};
use super::traced;
use crate::coroutine::{current_task, Context, Coroutines, Pause, Pollers, WaitsFor};
use crate::failure::Failure;
use crate::log::{log_task, LineKind, Subject};
use crate::metrics::{OwnCoarse, OwnMetrics};
use crate::pool::{Container, ContainerLane, PoolTable};
use crate::session::{SuspendedAs, SuspendedAt};
use crate::sync::{Held, Mode, Parking, Waiter};
use crate::task::{CancelReason, Record, SpareRecords};

/// A worker.
pub(crate) struct Worker {
    pub(crate) index: u32,
    pub(crate) shared: Arc<Shared>,
    pub(super) coroutines: Coroutines,
    pub(super) timers: Timers,
    pub(crate) spare: SpareRecords,
    /// The modules' pollers that this worker calls.
    pub(crate) pollers: Pollers,
    /// Chooses lanes in turn, for tasks that no monitor places.
    pub(super) next_lane: Cell<usize>,
    /// Chooses containers in turn, for tasks that any container of their pool may run.
    pub(super) next_container: Cell<usize>,
    /// Held tasks are being submitted again, in their order: none is behind those that are still here.
    pub(super) retries: Cell<bool>,
    /// Counts tasks, to choose which change the estimates of their methods.
    pub(super) samples: Cell<u32>,
    /// How many more tasks that are submitted inside the runtime are not in the sample of those that are measured.
    unmeasured: Cell<u32>,
    /// Which tasks are measured.
    measures: Cell<Measures>,
    coarse: OwnCoarse,
    /// Counts the bytes copied for clients' tasks: large bodies and nested vectors.
    pub(super) copied: Cell<u64>,
    /// True for a stand-by worker.
    pub(super) is_standby: bool,
    /// When to look for queued tasks that are to end.
    pub(super) looks: Looks,
    /// Points to the table in `own_table`.
    table: Cell<*const PoolTable>,
    own_table: RefCell<Arc<PoolTable>>,
    table_version: Cell<u64>,
    /// Its line of the status page, which is `shared`'s.
    line: *const WorkerLine,
    /// How many roots this worker has numbered.
    roots: Cell<u64>,
}

/// Which tasks a worker measures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measures {
    /// A sample.
    Sample,
    /// A sample, and the next one.
    Next,
    /// All of them.
    All,
}

thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
    /// The index of the worker for which this thread was started, also before and after it is that.
    static STARTED_FOR: Cell<Option<u32>> = const { Cell::new(None) };
}

/// The worker for which this thread was started. `[any thread, signal handlers]`
pub(super) fn started_for() -> Option<u32> {
    STARTED_FOR.get()
}

/// Notes for which worker this thread was started.
pub(super) fn set_started_for(index: u32) {
    STARTED_FOR.set(Some(index));
}

/// Calls `f` with the worker of this thread, if it has one.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    // SAFETY: the pointer is null, or points to a worker that lives until `while_current`, further
    // up on this thread, returns.
    f(unsafe { WORKER.get().as_ref() })
}

/// True if this thread is a worker.
#[inline]
pub(crate) fn is_current() -> bool {
    !WORKER.get().is_null()
}

/// Makes `worker` the worker of this thread while `f` runs.
pub(super) fn while_current(worker: &Worker, f: impl FnOnce()) {
    WORKER.set(worker);
    f();
    WORKER.set(ptr::null());
}

impl Worker {
    pub(super) fn new(index: u32, shared: Arc<Shared>) -> Worker {
        let is_standby = shared.is_standby(index);
        let spare = SpareRecords::new(shared.budget);
        let line = ptr::from_ref(&shared.page().lines[index as usize]);
        let kept = shared.config.spare_stacks(shared.budget);
        let measures_all = shared.metrics.must_measure_all();
        Worker {
            index,
            shared,
            coroutines: Coroutines::new(kept),
            timers: Timers::default(),
            spare,
            pollers: Pollers::default(),
            next_lane: Cell::new(index as usize),
            next_container: Cell::new(index as usize),
            retries: Cell::new(false),
            samples: Cell::new(0),
            unmeasured: Cell::new(0),
            coarse: OwnCoarse::default(),
            measures: Cell::new(if measures_all { Measures::All } else { Measures::Sample }),
            copied: Cell::new(0),
            is_standby,
            looks: Looks::default(),
            table: Cell::new(ptr::null()),
            own_table: RefCell::default(),
            table_version: Cell::new(0),
            line,
            roots: Cell::new(0),
        }
    }

    // Components --------------------------------------------------------------------------------------

    #[inline]
    pub(super) fn mailbox(&self) -> &Mailbox {
        self.shared.mailbox(self.index)
    }

    /// The rings and lanes that this worker serves.
    #[inline]
    pub(crate) fn run_queue(&self) -> &RunQueue {
        self.shared.run_queue(self.index)
    }

    /// Lists one of this worker's own lanes, unless it is already listed.
    #[inline]
    pub(super) fn list(&self, lane: &ContainerLane) {
        self.run_queue().list(self.index, lane);
    }

    /// The context of the running coroutine.
    #[inline]
    pub(crate) fn context(&self) -> &Context {
        self.coroutines.context()
    }

    /// The task that runs on this coroutine, if any.
    #[inline]
    pub(crate) fn running(&self) -> Option<&Record> {
        self.context().task()
    }

    /// The client whose task is running, as the subject of log lines about what it asks for.
    pub(crate) fn client_as_subject(&self) -> Subject {
        self.running().map_or(Subject::Runtime, Record::client_as_subject)
    }

    /// The container whose code is running, if any.
    pub(crate) fn container(&self) -> Option<&Container> {
        let context = self.context();
        // SAFETY: the pointer is null, or points to the container that the running task constructs,
        // and that task keeps the container's pool alive.
        let building = unsafe { context.building.get().as_ref() };
        let container = |task: &Record| {
            // SAFETY: the pointer is null, or points to the container in which the task is counted.
            unsafe { task.container.as_ref() }
        };
        building.or_else(|| current_task(context).and_then(container))
    }

    /// The pools that are open for tasks. Call this again after module code has run: that code may
    /// call this function, which may replace the table.
    #[inline]
    pub(super) fn table(&self) -> &PoolTable {
        let version = self.shared.table_version();
        if version != self.table_version.get() {
            self.renew_table(version);
        }
        // SAFETY: the worker keeps the table alive until this function is called again on this
        // thread and finds a newer one; by then the caller no longer uses the reference.
        unsafe { &*self.table.get() }
    }

    #[cold]
    fn renew_table(&self, version: u64) {
        let table = self.shared.table();
        self.table.set(Arc::as_ptr(&table));
        self.table_version.set(version);
        *self.own_table.borrow_mut() = table;
    }

    /// True if this is a stand-by worker and the session blocks as many workers as it may, or it starts no
    /// tasks at all.
    #[inline]
    pub(super) fn refuses(&self, session: u64) -> bool {
        self.is_standby && (self.attends() || self.shared.blocks_its_share(session))
    }

    /// True if this worker starts no tasks, because it has to be there when all others are blocked.
    pub(super) fn attends(&self) -> bool {
        self.run_queue().role() == Role::Attending
    }

    /// Returns a record to the spare ones.
    #[inline(always)]
    pub(crate) fn recycle(&self, record: Box<Record>) {
        self.spare.put(record);
    }

    /// What this worker counts.
    #[inline(always)]
    pub(super) fn metrics(&self) -> OwnMetrics<'_> {
        self.shared.metrics.of(self.index)
    }

    /// The time in ticks, as it was at the watchdog's last tick, or when this worker woke up.
    #[inline(always)]
    pub(super) fn about_now(&self) -> u64 {
        self.coarse.now(&self.shared.metrics.coarse)
    }

    /// The worker has woken up.
    pub(super) fn set_clock(&self) {
        self.coarse.set();
    }

    /// Makes the next task be measured, if that is possible.
    #[inline]
    pub(super) fn measure_next(&self) {
        if self.measures.get() == Measures::Sample {
            self.measures.set(Measures::Next);
        }
    }

    /// Looks whether every task is to be measured.
    pub(super) fn look_what_to_measure(&self) {
        let all = self.shared.metrics.must_measure_all();
        self.measures.set(if all { Measures::All } else { Measures::Sample });
    }

    /// Whether every task is measured.
    pub(super) fn measures_all(&self) -> bool {
        self.measures.get() == Measures::All
    }

    /// Whether the next task is to be measured, which is so once after each [`measure_next`](Self::measure_next), or always.
    #[inline]
    pub(super) fn must_measure_next(&self) -> bool {
        let measures = self.measures.get();
        if measures == Measures::Next {
            self.measures.set(Measures::Sample);
        }
        measures != Measures::Sample
    }

    /// Measures a task that is submitted inside the runtime, if it must be or is one of the sample: as many as of those
    /// in rings.
    #[inline]
    pub(super) fn measure_internal(&self, record: &mut Record) {
        match self.unmeasured.get() {
            0 => self.draw(),
            left => {
                self.unmeasured.set(left - 1);
                if self.must_measure_next() {
                    self.measure_submitted(record, true);
                }
                return;
            }
        }
        self.measure_submitted(record, false);
    }

    #[cold]
    fn measure_submitted(&self, record: &mut Record, chosen: bool) {
        record.timing.submit(chosen);
        if self.shared.metrics.tracer.is_on() {
            traced::submit(self.running(), record);
        }
    }

    /// Decides how many tasks are not measured before the next one is: 127 on average. The number differs from time
    /// to time, lest it be always the same task of a pattern that repeats.
    #[cold]
    fn draw(&self) {
        let next = self.samples.get().wrapping_mul(0x9e37_79b9) >> 25;
        self.unmeasured.set(64 + next);
    }

    /// Counts a completed task on the status page.
    #[inline(always)]
    pub(super) fn count_task(&self) {
        // SAFETY: `shared` keeps the page mapped.
        let line = unsafe { &*self.line };
        line.tasks.store(line.tasks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Counts, of the completed tasks, one that has failed.
    pub(super) fn count_failure(&self) {
        // SAFETY: as above.
        let line = unsafe { &*self.line };
        line.failed.store(line.failed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The number of a task's root: unique in the runtime, and neither 0 nor the largest value.
    pub(crate) fn root_of(&self, record: &Record) -> u64 {
        if record.holdings.root() == 0 {
            self.roots.set(self.roots.get() + 1);
            record.holdings.renew(u64::from(self.index) << 54 | self.roots.get());
        }
        record.holdings.root()
    }

    /// Releases all locks that a task still holds at its end.
    #[cold]
    pub(super) fn release_locks(&self, record: &Record) {
        for Held { lock, times } in record.holdings.take() {
            let subject = record.log_subject();
            if let Some(left_out) = self.shared.rate_limit.pass(LineKind::LockLeft, subject) {
                log_task!(
                    warn,
                    record.log_context(),
                    lock = lock.number(),
                    left_out,
                    "the method ended while it held a lock; the lock is released"
                );
            }
            let modes = [(times.shared, Mode::Shared), (times.exclusive, Mode::Exclusive)];
            for (_, mode) in modes.into_iter().filter(|(times, _)| *times > 0) {
                self.wake_all(lock.core.leave(self.root_of(record), mode));
            }
        }
    }

    // Waiting -----------------------------------------------------------------------------------------

    /// True if the running code may be suspended. Callbacks may not.
    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        self.context().callback.get().is_null()
    }

    /// Where the running task is when it is suspended: on the running coroutine.
    #[inline]
    pub(super) fn own_coroutine(&self) -> SuspendedAt {
        let as_what = SuspendedAs::Coroutine(self.coroutines.current());
        SuspendedAt { worker: self.index, as_what }
    }

    /// Prepares a wait of the running coroutine; `suspend` then begins it.
    pub(crate) fn prepare_wait(&self) -> Waiter {
        self.coroutines.prepare_wait(self.index)
    }

    /// Cancels the prepared wait before it begins.
    pub(crate) fn forget_wait(&self) {
        self.coroutines.forget_wait();
    }

    /// Sets a timer that ends the prepared wait of the running coroutine at `at`, unless it ends
    /// earlier.
    pub(crate) fn set_timer(&self, at: Instant) {
        let (coroutine, wait) = (self.coroutines.current(), self.context().wait.get());
        self.timers.set(at, Timer { coroutine, wait });
    }

    /// Suspends the running task until its prepared wait ends or the task is cancelled. Its lane
    /// goes on without it.
    #[inline(always)]
    pub(crate) fn suspend(&self, waits_for: WaitsFor) {
        let context = self.context();
        let code = self.run_queue().leave_module();
        let mut deadline = None;
        if let Some(record) = self.running() {
            let first = !record.suspended.get();
            if first {
                record.note_suspended(self.own_coroutine());
            }
            if record.look_for_cancellation().is_some() && !record.told.replace(true) {
                match waits_for {
                    WaitsFor::Anyone | WaitsFor::Time | WaitsFor::Lock(_) | WaitsFor::Far(_) => {
                        if first {
                            record.forget_suspended(self.own_coroutine());
                        }
                        self.forget_wait();
                        self.run_queue().enter_module(code);
                        return;
                    }
                    // SAFETY: the awaited record lives until the wait has ended.
                    WaitsFor::Task(child) => self.cancel_child(unsafe { &*child }),
                }
            }
            record.timing.suspend(first, self.about_now());
            if first && self.run_queue().is_busy() {
                self.note_busy(record, code);
            }
            if first {
                record.suspended.set(true);
                record.count_suspended(self.metrics());
                // SAFETY: the pointer is null, or points to the lane that the task was started
                // from, which the task, still counted in it, keeps alive.
                if let Some(lane) = unsafe { record.lane.as_ref() } {
                    lane.state.suspend();
                    if lane.has_queued() {
                        self.list(lane);
                    }
                }
            }
            if record.deadline.get().is_some() {
                context.bounded.set(true);
            }
            deadline = record.deadline.get().filter(|_| record.cancel_reason().is_none());
            if let Some(at) = deadline {
                self.set_timer(at);
            }
        }
        if !context.bounded.get() {
            self.run_queue().count_wait();
        }
        context.waits_for.set(waits_for);
        context.pause(Pause::Waiting);
        context.waits_for.set(WaitsFor::Anyone);
        context.bounded.set(false);
        if let Some(record) = self.running() {
            if deadline.is_some_and(|at| Instant::now() >= at) {
                record.cancel(CancelReason::Deadline);
            }
            self.run_queue().show_resumed(record.session, record.node());
            if record.timing.is_measured() {
                record.timing.resume();
                let tracer = &self.shared.metrics.tracer;
                if tracer.is_on() {
                    traced::waited(tracer, self.index, record, waits_for);
                }
            }
        }
        self.run_queue().enter_module(code);
    }

    /// A task that is suspended for the first time, and may have kept this worker busy until now, began before.
    #[cold]
    fn note_busy(&self, record: &Record, running: Running) {
        // SAFETY: `shared` keeps the page mapped.
        let ended = unsafe { &*self.line }.tasks.load(Ordering::Relaxed);
        if let Some(since) = self.run_queue().busy_since_with(running, ended) {
            let time = self.shared.start.elapsed().saturating_sub(since).as_nanos() as u64;
            record.timing.began_before(self.shared.metrics.ticks(time));
        }
    }

    /// Suspends the running task for `time`, or less if the task is cancelled meanwhile.
    pub(crate) fn sleep(&self, time: Duration) {
        // If the clock cannot represent the end, use one so far off that it makes no difference.
        let at = Instant::now().checked_add(time);
        self.sleep_until(at.unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 32)));
    }

    /// Lets other tasks, timers, lanes and rings be served.
    pub(crate) fn yield_now(&self) {
        self.sleep_until(Instant::now());
    }

    fn sleep_until(&self, at: Instant) {
        self.prepare_wait();
        self.set_timer(at);
        self.context().bounded.set(true);
        self.suspend(WaitsFor::Time);
    }

    /// Suspends the running task until another task, created inside the runtime, is complete, and
    /// then returns true; returns false if `until` passes first. The other task must live until
    /// this returns.
    ///
    /// # Errors
    /// The task was never submitted; another method is waiting for it; the running code cannot
    /// wait; or the running task is part of a deadlock.
    #[inline(always)]
    pub(crate) fn wait_for_task(
        &self,
        task: &Record,
        until: Option<Instant>,
    ) -> Result<bool, Failure> {
        let word = &task.completion;
        let mut parked = None;
        let ended = loop {
            if word.is_complete() {
                break Ok(true);
            }
            if !self.may_wait() {
                break Err(no_wait());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                if !word.is_in_flight() && !word.is_complete() {
                    break Err(never_submitted());
                }
                break Ok(false);
            }
            match self.running().and_then(Record::cancel_reason) {
                // The awaited task cannot end before this one does.
                Some(CancelReason::Deadlock) => break Err(CancelReason::Deadlock.failure()),
                Some(_) => self.cancel_child(task),
                None => {}
            }
            let waiter = self.prepare_wait();
            match word.park(waiter) {
                Parking::Parked => parked = Some(waiter),
                Parking::Complete => {
                    self.forget_wait();
                    break Ok(true);
                }
                Parking::Idle => {
                    self.forget_wait();
                    break Err(never_submitted());
                }
                Parking::Taken => {
                    self.forget_wait();
                    let why = "another method already waits for this task";
                    break Err(Failure::new(CHI_BUSY, why));
                }
            }
            if let Some(until) = until {
                self.set_timer(until);
            }
            self.context().bounded.set(until.is_some());
            self.suspend(WaitsFor::Task(task));
        };
        let Some(waiter) = parked else { return ended };
        if word.leave(waiter) && word.is_left_to_waiter() {
            // SAFETY: the task is complete and was deleted during this wait, so the waiter is its
            // last owner.
            self.recycle(unsafe { Box::from_raw(ptr::from_ref(task).cast_mut()) });
        }
        ended
    }

    /// Wakes a waiter on any worker.
    #[inline]
    pub(crate) fn wake(&self, waiter: Waiter) {
        if waiter.worker == self.index {
            self.coroutines.wake(waiter.coroutine, waiter.tag);
        } else {
            self.shared.wake(waiter);
        }
    }

    pub(crate) fn wake_all(&self, woken: Vec<Waiter>) {
        woken.into_iter().for_each(|waiter| self.wake(waiter));
    }

    // Cancellation ------------------------------------------------------------------------------------

    /// Cancels `child`, which the running task is waiting for, because the running task is
    /// cancelled.
    fn cancel_child(&self, child: &Record) {
        if child.cancel(CancelReason::Parent) {
            self.shared.cancel_marked();
        }
    }

    /// True if a waiting task must stop waiting.
    pub(crate) fn must_give_up(&self, record: &Record) -> bool {
        self.shared.is_stopping() && record.is_of_client()
            || record.look_for_cancellation().is_some()
    }

    /// True if the running task should end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.running().is_some_and(|record| self.must_give_up(record))
    }
}

/// The failure of a wait in module code that cannot wait.
pub(crate) fn no_wait() -> Failure {
    Failure::new(
        CHI_INVALID,
        "a monitor cannot wait, and neither can Del, an aggregation or a poller",
    )
}

/// The failure of a wait for a task that is neither in flight nor complete.
fn never_submitted() -> Failure {
    Failure::new(CHI_INVALID, "cannot wait: the task was never submitted")
}
