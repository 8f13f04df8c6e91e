//! Putting the watchdog to sleep and waking it.

use std::sync::OnceLock;
use std::time::Duration;

#[cfg(all(loom, test))]
use loom::{
    sync::atomic::{fence, AtomicBool, Ordering},
    thread::{current, park, Thread},
};
#[cfg(not(all(loom, test)))]
use std::{
    sync::atomic::{fence, AtomicBool, Ordering},
    thread::{current, park, park_timeout, Thread},
};

/// The watchdog's thread, and whether it is asleep.
#[derive(Default)]
pub(crate) struct WatchdogState {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

impl WatchdogState {
    /// Registers the calling thread as the watchdog. Must be called once.
    pub(super) fn begin(&self) {
        assert!(self.thread.set(current()).is_ok(), "there is one watchdog");
    }

    /// Wakes the watchdog because a worker has woken up or the runtime is ending. `[any thread]`
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

    /// Sleeps until it is woken, or for at most `time`, if `may_sleep` returns true once wakers can
    /// see that it is asleep. True if it slept.
    pub(super) fn sleep(&self, time: Option<Duration>, may_sleep: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let sleeps = may_sleep();
        if sleeps {
            match time {
                Some(time) => park_timeout(time),
                None => park(),
            }
        }
        self.asleep.store(false, Ordering::SeqCst);
        sleeps
    }
}

/// Loom has no notion of time: the models must not rely on a timeout to wake the watchdog.
#[cfg(all(loom, test))]
fn park_timeout(_: Duration) {
    park();
}

#[cfg(all(loom, test))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    /// A worker wakes up, and may be blocked by a method from then on: the watchdog stays awake or
    /// wakes up.
    #[test]
    fn loom_it_does_not_sleep_while_a_worker_is_awake() {
        loom::model(|| {
            let watchdog = Arc::new(WatchdogState::default());
            let parked = Arc::new(AtomicBool::new(true));
            watchdog.begin();
            let worker = {
                let (watchdog, parked) = (watchdog.clone(), parked.clone());
                loom::thread::spawn(move || {
                    parked.store(false, Ordering::Relaxed);
                    watchdog.wake();
                })
            };
            // As `Mailbox::is_parked` does it.
            let all_parked = || {
                fence(Ordering::SeqCst);
                parked.load(Ordering::Relaxed)
            };
            let slept = watchdog.sleep(None, all_parked);
            worker.join().unwrap();
            assert!(slept || !watchdog.sleep(None, all_parked));
        });
    }
}
