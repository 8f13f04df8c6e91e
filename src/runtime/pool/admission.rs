//! Whether a container is open for tasks, and how many are in it.

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The life of a container.
///
/// ```text
///             publish                 hold                 settle              replace
///   Creating ─────────► Live ◄──────────────► Holding ◄──────────────► Held ───────────► Replaced
///                        │ ▲                    │ give up               │ give up
///                        │ └──── Releasing ◄────┴───────────────────────┘
///                close   │ ▲ open       (a successor of a replaced container is published here)
///                        ▼ │
///                     Destroying            from any of them, if its code is abandoned: Quarantined
///
///                begin_recovery             end_quarantine, publish
///   Quarantined ◄──────────────► Recovering ───────────────────────► Live
///                fail_recovery      ▲
///   Creating ───────────────────────┘ (a durable pool, or one that a restart makes anew)
/// ```
///
/// Every change has a bound (`control/change.rs`, `admin/destruction.rs`) and a way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Life {
    /// It takes tasks.
    Live,
    /// It is to be replaced. Tasks in it, and subtasks of their roots, go on; others are held.
    Holding,
    /// No task is in it, and all are held.
    Held,
    /// It takes tasks again, those that are held first.
    Releasing,
    /// Its object is being constructed.
    Creating,
    /// It takes no more tasks, and those in it are cancelled.
    Destroying,
    /// Code of its object was abandoned.
    Quarantined,
    /// Another container has taken its place.
    Replaced,
    /// Its object is being constructed without the state of the one before it: `kCreate` and `kRecover` run.
    Recovering,
}

impl Life {
    fn of(state: u32) -> Life {
        use Life::*;
        let all = [
            Live,
            Holding,
            Held,
            Releasing,
            Creating,
            Destroying,
            Quarantined,
            Replaced,
            Recovering,
        ];
        all[state as usize]
    }
}

