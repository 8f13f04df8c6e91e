//! A worker's fibers: which one runs, which can go on, and which have no task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::about::{log_about, About};
use crate::alarms::Alarm;
use crate::fiber::{Context, ExceptionState, Fiber, Pause};
use crate::session::{At, Place};
use crate::shared::Note;
use crate::stack::Ended;
use crate::throttle::Kind;
use crate::worker::Worker;

/// Fibers without a task that are kept; each has a stack.
pub(crate) const SPARE_FIBERS: usize = 256;

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
    /// Counts pauses, so that a loop notices that it was away.
    pauses: Cell<u64>,
}

impl Default for Fibers {
    fn default() -> Fibers {
        Fibers {
            all: RefCell::default(),
            ready: RefCell::default(),
            spare: RefCell::default(),
            count: Cell::new(0),
            current: Cell::new(0),
            context: Cell::new(ptr::null()),
            pauses: Cell::new(0),
        }
    }
}

impl Fibers {
    /// How many there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

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

    /// True when tasks are suspended.
    pub(crate) fn has_suspended(&self) -> bool {
        self.in_use() > 1
    }

    /// The number of the one that runs.
    pub(crate) fn current(&self) -> u32 {
        self.current.get() as u32
    }

    /// The one that runs.
    #[inline]
    pub(crate) fn context(&self) -> &Context {
        // SAFETY: set before a fiber is resumed, and a fiber's context is boxed; the caller runs on
        // that fiber.
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
        let ready = self.ready.borrow_mut().pop_front();
        ready.or_else(|| self.spare.borrow_mut().pop())
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
        self.pauses.set(self.pauses.get() + 1);
        (fiber.expect("it was there before"), paused)
    }

    /// Puts a fiber back that has paused. One that is spare beyond those that are kept ends.
    fn put_back(&self, number: usize, mut fiber: Fiber, pause: &Pause) {
        let is_spare = matches!(pause, Pause::Spare);
        if is_spare && self.spare.borrow().len() >= SPARE_FIBERS {
            fiber.context.retired.set(true);
            let left = fiber.resume();
            debug_assert!(left.is_err(), "a retired fiber's body returns");
            self.count.set(self.count.get() - 1);
            return;
        }
        self.all.borrow_mut()[number] = Some(fiber);
        if is_spare {
            self.spare.borrow_mut().push(number);
        }
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
                    Ok(fiber) => fibers.add(fiber),
                    Err(error) => {
                        worker.starve(&error);
                        continue;
                    }
                }
            }
        };
        match fibers.resume(number) {
            (fiber, Ok(pause)) => fibers.put_back(number, fiber, &pause),
            (fiber, Err(Ended::Overflowed)) => {
                fibers.count.set(fibers.count.get() - 1);
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
        let own = fiber.context.record.replace(ptr::null_mut());
        assert!(!own.is_null(), "only a module's code overflows a stack");
        // SAFETY: the record of the running task belongs to the frame that ran it, which is given up.
        let record = unsafe { Box::from_raw(own) };
        self.shared.pools.give_up(&record);
        let (lane, suspended) = (record.lane, record.suspended.get());
        // SAFETY: null, or a method of a module, which is never unloaded.
        let method = unsafe { record.method.as_ref() }.map_or("", |method| method.name.as_str());
        let size = self.shared.config.stack_size;
        if let Some(left_out) = self.shared.throttle.pass(Kind::Overflowed, &record) {
            let about = About::task(&record);
            log_about!(error, about, left_out, "a task has overflowed its stack of {size} bytes");
        }
        let message = format!(
            "{method} overflowed its stack of {size} bytes; what it held is lost, and its container may \
             be damaged"
        );
        let serves = self.finish(record, chimaera_abi::CHI_FAULT, &message);
        if serves && !suspended {
            // SAFETY: tasks are left in the lane, which keep it.
            let lane = unsafe { &*lane };
            lane.turn.stop_serving();
            if !lane.queue.is_empty() {
                self.list(lane);
            }
        }
    }

    /// There is no memory for another fiber. Until a task that waits can go on, nothing new starts.
    #[cold]
    fn starve(&self, error: &std::io::Error) {
        tracing::error!(worker = self.index, %error, "no memory for another task's stack");
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
            // A note that is not about waiting may run a module's code, which needs a fiber.
            let mut others = Vec::new();
            while let Some(note) = self.mailbox().take() {
                match note {
                    Note::Wake { fiber, turn } => self.wake(fiber, turn),
                    other => others.push(other),
                }
            }
            others.into_iter().for_each(|note| self.mailbox().send(note));
        }
    }
}
