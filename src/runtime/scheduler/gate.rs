//! The gate between a worker and its run queue: while the worker runs module code, which may take
//! long, another worker may enter the queue and steal.

#[cfg(all(loom, test))]
use loom::sync::{
    atomic::{AtomicBool, AtomicU32, Ordering},
    Mutex,
};
#[cfg(not(all(loom, test)))]
use std::sync::{
    atomic::{AtomicBool, AtomicU32, Ordering},
    Mutex,
};

use crate::sys::membarrier;

/// Lets in the worker itself or a stealer, never both.
pub(super) struct Gate {
    /// What the worker is running; 0 while it runs the runtime's own code, and only then is it
    /// inside.
    running: AtomicU32,
    /// Another worker is stealing and holds `stealing`.
    stealer: AtomicBool,
    stealing: Mutex<()>,
}

impl Gate {
    pub(super) fn new() -> Gate {
        Gate {
            running: AtomicU32::new(0),
            stealer: AtomicBool::new(false),
            stealing: Mutex::new(()),
        }
    }

    /// What the worker is running.
    #[inline]
    pub(super) fn running(&self) -> u32 {
        self.running.load(Ordering::Acquire)
    }

    /// True if the worker itself may use the queue. Only for that worker.
    #[inline]
    pub(super) fn is_home(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    /// The worker leaves, to run `running`.
    #[inline]
    pub(super) fn leave(&self, running: u32) {
        self.running.store(running, Ordering::Release);
    }

    /// The worker comes back. Returns what it was running.
    #[inline]
    pub(super) fn come_back(&self) -> u32 {
        let before = self.running.load(Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
        // Either the stealer sees that the worker is back, or the worker sees the stealer and
        // waits.
        membarrier::light();
        if self.stealer.load(Ordering::Acquire) {
            self.let_stealer_finish();
        }
        before
    }

    #[cold]
    fn let_stealer_finish(&self) {
        drop(self.stealing.lock());
    }

    /// Calls `f` if the worker has left, no other worker is stealing, and memory suffices for the
    /// fence.
    pub(super) fn steal(&self, f: impl FnOnce()) {
        let Ok(guard) = self.stealing.try_lock() else { return };
        self.stealer.store(true, Ordering::Relaxed);
        if membarrier::heavy() && self.running() != 0 {
            f();
        }
        self.stealer.store(false, Ordering::Release);
        drop(guard);
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    /// A run queue with this many entries.
    struct Queue {
        gate: Gate,
        entries: UnsafeCell<u32>,
    }

    // SAFETY: this is what the models check: one thread at a time uses the entries.
    unsafe impl Sync for Queue {}
    // SAFETY: as above.
    unsafe impl Send for Queue {}

    impl Queue {
        fn new(entries: u32) -> Arc<Queue> {
            Arc::new(Queue { gate: Gate::new(), entries: UnsafeCell::new(entries) })
        }

        fn take(&self) -> u32 {
            // SAFETY: as above.
            self.entries.with_mut(|entries| unsafe { std::mem::take(&mut *entries) })
        }

        fn put(&self) {
            // SAFETY: as above.
            self.entries.with_mut(|entries| unsafe { *entries += 1 });
        }

        fn steal(&self) -> u32 {
            let mut taken = 0;
            self.gate.steal(|| taken = self.take());
            taken
        }
    }

    /// A worker that is back from a method and a stealer are never in the run queue together, and
    /// no entry is lost or duplicated.
    #[test]
    fn loom_the_worker_and_a_stealer_are_never_there_together() {
        loom::model(|| {
            let queue = Queue::new(0);
            let own = queue.clone();
            let worker = loom::thread::spawn(move || {
                let mut taken = 0;
                for method in [7, 8] {
                    own.put();
                    own.gate.leave(method);
                    assert_eq!(own.gate.come_back(), method);
                    taken += own.take();
                }
                taken
            });
            let stolen = queue.steal();
            assert_eq!(worker.join().unwrap() + stolen, 2);
        });
    }

    /// Two stand-by workers steal from a blocked worker, which comes back meanwhile.
    #[test]
    fn loom_stealers_do_not_meet() {
        loom::model(|| {
            let queue = Queue::new(2);
            queue.gate.leave(7);
            let theirs = queue.clone();
            let other = loom::thread::spawn(move || theirs.steal());
            let own = queue.clone();
            let worker = loom::thread::spawn(move || {
                own.gate.come_back();
                own.take()
            });
            let stolen = queue.steal();
            assert_eq!(worker.join().unwrap() + other.join().unwrap() + stolen, 2);
        });
    }
}
