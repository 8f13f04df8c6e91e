//! A worker's event loop: it switches between coroutines, reads messages, and serves timers, lanes
//! and rings in turn, until there is nothing to do; then it parks.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::{chi_task_node, CHI_ADMIN_POOL_MAJOR};

use super::abandon::end_abandoned;
use super::admission::{most_in_flight, worker_with_room};
use super::cancel;
use super::hand_over;
use super::hold;
use super::loot::Loot;
use super::mailbox::WorkerMessage;
use super::path::{self, LANE_BATCH};
use super::placement::{must_wait_long, on_lane_notified};
use super::queued;
use super::rings;
use super::role::Role;
use super::running::Running;
use super::shared::Shared;
use super::steal;
use super::task_list;
use super::timers::Timer;
use super::worker::{while_current, Worker};
use crate::coroutine::{stack, waits, Around, Coroutine, Crash, Pause};
use crate::log::{LineKind, Subject};
use crate::pool::ContainerLane;
use crate::session::{Ring, SessionRef};
use crate::sys::{lock, park, FloatingPoint, ThreadState, Use};
use crate::task::{CancelScope, Origin};

/// How many rounds without work pass between two readings of the clock.
const ROUNDS_PER_LOOK: u32 = 64;
/// How many of them pass before the core is offered to others, if this worker waits for another process, or
/// another process for this one.
const ROUNDS_PER_OFFER: u32 = 4;
/// Rounds between two looks at the doorbells of resting rings. A round with work counts as
/// `BUSY_ROUND`. Rounds may take long, so the watchdog also makes the worker look after each tick.
const ROUNDS_PER_BELL: u32 = 1024;
const BUSY_ROUND: u32 = 16;
/// How soon a worker with nothing else to do checks whether held-back submissions can proceed: twice as long after
/// each look in vain, up to the second.
const HELD_BACK_LOOK: Duration = Duration::from_millis(2);
const LAST_HELD_BACK_LOOK: Duration = Duration::from_millis(64);
/// How often a worker without memory for a stack checks whether there is some.
const STARVED_LOOK: Duration = Duration::from_millis(20);

/// A worker and the state of its loop.
struct Loop {
    worker: Worker,
    /// How many lanes of each list have been on it since the last counted round.
    old_lanes: Cell<(usize, usize)>,
    /// Rounds since the last look at the doorbells.
    rounds: Cell<u32>,
    /// The pause before the next look at held-back submissions.
    held_back_look: Cell<Duration>,
    /// How many tasks it had let in at the last one.
    let_in: Cell<u64>,
    /// The source of work that the current round has reached: one of the constants below, or 0.
    begun: Cell<usize>,
}

// The sources of work, in the order of a round. When a task is suspended, the next round begins
// after the source it came from, so that a source whose tasks are all suspended does not starve the
// others.
const PERIODIC: usize = 1;
const LANES: usize = 2;
/// The first of the rings.
const RINGS: usize = 3;
const HIGH_LATENCY_LANES: usize = usize::MAX;

/// Runs a worker on the calling thread, which `stack::prepare_thread` has prepared, until the
/// runtime ends.
pub(super) fn run(index: u32, shared: Arc<Shared>) {
    // The thread may have inherited other settings from the one that started it.
    FloatingPoint::reset();
    ThreadState::prepare_thread();
    park::prepare_thread();
    shared.run_queue(index).set_thread();
    let own = Rc::new(Loop {
        worker: Worker::new(index, shared.clone()),
        old_lanes: Cell::default(),
        rounds: Cell::new(0),
        held_back_look: Cell::new(HELD_BACK_LOOK),
        let_in: Cell::new(0),
        begun: Cell::new(0),
    });
    while_current(&own.worker, || switch_between_coroutines(&own));
}

// Coroutines ------------------------------------------------------------------------------------------

