//! A worker's coroutines: which one is running, which are ready, which are spare, and their waits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::coroutine::{Context, Coroutine, Pause};
use super::stack::Ended;
use crate::sync::{WaitNumber, Waiter};

/// A worker may have this many coroutines, however little memory there is.
pub(crate) const FEW_COROUTINES: usize = 4;

/// How many suspended tasks are resumed in a row before new ones may start.
const STREAK: u32 = 8;

/// The coroutines of a worker.
pub(crate) struct Coroutines {
    /// All except the running one, by number.
    all: RefCell<Vec<Option<Coroutine>>>,
    /// Numbers that are not in use.
    free: RefCell<Vec<usize>>,
    /// The latest wait of any coroutine: no two waits have the same number.
    wait: Cell<WaitNumber>,
    /// Coroutines whose tasks can be resumed.
    ready: RefCell<VecDeque<usize>>,
    /// Coroutines without a task.
    spare: RefCell<Vec<usize>>,
    count: Cell<usize>,
    /// How many coroutines without a task are kept.
    kept: usize,
    /// The running coroutine.
    current: Cell<usize>,
    context: Cell<*const Context>,
    /// The context that is used while no coroutine is running.
    none: Box<Context>,
    /// There is no memory for another coroutine.
    starving: Cell<bool>,
    /// How many suspended tasks have been resumed in a row.
    streak: Cell<u32>,
    /// New tasks must have a chance to start before more suspended ones are resumed.
    new_first: Cell<bool>,
    /// Counts pauses, so that the loop notices that its coroutine was paused.
    pauses: Cell<u64>,
}

impl Coroutines {
    /// Starts without coroutines. Keeps up to `kept` spare ones, each with its stack.
    pub(crate) fn new(kept: usize) -> Coroutines {
        let none = Context::new();
        Coroutines {
            all: RefCell::default(),
            free: RefCell::default(),
            wait: Cell::default(),
            ready: RefCell::default(),
            spare: RefCell::default(),
            count: Cell::new(0),
            kept,
            current: Cell::new(0),
            context: Cell::new(&*none),
            none,
            starving: Cell::new(false),
            streak: Cell::new(0),
            new_first: Cell::new(false),
            pauses: Cell::new(0),
        }
    }

