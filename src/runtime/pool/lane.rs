//! A lane: a private queue of a container, served by one worker at a time.
//!
//! One word says who serves the lane and how many tasks are in it (queued, running or suspended).
//! The task that finds the lane empty makes its worker the owner, or the one that it chooses. A lane
//! of which no task has started may go to another worker; once a task has been suspended, the lane
//! stays with its worker until that task has ended, so that a task that is resumed still has the
//! lane's worker to itself.

use std::ffi::c_void;
use std::ptr::NonNull;

use crossbeam_queue::SegQueue;

#[cfg(all(loom, test))]
use loom::sync::atomic::{fence, AtomicBool, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{fence, AtomicBool, AtomicU64, Ordering};

/// From this bit up: the owner.
const OWNER_SHIFT: u32 = 56;
/// The owner starts the lane's tasks, one after the other, just now.
const SERVED: u64 = 1 << 55;
/// From this bit up: tasks that have been suspended and have not ended.
const SUSPENDED_SHIFT: u32 = 32;
const SUSPENDED_ONE: u64 = 1 << SUSPENDED_SHIFT;
const SUSPENDED: u64 = SERVED - SUSPENDED_ONE;
/// Below: tasks in all.
const COUNT: u64 = SUSPENDED_ONE - 1;

/// Who serves a lane, and how many tasks are in it.
pub(crate) struct LaneState {
    word: AtomicU64,
    notified: AtomicBool,
}

/// What entering a lane came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// The lane was empty, and belongs to the worker that was named.
    First,
    /// The lane is another's or busy: the task must be queued, and its owner notified.
    Behind { owner: u32 },
}

impl LaneState {
    pub(crate) fn new() -> LaneState {
        LaneState { word: AtomicU64::new(0), notified: AtomicBool::new(false) }
    }

    /// Counts a task in. If it is the first, the lane becomes the worker `me`'s, and with `serve` that
    /// worker serves it from now on.
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

    /// Begins to serve the lane. False when it is not `me`'s, is served already, or has no task.
    #[must_use]
    #[inline]
    pub(crate) fn serve(&self, me: u32) -> bool {
        self.change(|state| {
            let mine = state >> OWNER_SHIFT == u64::from(me);
            (state & COUNT > 0 && mine && state & SERVED == 0).then_some(state | SERVED)
        })
    }

    /// Ends serving the lane, which the caller does.
    #[inline]
    pub(crate) fn stop_serving(&self) {
        self.word.fetch_and(!SERVED, Ordering::AcqRel);
    }

    /// The task that the caller serves is suspended; the caller does not serve the lane any more.
    #[inline]
    pub(crate) fn suspend(&self) {
        self.word.fetch_add(SUSPENDED_ONE.wrapping_sub(SERVED), Ordering::AcqRel);
    }

    /// Counts out the task that the caller served to its end. True when tasks are left; the caller then
    /// still serves the lane.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.word.fetch_sub(1, Ordering::AcqRel) & COUNT > 1
    }

    /// Counts out a task that had been suspended. True when tasks are left.
    #[must_use]
    #[inline]
    pub(crate) fn leave_suspended(&self) -> bool {
        self.word.fetch_sub(SUSPENDED_ONE + 1, Ordering::AcqRel) & COUNT > 1
    }

    /// Makes the lane `me`'s, when it has tasks and none of them has started.
    #[must_use]
    pub(crate) fn take_over(&self, me: u32) -> bool {
        self.change(|state| {
            let free = state & COUNT > 0 && state & (SERVED | SUSPENDED) == 0;
            free.then_some(state & COUNT | u64::from(me) << OWNER_SHIFT)
        })
    }

    #[inline]
    fn change(&self, next: impl Fn(u64) -> Option<u64>) -> bool {
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

    /// True when no task is in the lane.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.word.load(Ordering::Relaxed) & COUNT == 0
    }

    /// The worker that owns the lane, when there are tasks in it.
    #[inline]
    pub(crate) fn owner(&self) -> Option<u32> {
        let state = self.word.load(Ordering::Acquire);
        (state & COUNT > 0).then_some((state >> OWNER_SHIFT) as u32)
    }

    /// To be asked after a task was queued behind others: who must be notified. It may
    /// be another worker than the one that owned the lane before. `None` when a message is on its way, or the
    /// task has been found and has ended already.
    #[must_use]
    #[inline]
    pub(crate) fn owner_to_notify(&self, me: u32) -> Option<u32> {
        // Either this sees who has taken the lane over, or that worker sees the task.
        fence(Ordering::SeqCst);
        match self.owner()? {
            owner if owner == me => Some(me),
            owner => (!self.notified.swap(true, Ordering::AcqRel)).then_some(owner),
        }
    }

    /// A worker has been notified of the lane, or has taken it over: who must look into the queue now.
    #[must_use]
    pub(crate) fn on_notified(&self) -> Option<u32> {
        // First: whoever queues a task after this and finds no message to the owner on its way sends one.
        self.notified.swap(false, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.owner()
    }
}

