//! A lane: a private queue of a container, served by one worker at a time.
//!
//! One word records which worker owns the lane and how many tasks are in it (queued, running or
//! suspended). The worker that adds a task to an empty lane makes itself or another worker the
//! owner. Another worker may take over a lane while none of its tasks has started. Once a task has
//! been suspended, the lane stays with its worker until that task has ended, so that a resumed task
//! still has the lane's worker to itself.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::NonNull;

#[cfg(not(all(loom, test)))]
use crossbeam_queue::SegQueue;

#[cfg(all(loom, test))]
use self::loom_tests::Queue as SegQueue;
#[cfg(all(loom, test))]
use loom::sync::atomic::{fence, AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{fence, AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// From this bit up: the number of the worker that owns the lane.
const OWNER_SHIFT: u32 = 56;
/// The owner is serving the lane: it is starting its tasks, one after another.
const SERVED: u64 = 1 << 55;
/// From this bit up: the number of tasks that have been suspended and have not ended.
const SUSPENDED_SHIFT: u32 = 32;
const SUSPENDED_ONE: u64 = 1 << SUSPENDED_SHIFT;
const SUSPENDED: u64 = SERVED - SUSPENDED_ONE;
/// The low bits: the number of all tasks.
const COUNT: u64 = SUSPENDED_ONE - 1;

/// Which worker owns a lane, and how many tasks are in it.
pub(crate) struct LaneState {
    word: AtomicU64,
    notified: AtomicBool,
}

/// What kept the tasks of a lane from being taken before [`LaneState::keep_still`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Still {
    /// A task of the lane has started, and has not ended.
    Started,
    /// Nothing: now the lane looks as if its owner were serving it.
    Served,
}

/// The result of entering a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// The lane was empty, and now belongs to the given worker.
    First,
    /// The lane belongs to another worker or is busy: the task must be queued, and the owner
    /// notified.
    Behind { owner: u32 },
}

impl LaneState {
    pub(super) fn new() -> LaneState {
        LaneState { word: AtomicU64::new(0), notified: AtomicBool::new(false) }
    }

