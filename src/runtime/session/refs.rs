//! References to a session, which count its tasks in flight separately from everything else that
//! keeps it alive.
//!
//! One word holds both counts, so that a task costs its session one atomic operation when it begins
//! and one when it ends.

use std::ops::Deref;
use std::ptr::NonNull;

#[cfg(all(loom, test))]
use loom::sync::atomic::{fence, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{fence, AtomicU64, Ordering};

use super::session::Session;

/// One reference that belongs to a ring or a list, not to a task.
const HOLDER: u64 = 1;
/// One task in flight.
const TASK: u64 = 1 << 32;

struct Counted<T> {
    counts: AtomicU64,
    value: T,
}

/// Keeps a session alive.
pub(crate) type SessionRef = Ref<Session, HOLDER>;
/// Keeps a session alive for one of its tasks, which counts as in flight until this is dropped.
pub(crate) type TaskRef = Ref<Session, TASK>;

/// A reference that counts as `UNIT`.
pub(crate) struct Ref<T, const UNIT: u64>(NonNull<Counted<T>>);

// SAFETY: a reference gives shared access from any thread, and the thread that drops the last one
// drops the value, as with an `Arc`; hence `T: Send + Sync`.
unsafe impl<T: Send + Sync, const UNIT: u64> Send for Ref<T, UNIT> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, const UNIT: u64> Sync for Ref<T, UNIT> {}

impl<T> Ref<T, HOLDER> {
    pub(crate) fn new(value: T) -> Ref<T, HOLDER> {
        let counted = Box::new(Counted { counts: AtomicU64::new(HOLDER), value });
        Ref(NonNull::from(Box::leak(counted)))
    }
}

impl<T, const UNIT: u64> Ref<T, UNIT> {
    #[inline]
    fn counted(&self) -> &Counted<T> {
        // SAFETY: the allocation lives as long as any reference to it.
        unsafe { self.0.as_ref() }
    }

    /// Creates another reference, of either kind.
    #[inline]
    fn another<const OTHER: u64>(&self) -> Ref<T, OTHER> {
        // Neither count reaches 2^32: a segment has room for fewer tasks, a process for fewer
        // rings.
        self.counted().counts.fetch_add(OTHER, Ordering::Relaxed);
        Ref(self.0)
    }

    /// Creates a task's reference, and so counts the task.
    #[inline]
    pub(crate) fn begin_task(&self) -> Ref<T, TASK> {
        self.another()
    }

    /// The number of tasks in flight.
    #[inline]
    pub(crate) fn tasks_in_flight(&self) -> usize {
        (self.counted().counts.load(Ordering::Relaxed) / TASK) as usize
    }
}

impl<T> Clone for Ref<T, HOLDER> {
    #[inline]
    fn clone(&self) -> Ref<T, HOLDER> {
        self.another()
    }
}

impl<T, const UNIT: u64> Deref for Ref<T, UNIT> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T, const UNIT: u64> Drop for Ref<T, UNIT> {
    #[inline]
    fn drop(&mut self) {
        if self.counted().counts.fetch_sub(UNIT, Ordering::Release) == UNIT {
            // Everything that other threads did with the value happens before it is dropped.
            fence(Ordering::Acquire);
            free(self.0);
        }
    }
}

#[cold]
fn free<T>(counted: NonNull<Counted<T>>) {
    // SAFETY: `Ref::new` leaked this box, and no reference to it is left.
    drop(unsafe { Box::from_raw(counted.as_ptr()) });
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    struct Flag<'a>(&'a AtomicBool);

    impl Drop for Flag<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }

    /// A session with many rings and no task counts as one with no task.
    #[test]
    fn only_tasks_count_as_tasks() {
        let dropped = AtomicBool::new(false);
        let first = Ref::new(Flag(&dropped));
        let rings: Vec<_> = (0..64).map(|_| first.clone()).collect();
        assert_eq!(first.tasks_in_flight(), 0);
        let tasks: Vec<_> = rings.iter().map(Ref::begin_task).collect();
        assert_eq!(first.tasks_in_flight(), 64);
        drop((rings, first));
        assert!(!dropped.load(SeqCst), "tasks keep it");
        assert_eq!(tasks[0].tasks_in_flight(), 64);
        drop(tasks);
        assert!(dropped.load(SeqCst));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::atomic::AtomicBool;
    use loom::sync::Arc;

    struct Probe {
        written: loom::cell::UnsafeCell<u32>,
        dropped: Arc<AtomicBool>,
    }

    // SAFETY: this is what the model checks: the thread that drops the value sees what the other
    // one wrote.
    unsafe impl Sync for Probe {}
    // SAFETY: as above.
    unsafe impl Send for Probe {}

    impl Drop for Probe {
        fn drop(&mut self) {
            // SAFETY: no reference is left.
            assert_eq!(self.written.with(|written| unsafe { *written }), 7);
            self.dropped.store(true, Ordering::SeqCst);
        }
    }

    /// Whichever of a task and a ring is last drops the session, exactly once, and sees what the
    /// other wrote.
    #[test]
    fn loom_a_session_is_dropped_by_whoever_lets_go_last() {
        loom::model(|| {
            let dropped = Arc::new(AtomicBool::new(false));
            let written = loom::cell::UnsafeCell::new(0);
            let ring = Ref::new(Probe { written, dropped: dropped.clone() });
            let task = ring.begin_task();
            let other = loom::thread::spawn(move || {
                // SAFETY: nothing else accesses it before the drop.
                task.written.with_mut(|written| unsafe { *written = 7 });
                drop(task);
            });
            drop(ring);
            other.join().unwrap();
            assert!(dropped.load(Ordering::SeqCst));
        });
    }
}
