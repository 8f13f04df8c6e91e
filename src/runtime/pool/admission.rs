//! Whether a container is open for tasks, and how many are in it.

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

const CREATING: u32 = 0;
const LIVE: u32 = 1;
const DESTROYING: u32 = 2;
const QUARANTINED: u32 = 3;

/// In loom's models, a fence between two `SeqCst` accesses, which loom treats as weaker.
#[inline(always)]
fn in_one_order() {
    #[cfg(all(loom, test))]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// A container's admission state. Tasks are counted in before anything else is done with them, and
/// out when they have ended.
pub(crate) struct Admission {
    state: AtomicU32,
    /// Code of the container's object was abandoned: that object's code must not be called again.
    abandoned: AtomicBool,
    /// Tasks that have been admitted and have not ended.
    in_flight: AtomicU64,
}

impl Admission {
    /// The state of a container that is being created.
    pub(super) fn new() -> Admission {
        Admission {
            state: AtomicU32::new(CREATING),
            abandoned: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
        }
    }

    /// Counts a task in, if the container is live.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        in_one_order();
        // Pairs with `close`: either the closing side sees the task in the count, or the task sees
        // that the container is closed.
        if self.state.load(Ordering::SeqCst) == LIVE {
            return true;
        }
        self.leave();
        false
    }

    /// Counts a task out. The container may be freed right afterwards.
    #[inline]
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        in_one_order();
        self.in_flight.load(Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Ordering::Relaxed) == LIVE
    }

    /// Whether code of the container's object was abandoned.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Closes the container for good, because code of its object was abandoned.
    pub(super) fn quarantine(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        in_one_order();
        let order = Ordering::SeqCst;
        // A container that is being created or destroyed is already closed.
        let _ = self.state.compare_exchange(LIVE, QUARANTINED, order, order);
    }

    /// Records that the container has a new object. Does not open the container.
    pub(super) fn end_quarantine(&self) {
        self.state.store(CREATING, Ordering::SeqCst);
        self.abandoned.store(false, Ordering::SeqCst);
    }

    /// Opens the container for tasks, unless it is in quarantine.
    pub(super) fn open(&self) {
        self.state.store(LIVE, Ordering::SeqCst);
        in_one_order();
        // Code may have been abandoned while the container was closed, or just now.
        if self.abandoned.load(Ordering::SeqCst) {
            self.quarantine();
        }
    }

    /// Closes the container for new tasks.
    pub(super) fn close(&self) {
        self.state.store(DESTROYING, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_container_in_quarantine_stays_shut_until_it_has_a_new_object() {
        let admission = Admission::new();
        admission.open();
        assert!(admission.enter());
        admission.quarantine();
        assert!(!admission.enter() && !admission.is_live());
        admission.close();
        admission.open();
        assert!(!admission.enter(), "a destruction that could not be does not open it");
        admission.leave();
        assert_eq!(admission.in_flight(), 0);
        admission.end_quarantine();
        assert!(!admission.enter());
        admission.open();
        assert!(admission.enter());
    }

    #[test]
    fn a_container_that_is_abandoned_while_it_is_created_does_not_open() {
        let admission = Admission::new();
        admission.quarantine();
        admission.open();
        assert!(!admission.enter());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    /// A container whose object is destroyed once the container is closed and empty.
    struct Model {
        admission: Admission,
        object: UnsafeCell<u32>,
    }

    // SAFETY: this is what the model checks: the object is not destroyed while tasks use it.
    unsafe impl Sync for Model {}
    // SAFETY: as above.
    unsafe impl Send for Model {}

    /// Two tasks enter while the container is being closed: each admitted task can use the object
    /// until it ends.
    #[test]
    fn loom_nothing_is_in_a_closed_container_that_counts_none() {
        loom::model(|| {
            let model = Arc::new(Model { admission: Admission::new(), object: UnsafeCell::new(0) });
            model.admission.open();
            let task = || {
                let model = model.clone();
                move || {
                    if model.admission.enter() {
                        // SAFETY: as above.
                        model.object.with(|object| assert_eq!(unsafe { *object }, 0));
                        model.admission.leave();
                    }
                }
            };
            let tasks = [loom::thread::spawn(task()), loom::thread::spawn(task())];
            model.admission.close();
            if model.admission.in_flight() == 0 {
                // SAFETY: as above.
                model.object.with_mut(|object| unsafe { *object = 1 });
            }
            for task in tasks {
                task.join().unwrap();
            }
            assert_eq!(model.admission.in_flight(), 0);
        });
    }

    /// A container's code is abandoned while the container is being opened: it ends up closed.
    #[test]
    fn loom_a_container_in_quarantine_is_not_open() {
        loom::model(|| {
            let admission = Arc::new(Admission::new());
            let theirs = admission.clone();
            let crash = loom::thread::spawn(move || theirs.quarantine());
            admission.open();
            crash.join().unwrap();
            assert!(!admission.enter());
        });
    }
}