const LIVE: u32 = Life::Live as u32;
const HOLDING: u32 = Life::Holding as u32;
const HELD: u32 = Life::Held as u32;
const RELEASING: u32 = Life::Releasing as u32;
const CREATING: u32 = Life::Creating as u32;
const DESTROYING: u32 = Life::Destroying as u32;
const QUARANTINED: u32 = Life::Quarantined as u32;
const REPLACED: u32 = Life::Replaced as u32;
const RECOVERING: u32 = Life::Recovering as u32;

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

    /// Counts a task in although the container is not live: one whose root has a task in it while
    /// tasks are held, or any once they are released.
    pub(crate) fn enter_in(&self, life: Life) -> bool {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        in_one_order();
        // Pairs with `settle`, as `enter` does with `close`.
        if self.state.load(Ordering::SeqCst) == life as u32 {
            return true;
        }
        self.leave();
        false
    }

    pub(crate) fn life(&self) -> Life {
        Life::of(self.state.load(Ordering::SeqCst))
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

    /// Whether the tasks in it go on.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Ordering::Relaxed) <= RELEASING
    }

    fn change(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Holds tasks from now on. False if the container is not live.
    pub(super) fn hold(&self) -> bool {
        self.change(LIVE, HOLDING)
    }

    /// Lets no more tasks in, after `hold`; `unsettle` if there still are some.
    pub(super) fn settle(&self) {
        self.change(HOLDING, HELD);
        in_one_order();
    }

    pub(super) fn unsettle(&self) {
        self.change(HELD, HOLDING);
    }

    /// Ends a hold: tasks that are held come first, until `end_release`.
    pub(super) fn release(&self) {
        if self.change(HELD, RELEASING) || self.change(HOLDING, RELEASING) {
            self.close_if_abandoned();
        }
    }

    /// Code may have been abandoned while the container was closed, or just now.
    fn close_if_abandoned(&self) {
        in_one_order();
        if self.abandoned.load(Ordering::SeqCst) {
            self.quarantine();
        }
    }

    /// Opens the successor of a container whose tasks are held.
    pub(super) fn open_releasing(&self) {
        self.state.store(RELEASING, Ordering::SeqCst);
    }

    /// No task is held any more.
    pub(super) fn end_release(&self) {
        if self.change(RELEASING, LIVE) {
            self.close_if_abandoned();
        }
    }

    /// A successor takes the tasks that are held.
    pub(super) fn replace(&self) {
        self.change(HELD, REPLACED);
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
        // A container that is being created or destroyed is already closed, and one whose tasks are
        // held is closed when the hold ends.
        let from = [LIVE, RELEASING, RECOVERING];
        from.into_iter().any(|from| self.change(from, QUARANTINED));
    }

    /// Records that a new object is being made without the state of the one before it, if there was one.
    pub(super) fn begin_recovery(&self) {
        let from = [QUARANTINED, CREATING];
        from.into_iter().any(|from| self.change(from, RECOVERING));
    }

    /// The object could not be made: all is as before `begin_recovery`.
    pub(super) fn fail_recovery(&self) {
        let before = if self.abandoned.load(Ordering::SeqCst) { QUARANTINED } else { CREATING };
        self.change(RECOVERING, before);
    }

    /// Records that the container has a new object. Does not open the container.
    pub(super) fn end_quarantine(&self) {
        self.state.store(CREATING, Ordering::SeqCst);
        self.abandoned.store(false, Ordering::SeqCst);
    }

    /// Opens the container for tasks, unless it is in quarantine.
    pub(super) fn open(&self) {
        self.state.store(LIVE, Ordering::SeqCst);
        self.close_if_abandoned();
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
    fn a_container_that_recovers_is_shut() {
        let admission = Admission::new();
        admission.begin_recovery();
        assert!(admission.life() == Life::Recovering && !admission.enter() && !admission.is_live());
        admission.fail_recovery();
        assert_eq!(admission.life(), Life::Creating);
        admission.begin_recovery();
        admission.open();
        assert_eq!(admission.life(), Life::Live);
        admission.begin_recovery();
        assert_eq!(admission.life(), Life::Live);

        admission.quarantine();
        admission.begin_recovery();
        assert!(admission.life() == Life::Recovering && !admission.enter());
        admission.fail_recovery();
        assert_eq!(admission.life(), Life::Quarantined);
        // Its code crashes again.
        admission.begin_recovery();
        admission.quarantine();
        assert_eq!(admission.life(), Life::Quarantined);
        admission.begin_recovery();
        admission.end_quarantine();
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

    /// A task of a root that is inside enters while the container is being settled: once it is held and
    /// counts no task, nothing is in it.
    #[test]
    fn loom_nothing_is_in_a_held_container_that_counts_none() {
        loom::model(|| {
            let model = Arc::new(Model { admission: Admission::new(), object: UnsafeCell::new(0) });
            model.admission.open();
            assert!(model.admission.hold());
            let theirs = model.clone();
            let task = loom::thread::spawn(move || {
                if theirs.admission.enter_in(Life::Holding) {
                    // SAFETY: as above.
                    theirs.object.with(|object| assert_eq!(unsafe { *object }, 0));
                    theirs.admission.leave();
                }
            });
            model.admission.settle();
            if model.admission.in_flight() == 0 {
                // SAFETY: as above.
                model.object.with_mut(|object| unsafe { *object = 1 });
            } else {
                model.admission.unsettle();
            }
            task.join().unwrap();
            assert_eq!(model.admission.in_flight(), 0);
        });
    }

    /// A container whose code is abandoned while its hold ends is not open.
    #[test]
    fn loom_a_container_that_is_released_stays_in_quarantine() {
        loom::model(|| {
            let admission = Arc::new(Admission::new());
            admission.open();
            assert!(admission.hold());
            let theirs = admission.clone();
            let crash = loom::thread::spawn(move || theirs.quarantine());
            admission.release();
            admission.end_release();
            crash.join().unwrap();
            assert!(!admission.enter() && !admission.enter_in(Life::Releasing));
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
