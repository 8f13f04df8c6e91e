//! The completion word of a task, `chi_task.state_`, shared by the waiting thread and the
//! completing worker.

use chimaera_abi::{
    CHI_TASK_COMPLETE, CHI_TASK_IN_FLIGHT, CHI_TASK_PARKED, CHI_TASK_PLACE_SHIFT, CHI_TASK_QUEUED,
};

use crate::sync::{AtomicU32, Ordering};

/// The state that a thread finds when it is about to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parking {
    /// The thread may sleep as long as the word has this value.
    Sleep(u32),
    /// The task is complete.
    Complete,
    /// The task was never submitted.
    Idle,
}

/// True when the task is complete; its body, status and message may then be read.
#[inline]
pub fn is_complete(word: &AtomicU32) -> bool {
    word.load(Ordering::Acquire) & CHI_TASK_COMPLETE != 0
}

/// Marks in the word that a thread sleeps on it.
pub fn park(word: &AtomicU32) -> Parking {
    let mut state = word.load(Ordering::Acquire);
    loop {
        if state & CHI_TASK_COMPLETE != 0 {
            return Parking::Complete;
        }
        if state & CHI_TASK_IN_FLIGHT == 0 {
            return Parking::Idle;
        }
        let parked = state | CHI_TASK_PARKED;
        match word.compare_exchange(state, parked, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Parking::Sleep(parked),
            Err(now) => state = now,
        }
    }
}

/// The state that a thread finds when it puts a task into a completion queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queueing {
    /// Whoever completes it will mark its place.
    Queued,
    /// The task is complete.
    Complete,
    /// The task was never submitted.
    Idle,
    /// The task is in a completion queue already.
    Busy,
}

/// Notes in the word that the task is in a completion queue, at this place.
pub fn queue(word: &AtomicU32, place: u32) -> Queueing {
    let mut state = word.load(Ordering::Acquire);
    loop {
        if state & CHI_TASK_COMPLETE != 0 {
            return Queueing::Complete;
        }
        if state & CHI_TASK_IN_FLIGHT == 0 {
            return Queueing::Idle;
        }
        if state & CHI_TASK_QUEUED != 0 {
            return Queueing::Busy;
        }
        let queued = state | CHI_TASK_QUEUED | place << CHI_TASK_PLACE_SHIFT;
        match word.compare_exchange(state, queued, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Queueing::Queued,
            Err(now) => state = now,
        }
    }
}

/// Notes in the word that the task is in no completion queue any more, unless it is complete.
pub fn unqueue(word: &AtomicU32) {
    let mut state = word.load(Ordering::Acquire);
    while state & CHI_TASK_IN_FLIGHT != 0 && state & CHI_TASK_QUEUED != 0 {
        let alone = state & ((1 << CHI_TASK_PLACE_SHIFT) - 1) & !CHI_TASK_QUEUED;
        match word.compare_exchange(state, alone, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => state = now,
        }
    }
}

/// Who has to be told that a task is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiters(u32);

impl Waiters {
    /// Whether there are any.
    #[inline]
    pub fn any(self) -> bool {
        self.0 & (CHI_TASK_PARKED | CHI_TASK_QUEUED) != 0
    }

    /// Whether threads sleep on the word.
    pub fn sleep(self) -> bool {
        self.0 & CHI_TASK_PARKED != 0
    }

    /// The place of the task in a completion queue, if it is in one.
    pub fn place(self) -> Option<u32> {
        (self.0 & CHI_TASK_QUEUED != 0).then_some(self.0 >> CHI_TASK_PLACE_SHIFT)
    }
}

/// Publishes the completion, with `bits` added to the word. Returns whom the caller must tell.
#[inline]
#[must_use]
pub fn complete(word: &AtomicU32, bits: u32) -> Waiters {
    Waiters(word.swap(CHI_TASK_COMPLETE | bits, Ordering::AcqRel))
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;

    /// A waiter sleeps only if it will be woken, and it sees everything that was written before the
    /// completion.
    #[test]
    fn loom_a_sleeper_is_always_woken() {
        loom::model(|| {
            let word = Arc::new(AtomicU32::new(CHI_TASK_IN_FLIGHT));
            let body = Arc::new(AtomicU32::new(0));
            let (their_word, their_body) = (word.clone(), body.clone());
            let worker = loom::thread::spawn(move || {
                their_body.store(7, Ordering::Relaxed);
                complete(&their_word, 0)
            });
            let parking = park(&word);
            let wakes = worker.join().unwrap();
            match parking {
                Parking::Sleep(_) => assert!(wakes.sleep(), "it sleeps for ever"),
                Parking::Complete => assert_eq!(body.load(Ordering::Relaxed), 7),
                Parking::Idle => panic!("it was submitted"),
            }
            assert!(is_complete(&word));
        });
    }
}
