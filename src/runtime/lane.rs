//! A lane: a private queue of a container, served by one worker at a time.
//!
//! One word says who serves the lane and how many tasks are in it (queued, running or suspended).
//! The task that finds the lane empty makes its worker the owner; the lane has that owner until the
//! last task has left. So a task that is resumed after a suspension still has the lane's worker to
//! itself.

use crossbeam_queue::SegQueue;

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const OWNER_SHIFT: u32 = 48;
const COUNT: u64 = (1 << OWNER_SHIFT) - 1;

/// Who serves a lane, and how many tasks are in it.
pub(crate) struct Turn {
    state: AtomicU64,
    notified: AtomicBool,
}

/// What entering a lane came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// The lane was empty; the worker that entered owns it now and runs the task.
    First,
    /// The lane is another's or busy: the task must be queued, and the owner must know of it.
    Behind { owner: u32 },
}

impl Turn {
    pub(crate) fn new() -> Turn {
        Turn { state: AtomicU64::new(0), notified: AtomicBool::new(false) }
    }

    /// Counts a task in, for worker `me`.
    #[inline]
    pub(crate) fn enter(&self, me: u32) -> Entered {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let first = state & COUNT == 0;
            let next = if first { u64::from(me) << OWNER_SHIFT | 1 } else { state + 1 };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if first => return Entered::First,
                Ok(_) => return Entered::Behind { owner: (state >> OWNER_SHIFT) as u32 },
                Err(found) => state = found,
            }
        }
    }

    /// Counts a task out. True when tasks are left, and the lane is still the caller's.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.state.fetch_sub(1, Ordering::AcqRel) & COUNT > 1
    }

    /// The worker that owns the lane, when there are tasks in it.
    pub(crate) fn owner(&self) -> Option<u32> {
        let state = self.state.load(Ordering::Acquire);
        (state & COUNT > 0).then_some((state >> OWNER_SHIFT) as u32)
    }

    /// After queueing a task behind another worker's: true when that worker must be told.
    pub(crate) fn must_notify(&self) -> bool {
        !self.notified.swap(true, Ordering::AcqRel)
    }

    /// The owner was told and looks into the queue from now on.
    pub(crate) fn note(&self) {
        self.notified.swap(false, Ordering::AcqRel);
    }
}

/// A lane of tasks of type `T`.
pub(crate) struct Lane<T> {
    pub(crate) turn: Turn,
    pub(crate) queue: SegQueue<T>,
    /// Owner only: a loop of the owner is taking tasks from the queue.
    serving: std::sync::atomic::AtomicBool,
    /// Owner only: the lane stands in its owner's list.
    listed: std::sync::atomic::AtomicBool,
}

impl<T> Lane<T> {
    pub(crate) fn new() -> Lane<T> {
        Lane {
            turn: Turn::new(),
            queue: SegQueue::new(),
            serving: std::sync::atomic::AtomicBool::new(false),
            listed: std::sync::atomic::AtomicBool::new(false),
        }
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn set_serving(&self, on: bool) {
        self.serving.store(on, std::sync::atomic::Ordering::Relaxed);
    }

    /// Marks the lane as listed; true when it was not.
    pub(crate) fn list(&self) -> bool {
        let was = self.listed.load(std::sync::atomic::Ordering::Relaxed);
        self.listed.store(true, std::sync::atomic::Ordering::Relaxed);
        !was
    }

    pub(crate) fn unlist(&self) {
        self.listed.store(false, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_its_first_worker_until_it_is_empty() {
        let turn = Turn::new();
        assert_eq!(turn.owner(), None);
        assert_eq!(turn.enter(3), Entered::First);
        assert_eq!(turn.enter(5), Entered::Behind { owner: 3 });
        assert!(turn.leave());
        assert_eq!(turn.owner(), Some(3));
        assert!(!turn.leave());
        assert_eq!(turn.enter(5), Entered::First);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    /// Two workers enter at the same time: one of them owns the lane alone until it is empty, and
    /// both tasks run.
    #[test]
    fn loom_one_worker_at_a_time_runs_tasks() {
        loom::model(|| {
            let turn = Arc::new(Turn::new());
            let queue = Arc::new(loom::sync::Mutex::new(0_u32));
            let ran = Arc::new(UnsafeCell::new(0_u32));
            let worker = |me: u32| {
                let (turn, queue, ran) = (turn.clone(), queue.clone(), ran.clone());
                move || {
                    if turn.enter(me) == Entered::First {
                        // SAFETY: what the model checks: nobody else is here.
                        ran.with_mut(|ran| unsafe { *ran += 1 });
                        while turn.leave() {
                            loop {
                                let mut queue = queue.lock().unwrap();
                                if *queue > 0 {
                                    *queue -= 1;
                                    break;
                                }
                                drop(queue);
                                loom::thread::yield_now();
                            }
                            // SAFETY: as above.
                            ran.with_mut(|ran| unsafe { *ran += 1 });
                        }
                    } else {
                        *queue.lock().unwrap() += 1;
                    }
                }
            };
            let other = loom::thread::spawn(worker(1));
            worker(2)();
            other.join().unwrap();
            // SAFETY: the other thread has ended.
            assert_eq!(ran.with(|ran| unsafe { *ran }), 2);
        });
    }
}
