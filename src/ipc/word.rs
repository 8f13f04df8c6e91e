//! The completion word of a task, `chi_task.state_`, shared by the waiting thread and the
//! completing worker.

use chimaera_abi::{CHI_TASK_COMPLETE, CHI_TASK_IN_FLIGHT, CHI_TASK_PARKED};

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

/// Publishes the completion, with `bits` added to the word. True when threads are sleeping on the
/// word: the caller must wake them.
#[inline]
#[must_use]
pub fn complete(word: &AtomicU32, bits: u32) -> bool {
    word.swap(CHI_TASK_COMPLETE | bits, Ordering::AcqRel) & CHI_TASK_PARKED != 0
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
                Parking::Sleep(_) => assert!(wakes, "it sleeps for ever"),
                Parking::Complete => assert_eq!(body.load(Ordering::Relaxed), 7),
                Parking::Idle => panic!("it was submitted"),
            }
            assert!(is_complete(&word));
        });
    }
}
