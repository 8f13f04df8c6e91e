//! The completion word of a task that was created inside the runtime: whether it is in flight,
//! which coroutine waits for it, and whether it was deleted. They share one word, so that no thread
//! sees one of them change without the others.
//!
//! `chi_task.state_` shows modules the same state; this word is what decides.

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicU64, Ordering};

use super::waiter::Waiter;

const IN_FLIGHT: u64 = 1;
const COMPLETE: u64 = 2;
const DELETED: u64 = 4;
const FLAGS: u64 = IN_FLIGHT | COMPLETE | DELETED;
/// The bits of a waiter, all set in a word that is not in flight: the task was deleted.
const FREED: u64 = !FLAGS;
const _: () = assert!(FLAGS < 1 << Waiter::FREE_BITS);

/// What a coroutine that is about to wait finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parking {
    /// The completion will wake it.
    Parked,
    /// The task is complete.
    Complete,
    /// The task was never submitted.
    Idle,
    /// Another coroutine is already waiting for the task.
    Taken,
}

/// What the completing worker must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    /// Nothing: the task belongs to its owner again.
    Kept,
    /// Wake this waiter.
    Wake(Waiter),
    /// Free the task: it was deleted while in flight.
    Free,
}

/// What a deletion has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Deleted {
    /// The caller must free the task.
    Now,
    /// The task is freed when it completes.
    AtCompletion,
    /// The task was deleted before, and nobody has made it anew since: a mistake of its owner's.
    Again,
}

/// The completion word.
pub(crate) struct CompletionWord(AtomicU64);

impl CompletionWord {
    pub(crate) fn new() -> CompletionWord {
        CompletionWord(AtomicU64::new(0))
    }