    /// Counts a task in. If it is the first, the lane now belongs to the worker `me`, and with
    /// `serve` that worker is serving it.
    #[inline]
    pub(crate) fn enter(&self, me: u32, serve: bool) -> Entered {
        let mut state = self.word.load(Ordering::Relaxed);
        let fresh = (u64::from(me) << OWNER_SHIFT) | (u64::from(serve) * SERVED) | 1;
        loop {
            let first = state & COUNT == 0;
            let next = if first { fresh } else { state + 1 };
            match self.word.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if first => return Entered::First,
                Ok(_) => return Entered::Behind { owner: (state >> OWNER_SHIFT) as u32 },
                Err(found) => state = found,
            }
        }
    }

    /// Begins to serve the lane. False if `me` does not own it, or if it is already being served or
    /// has no task.
    #[must_use]
    #[inline]
    pub(crate) fn serve(&self, me: u32) -> bool {
        self.change(|state| {
            let mine = state >> OWNER_SHIFT == u64::from(me);
            (state & COUNT > 0 && mine && state & SERVED == 0).then_some(state | SERVED)
        })
    }

    /// Ends serving the lane. Only for the worker that serves it.
    #[inline]
    pub(crate) fn stop_serving(&self) {
        self.word.fetch_and(!SERVED, Ordering::AcqRel);
    }

    /// Counts the task that the caller is running as suspended. The caller no longer serves the
    /// lane.
    #[inline]
    pub(crate) fn suspend(&self) {
        self.word.fetch_add(SUSPENDED_ONE.wrapping_sub(SERVED), Ordering::AcqRel);
    }

    /// Counts out the task that the caller has run to its end. True if tasks are left; then the
    /// caller still serves the lane.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.word.fetch_sub(1, Ordering::AcqRel) & COUNT > 1
    }

    /// Counts out a task that had been suspended. True if tasks are left.
    #[must_use]
    #[inline]
    pub(crate) fn leave_suspended(&self) -> bool {
        self.word.fetch_sub(SUSPENDED_ONE + 1, Ordering::AcqRel) & COUNT > 1
    }

    /// Makes `me` the owner, if the lane has tasks and none of them has started.
    #[must_use]
    pub(crate) fn take_over(&self, me: u32) -> bool {
        self.change(|state| {
            let free = state & COUNT > 0 && state & (SERVED | SUSPENDED) == 0;
            free.then_some(state & COUNT | u64::from(me) << OWNER_SHIFT)
        })
    }

    /// Keeps others from taking tasks out of the lane of `owner`, until [`let_go`](Self::let_go). The caller
    /// keeps that worker itself from its run queue meanwhile. `None` if the lane is not that worker's.
    pub(crate) fn keep_still(&self, owner: u32) -> Option<Still> {
        let mut still = None;
        self.change(|state| {
            let is_its = state & COUNT > 0 && state >> OWNER_SHIFT == u64::from(owner);
            still = match state & (SERVED | SUSPENDED) {
                _ if !is_its => None,
                0 => Some(Still::Served),
                _ => Some(Still::Started),
            };
            (still == Some(Still::Served)).then_some(state | SERVED)
        });
        still
    }

    /// Ends what `keep_still` began, and counts out tasks that were taken out meanwhile.
    pub(crate) fn let_go(&self, still: Still, taken_out: usize) {
        for _ in 0..taken_out {
            // An empty lane belongs to nobody.
            if !self.leave() {
                debug_assert_eq!(still, Still::Served, "the task that has started is left");
                return;
            }
        }
        if still == Still::Served {
            self.stop_serving();
        }
    }

    #[inline]
    fn change(&self, mut next: impl FnMut(u64) -> Option<u64>) -> bool {
        let mut state = self.word.load(Ordering::Acquire);
        while let Some(next) = next(state) {
            match self.word.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(found) => state = found,
            }
        }
        false
    }

    /// True if a task that was suspended has not ended.
    pub(crate) fn has_suspended(&self) -> bool {
        self.word.load(Ordering::Relaxed) & SUSPENDED != 0
    }

    /// True if no task is in the lane.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.word.load(Ordering::Relaxed) & COUNT == 0
    }

    /// The worker that owns the lane, if there are tasks in it.
    #[inline]
    pub(crate) fn owner(&self) -> Option<u32> {
        let state = self.word.load(Ordering::Acquire);
        (state & COUNT > 0).then_some((state >> OWNER_SHIFT) as u32)
    }

    /// Returns the worker to notify after a task was queued behind others. It may have become the
    /// owner since the task entered. `None` if a message is already on its way, or if the task has
    /// already been found and has ended.
    #[must_use]
    #[inline]
    pub(crate) fn owner_to_notify(&self, me: u32) -> Option<u32> {
        // Either this sees the worker that has taken the lane over, or that worker sees the task.
        fence(Ordering::SeqCst);
        match self.owner()? {
            owner if owner == me => Some(me),
            owner => (!self.notified.swap(true, Ordering::AcqRel)).then_some(owner),
        }
    }

    /// To be called by a worker that has been notified of the lane or has taken it over. Returns
    /// the worker that must now look into the queue.
    #[must_use]
    pub(crate) fn on_notified(&self) -> Option<u32> {
        // Cleared first, so that a task that is queued from now on sends its owner a new message.
        self.notified.swap(false, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.owner()
    }
}

/// A task in a lane: an opaque pointer, which only the room `task` can read.
pub(crate) struct TaskHandle(pub(crate) NonNull<c_void>);

// SAFETY: the handle owns its task, so the thread that takes it out of a lane is its only user.
unsafe impl Send for TaskHandle {}

/// A pointer to a lane, sent to the lane's owner.
pub(crate) struct LanePtr(pub(crate) *const ContainerLane);

