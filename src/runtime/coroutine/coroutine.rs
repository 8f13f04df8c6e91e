//! A coroutine, and what its code finds out about it.
//!
//! A worker's loop itself runs on a coroutine. A task that does not wait runs right there, without any
//! switch. A task that waits suspends the coroutine; the worker then goes on with one whose task can go on,
//! or else with a spare one that takes up the loop. A coroutine never changes its thread.

use std::cell::Cell;
use std::ptr;

use corosensei::stack::Stack;
use corosensei::{CoroutineResult, Yielder};

use super::callback::CallbackFrame;
use super::cxx_exceptions::ExceptionState;
use super::stack::{with_trap, Ended, TaskStack, Trap};
use crate::pool::Container;
use crate::sync::{Lock, WaitNumber};
use crate::task::Record;

/// What a suspended task waits for.
#[derive(Clone, Copy)]
pub(crate) enum WaitsFor {
    /// For a time, or for somebody who ends the wait. A cancellation ends it early.
    Anyone,
    /// For a lock, which the wait keeps. A cancellation ends it early.
    Lock(*const Lock),
    /// For the end of a task that was made in the runtime: a cancellation goes on to that task. The
    /// record is there as long as the wait lasts.
    Task(*const Record),
}

/// Why a coroutine gave up its worker.
pub(crate) enum Pause {
    /// It has nothing to do; any time will do to go on.
    Spare,
    /// Its task waits; it goes on when it is woken.
    Waiting,
}

/// What a coroutine's code finds out about its coroutine.
pub(crate) struct Context {
    yielder: Cell<*const Yielder<(), Pause>>,
    /// The task that runs on the coroutine.
    pub(crate) record: Cell<*mut Record>,
    /// The innermost of the module's callbacks that run on the coroutine; else null.
    pub(crate) callback: Cell<*const CallbackFrame>,
    /// The container that the coroutine builds; else null.
    pub(crate) building: Cell<*const Container>,
    /// What the task waits for, while it is suspended.
    pub(crate) waits_for: Cell<WaitsFor>,
    /// The wait ends by itself after a time.
    pub(crate) bounded: Cell<bool>,
    /// The coroutine's latest wait.
    pub(crate) wait: Cell<WaitNumber>,
    pub(crate) waiting: Cell<bool>,
    /// The coroutine is one too many: its body returns when it is resumed.
    pub(crate) retired: Cell<bool>,
}

impl Context {
    /// The context of a coroutine without a task, or of none.
    pub(crate) fn new() -> Box<Context> {
        Box::new(Context {
            yielder: Cell::new(ptr::null()),
            record: Cell::new(ptr::null_mut()),
            callback: Cell::new(ptr::null()),
            building: Cell::new(ptr::null()),
            waits_for: Cell::new(WaitsFor::Anyone),
            bounded: Cell::new(false),
            wait: Cell::default(),
            waiting: Cell::new(false),
            retired: Cell::new(false),
        })
    }

    /// The task that runs on the coroutine, or is suspended on it.
    #[inline]
    pub(crate) fn task(&self) -> Option<&Record> {
        // SAFETY: null, or the record of a task that has not ended, which lives until it has.
        unsafe { self.record.get().as_ref() }
    }

    /// Gives up the worker until the coroutine is resumed.
    #[inline]
    pub(crate) fn pause(&self, pause: Pause) {
        let saved = ExceptionState::take();
        // SAFETY: the yielder lives on the coroutine's own stack as long as its code runs.
        unsafe { (*self.yielder.get()).suspend(pause) };
        saved.put_back();
    }
}

/// A coroutine.
pub(crate) struct Coroutine {
    coroutine: corosensei::Coroutine<(), Pause, Ended, TaskStack>,
    trap: Trap,
    pub(crate) context: Box<Context>,
}

impl Coroutine {
    /// A coroutine that will run `body` on a stack of this many bytes. Its pages count only once they are
    /// touched; below lies a guard page.
    pub(crate) fn new(stack: usize, body: impl FnOnce() + 'static) -> std::io::Result<Coroutine> {
        let context = Context::new();
        let own: *const Context = &*context;
        let stack = TaskStack::new(stack)?;
        let limit = stack.limit().get();
        let coroutine =
            corosensei::Coroutine::with_stack(stack, move |yielder: &Yielder<_, _>, ()| {
                // SAFETY: the context is boxed and lives longer than the coroutine.
                unsafe { (*own).yielder.set(yielder) };
                body();
                Ended::Returned
            });
        let trap = Trap { handler: coroutine.trap_handler(), limit };
        Ok(Coroutine { coroutine, trap, context })
    }

    /// Runs the coroutine until it pauses, or its body has ended.
    #[inline]
    pub(crate) fn resume(&mut self) -> Result<Pause, Ended> {
        let Coroutine { coroutine, trap, .. } = self;
        match with_trap(*trap, || coroutine.resume(())) {
            CoroutineResult::Yield(pause) => Ok(pause),
            CoroutineResult::Return(ended) => Err(ended),
        }
    }
}
