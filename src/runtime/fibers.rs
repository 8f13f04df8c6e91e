//! A worker's fibers: which one runs, which can go on, and which have no task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::alarms::Alarm;
use crate::container::ContainerLane;
use crate::fiber::{Context, ExceptionState, Fiber, Pause};
use crate::session::{At, Place};
use crate::shared::Note;
use crate::stack::Ended;
use crate::throttle::Kind;
use crate::worker::Worker;

/// Fibers without a task that are kept; each has a stack.
pub(crate) const SPARE_FIBERS: usize = 256;

/// Tasks that go on before new ones may start.
const STREAK: u32 = 8;

/// The fibers of a worker.
pub(crate) struct Fibers {
    /// Each but the one that runs.
    all: RefCell<Vec<Option<Fiber>>>,
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
    /// Fibers with tasks that have been chosen in a row.
    streak: Cell<u32>,
    /// New tasks have their turn.
    turn: Cell<bool>,
    /// Counts pauses, so that a loop notices that it was away.
    pauses: Cell<u64>,
}

impl Default for Fibers {
    fn default() -> Fibers {
        let none = Context::new();
        Fibers {
            all: RefCell::default(),
            ready: RefCell::default(),
            spare: RefCell::default(),
            count: Cell::new(0),
            current: Cell::new(0),
            context: Cell::new(&*none),
            none,
            starving: Cell::new(false),
            streak: Cell::new(0),
            turn: Cell::new(false),
            pauses: Cell::new(0),
        }
    }
}

impl Fibers {
    /// How many have a task, with the one that runs.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        self.count.get() - self.spare.borrow().len()
    }

    /// How often fibers have paused.
    #[inline]
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.get()
    }

    /// True when some fiber's task can go on.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// True when another task can start and wait, as far as this worker alone is concerned.
    #[inline]
    pub(crate) fn have_room(&self) -> bool {
        self.count.get() <= SPARE_FIBERS && !self.starving.get()
    }

    /// True when there is no memory for another one.
    pub(crate) fn are_starving(&self) -> bool {
        self.starving.get()
    }

    /// True when a task that starts to wait needs a fresh fiber.
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
        // SAFETY: set before a fiber is resumed and after it has paused, and a context is boxed; the caller
        // runs on that fiber, or on none.
        unsafe { &*self.context.get() }
    }

    /// Calls `f` with a fiber that is not running.
    pub(crate) fn with(&self, number: u32, f: impl FnOnce(&Context)) {
        if let Some(Some(fiber)) = self.all.borrow().get(number as usize) {
            f(&fiber.context);
        }
    }

    /// Calls `f` with each fiber that is not running.
    pub(crate) fn each(&self, mut f: impl FnMut(u32, &Context)) {
        for (number, fiber) in self.all.borrow().iter().enumerate() {
            if let Some(fiber) = fiber {
                f(number as u32, &fiber.context);
            }
        }
    }

    /// A fiber's task can go on.
    pub(crate) fn make_ready(&self, fiber: u32) {
        self.ready.borrow_mut().push_back(fiber as usize);
    }

    /// The fiber that is to run next; `None` when a fresh one is needed.
    fn next(&self) -> Option<usize> {
        let mut ready = self.ready.borrow_mut();
        if self.streak.get() < STREAK {
            if let Some(number) = ready.pop_front() {
                self.streak.set(self.streak.get() + 1);
                return Some(number);
            }
        }
        self.streak.set(0);
        let spare = self.spare.borrow_mut().pop();
        self.turn.set(spare.is_some() && !ready.is_empty());
        spare.or_else(|| ready.pop_front())
    }

    /// True when the fiber that has been resumed, which has no task, shall look for new work, for many that
    /// could go on have done so in a row.
    pub(crate) fn take_turn(&self) -> bool {
        self.turn.take()
    }

    /// Adds a fiber, and gives its number.
    fn add(&self, fiber: Fiber) -> usize {
        let mut all = self.all.borrow_mut();
        let free = all.iter().position(Option::is_none);
        let number = free.unwrap_or(all.len());
        if free.is_none() {
            all.push(None);
        }
        all[number] = Some(fiber);
        self.count.set(self.count.get() + 1);
        number
    }

    /// Lets a fiber run until it pauses or ends.
    fn resume(&self, number: usize) -> (Fiber, Result<Pause, Ended>) {
        let mut fiber = self.all.borrow_mut()[number].take();
        let fiber_mut = fiber.as_mut().expect("a fiber on a list is not running");
        self.current.set(number);
        self.context.set(&*fiber_mut.context);
        let paused = fiber_mut.resume();
        self.context.set(&*self.none);
        self.pauses.set(self.pauses.get() + 1);
        (fiber.expect("it was there before"), paused)
    }

    /// Puts a fiber back that has paused. One that is spare beyond those that are kept ends; false then.
    fn put_back(&self, number: usize, mut fiber: Fiber, pause: &Pause) -> bool {
        let is_spare = matches!(pause, Pause::Spare);
        if is_spare && self.spare.borrow().len() >= SPARE_FIBERS {
            fiber.context.retired.set(true);
            // Its body looks there.
            self.context.set(&*fiber.context);
            let left = fiber.resume();
            self.context.set(&*self.none);
            debug_assert!(left.is_err(), "a retired fiber's body returns");
            self.count.set(self.count.get() - 1);
            return false;
        }
        self.all.borrow_mut()[number] = Some(fiber);
        if is_spare {
            self.spare.borrow_mut().push(number);
        }
        true
    }

    /// Leaves the stacks of tasks as they are that did not end in time.
    fn forget_all(&self) {
        self.all.borrow_mut().drain(..).flatten().for_each(std::mem::forget);
    }
}