/// A task in a lane. What it is, only who made it knows.
pub(crate) struct TaskHandle(pub(crate) NonNull<c_void>);

// SAFETY: whoever takes a task out of a lane is its only user.
unsafe impl Send for TaskHandle {}

/// A lane of a container.
pub(crate) type ContainerLane = Lane<TaskHandle>;

/// A lane on its way to its owner.
pub(crate) struct LanePtr(pub(crate) *const ContainerLane);

// SAFETY: a lane outlives the tasks in it, and whoever sends it says that there are some; its owner looks
// before it touches anything else.
unsafe impl Send for LanePtr {}

/// A lane of tasks of type `T`.
pub(crate) struct Lane<T> {
    pub(crate) state: LaneState,
    pub(crate) queue: SegQueue<T>,
    /// For tasks whose latency does not matter.
    pub(crate) high_latency: bool,
    /// The worker, counted from 1, in whose list the lane stands; 0 for none.
    listed: std::sync::atomic::AtomicU32,
}

impl<T> Lane<T> {
    pub(crate) fn new(high_latency: bool) -> Lane<T> {
        Lane {
            state: LaneState::new(),
            queue: SegQueue::new(),
            high_latency,
            listed: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// Marks the lane as listed by a worker; true when it was not.
    #[inline]
    pub(crate) fn list(&self, me: u32) -> bool {
        self.listed.swap(me + 1, std::sync::atomic::Ordering::AcqRel) != me + 1
    }

    /// The worker has taken the lane off its list.
    #[inline]
    pub(crate) fn unlist(&self, me: u32) {
        let order = std::sync::atomic::Ordering::AcqRel;
        // Another worker that has it listed meanwhile keeps it listed.
        let _ =
            self.listed.compare_exchange(me + 1, 0, order, std::sync::atomic::Ordering::Relaxed);
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

    struct Model {
        state: LaneState,
        queue: Mutex<u32>,
        ran: UnsafeCell<u32>,
    }

    // SAFETY: what the models check: only the worker that serves the lane runs tasks.
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
            // SAFETY: what the model checks: nobody else is here.
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

    /// Two workers enter at the same time: one of them owns the lane alone until it is empty, and
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

    /// A task is queued behind another while a worker that was notified of the lane takes it over: in the end
    /// both tasks have been found.
    #[test]
    fn loom_a_task_that_is_queued_during_a_takeover_is_found() {
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
            // The message arrives; and worker 1's own list led to the first task.
            if let Some(owner) = tell {
                look(&model, owner);
            }
            if let Some(owner) = model.state.owner() {
                assert_eq!(owner, 1, "the stealer has left tasks that nobody knows of");
                look(&model, 1);
            }
            // SAFETY: the other thread has ended.
            assert_eq!(model.ran.with(|ran| unsafe { *ran }), 2);
        });
    }

    /// A lane's owner finds a task, and ends it, before whoever queued it asks whom to tell. The next task
    /// is notified of as ever.
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
                // The lane had been left before the task came, which made worker 1 its owner anew.
                assert_eq!(owner, 1);
                model.drain();
            }
            if notified {
                assert_eq!(model.state.on_notified(), None, "the lane is empty");
            }
            assert_eq!(model.state.enter(1, false), Entered::First);
            assert_eq!(model.state.owner_to_notify(2), Some(1), "nobody has been notified");
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
}