    /// Resets the word for a new task: a client's task is in flight from the start.
    #[inline]
    pub(crate) fn renew(&self, in_flight: bool) {
        self.0.store(if in_flight { IN_FLIGHT } else { 0 }, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_in_flight(&self) -> bool {
        self.0.load(Ordering::Acquire) & IN_FLIGHT != 0
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Marks the task as submitted; a `forgotten` (fire-and-forget) task counts as deleted from the
    /// start. Only for the task's owner, while it is not in flight.
    #[inline]
    pub(crate) fn submit(&self, forgotten: bool) {
        self.0.store(IN_FLIGHT | if forgotten { DELETED } else { 0 }, Ordering::Release);
    }

    /// Makes the completion wake `waiter`, instead of an earlier wait of the same coroutine.
    #[inline]
    pub(crate) fn park(&self, waiter: Waiter) -> Parking {
        let mut state = self.0.load(Ordering::Acquire);
        loop {
            if state & COMPLETE != 0 {
                return Parking::Complete;
            }
            if state & IN_FLIGHT == 0 {
                return Parking::Idle;
            }
            if Waiter::unpack(state).is_some_and(|other| !waiter.is_same_coroutine(other)) {
                return Parking::Taken;
            }
            let parked = state & FLAGS | waiter.pack();
            match self.0.compare_exchange(state, parked, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Parking::Parked,
                Err(now) => state = now,
            }
        }
    }

    /// Removes the waiter, so that the completion does not wake it. True if the task is already
    /// complete.
    #[inline]
    pub(crate) fn leave(&self, waiter: Waiter) -> bool {
        let mut state = self.0.load(Ordering::Acquire);
        loop {
            if state & COMPLETE != 0 {
                return true;
            }
            if !Waiter::unpack(state).is_some_and(|other| waiter.is_same_coroutine(other)) {
                return false;
            }
            match self.0.compare_exchange(state, state & FLAGS, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return false,
                Err(now) => state = now,
            }
        }
    }

    /// Called by the coroutine that waited, once the task is complete. True if it must free the
    /// task, which was deleted meanwhile.
    #[inline]
    pub(crate) fn is_left_to_waiter(&self) -> bool {
        self.0.load(Ordering::Acquire) & DELETED != 0
    }

    /// Deletes the task.
    #[inline]
    pub(crate) fn delete(&self) -> Deleted {
        let mut state = self.0.load(Ordering::Acquire);
        while state & IN_FLIGHT != 0 {
            let deleted = state | DELETED;
            match self.0.compare_exchange(state, deleted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Deleted::AtCompletion,
                Err(now) => state = now,
            }
        }
        // Not `DELETED`: that tells whoever was woken to free the task.
        let before = self.0.fetch_or(FREED, Ordering::AcqRel);
        match before & DELETED != 0 || before & FREED == FREED {
            true => Deleted::Again,
            false => Deleted::Now,
        }
    }

    /// Marks the task as complete. From here on its owner may delete it, so it may be freed at any
    /// time.
    #[inline]
    pub(crate) fn complete(&self) -> Completed {
        let mut state = self.0.load(Ordering::Acquire);
        loop {
            let waiter = Waiter::unpack(state);
            match self.0.compare_exchange(
                state,
                COMPLETE | state & DELETED,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    return match waiter {
                        Some(waiter) => Completed::Wake(waiter),
                        None if state & DELETED != 0 => Completed::Free,
                        None => Completed::Kept,
                    }
                }
                Err(now) => state = now,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const FIRST: Waiter = Waiter { worker: 1, coroutine: 5, tag: 7 };

    #[test]
    fn one_coroutine_waits_at_a_time_with_as_many_waits_as_it_needs() {
        let word = CompletionWord::new();
        assert_eq!(word.park(FIRST), Parking::Idle);
        word.submit(false);
        assert_eq!(word.park(FIRST), Parking::Parked);
        assert_eq!(word.park(Waiter { coroutine: 6, ..FIRST }), Parking::Taken);
        let again = Waiter { tag: 8, ..FIRST };
        assert_eq!(word.park(again), Parking::Parked);
        assert_eq!(word.complete(), Completed::Wake(again));
        assert_eq!(word.park(again), Parking::Complete);
        assert!(word.leave(again) && word.is_complete() && !word.is_in_flight());
    }

    #[test]
    fn a_task_that_is_deleted_in_flight_is_freed_once() {
        let word = CompletionWord::new();
        assert_eq!(word.delete(), Deleted::Now, "it was never submitted");
        word.submit(true);
        assert_eq!(word.complete(), Completed::Free);
        word.submit(false);
        assert_eq!(word.delete(), Deleted::AtCompletion);
        assert_eq!(word.complete(), Completed::Free);
        assert_eq!(word.delete(), Deleted::Again);
        word.submit(false);
        assert_eq!(word.complete(), Completed::Kept);
        assert_eq!(word.delete(), Deleted::Now);
        assert_eq!(word.delete(), Deleted::Again);
        word.renew(false);
        assert_eq!(word.delete(), Deleted::Now);
    }

    /// Deleting a task that another coroutine waits for is a mistake, but nothing may hang because
    /// of it.
    #[test]
    fn a_waiter_frees_what_was_deleted_under_it() {
        let word = CompletionWord::new();
        word.submit(false);
        assert_eq!(word.park(FIRST), Parking::Parked);
        assert_eq!(word.delete(), Deleted::AtCompletion);
        assert_eq!(word.complete(), Completed::Wake(FIRST));
        assert!(word.is_complete() && word.is_left_to_waiter());
        assert_eq!(word.delete(), Deleted::Again);
        // It was woken, and has not looked yet.
        word.submit(false);
        assert_eq!(word.park(FIRST), Parking::Parked);
        assert_eq!(word.complete(), Completed::Wake(FIRST));
        assert_eq!(word.delete(), Deleted::Now);
        assert!(word.leave(FIRST) && !word.is_left_to_waiter());
        assert_eq!(word.delete(), Deleted::Again);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    fn waiter(tag: u32) -> Waiter {
        Waiter { worker: 1, coroutine: 5, tag }
    }

    /// While the task completes, `end` ends a wait for it and the coroutine waits again. Either the
    /// completion wakes the current wait, or the coroutine sees the completion itself. The
    /// completion never wakes the wait that has ended while the newer one sleeps for ever.
    fn wakes_the_current_wait(end: fn(&CompletionWord)) {
        loom::model(move || {
            let word = Arc::new(CompletionWord::new());
            word.submit(false);
            let completer = {
                let word = word.clone();
                loom::thread::spawn(move || word.complete())
            };
            let mut last = word.park(waiter(1));
            if last == Parking::Parked {
                end(&word);
                last = word.park(waiter(2));
            }
            let completed = completer.join().unwrap();
            match last {
                Parking::Parked => assert_eq!(completed, Completed::Wake(waiter(2))),
                other => assert_eq!(other, Parking::Complete),
            }
            assert!(word.is_complete());
        });
    }

    /// The wait's own timeout ends it, and the method waits again.
    #[test]
    fn loom_a_completion_wakes_a_wait_after_one_that_was_left() {
        wakes_the_current_wait(|word| {
            word.leave(waiter(1));
        });
    }

    /// A cancellation or a stray wake-up ends the wait inside a call that goes on waiting, which
    /// replaces its waiter in place.
    #[test]
    fn loom_a_completion_wakes_a_wait_that_replaced_another() {
        wakes_the_current_wait(|_| {});
    }

    /// A task is deleted while it completes: exactly one side frees it.
    #[test]
    fn loom_a_task_is_freed_by_one_side() {
        loom::model(|| {
            let word = Arc::new(CompletionWord::new());
            word.submit(false);
            let completer = {
                let word = word.clone();
                loom::thread::spawn(move || word.complete())
            };
            let freed_here = word.delete() == Deleted::Now;
            let freed_there = completer.join().unwrap() == Completed::Free;
            assert!(freed_here != freed_there);
        });
    }
}
