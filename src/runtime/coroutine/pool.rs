//! A worker's coroutines: which one runs, which can go on, which have no task, and their waits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::coroutine::{Context, Coroutine, Pause};
use super::stack::Ended;
use crate::sync::{WaitNumber, Waiter};

/// Coroutines without a task that are kept; each has a stack.
pub(super) const SPARE_COROUTINES: usize = 256;

/// Tasks that go on before new ones may start.
const STREAK: u32 = 8;

/// The coroutines of a worker.
pub(crate) struct Coroutines {
    /// Each but the one that runs.
    all: RefCell<Vec<Option<Coroutine>>>,
    /// Numbers that no coroutine has.
    free: RefCell<Vec<usize>>,
    /// The latest wait of any of them: no two waits have the same number.
    wait: Cell<WaitNumber>,
    /// Those whose tasks can go on.
    ready: RefCell<VecDeque<usize>>,
    /// Those without a task.
    spare: RefCell<Vec<usize>>,
    count: Cell<usize>,
    /// The one that runs.
    current: Cell<usize>,
    context: Cell<*const Context>,
    /// In its place while none runs.
    none: Box<Context>,
    /// There is no memory for another one.
    starving: Cell<bool>,
    /// Coroutines with tasks that have been chosen in a row.
    streak: Cell<u32>,
    /// New tasks are to start before more of those that can go on.
    new_first: Cell<bool>,
    /// Counts pauses, so that a loop notices that it was away.
    pauses: Cell<u64>,
}

impl Default for Coroutines {
    fn default() -> Coroutines {
        let none = Context::new();
        Coroutines {
            all: RefCell::default(),
            free: RefCell::default(),
            wait: Cell::default(),
            ready: RefCell::default(),
            spare: RefCell::default(),
            count: Cell::new(0),
            current: Cell::new(0),
            context: Cell::new(&*none),
            none,
            starving: Cell::new(false),
            streak: Cell::new(0),
            new_first: Cell::new(false),
            pauses: Cell::new(0),
        }
    }
}

impl Coroutines {
    /// How many have a task, with the one that runs.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        self.count.get() - self.spare.borrow().len()
    }

    /// How often coroutines have paused.
    #[inline]
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.get()
    }

    /// True when some coroutine's task can go on.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// True when another task can start and wait, as far as this worker alone is concerned.
    #[inline]
    pub(crate) fn have_room(&self) -> bool {
        self.count.get() <= SPARE_COROUTINES && !self.starving.get()
    }

    /// True when there is no memory for another one.
    pub(crate) fn are_starving(&self) -> bool {
        self.starving.get()
    }

    pub(crate) fn set_starving(&self, starving: bool) {
        self.starving.set(starving);
    }

    /// True when none can be resumed.
    pub(crate) fn are_all_waiting(&self) -> bool {
        self.spare.borrow().is_empty() && self.ready.borrow().is_empty()
    }

    /// True when a task that starts to wait needs a fresh coroutine.
    pub(crate) fn need_another(&self) -> bool {
        self.spare.borrow().is_empty()
    }

    /// True when tasks are suspended.
    pub(crate) fn has_suspended(&self) -> bool {
        self.in_use() > 1
    }

    /// The number of the one that runs.
    pub(crate) fn current(&self) -> u32 {
        self.current.get() as u32
    }

    /// The context of the one that runs, or that of none.
    #[inline]
    pub(crate) fn context(&self) -> &Context {
        // SAFETY: set before a coroutine is resumed and after it has paused, and a context is boxed; the caller
        // runs on that coroutine, or on none.
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

    /// A coroutine's task can go on.
    #[inline]
    pub(crate) fn make_ready(&self, coroutine: u32) {
        self.ready.borrow_mut().push_back(coroutine as usize);
    }

    /// The coroutine that is to run next; `None` when a fresh one is needed.
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
        let spare = self.spare.borrow_mut().pop();
        self.new_first.set(spare.is_some() && !ready.is_empty());
        spare.or_else(|| ready.pop_front())
    }

    /// True when the coroutine that has been resumed, which has no task, shall look for new work, for many that
    /// could go on have done so in a row.
    #[inline]
    pub(crate) fn must_start_new(&self) -> bool {
        self.new_first.take()
    }

    /// Adds a coroutine, and gives its number.
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

    /// A coroutine has ended.
    pub(crate) fn remove(&self, number: usize) {
        self.free.borrow_mut().push(number);
        self.count.set(self.count.get() - 1);
    }

    /// Prepares a wait of the coroutine that runs.
    #[inline]
    pub(crate) fn prepare_wait(&self, worker: u32) -> Waiter {
        let number = self.wait.get().next();
        self.wait.set(number);
        let context = self.context();
        context.wait.set(number);
        context.waiting.set(true);
        Waiter { worker, coroutine: self.current(), tag: number.tag() }
    }

    /// Gives the prepared wait up before it began.
    #[inline]
    pub(crate) fn forget_wait(&self) {
        self.context().waiting.set(false);
    }

    /// Ends a wait of a coroutine that is not running: that of this tag.
    #[inline]
    pub(crate) fn wake(&self, coroutine: u32, tag: u32) {
        self.end_wait(coroutine, |number| number.tag() == tag);
    }

    /// Ends a wait of a coroutine that is not running: the one with this number.
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

    /// Whether the wait of this number has not ended.
    pub(crate) fn is_waiting(&self, coroutine: u32, wait: WaitNumber) -> bool {
        // The one that runs is preparing a wait, or has none.
        let mut waits = coroutine == self.current();
        self.with(coroutine, |context| {
            waits = context.wait.get() == wait && context.waiting.get();
        });
        waits
    }

    /// Lets a coroutine run until it pauses or ends.
    #[inline]
    pub(crate) fn resume(&self, number: usize) -> (Coroutine, Result<Pause, Ended>) {
        let mut coroutine = self.all.borrow_mut()[number].take();
        let coroutine_mut = coroutine.as_mut().expect("a coroutine on a list is not running");
        self.current.set(number);
        self.context.set(&*coroutine_mut.context);
        let paused = coroutine_mut.resume();
        self.context.set(&*self.none);
        self.pauses.set(self.pauses.get() + 1);
        (coroutine.expect("it was there before"), paused)
    }

    /// Puts a coroutine back that has paused. One that is spare beyond those that are kept ends; false then.
    #[inline]
    pub(crate) fn put_back(&self, number: usize, mut coroutine: Coroutine, pause: &Pause) -> bool {
        let is_spare = matches!(pause, Pause::Spare);
        if is_spare && self.spare.borrow().len() >= SPARE_COROUTINES {
            coroutine.context.retired.set(true);
            // Its body looks there.
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

    /// Leaves the stacks of tasks as they are that did not end in time.
    pub(crate) fn forget_all(&self) {
        self.all.borrow_mut().drain(..).flatten().for_each(std::mem::forget);
    }
}