/// The thread's own stack: it does nothing but choose the next fiber. Returns when the runtime ends.
pub(crate) fn switch_between_fibers(worker: &Rc<Worker>) {
    let fibers = &worker.fibers;
    loop {
        let number = match fibers.next() {
            Some(number) => number,
            None => {
                let own = worker.clone();
                match Fiber::new(worker.shared.config.stack_size, move || own.work()) {
                    Ok(fiber) => {
                        worker.shared.fibers.fetch_add(1, Ordering::Relaxed);
                        fibers.add(fiber)
                    }
                    Err(error) => {
                        worker.starve(&error);
                        continue;
                    }
                }
            }
        };
        worker.show_suspended();
        match fibers.resume(number) {
            (fiber, Ok(pause)) => {
                if !fibers.put_back(number, fiber, &pause) {
                    worker.shared.fibers.fetch_sub(1, Ordering::Relaxed);
                }
            }
            (fiber, Err(Ended::Overflowed)) => {
                fibers.count.set(fibers.count.get() - 1);
                worker.shared.fibers.fetch_sub(1, Ordering::Relaxed);
                worker.end_overflowed(&fiber);
            }
            // The body returned: the runtime ends. Fibers that still wait then are those whose tasks
            // did not end in time.
            (_, Err(Ended::Returned)) => {
                if fibers.spare.borrow().is_empty() && fibers.ready.borrow().is_empty() {
                    return fibers.forget_all();
                }
            }
        }
    }
}

impl Worker {
    /// Shows how many tasks are suspended, now that a fiber is about to run: it changes at no other time.
    fn show_suspended(&self) {
        let line = &self.shared.page().lines[self.index as usize];
        line.suspended.store(self.fibers.in_use() as u64 - 1, Ordering::Relaxed);
    }

    /// The place of a task that is suspended on the fiber that runs.
    pub(crate) fn own_fiber(&self) -> Place {
        Place { worker: self.index, at: At::Fiber(self.fibers.current()) }
    }

    /// The task of a fiber has overflowed its stack, and the fiber is over. The thread is on its own
    /// stack.
    #[cold]
    fn end_overflowed(&self, fiber: &Fiber) {
        self.desk().leave_module();
        // Exceptions that were caught on the stack are gone with it.
        let _ = ExceptionState::take();
        let aside = fiber.context.aside.replace(ptr::null());
        // SAFETY: the fiber is over, and its stack is there until it is dropped.
        let any = unsafe { self.end_asides(aside) };
        let own = fiber.context.record.replace(ptr::null_mut());
        if own.is_null() {
            assert!(any, "only a module's code overflows a stack");
            return;
        }
        // SAFETY: the record of the running task belongs to the frame that ran it, which is given up.
        let record = unsafe { Box::from_raw(own) };
        self.shared.pools.give_up(&record);
        let (lane, suspended) = (record.lane, record.suspended.get());
        let message = self.overflow_of(&record, "");
        if self.finish(record, chimaera_abi::CHI_FAULT, &message) && !suspended {
            // SAFETY: tasks are left in the lane, which keep it.
            self.pass_on(unsafe { &*lane });
        }
    }

    /// Leaves a lane that has tasks to whoever is next, of which its server is gone.
    pub(crate) fn pass_on(&self, lane: &ContainerLane) {
        lane.turn.stop_serving();
        if !lane.queue.is_empty() {
            self.list(lane);
        }
    }

    /// There is no memory for another fiber. Until a task that waits can go on, no other starts: those that
    /// methods have sent are refused, since others may wait for them.
    #[cold]
    fn starve(&self, error: &std::io::Error) {
        if let Some(left_out) = self.shared.throttle.pass_about(Kind::Starved) {
            let worker = self.index;
            tracing::error!(worker, %error, left_out, "no memory for another task's stack");
        }
        self.fibers.starving.set(true);
        while !self.fibers.has_ready() {
            std::thread::sleep(Duration::from_millis(1));
            let mut runs = Vec::new();
            while let Some(alarm) = self.alarms.due(Instant::now()) {
                match alarm {
                    Alarm::Wake { fiber, turn } => self.wake(fiber, turn),
                    run => runs.push(run),
                }
            }
            runs.into_iter().for_each(|run| self.alarms.set(Instant::now(), run));
            let mut others = Vec::new();
            while let Some(note) = self.mailbox().take() {
                match note {
                    // They run a module's code, which needs a fiber.
                    Note::CreatePool { .. } | Note::CloseAll => others.push(note),
                    note => self.note(note),
                }
            }
            others.into_iter().for_each(|note| self.mailbox().send(note));
            for late in [false, true] {
                while let Some(lane) = self.next_lane(late) {
                    self.serve(lane, usize::MAX);
                }
            }
        }
        self.fibers.starving.set(false);
    }
}
