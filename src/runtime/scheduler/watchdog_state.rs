//! How the watchdog is woken.

use std::sync::atomic::{fence, AtomicBool, Ordering};
use std::sync::OnceLock;
use std::thread::Thread;
use std::time::Duration;

/// What wakes the watchdog.
#[derive(Default)]
pub(crate) struct WatchdogState {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

impl WatchdogState {
    /// The calling thread is the watchdog. Once.
    pub(crate) fn begin(&self) {
        assert!(self.thread.set(std::thread::current()).is_ok(), "there is one watchdog");
    }

    /// A worker has woken up, or the runtime ends. `[any thread]`
    pub(crate) fn wake(&self) {
        // Either the watchdog sees the worker awake, or the worker the watchdog asleep.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }

    /// Sleeps until it is woken, or for a time, if `may_sleep` says so once wakers can see it asleep. True
    /// when it slept.
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