/// Runs on the thread's own stack, where it only chooses and resumes the next coroutine. Returns
/// when the runtime ends.
fn switch_between_coroutines(own: &Rc<Loop>) {
    let worker = &own.worker;
    let coroutines = &worker.coroutines;
    loop {
        let number = match coroutines.next() {
            Some(number) => number,
            None => match own.new_coroutine() {
                Ok(coroutine) => {
                    worker.shared.coroutines.fetch_add(1, Ordering::Relaxed);
                    coroutines.add(coroutine)
                }
                Err(error) => {
                    own.starve(&error);
                    if worker.shared.is_ending() && !coroutines.has_ready() {
                        return coroutines.forget_all();
                    }
                    continue;
                }
            },
        };
        show_suspended(worker);
        match coroutines.resume(number) {
            (coroutine, Ok(pause)) => {
                if !coroutines.put_back(number, coroutine, &pause) {
                    worker.shared.coroutines.fetch_sub(1, Ordering::Relaxed);
                }
            }
            (coroutine, Err(ended @ (stack::Ended::Overflowed | stack::Ended::Crashed))) => {
                coroutines.remove(number);
                worker.shared.coroutines.fetch_sub(1, Ordering::Relaxed);
                let crash = (ended == stack::Ended::Crashed).then(Crash::take).flatten();
                end_abandoned(worker, &coroutine, crash);
                // Other code may still refer to data on its stack: a subtask, say, or a device.
                std::mem::forget(coroutine);
            }
            (_, Err(stack::Ended::Spent)) => {
                coroutines.remove(number);
                worker.shared.coroutines.fetch_sub(1, Ordering::Relaxed);
            }
            // The body returned because the runtime is ending. Coroutines that are still waiting
            // belong to tasks that did not end in time.
            (_, Err(stack::Ended::Returned)) => {
                if coroutines.are_all_waiting() {
                    return coroutines.forget_all();
                }
            }
        }
    }
}

/// Shows the number of suspended tasks on the status page. Called before a coroutine is resumed:
/// the number changes at no other time.
fn show_suspended(worker: &Worker) {
    let line = &worker.shared.page().lines[worker.index as usize];
    line.suspended.store(worker.coroutines.in_use() as u64 - 1, Ordering::Relaxed);
}

/// How many tasks a worker describes.
const MOST_DESCRIBED: usize = 4;

impl Loop {
    /// A new coroutine that runs the loop, if there is memory for its stack.
    fn new_coroutine(self: &Rc<Self>) -> io::Result<Coroutine> {
        let shared = &self.worker.shared;
        let (budget, cost) = (shared.budget, shared.config.stack_cost());
        // Without a few coroutines, a task could not even wait for another one.
        let charge = match self.worker.coroutines.are_few() {
            true => budget.charge_anyway(Use::Stacks, cost),
            false => budget.charge(Use::Stacks, cost).map_err(io::Error::other)?,
        };
        let body = self.clone();
        Coroutine::new(shared.config.stack_size, charge, move || body.work())
    }

    /// Called when there is no memory for another coroutine. Until a suspended task can be resumed,
    /// or it is time to check for memory again, no task is accepted from the rings, and those in
    /// lanes are refused, because suspended tasks may be waiting for them.
    #[cold]
    fn starve(&self, error: &std::io::Error) {
        let worker = &self.worker;
        if let Some(left_out) = worker.shared.rate_limit.pass(LineKind::Starved, Subject::default())
        {
            let worker = worker.index;
            tracing::error!(worker, %error, left_out, "no memory for another task's stack");
        }
        worker.coroutines.set_starving(true);
        let look_again = Instant::now() + STARVED_LOOK;
        let is_time = || Instant::now() >= look_again;
        while !worker.coroutines.has_ready() && !worker.shared.is_ending() && !is_time() {
            std::thread::sleep(Duration::from_millis(1));
            self.end_waits(Instant::now());
            let mut others = Vec::new();
            while let Some(message) = worker.mailbox().take() {
                match message {
                    // This runs module code, which needs a coroutine.
                    WorkerMessage::Run(..) => others.push(message),
                    message => self.read(message),
                }
            }
            others.into_iter().for_each(|message| worker.mailbox().send(message));
            // Suspended tasks may be waiting for what a poller finds.
            if worker.pollers.are_armed() {
                self.poll();
            }
            // No task starts, but cancellations are read, and rings do not fill up.
            let mut ring = 0;
            while rings::poll(worker, ring, 0, &mut false) {
                ring += 1;
            }
            for high_latency in [false, true] {
                while let Some(lane) = self.next_lane(high_latency) {
                    path::serve(worker, lane, usize::MAX);
                }
            }
        }
        worker.coroutines.set_starving(false);
    }

