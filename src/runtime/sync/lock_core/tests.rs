#[cfg(not(loom))]
mod in_order {
    use super::super::*;
    use Mode::{Exclusive, Shared};

    fn queued(core: &Core<u32>, root: u64, mode: Mode, waiter: u32) -> u64 {
        match core.enter(root, mode, waiter) {
            Entry::Queued(ticket) => ticket,
            other => panic!("{other:?} where the task must wait"),
        }
    }

    #[test]
    fn roots_are_served_in_turn() {
        let core = Core::new();
        assert!(core.try_enter(1, Exclusive));
        let tickets: Vec<u64> =
            (2..6).map(|root| queued(&core, root, Exclusive, root as u32)).collect();
        for root in 1..5 {
            assert_eq!(core.leave(root, Exclusive), [root as u32 + 1]);
            assert_eq!(core.stand(tickets[root as usize - 1], 0), Standing::Inside);
        }
        assert!(core.leave(5, Exclusive).is_empty());
        assert!(core.inside().is_empty());
    }

    #[test]
    fn readers_do_not_overtake_a_writer_that_waits() {
        let core = Core::new();
        assert!(core.try_enter(1, Shared));
        assert!(core.try_enter(2, Shared));
        queued(&core, 3, Exclusive, 3);
        assert!(!core.try_enter(4, Shared));
        queued(&core, 4, Shared, 4);
        queued(&core, 5, Shared, 5);
        queued(&core, 6, Exclusive, 6);
        assert!(core.leave(1, Shared).is_empty());
        assert_eq!(core.leave(2, Shared), [3]);
        assert_eq!(core.leave(3, Exclusive), [4, 5]);
        assert!(core.leave(5, Shared).is_empty());
        assert_eq!(core.leave(4, Shared), [6]);
    }

    #[test]
    fn tasks_of_a_root_that_is_inside_pass_whoever_waits() {
        let core = Core::new();
        assert!(core.try_enter(1, Exclusive));
        queued(&core, 2, Exclusive, 2);
        assert!(core.try_enter(1, Exclusive));
        assert!(core.try_enter(1, Shared));
        assert_eq!(core.inside(), [(1, Inside { shared: 1, exclusive: 2 })]);
        assert!(core.leave(1, Exclusive).is_empty());
        assert!(core.leave(1, Exclusive).is_empty());
        // The root is now a reader, and another reader would be let in if no writer were waiting.
        assert!(!core.try_enter(3, Shared));
        assert_eq!(core.leave(1, Shared), [2]);
    }

    #[test]
    fn tasks_of_one_root_leave_the_queue_together() {
        let core = Core::new();
        assert!(core.try_enter(1, Exclusive));
        queued(&core, 2, Exclusive, 20);
        queued(&core, 3, Exclusive, 30);
        queued(&core, 2, Shared, 21);
        assert_eq!(core.leave(1, Exclusive), [20, 21]);
        assert!(core.leave(2, Exclusive).is_empty());
        assert_eq!(core.leave(2, Shared), [30]);
    }

    #[test]
    fn a_reader_becomes_a_writer_before_those_who_wait() {
        let core = Core::new();
        assert!(core.try_enter(1, Shared));
        assert!(core.try_enter(2, Shared));
        queued(&core, 3, Exclusive, 3);
        queued(&core, 1, Exclusive, 1);
        assert_eq!(core.leave(2, Shared), [1]);
        assert!(core.leave(1, Exclusive).is_empty());
        assert_eq!(core.leave(1, Shared), [3]);
    }

    #[test]
    fn who_gives_up_makes_way() {
        let core = Core::new();
        assert!(core.try_enter(1, Shared));
        let writer = queued(&core, 2, Exclusive, 2);
        queued(&core, 3, Shared, 3);
        let last = queued(&core, 4, Exclusive, 4);
        assert_eq!(core.give_up(last), Some(vec![]));
        assert_eq!(core.give_up(writer), Some(vec![3]));
        assert_eq!(core.stand(writer, 2), Standing::Inside, "it is not in the queue any more");
        assert_eq!(core.inside().len(), 2);
        assert_eq!(core.give_up(writer), None);
    }

    #[test]
    fn a_closed_lock_lets_go_and_lets_nobody_in() {
        let core = Core::new();
        assert!(core.try_enter(1, Exclusive));
        let ticket = queued(&core, 2, Exclusive, 2);
        assert_eq!(core.close(), [2]);
        assert!(!core.try_enter(1, Exclusive));
        assert_eq!(core.enter(1, Exclusive, 1), Entry::Closed);
        assert!(core.leave(1, Exclusive).is_empty());
        assert_eq!(core.stand(ticket, 2), Standing::Closed);
        assert_eq!(core.give_up(ticket), Some(vec![]));
    }
}