// SAFETY: a lane outlives the tasks in it, and its pool outlives the messages about it: it is freed
// only after every worker has read the messages that it had then. The lane is shared state that any
// worker may access.
unsafe impl Send for LanePtr {}

/// A lane of a container.
pub(crate) struct ContainerLane {
    pub(crate) state: LaneState,
    queue: SegQueue<TaskHandle>,
    /// Tasks that were taken out of the queue and put back, and so are still the next ones; null if there are
    /// none.
    front: AtomicPtr<VecDeque<TaskHandle>>,
    /// The session of the first of them, which already blocks as many workers as it may; 0 for none.
    held_back: AtomicU64,
    /// The lane is for high-latency tasks.
    pub(crate) high_latency: bool,
    /// The worker, counted from 1, that has the lane in its list; 0 for none.
    listed: AtomicU32,
}

impl ContainerLane {
    pub(super) fn new(high_latency: bool) -> ContainerLane {
        ContainerLane {
            state: LaneState::new(),
            queue: SegQueue::new(),
            front: AtomicPtr::new(std::ptr::null_mut()),
            held_back: AtomicU64::new(0),
            high_latency,
            listed: AtomicU32::new(0),
        }
    }

    /// Adds a task behind the others.
    #[inline]
    pub(crate) fn push(&self, task: TaskHandle) {
        self.queue.push(task);
    }

