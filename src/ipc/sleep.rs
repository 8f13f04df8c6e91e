//! The flag that prevents lost wake-ups between a thread that is about to sleep and one that has
//! work for it: each writes its own word, fences, and then reads the other's.

use crate::sync::{fence, AtomicU32, Ordering};

/// Whether a thread is asleep, or about to be.
#[repr(transparent)]
pub struct Sleeper {
    parked: AtomicU32,
}

impl Default for Sleeper {
    fn default() -> Self {
        Sleeper { parked: AtomicU32::new(0) }
    }
}

impl Sleeper {
    /// Announces that the thread is about to sleep. It must check for work once more before it
    /// does.
    #[inline]
    pub fn park(&self) {
        self.parked.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Announces that the thread is awake.
    #[inline]
    pub fn unpark(&self) {
        self.parked.store(0, Ordering::Relaxed);
    }

    /// True when the thread must be woken. Call it after publishing the work.
    #[inline]
    pub fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) != 0
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn loom_it_finds_the_work_or_is_woken() {
        loom::model(|| {
            let sleeper = Arc::new(Sleeper::default());
            let work = Arc::new(AtomicU32::new(0));
            let (their_sleeper, their_work) = (sleeper.clone(), work.clone());
            let giver = loom::thread::spawn(move || {
                their_work.store(1, Ordering::Relaxed);
                their_sleeper.must_wake()
            });
            sleeper.park();
            let found = work.load(Ordering::Relaxed) == 1;
            assert!(
                giver.join().unwrap() || found,
                "a lost wake-up: it sleeps although there is work"
            );
        });
    }
}
