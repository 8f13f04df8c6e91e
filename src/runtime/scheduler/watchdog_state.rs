//! Putting the watchdog to sleep and waking it.

use std::sync::atomic::{fence, AtomicBool, Ordering};
use std::sync::OnceLock;
use std::thread::Thread;
use std::time::Duration;

/// The watchdog's thread, and whether it is asleep.
#[derive(Default)]
pub(crate) struct WatchdogState {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

impl WatchdogState {
    /// Registers the calling thread as the watchdog. Must be called once.
    pub(crate) fn begin(&self) {
        assert!(self.thread.set(std::thread::current()).is_ok(), "there is one watchdog");
    }

    /// Wakes the watchdog, because a worker has woken up or the runtime ends. `[any thread]`
    pub(crate) fn wake(&self) {
        // Either the watchdog sees that the worker is awake, or the worker sees that the watchdog
        // is asleep.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }

    /// Sleeps until it is woken, or for `time`, if `may_sleep` returns true once wakers can see
    /// that it is asleep. True if it slept.
    pub(crate) fn sleep(&self, time: Option<Duration>, may_sleep: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let sleeps = may_sleep();
        if sleeps {
            match time {
                Some(time) => std::thread::park_timeout(time),
                None => std::thread::park(),
            }
        }
        self.asleep.store(false, Ordering::SeqCst);
        sleeps
    }
}