    /// Takes the next task. For the worker that serves the lane.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskHandle> {
        if !self.front.load(Ordering::Acquire).is_null() {
            return self.pop_front();
        }
        self.queue.pop()
    }

    #[cold]
    fn pop_front(&self) -> Option<TaskHandle> {
        let mut front = self.take_front();
        let first = front.pop_front();
        self.put_front(front);
        first
    }

    /// Takes the tasks that were put back. For whoever may pop.
    fn take_front(&self) -> VecDeque<TaskHandle> {
        self.held_back.store(0, Ordering::Relaxed);
        let front = self.front.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if front.is_null() {
            return VecDeque::new();
        }
        // SAFETY: `put_front` made the pointer from a box, and the swap has made this its only owner.
        *unsafe { Box::from_raw(front) }
    }

    /// Puts back what is now in front of the queue. For whoever may pop.
    fn put_front(&self, front: VecDeque<TaskHandle>) {
        if !front.is_empty() {
            self.front.store(Box::into_raw(Box::new(front)), Ordering::Release);
        }
    }

    /// Takes out the tasks for which `ends` is true; the others keep their order. For whoever may pop.
    pub(crate) fn take_out(&self, ends: impl FnMut(&TaskHandle) -> bool) -> VecDeque<TaskHandle> {
        let mut all = self.take_front();
        while let Some(task) = self.queue.pop() {
            all.push_back(task);
        }
        let (out, rest) = all.into_iter().partition(ends);
        self.put_front(rest);
        out
    }

    /// Calls `f` with the next tasks, at most `most`. For whoever may pop.
    pub(crate) fn peek(&self, most: usize, f: impl FnMut(&TaskHandle)) {
        let held_back = self.held_back.load(Ordering::Relaxed);
        let mut front = self.take_front();
        while front.len() < most {
            let Some(task) = self.queue.pop() else { break };
            front.push_back(task);
        }
        front.iter().take(most).for_each(f);
        self.put_front(front);
        self.held_back.store(held_back, Ordering::Relaxed);
    }

    /// Puts back the task that `pop` returned, because its session must not start it on this worker
    /// now, and stops serving the lane. True if the worker `to` then owns the lane and must be
    /// notified; otherwise another worker has taken the lane over. For the worker that serves the
    /// lane.
    #[must_use]
    pub(crate) fn hand_over(&self, to: u32, task: TaskHandle, session: u64) -> bool {
        let mut front = self.take_front();
        front.push_front(task);
        self.put_front(front);
        self.held_back.store(session, Ordering::Relaxed);
        self.state.stop_serving();
        self.state.take_over(to)
    }

    /// The session whose task is held back.
    pub(crate) fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// True if there is a task to take.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty() || !self.front.load(Ordering::Acquire).is_null()
    }

    /// Marks the lane as listed by the worker `me`; true if it was not listed by that worker.
    #[inline]
    pub(crate) fn list(&self, me: u32) -> bool {
        self.listed.swap(me + 1, Ordering::AcqRel) != me + 1
    }

    /// Records that the worker `me` has removed the lane from its list.
    #[inline]
    pub(crate) fn unlist(&self, me: u32) {
        let order = Ordering::AcqRel;
        // If another worker has listed it meanwhile, it stays listed there.
        let _ = self.listed.compare_exchange(me + 1, 0, order, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_its_first_worker_until_it_is_empty() {
        let lane = LaneState::new();
        assert_eq!(lane.owner(), None);
        assert_eq!(lane.enter(3, true), Entered::First);
        assert_eq!(lane.enter(5, true), Entered::Behind { owner: 3 });
        assert!(lane.leave());
        assert_eq!(lane.owner(), Some(3));
        assert!(!lane.leave());
        assert_eq!(lane.enter(255, true), Entered::First);
        assert_eq!(lane.owner(), Some(255));
    }

    #[test]
    fn a_task_that_is_held_back_is_there_to_take() {
        let lane = ContainerLane::new(false);
        assert_eq!(lane.state.enter(2, true), Entered::First);
        let mut task = 0;
        lane.push(TaskHandle(NonNull::from(&mut task).cast()));
        let taken = lane.pop().unwrap();
        assert!(!lane.has_queued());
        assert!(lane.hand_over(1, taken, 5));
        assert!(lane.has_queued() && lane.held_back() == 5 && lane.state.serve(1));
        assert!(lane.pop().is_some() && !lane.has_queued() && lane.held_back() == 0);
    }

    #[test]
    fn tasks_are_taken_out_of_a_lane() {
        let lane = ContainerLane::new(false);
        let mut tasks = [0, 1, 2, 3];
        let handles = tasks.each_mut().map(|task| NonNull::from(task).cast::<c_void>());
        assert_eq!(lane.state.enter(2, true), Entered::First);
        for _ in &handles[1..] {
            let _ = lane.state.enter(3, false);
        }
        handles.iter().for_each(|task| lane.push(TaskHandle(*task)));
        let first = lane.pop().unwrap();
        assert_eq!(lane.state.keep_still(1), None, "it is not that worker's");
        // The first task has started.
        assert_eq!(lane.state.keep_still(2), Some(Still::Started));
        let out = lane.take_out(|task| task.0 == handles[2]);
        assert!(out.len() == 1 && out[0].0 == handles[2]);
        lane.state.let_go(Still::Started, 1);
        // It is put back, and nothing has started.
        assert!(lane.hand_over(5, first, 0));
        assert_eq!(lane.state.keep_still(5), Some(Still::Served));
        assert!(!lane.state.take_over(6) && !lane.state.serve(5), "others have to wait");
        assert_eq!(lane.take_out(|task| task.0 == handles[0]).len(), 1);
        lane.state.let_go(Still::Served, 1);
        assert!(lane.has_queued() && lane.state.serve(5));
        let left = [lane.pop(), lane.pop()].map(|task| task.unwrap().0);
        assert_eq!(left, [handles[1], handles[3]]);
        assert!(lane.state.leave() && !lane.state.leave() && lane.pop().is_none());
    }

    #[test]
    fn a_lane_changes_its_worker_only_while_no_task_has_started() {
        let lane = LaneState::new();
        assert!(!lane.take_over(1), "it is empty");
        assert_eq!(lane.enter(0, false), Entered::First);
        assert_eq!(lane.enter(0, false), Entered::Behind { owner: 0 });
        assert!(lane.take_over(1));
        assert!(!lane.serve(0), "it is not 0's any more");
        assert!(lane.serve(1));
        assert!(!lane.serve(1) && !lane.take_over(2), "a task runs");
        lane.suspend();
        assert!(!lane.take_over(2), "a task is suspended");
        assert!(lane.serve(1));
        assert!(lane.leave());
        lane.stop_serving();
        assert!(!lane.take_over(2));
        assert!(!lane.leave_suspended());
        assert_eq!(lane.owner(), None);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Mutex};
    use std::collections::VecDeque;

    /// Stands in for a lane's queue, which loom does not instrument.
    pub(super) struct Queue<T>(Mutex<VecDeque<T>>);

    impl<T> Queue<T> {
        pub(super) fn new() -> Queue<T> {
            Queue(Mutex::new(VecDeque::new()))
        }

        pub(super) fn push(&self, entry: T) {
            self.0.lock().unwrap().push_back(entry);
        }

        pub(super) fn pop(&self) -> Option<T> {
            self.0.lock().unwrap().pop_front()
        }

        pub(super) fn is_empty(&self) -> bool {
            self.0.lock().unwrap().is_empty()
        }
    }

    struct Model {
        state: LaneState,
        queue: Mutex<u32>,
        ran: UnsafeCell<u32>,
    }

    // SAFETY: this is what the models check: only the worker that serves the lane runs tasks.
    unsafe impl Sync for Model {}
    // SAFETY: as above.
    unsafe impl Send for Model {}

    impl Model {
        fn new() -> Arc<Model> {
            Arc::new(Model {
                state: LaneState::new(),
                queue: Mutex::new(0),
                ran: UnsafeCell::new(0),
            })
        }

        fn run(&self) {
            // SAFETY: this is what the model checks: nothing else accesses the counter.
            self.ran.with_mut(|ran| unsafe { *ran += 1 });
        }

        fn push(&self) {
            *self.queue.lock().unwrap() += 1;
        }

        fn pop(&self) -> bool {
            let mut queue = self.queue.lock().unwrap();
            let some = *queue > 0;
            *queue -= u32::from(some);
            some
        }

        /// Serves the lane until it is empty, waiting for tasks that are being queued.
        fn drain(&self) {
            loop {
                if self.pop() {
                    self.run();
                    if !self.state.leave() {
                        return;
                    }
                } else {
                    loom::thread::yield_now();
                }
            }
        }
    }

    /// Two workers enter at the same time: only one of them owns the lane until it is empty, and
    /// both tasks run.
    #[test]
    fn loom_one_worker_at_a_time_runs_tasks() {
        loom::model(|| {
            let model = Model::new();
            let worker = |me: u32| {
                let model = model.clone();
                move || {
                    if model.state.enter(me, true) == Entered::First {
                        model.run();
                        if model.state.leave() {
                            model.drain();
                        }
                    } else {
                        model.push();
                    }
                }
            };
            let other = loom::thread::spawn(worker(1));
            worker(2)();
            other.join().unwrap();
            // SAFETY: the other thread has ended.
            assert_eq!(model.ran.with(|ran| unsafe { *ran }), 2);
        });
    }

    /// A task is queued behind another while a worker takes the lane over: in the end both tasks
    /// have been found.
    #[test]
    fn loom_a_task_that_is_queued_during_a_steal_is_found() {
        loom::model(|| {
            let model = Model::new();
            // Worker 1 owns the lane, with a task that has not started.
            assert_eq!(model.state.enter(1, false), Entered::First);
            model.push();
            let look = |model: &Model, me: u32| {
                if model.state.on_notified() == Some(me) && model.state.serve(me) {
                    let mut mine = true;
                    while mine && model.pop() {
                        model.run();
                        mine = model.state.leave();
                    }
                    if mine {
                        model.state.stop_serving();
                    }
                }
            };
            let stealer = {
                let model = model.clone();
                move || {
                    if model.state.take_over(2) {
                        look(&model, 2);
                    }
                }
            };
            let stealer = loom::thread::spawn(stealer);
            let tell = match model.state.enter(1, false) {
                Entered::First => {
                    model.push();
                    Some(1)
                }
                Entered::Behind { .. } => {
                    model.push();
                    model.state.owner_to_notify(1)
                }
            };
            stealer.join().unwrap();
            // The message arrives. Worker 1's own list leads it to the first task.
            if let Some(owner) = tell {
                look(&model, owner);
            }
            if let Some(owner) = model.state.owner() {
                assert_eq!(owner, 1, "the stealer has left tasks of which no worker knows");
                look(&model, 1);
            }
            // SAFETY: the other thread has ended.
            assert_eq!(model.ran.with(|ran| unsafe { *ran }), 2);
        });
    }

    /// A lane's owner finds a task and runs it before the worker that queued it asks whom to
    /// notify. The owner is still notified of the next task.
    #[test]
    fn loom_a_task_that_is_found_early_keeps_no_owner_from_being_notified_of_a_later_one() {
        loom::model(|| {
            let model = Model::new();
            // Worker 1 owns the lane, and serves it.
            assert_eq!(model.state.enter(1, true), Entered::First);
            model.push();
            let owner = {
                let model = model.clone();
                loom::thread::spawn(move || model.drain())
            };
            let _ = model.state.enter(1, true);
            model.push();
            let notified = model.state.owner_to_notify(2).is_some();
            owner.join().unwrap();
            if let Some(owner) = model.state.owner() {
                // The lane was already empty when the task entered, which made worker 1 its owner
                // again.
                assert_eq!(owner, 1);
                model.drain();
            }
            if notified {
                assert_eq!(model.state.on_notified(), None, "the lane is empty");
            }
            assert_eq!(model.state.enter(1, false), Entered::First);
            assert_eq!(model.state.owner_to_notify(2), Some(1), "no message is on its way yet");
        });
    }

    /// A worker takes the lane over while its owner begins to serve it: one of them runs the task.
    #[test]
    fn loom_a_lane_that_is_taken_over_is_served_once() {
        loom::model(|| {
            let model = Model::new();
            assert_eq!(model.state.enter(1, false), Entered::First);
            model.push();
            let stealer = {
                let model = model.clone();
                move || {
                    if model.state.take_over(2) && model.state.serve(2) {
                        model.drain();
                    }
                }
            };
            let stealer = loom::thread::spawn(stealer);
            if model.state.serve(1) {
                model.drain();
            }
            stealer.join().unwrap();
            // SAFETY: the other thread has ended.
            assert_eq!(model.ran.with(|ran| unsafe { *ran }), 1);
        });
    }

    /// A lane whose first task a stand-by worker must not start, and the tasks that have run.
    struct HeldBack {
        lane: ContainerLane,
        ran: UnsafeCell<Vec<usize>>,
    }

    // SAFETY: this is what the models check: only the worker that serves the lane runs tasks.
    unsafe impl Sync for HeldBack {}
    // SAFETY: as above.
    unsafe impl Send for HeldBack {}

    const SESSION: u64 = 5;

    fn handle(task: usize) -> TaskHandle {
        TaskHandle(NonNull::new(std::ptr::without_provenance_mut(task)).unwrap())
    }

    impl HeldBack {
        /// A lane with one task, owned and being served by the stand-by worker 2.
        fn new() -> Arc<HeldBack> {
            let model =
                HeldBack { lane: ContainerLane::new(false), ran: UnsafeCell::new(Vec::new()) };
            assert_eq!(model.lane.state.enter(2, true), Entered::First);
            model.lane.push(handle(1));
            Arc::new(model)
        }

        /// Worker 2 hands the lane to worker 1, which serves it when notified.
        fn hand_over(&self) {
            let first = self.lane.pop().expect("the task was queued before");
            if self.lane.hand_over(1, first, SESSION) {
                self.tell(1);
            }
        }

        /// The worker is notified of the lane; if another worker owns it, passes the message on.
        fn tell(&self, worker: u32) {
            match self.lane.state.on_notified() {
                Some(owner) if owner != worker => self.tell(owner),
                Some(_) if self.lane.has_queued() => self.serve(worker),
                _ => {}
            }
        }

        /// The worker reaches the lane in its list.
        fn serve(&self, worker: u32) {
            if !self.lane.state.serve(worker) {
                return;
            }
            while let Some(task) = self.lane.pop() {
                // SAFETY: this is what the model checks: nothing else accesses the list.
                self.ran.with_mut(|ran| unsafe { (*ran).push(task.0.addr().get()) });
                if !self.lane.state.leave() {
                    return;
                }
            }
            self.lane.state.stop_serving();
            if self.lane.has_queued() {
                self.serve(worker);
            }
        }

        fn check(&self, tasks: &[usize]) {
            assert_eq!(self.lane.state.owner(), None, "tasks are left of which no worker knows");
            // SAFETY: the other threads have ended.
            self.ran.with(|ran| assert_eq!(unsafe { &**ran }, tasks));
        }
    }

    /// A task is queued in a lane that is handed over because its first task is held back: both
    /// run, in order.
    #[test]
    fn loom_a_task_behind_one_that_is_held_back_is_found() {
        loom::model(|| {
            let model = HeldBack::new();
            let standby = {
                let model = model.clone();
                loom::thread::spawn(move || model.hand_over())
            };
            let entered = model.lane.state.enter(3, false);
            model.lane.push(handle(2));
            let tell = model.lane.state.owner_to_notify(3);
            standby.join().unwrap();
            match (entered, tell) {
                (Entered::First, _) => model.serve(3),
                (_, Some(owner)) => model.tell(owner),
                _ => {}
            }
            model.check(&[1, 2]);
        });
    }

    /// A task is taken out of a lane whose worker is away, while others add one and steal the lane: what is
    /// left is found, once, in order.
    #[test]
    fn loom_a_task_is_taken_out_of_a_lane_beside_others() {
        let mut builder = loom::model::Builder::new();
        // All interleavings of three threads would take too long.
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let model =
                HeldBack { lane: ContainerLane::new(false), ran: UnsafeCell::new(Vec::new()) };
            let model = Arc::new(model);
            // Worker 2 has the lane in its list, and is away.
            assert_eq!(model.lane.state.enter(2, false), Entered::First);
            model.lane.push(handle(1));
            let taker = {
                let model = model.clone();
                loom::thread::spawn(move || {
                    let Some(still) = model.lane.state.keep_still(2) else { return 0 };
                    let out = model.lane.take_out(|task| task.0.addr().get() == 1);
                    model.lane.state.let_go(still, out.len());
                    out.len()
                })
            };
            let stealer = {
                let model = model.clone();
                loom::thread::spawn(move || {
                    if model.lane.state.take_over(4) {
                        model.tell(4);
                    }
                })
            };
            let _ = model.lane.state.enter(3, false);
            model.lane.push(handle(2));
            let tell = model.lane.state.owner_to_notify(3);
            let taken_out = taker.join().unwrap();
            stealer.join().unwrap();
            match tell {
                Some(3) => model.serve(3),
                Some(owner) => model.tell(owner),
                None => {}
            }
            // Worker 2 is back.
            model.serve(2);
            model.check(if taken_out == 1 { &[2] } else { &[1, 2] });
        });
    }

    /// Another worker steals the lane at the same time: the held-back task is still the first.
    #[test]
    fn loom_a_task_that_is_held_back_stays_the_first() {
        loom::model(|| {
            let model = HeldBack::new();
            let _ = model.lane.state.enter(2, false);
            model.lane.push(handle(2));
            let standby = {
                let model = model.clone();
                loom::thread::spawn(move || model.hand_over())
            };
            if model.lane.state.take_over(4) {
                model.tell(4);
            }
            standby.join().unwrap();
            model.check(&[1, 2]);
        });
    }
}