#[cfg(loom)]
mod models {
    use super::super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Condvar};
    use Mode::{Exclusive, Shared};

    /// Threads in place of coroutines: each sleeps until it is woken.
    struct Sleepers(Vec<(Mutex<bool>, Condvar)>);

    impl Sleepers {
        fn new(n: usize) -> Sleepers {
            Sleepers((0..n).map(|_| (Mutex::new(false), Condvar::new())).collect())
        }

        fn sleep(&self, n: usize) {
            let (woken, condition) = &self.0[n];
            let mut woken = woken.lock().unwrap();
            while !*woken {
                woken = condition.wait(woken).unwrap();
            }
            *woken = false;
        }

        fn wake(&self, woken: Vec<usize>) {
            for n in woken {
                *self.0[n].0.lock().unwrap() = true;
                self.0[n].1.notify_one();
            }
        }
    }

    /// Enters as the runtime does. Never returns if a wake-up is lost, which loom reports.
    fn enter(core: &Core<usize>, sleepers: &Sleepers, root: u64, mode: Mode, me: usize) {
        if core.try_enter(root, mode) {
            return;
        }
        if let Entry::Queued(ticket) = core.enter(root, mode, me) {
            sleepers.sleep(me);
            assert_eq!(core.stand(ticket, me), Standing::Inside);
        }
    }

    #[test]
    fn loom_roots_exclude_each_other() {
        loom::model(|| {
            let core = Arc::new(Core::new());
            let sleepers = Arc::new(Sleepers::new(2));
            let value = Arc::new(UnsafeCell::new(0));
            let task = |me: usize| {
                let (core, sleepers, value) = (core.clone(), sleepers.clone(), value.clone());
                move || {
                    let root = me as u64 + 1;
                    enter(&core, &sleepers, root, Exclusive, me);
                    // SAFETY: this is what the model checks: no other root is inside.
                    value.with_mut(|value| unsafe { *value += 1 });
                    sleepers.wake(core.leave(root, Exclusive));
                }
            };
            let other = loom::thread::spawn(task(0));
            task(1)();
            other.join().unwrap();
            // SAFETY: the other thread has ended.
            assert_eq!(value.with(|value| unsafe { *value }), 2);
            assert!(core.inside().is_empty());
        });
    }

    /// Two tasks of one root are inside together; a task of another root is never inside with them.
    #[test]
    fn loom_tasks_of_a_root_pass_together() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let core = Arc::new(Core::new());
            let sleepers = Arc::new(Sleepers::new(3));
            let value = Arc::new(UnsafeCell::new(0));
            assert!(core.try_enter(1, Exclusive));
            let child = {
                let (core, sleepers, value) = (core.clone(), sleepers.clone(), value.clone());
                loom::thread::spawn(move || {
                    // Its parent is inside or has already left.
                    enter(&core, &sleepers, 1, Exclusive, 1);
                    // SAFETY: both tasks of this root only read.
                    value.with(|value| unsafe { *value });
                    sleepers.wake(core.leave(1, Exclusive));
                })
            };
            let other = {
                let (core, sleepers, value) = (core.clone(), sleepers.clone(), value.clone());
                loom::thread::spawn(move || {
                    enter(&core, &sleepers, 2, Exclusive, 2);
                    // SAFETY: this is what the model checks: no task of the other root is inside.
                    value.with_mut(|value| unsafe { *value += 1 });
                    sleepers.wake(core.leave(2, Exclusive));
                })
            };
            // SAFETY: as for the child.
            value.with(|value| unsafe { *value });
            sleepers.wake(core.leave(1, Exclusive));
            child.join().unwrap();
            other.join().unwrap();
            assert!(core.inside().is_empty());
        });
    }

    #[test]
    fn loom_readers_see_what_a_writer_wrote() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let core = Arc::new(Core::new());
            let sleepers = Arc::new(Sleepers::new(3));
            let value = Arc::new(UnsafeCell::new(0));
            let reader = |me: usize| {
                let (core, sleepers, value) = (core.clone(), sleepers.clone(), value.clone());
                loom::thread::spawn(move || {
                    enter(&core, &sleepers, me as u64 + 1, Shared, me);
                    // SAFETY: this is what the model checks: no writer is inside.
                    let seen = value.with(|value| unsafe { *value });
                    assert!(seen == 0 || seen == 1);
                    sleepers.wake(core.leave(me as u64 + 1, Shared));
                })
            };
            let readers = [reader(1), reader(2)];
            enter(&core, &sleepers, 1, Exclusive, 0);
            // SAFETY: as above: no reader is inside.
            value.with_mut(|value| unsafe { *value = 1 });
            sleepers.wake(core.leave(1, Exclusive));
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            assert!(core.inside().is_empty());
        });
    }

    /// A task that gives up while it is being let in does not swallow another task's wake-up.
    #[test]
    fn loom_giving_up_loses_no_wake_up() {
        loom::model(|| {
            let core = Arc::new(Core::new());
            let sleepers = Arc::new(Sleepers::new(3));
            assert!(core.try_enter(1, Exclusive));
            let Entry::Queued(hasty) = core.enter(2, Exclusive, 1) else { unreachable!() };
            let Entry::Queued(patient) = core.enter(3, Exclusive, 2) else { unreachable!() };
            let holder = {
                let (core, sleepers) = (core.clone(), sleepers.clone());
                loom::thread::spawn(move || sleepers.wake(core.leave(1, Exclusive)))
            };
            let canceller = {
                let (core, sleepers) = (core.clone(), sleepers.clone());
                loom::thread::spawn(move || {
                    let woken = core.give_up(hasty);
                    sleepers.wake(woken.unwrap_or_else(|| core.leave(2, Exclusive)));
                })
            };
            sleepers.sleep(2);
            assert_eq!(core.stand(patient, 2), Standing::Inside);
            holder.join().unwrap();
            canceller.join().unwrap();
            assert!(core.leave(3, Exclusive).is_empty());
            assert!(core.inside().is_empty());
        });
    }
}
