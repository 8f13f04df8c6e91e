//! One thing that many threads work on in turn: whoever has an item for it works on it at once, unless another thread
//! does, which then goes on with what the first has left (flat combining). Nobody waits but one who wants the thing
//! for more than items, and then the others leave it what they have.

use std::collections::VecDeque;
use std::sync::{PoisonError, TryLockError};

#[cfg(all(loom, test))]
use loom::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex,
};
#[cfg(not(all(loom, test)))]
use std::sync::{
    atomic::{AtomicBool, Ordering},
    Mutex,
};

pub(super) struct Combiner<T, I> {
    items: Mutex<VecDeque<I>>,
    thing: Mutex<T>,
    /// Somebody waits for the thing: others leave it the items.
    is_wanted: AtomicBool,
}

impl<T, I> Combiner<T, I> {
    pub(super) fn new(thing: T) -> Combiner<T, I> {
        Combiner {
            items: Mutex::new(VecDeque::new()),
            thing: Mutex::new(thing),
            is_wanted: AtomicBool::new(false),
        }
    }

    /// Adds an item. Whoever does goes on with the items.
    pub(super) fn add(&self, item: I) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
    }

    /// The next item, for whoever has the thing.
    pub(super) fn next(&self) -> Option<I> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn is_empty(&self) -> bool {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Goes on with the items, `most` of them, unless another thread has the thing: that one goes on with them then, since
    /// it looks here once more when it has given the thing back. Nor if somebody waits for the thing. `work` takes
    /// items, at most as many as it is told, and returns how many it has taken; `None` if nothing is to be done any
    /// more. Returns whether items are left that are nobody's.
    pub(super) fn go_on(
        &self,
        mut most: usize,
        mut work: impl FnMut(&mut T, usize) -> Option<usize>,
    ) -> bool {
        while !self.is_wanted.load(Ordering::SeqCst) {
            let mut thing = match self.thing.try_lock() {
                Ok(thing) => thing,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            };
            let Some(taken) = work(&mut thing, most) else { return false };
            most -= taken;
            drop(thing);
            if self.is_empty() {
                return false;
            }
            if most == 0 {
                return true;
            }
        }
        false
    }

    /// Waits for the thing, and gives it to `work`. Whoever calls this goes on with the items afterwards.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.is_wanted.store(true, Ordering::SeqCst);
        let mut thing = self.thing.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_wanted.store(false, Ordering::SeqCst);
        work(&mut thing)
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    type Numbers = Combiner<Vec<u32>, u32>;

    /// Takes items until there are none, or it has had its share.
    fn go_on(combiner: &Numbers, share: usize) -> bool {
        combiner.go_on(share, |taken, most| {
            let mut count = 0;
            while count < most {
                let Some(item) = combiner.next() else { break };
                taken.push(item);
                count += 1;
            }
            // Others may come before the thing is given back: loom switches there only if told to.
            thread::yield_now();
            Some(count)
        })
    }

    fn taken(combiner: &Numbers) -> Vec<u32> {
        assert!(combiner.is_empty(), "an item is left, and nobody goes on with it");
        let mut taken = combiner.with(|taken| taken.clone());
        taken.sort_unstable();
        taken
    }

    #[test]
    fn loom_no_item_is_left_by_those_who_add_some() {
        loom::model(|| {
            let combiner = Arc::new(Numbers::new(Vec::new()));
            let adders: Vec<_> = [1, 2]
                .into_iter()
                .map(|item| {
                    let combiner = combiner.clone();
                    thread::spawn(move || {
                        combiner.add(item);
                        assert!(!go_on(&combiner, 8));
                    })
                })
                .collect();
            adders.into_iter().for_each(|adder| adder.join().unwrap());
            assert_eq!(taken(&combiner), [1, 2]);
        });
    }

    #[test]
    fn loom_no_item_is_left_to_one_who_waits_for_the_thing() {
        loom::model(|| {
            let combiner = Arc::new(Numbers::new(Vec::new()));
            let own = combiner.clone();
            let adder = thread::spawn(move || {
                own.add(1);
                assert!(!go_on(&own, 8));
            });
            combiner.with(|taken| taken.push(0));
            assert!(!go_on(&combiner, 8));
            adder.join().unwrap();
            assert_eq!(taken(&combiner), [0, 1]);
        });
    }

    /// Whoever has had its share says that there is more; the other one of the two may have taken it meanwhile.
    #[test]
    fn loom_who_has_had_its_share_says_that_items_are_left() {
        loom::model(|| {
            let combiner = Arc::new(Numbers::new(Vec::new()));
            let own = combiner.clone();
            let adder = thread::spawn(move || {
                own.add(1);
                own.add(2);
                go_on(&own, 1)
            });
            combiner.add(3);
            let left = go_on(&combiner, 1);
            let left = adder.join().unwrap() || left;
            if left {
                while go_on(&combiner, 1) {}
            }
            assert_eq!(taken(&combiner), [1, 2, 3]);
        });
    }
}