    /// How many coroutines have a task, the running one included.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        self.count.get() - self.spare.borrow().len()
    }

    /// How often coroutines have paused.
    #[inline]
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.get()
    }

    /// True if a suspended task can be resumed.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// True if another task can start and be suspended, as far as this worker's own coroutines go.
    #[inline]
    pub(crate) fn have_room(&self) -> bool {
        self.count.get() <= self.kept && !self.starving.get()
    }

    /// True if there are so few coroutines that another one must not be refused.
    pub(crate) fn are_few(&self) -> bool {
        self.count.get() < FEW_COROUTINES
    }

    /// True if there is no memory for another coroutine.
    pub(crate) fn are_starving(&self) -> bool {
        self.starving.get()
    }

    pub(crate) fn set_starving(&self, starving: bool) {
        self.starving.set(starving);
    }

    /// True if no coroutine can be resumed.
    pub(crate) fn are_all_waiting(&self) -> bool {
        self.spare.borrow().is_empty() && self.ready.borrow().is_empty()
    }

    /// True if suspending another task takes a new coroutine.
    pub(crate) fn need_another(&self) -> bool {
        self.spare.borrow().is_empty()
    }

    /// True if tasks are suspended.
    pub(crate) fn has_suspended(&self) -> bool {
        self.in_use() > 1
    }

    /// The number of the running coroutine.
    pub(crate) fn current(&self) -> u32 {
        self.current.get() as u32
    }

    /// The context of the running coroutine, or a substitute if none is running.
    #[inline]
    pub(crate) fn context(&self) -> &Context {
        // SAFETY: the pointer is set before a coroutine is resumed and after it has paused, so it
        // belongs to the coroutine on which the caller runs, or to `none`. Contexts are boxed, and
        // live as long as their coroutine.
        unsafe { &*self.context.get() }
    }

    /// Calls `f` with a coroutine that is not running.
    #[inline]
    pub(crate) fn with(&self, number: u32, f: impl FnOnce(&Context)) {
        if let Some(Some(coroutine)) = self.all.borrow().get(number as usize) {
            f(&coroutine.context);
        }
    }

    /// Calls `f` with each coroutine that is not running.
    pub(crate) fn each(&self, mut f: impl FnMut(u32, &Context)) {
        for (number, coroutine) in self.all.borrow().iter().enumerate() {
            if let Some(coroutine) = coroutine {
                f(number as u32, &coroutine.context);
            }
        }
    }

    /// Records that a coroutine can be resumed.
    #[inline]
    pub(super) fn make_ready(&self, coroutine: u32) {
        self.ready.borrow_mut().push_back(coroutine as usize);
    }

    /// Chooses the coroutine to run next. `None` if a new one is needed: either no other can run,
    /// or many suspended tasks, which may keep one another ready for ever, have been resumed in a
    /// row.
    #[inline]
    pub(crate) fn next(&self) -> Option<usize> {
        let mut ready = self.ready.borrow_mut();
        if self.streak.get() < STREAK {
            if let Some(number) = ready.pop_front() {
                self.streak.set(self.streak.get() + 1);
                return Some(number);
            }
        }
        self.streak.set(0);
        self.new_first.set(!ready.is_empty());
        self.spare.borrow_mut().pop()
    }

    /// True if the coroutine without a task that was just started or resumed must look for new work
    /// first, because many suspended tasks have been resumed in a row.
    #[inline]
    pub(crate) fn must_start_new(&self) -> bool {
        self.new_first.take()
    }

    /// Adds a coroutine and returns its number.
    pub(crate) fn add(&self, coroutine: Coroutine) -> usize {
        let mut all = self.all.borrow_mut();
        let number = self.free.borrow_mut().pop().unwrap_or_else(|| {
            all.push(None);
            all.len() - 1
        });
        all[number] = Some(coroutine);
        self.count.set(self.count.get() + 1);
        number
    }

    /// Removes a coroutine that has ended.
    pub(crate) fn remove(&self, number: usize) {
        self.free.borrow_mut().push(number);
        self.count.set(self.count.get() - 1);
    }

    /// Prepares a wait of the running coroutine.
    #[inline]
    pub(crate) fn prepare_wait(&self, worker: u32) -> Waiter {
        let number = self.wait.get().next();
        self.wait.set(number);
        let context = self.context();
        context.wait.set(number);
        context.waiting.set(true);
        Waiter { worker, coroutine: self.current(), tag: number.tag() }
    }

    /// Cancels the prepared wait before it begins.
    #[inline]
    pub(crate) fn forget_wait(&self) {
        self.context().waiting.set(false);
    }

    /// Ends the wait with this tag on a coroutine that is not running.
    #[inline]
    pub(crate) fn wake(&self, coroutine: u32, tag: u32) {
        self.end_wait(coroutine, |number| number.tag() == tag);
    }

    /// Ends the wait with this number on a coroutine that is not running.
    pub(crate) fn wake_exactly(&self, coroutine: u32, wait: WaitNumber) {
        self.end_wait(coroutine, |number| number == wait);
    }

    #[inline]
    fn end_wait(&self, coroutine: u32, is_it: impl FnOnce(WaitNumber) -> bool) {
        self.with(coroutine, |context| {
            if is_it(context.wait.get()) && context.waiting.replace(false) {
                self.make_ready(coroutine);
            }
        });
    }

    /// Whether the wait with this number is still going on.
    pub(crate) fn is_waiting(&self, coroutine: u32, wait: WaitNumber) -> bool {
        // The running coroutine may be preparing this wait, so its waits count as going on.
        let mut waits = coroutine == self.current();
        self.with(coroutine, |context| {
            waits = context.wait.get() == wait && context.waiting.get();
        });
        waits
    }

    /// Resumes a coroutine until it pauses or ends.
    #[inline]
    pub(crate) fn resume(&self, number: usize) -> (Coroutine, Result<Pause, Ended>) {
        let mut coroutine = self.all.borrow_mut()[number].take();
        let coroutine_mut = coroutine.as_mut().expect("a coroutine on a list is not running");
        self.current.set(number);
        self.context.set(&*coroutine_mut.context);
        let paused = coroutine_mut.resume();
        self.context.set(&*self.none);
        self.pauses.set(self.pauses.get() + 1);
        (coroutine.expect("it was taken above"), paused)
    }

    /// Puts back a coroutine that has paused. If it is spare, and either enough spare ones are kept
    /// already or its stack must not be used again, ends it instead and returns false.
    #[inline]
    pub(crate) fn put_back(&self, number: usize, mut coroutine: Coroutine, pause: &Pause) -> bool {
        let is_spare = matches!(pause, Pause::Spare);
        let spent = coroutine.context.spent.get();
        if is_spare && (spent || self.spare.borrow().len() >= self.kept) {
            coroutine.context.retired.set(true);
            // The coroutine's body reads `retired` through this.
            self.context.set(&*coroutine.context);
            let left = coroutine.resume();
            self.context.set(&*self.none);
            debug_assert!(left.is_err(), "a retired coroutine's body returns");
            self.remove(number);
            return false;
        }
        self.all.borrow_mut()[number] = Some(coroutine);
        if is_spare {
            self.spare.borrow_mut().push(number);
        }
        true
    }

    /// Leaks the coroutines of tasks that did not end in time: their stacks must not be unwound.
    pub(crate) fn forget_all(&self) {
        self.all.borrow_mut().drain(..).flatten().for_each(std::mem::forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Budget, Use};

    /// A coroutine whose body returns at once.
    fn coroutine() -> Coroutine {
        let charge = Budget::endless().nothing(Use::Stacks);
        Coroutine::new(64 << 10, charge, || Ended::Returned).unwrap()
    }

    /// Runs the coroutine with this number to its end.
    fn end(coroutines: &Coroutines, number: usize) {
        assert_eq!(coroutines.resume(number).1.err(), Some(Ended::Returned));
        coroutines.remove(number);
    }

    /// The number is taken from the list of free ones, not looked for: there may be tens of
    /// thousands of coroutines, and the running one's place is empty, too.
    #[test]
    fn the_number_that_became_free_last_is_the_next() {
        let coroutines = Coroutines::new(4);
        let numbers: Vec<usize> = (0..4).map(|_| coroutines.add(coroutine())).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let running = coroutines.all.borrow_mut()[0].take();
        for number in [2, 1, 3] {
            end(&coroutines, number);
        }
        assert_eq!(coroutines.in_use(), 1);
        let again: Vec<usize> = (0..4).map(|_| coroutines.add(coroutine())).collect();
        assert_eq!(again, [3, 1, 2, 4]);
        coroutines.all.borrow_mut()[0] = running;
        (0..5).for_each(|number| end(&coroutines, number));
        for _ in 0..100 {
            let number = coroutines.add(coroutine());
            end(&coroutines, number);
        }
        assert_eq!((coroutines.all.borrow().len(), coroutines.in_use()), (5, 0));
    }

    #[test]
    fn tasks_that_keep_each_other_ready_leave_room_for_new_ones() {
        let coroutines = Coroutines::new(4);
        coroutines.make_ready(0);
        let mut resumed = 0;
        while let Some(number) = coroutines.next() {
            resumed += 1;
            assert!(resumed <= STREAK, "no new task can start while these go on");
            coroutines.make_ready(number as u32);
        }
        assert!(coroutines.must_start_new());
    }
}