    // The loop ----------------------------------------------------------------------------------------

    /// The loop, which runs on a coroutine. Returns when the runtime ends, the coroutine is
    /// retired, or its stack must not be used again.
    fn work(&self) -> stack::Ended {
        let worker = &self.worker;
        let is_host = worker.shared.hosts.daemon().is_some();
        let mut idle_rounds = 0;
        let mut idle_since: Option<Instant> = None;
        loop {
            if worker.context().spent.get() {
                return stack::Ended::Spent;
            }
            if worker.coroutines.has_ready() && !worker.coroutines.must_start_new() {
                worker.context().pause(Pause::Spare);
                if worker.context().retired.get() {
                    return stack::Ended::Returned;
                }
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            // Before the round: a round whose task is suspended does not return until that task has
            // ended.
            self.look_at_doorbells(if idle_rounds == 0 { BUSY_ROUND } else { 1 });
            // Before the round for the same reason.
            if worker.pollers.is_time() && self.poll() {
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            if self.round() {
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            let polled = worker.pollers.are_armed() && self.poll();
            // A poller that always finds something to do keeps the worker only while there are
            // suspended tasks.
            if worker.shared.is_ending() && !(polled && worker.coroutines.has_suspended()) {
                return stack::Ended::Returned;
            }
            if polled {
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            idle_rounds += 1;
            std::hint::spin_loop();
            if idle_rounds % ROUNDS_PER_OFFER == 0 && (is_host || worker.pollers.are_far()) {
                std::thread::yield_now();
            }
            if idle_rounds % ROUNDS_PER_LOOK == 0 {
                // Whoever this worker waits for may need its core.
                std::thread::yield_now();
                let since = *idle_since.get_or_insert_with(Instant::now);
                if (since.elapsed() >= worker.shared.config.spin || must_wait_long(worker))
                    && !self.is_due_soon()
                {
                    self.park();
                    (idle_rounds, idle_since) = (0, None);
                }
            }
        }
    }

    /// Calls the armed pollers. True if one of them had something to do.
    fn poll(&self) -> bool {
        let worker = &self.worker;
        let queue = worker.run_queue();
        worker.pollers.poll(worker.context(), |around| match around {
            Around::Enter(slot) => {
                queue.show(0, chi_task_node::default());
                queue.enter_module(Running::poller(slot));
            }
            Around::Leave => drop(queue.leave_module()),
        })
    }

    /// Checks every source of work once. True if there was any.
    #[inline]
    fn round(&self) -> bool {
        let worker = &self.worker;
        let mut busy = false;
        while let Some(message) = worker.mailbox().take() {
            busy = true;
            self.read(message);
        }
        if !worker.timers.is_empty() {
            busy |= self.end_waits(Instant::now());
            if worker.timers.are_many() {
                self.sweep_timers();
            }
        }
        let pauses = worker.coroutines.pauses();
        let was_suspended = || worker.coroutines.pauses() != pauses;
        let begun = match self.begun.get() {
            // That was the last source.
            HIGH_LATENCY_LANES => 0,
            begun => begun,
        };
        if begun < PERIODIC && !worker.run_queue().entries().periodic.is_empty() {
            self.begun.set(PERIODIC);
            busy |= self.run_periodic();
            if was_suspended() {
                return true;
            }
        }
        let (lanes, high_latency_lanes) = self.count_round();
        if begun < LANES {
            self.begun.set(LANES);
            for _ in 0..lanes {
                let Some(lane) = self.next_lane(false) else { break };
                busy = true;
                path::serve(worker, lane, LANE_BATCH);
                if was_suspended() {
                    return true;
                }
            }
        }
        let most = most_in_flight(worker);
        let mut index = (begun + 1).saturating_sub(RINGS);
        self.begun.set(RINGS + index);
        while rings::poll(worker, index, most, &mut busy) {
            if was_suspended() {
                return true;
            }
            index += 1;
            self.begun.set(RINGS + index);
        }
        if high_latency_lanes > 0 {
            self.begun.set(HIGH_LATENCY_LANES);
            // If there was other work, only the next task of one lane, so that low-latency tasks do
            // not have to wait; otherwise a batch from each lane.
            let (lanes, batch) = if busy { (1, 1) } else { (high_latency_lanes, LANE_BATCH) };
            busy = true;
            for _ in 0..lanes {
                let Some(lane) = self.next_lane(true) else { break };
                path::serve(worker, lane, batch);
                if was_suspended() {
                    return true;
                }
            }
        }
        self.begun.set(0);
        busy
    }

    /// Checks now and then whether the doorbell of a resting ring has rung, which a busy worker
    /// would not notice otherwise.
    #[inline]
    fn look_at_doorbells(&self, rounds: u32) {
        let rounds = self.rounds.get() + rounds;
        self.rounds.set(rounds);
        let queue = self.worker.run_queue();
        let has_ticked = queue.must_look_at_doorbells();
        if has_ticked {
            self.worker.measure_next();
        }
        if rounds >= ROUNDS_PER_BELL || has_ticked {
            self.rounds.set(0);
            queue.wake_rings();
            queued::end_if_due(&self.worker);
        }
    }

    /// Parks until a doorbell rings, a message arrives or a timer is due.
    #[cold]
    fn park(&self) {
        let worker = &self.worker;
        let shared = &worker.shared;
        let freed = worker.spare.take_freed();
        shared.freed_records.fetch_add(freed, Ordering::Relaxed);
        queued::end_if_due(worker);
        let mut must_park = worker.mailbox().park();
        let most = most_in_flight(worker);
        let is_full = |session: &SessionRef| {
            session.tasks_in_flight() >= most.min(session.share()) || worker.refuses(session.number)
        };
        let parked = worker.run_queue().park_rings(is_full);
        must_park &= parked.may_park && worker.pollers.rest();
        if must_park && !shared.is_ending() {
            let line = &shared.page().lines[worker.index as usize];
            line.parks.store(line.parks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            let rest = |at: Instant| at.saturating_duration_since(Instant::now());
            // Tasks may end on any worker, and none of them notifies this one.
            let pause = self.held_back_look.get();
            let held_back = parked.holds_back.then_some(pause);
            // What has been let in since is still here, or has ended.
            let let_in = worker.coroutines.in_use() as u64 + line.tasks.load(Ordering::Relaxed);
            let is_vain = self.let_in.replace(let_in) == let_in;
            self.held_back_look.set(match parked.holds_back && is_vain {
                true => (pause * 2).min(LAST_HELD_BACK_LOOK),
                false => HELD_BACK_LOOK,
            });
            let look = worker.looks.next().map(rest);
            let rest = self.next_timer().map(rest).into_iter().chain(held_back).chain(look).min();
            park::park_on_epoll(worker.run_queue().epoll(), rest);
        }
        worker.mailbox().unpark();
        worker.run_queue().unpark_rings();
        worker.set_clock();
        worker.measure_next();
        if parked.holds_back {
            self.pass_on_held_back(most);
        }
        shared.watchdog.wake();
    }

    /// Passes rings of sessions with few tasks in flight, which have to wait because of what others have suspended
    /// here, to a worker that has room.
    #[cold]
    fn pass_on_held_back(&self, most: usize) {
        let worker = &self.worker;
        let Some((other, few)) = worker_with_room(worker) else { return };
        let waits_here = |ring: &Ring| {
            let in_flight = ring.session.tasks_in_flight();
            (most..few).contains(&in_flight)
                && in_flight < ring.session.share()
                && !worker.refuses(ring.session.number)
        };
        for ring in steal::give_held_back(worker.run_queue(), waits_here) {
            self.held_back_look.set(HELD_BACK_LOOK);
            worker.shared.mailbox(other).send(WorkerMessage::AddRing(Box::new(ring)));
        }
    }

    // Messages ----------------------------------------------------------------------------------------

    fn read(&self, message: WorkerMessage) {
        let worker = &self.worker;
        match message {
            WorkerMessage::AddRing(ring) => rings::add(worker, *ring),
            WorkerMessage::DropSession { session } => {
                rings::drop_session(worker, session);
                cancel::cancel_here(worker, &CancelScope::Session(session));
            }
            WorkerMessage::Lane(lane) => on_lane_notified(worker, lane.0),
            WorkerMessage::Run(method, f) => self.run_as_task(method, f),
            WorkerMessage::Wake { coroutine, tag } => worker.coroutines.wake(coroutine, tag),
            WorkerMessage::ReportWaits(question) => {
                let mut found = Default::default();
                waits::collect(&worker.coroutines, worker.index, &mut found);
                let mut answers = lock(&question);
                answers.workers += 1;
                answers.found.waits.append(&mut found.waits);
                answers.found.held.append(&mut found.held);
            }
            WorkerMessage::DescribeWaits(ids, question) => {
                let own = ids.iter().filter(|id| id.worker == worker.index);
                let told =
                    own.filter_map(|id| Some((*id, waits::describe(&worker.coroutines, *id)?)));
                let told: Vec<_> = told.collect();
                let mut answers = lock(&question);
                answers.workers += 1;
                answers.found.extend(told);
            }
            WorkerMessage::DescribeTasks(pool, question) => {
                let told = waits::describe_tasks(&worker.coroutines, pool, MOST_DESCRIBED);
                let mut answers = lock(&question);
                answers.workers += 1;
                answers.found.extend(told);
            }
            WorkerMessage::ListTasks(asked, question) => {
                task_list::answer(worker, &asked, &question);
            }
            WorkerMessage::Measure => worker.look_what_to_measure(),
            WorkerMessage::BreakWait { id, circle } => cancel::break_wait(worker, id, circle),
            WorkerMessage::Cancel(scope) => cancel::cancel_here(worker, &scope),
            WorkerMessage::CancelTask { as_what, session, offset } => {
                cancel::cancel_task(worker, as_what, session, offset);
            }
            WorkerMessage::CancelMarked => cancel::cancel_marked(worker),
            WorkerMessage::RemovePollers { pool, container } => {
                worker.pollers.remove_of(pool, container);
            }
            WorkerMessage::GiveUp(question) => hand_over::give_up(worker, &question),
            WorkerMessage::AcceptHeld(held) => {
                let (tasks, question) = *held;
                hand_over::accept(worker, tasks, &question);
            }
            WorkerMessage::Hold(hold) => hold::begin(worker, &hold),
            WorkerMessage::Retry(pool) => hold::retry(worker, pool),
            WorkerMessage::Release(release) => hold::release(worker, &release),
            WorkerMessage::StealFrom { busy } => {
                let loot = steal::steal(&worker.shared, worker.index, busy);
                self.take_over(loot);
            }
            WorkerMessage::TakeOver(given) => self.take_over(*given),
            WorkerMessage::ShareWith { idle } => {
                let given = steal::share(worker.index, idle, worker.run_queue());
                let mailbox = worker.shared.mailbox(idle);
                given.into_iter().for_each(|message| mailbox.send(message));
            }
            WorkerMessage::Rest { to } => {
                let given = steal::give_all(worker.index, to, worker.run_queue());
                let mailbox = worker.shared.mailbox(to);
                given.into_iter().for_each(|message| mailbox.send(message));
            }
        }
    }

    /// Takes over work of another worker.
    fn take_over(&self, loot: Loot) {
        let worker = &self.worker;
        let Loot { rings, lanes, doorbells, periodic, runs } = loot;
        // The work was in transit when this worker came to rest.
        let other = match worker.run_queue().role() {
            Role::Resting => worker.shared.least_loaded(false, |_, _| ()),
            _ => None,
        };
        match other {
            Some(other) => {
                let given = Loot { rings, doorbells, periodic, ..Loot::default() };
                worker.shared.mailbox(other).send(WorkerMessage::TakeOver(Box::new(given)));
            }
            None => hold::take_over(worker, periodic, |worker| {
                // The doorbells first, so that those of the rings that follow are already watched.
                doorbells.into_iter().for_each(|set| rings::adopt(worker, set));
                rings.into_iter().for_each(|ring| rings::add(worker, ring));
            }),
        }
        lanes.into_iter().for_each(|lane| on_lane_notified(worker, lane.0));
        // Not immediately: this worker may have no coroutine to run them on.
        for (method, f) in runs {
            worker.mailbox().send(WorkerMessage::Run(method, f));
        }
    }

    /// Runs work of the runtime's own as a task: module code in it may wait and hold locks.
    fn run_as_task(&self, method: u32, f: Box<dyn FnOnce() + Send>) {
        let worker = &self.worker;
        let record = worker.spare.take(Origin::Internal);
        worker.context().record.set(std::ptr::from_ref(&*record).cast_mut());
        // Most of this is module code.
        worker.run_queue().show(0, record.node());
        worker.run_queue().enter_module(Running::method(CHI_ADMIN_POOL_MAJOR, method));
        f();
        worker.context().restore();
        worker.run_queue().leave_module();
        worker.context().record.set(std::ptr::null_mut());
        if !record.holdings.is_empty() {
            worker.release_locks(&record);
        }
        worker.recycle(record);
    }

    // Timers ------------------------------------------------------------------------------------------

    /// Ends the waits whose time is up. True if there was one.
    fn end_waits(&self, now: Instant) -> bool {
        let coroutines = &self.worker.coroutines;
        let mut any = false;
        while let Some(Timer { coroutine, wait }) = self.worker.timers.due(now) {
            any = true;
            coroutines.wake_exactly(coroutine, wait);
        }
        any
    }

    /// Runs the periodic tasks that are due. True if there was one.
    fn run_periodic(&self) -> bool {
        let worker = &self.worker;
        let (now, pauses) = (Instant::now(), worker.coroutines.pauses());
        // However many periodic tasks a client has, rings and lanes are served in between.
        for runs in 0..LANE_BATCH {
            let due = worker.run_queue().entries().periodic.due(now);
            let Some(number) = due else { return runs > 0 };
            path::run_again(worker, number);
            if worker.coroutines.pauses() != pauses {
                break;
            }
        }
        true
    }

    /// When the next timer or periodic task is due.
    fn next_timer(&self) -> Option<Instant> {
        let periodic = self.worker.run_queue().entries().periodic.next();
        periodic.into_iter().chain(self.worker.timers.next()).min()
    }

    /// Removes stale timers.
    #[cold]
    fn sweep_timers(&self) {
        let worker = &self.worker;
        worker.timers.sweep(|timer| worker.coroutines.is_waiting(timer.coroutine, timer.wait));
    }

    /// True if a timer is due so soon that parking is not worthwhile: waking up might take longer.
    #[cold]
    fn is_due_soon(&self) -> bool {
        let worker = &self.worker;
        let soon = worker.shared.config.spin;
        self.next_timer().is_some_and(|at| at.saturating_duration_since(Instant::now()) <= soon)
    }

    // Lanes -------------------------------------------------------------------------------------------

    /// Removes and returns the first lane of a list.
    #[inline]
    fn next_lane(&self, high_latency: bool) -> Option<*const ContainerLane> {
        let lane = self.worker.run_queue().entries().lanes_of(high_latency).pop_front()?;
        let (old, old_high) = self.old_lanes.get();
        self.old_lanes.set(match high_latency {
            true => (old, old_high.saturating_sub(1)),
            false => (old.saturating_sub(1), old_high),
        });
        Some(lane.0)
    }

    /// Counts a round once every lane that was listed at the last count has been served: by then
    /// the worker has finished with everything that it had seen before. Returns how many lanes are
    /// listed now.
    #[inline]
    fn count_round(&self) -> (usize, usize) {
        let entries = self.worker.run_queue().entries();
        let lanes = (entries.lanes.len(), entries.high_latency_lanes.len());
        drop(entries);
        let old = self.old_lanes.get();
        // Another worker may have stolen some of them.
        if old.0.min(lanes.0) == 0 && old.1.min(lanes.1) == 0 {
            self.worker.mailbox().count_round();
            self.old_lanes.set(lanes);
        }
        lanes
    }
}
