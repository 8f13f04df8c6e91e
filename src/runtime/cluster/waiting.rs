//! What a task of a worker waits for, and another thread ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

use crate::coroutine::WaitsFor;
use crate::scheduler::{Shared, Worker};
use crate::sync::Waiter;
use crate::sys::lock;

struct State<T> {
    waiter: Option<Waiter>,
    result: Option<T>,
}

/// A result that is still to come.
pub(super) struct Waiting<T> {
    state: Mutex<State<T>>,
    /// Of the call or proposal; 0 until it has one. For whoever has the node.
    pub(super) number: AtomicU64,
}

impl<T> Waiting<T> {
    pub(super) fn new() -> Waiting<T> {
        Waiting {
            state: Mutex::new(State { waiter: None, result: None }),
            number: AtomicU64::new(0),
        }
    }

    /// Ends the wait. From any thread, once.
    pub(super) fn end(&self, shared: &Shared, result: T) {
        let waiter = {
            let mut state = lock(&self.state);
            state.result = Some(result);
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            shared.wake(waiter);
        }
    }

    /// Suspends the running task until the end, for which no other task is needed. `cancel` is called once if the
    /// task is cancelled meanwhile, and sees to it that the end comes.
    pub(super) fn wait(&self, worker: &Worker, cancel: impl Fn()) -> T {
        self.wait_for(worker, WaitsFor::Anyone, cancel)
    }

    /// As `wait`, but says what the task waits for, which may be another task.
    pub(super) fn wait_for(&self, worker: &Worker, what: WaitsFor, cancel: impl Fn()) -> T {
        let mut told = false;
        loop {
            {
                let mut state = lock(&self.state);
                if let Some(result) = state.result.take() {
                    return result;
                }
                state.waiter = Some(worker.prepare_wait());
            }
            if matches!(what, WaitsFor::Anyone) {
                // So this is no part of a deadlock.
                worker.context().bounded.set(true);
            }
            // It may have been cancelled between two waits.
            if !told && worker.is_cancelled() {
                told = true;
                cancel();
            }
            worker.suspend(what);
        }
    }

    pub(super) fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }
}
