//! A coroutine, and the context that its code uses.
//!
//! A worker's loop itself runs on a coroutine. A task that does not wait runs right there, without
//! a switch. A task that waits suspends the coroutine; the worker then resumes another one whose
//! task is ready, or a spare one, which continues the loop. A coroutine never changes its thread.

use std::cell::Cell;
use std::io;
use std::ptr;

use corosensei::stack::Stack;
use corosensei::{CoroutineResult, Yielder};

use super::callback::CallbackFrame;
use super::cxx_exceptions::ExceptionState;
use super::stack::{with_trap, Ended, TaskStack, Trap};
use crate::pool::Container;
use crate::sync::{Far, Lock, NodeCall, WaitNumber};
use crate::sys::{has_addresses_for, Charge, FloatingPoint, ThreadState};
use crate::task::Record;

/// What a suspended task is waiting for.
#[derive(Clone, Copy)]
pub(crate) enum WaitsFor {
    /// Anything that ends the wait. A cancellation ends it early.
    Anyone,
    /// A time. A cancellation ends the wait early.
    Time,
    /// A lock, which the waiting code keeps alive. A cancellation ends the wait early.
    Lock(*const Lock),
    /// The end of the waiting task in another process or on another node, where it has gone to. A
    /// cancellation ends the wait early.
    Far(Far),
    /// The end of a task that was created inside the runtime. A cancellation is passed on to that
    /// task. The record lives until the wait has ended.
    Task(*const Record),
}

/// Why a coroutine has paused.
pub(crate) enum Pause {
    /// It has no task. It may be resumed at any time, to run the loop.
    Spare,
    /// Its task is waiting. It is resumed when the wait has ended.
    Waiting,
}

/// The part of a coroutine's state that its own code uses.
pub(crate) struct Context {
    yielder: Cell<*const Yielder<(), Pause>>,
    /// The task that runs on the coroutine.
    pub(crate) record: Cell<*mut Record>,
    /// The innermost callback that is running on the coroutine, or null.
    pub(crate) callback: Cell<*const CallbackFrame>,
    /// The container that code on the coroutine is constructing, or null.
    pub(crate) building: Cell<*const Container>,
    /// The container, or null, and the part of its life such as `kDestroy` that code on the coroutine runs outside
    /// of a task of that container.
    pub(crate) life: Cell<(*const Container, u32)>,
    /// The call of another node for which the code on the coroutine has sent a task, and waits.
    pub(crate) serves: Cell<Option<NodeCall>>,
    /// What the task is waiting for while it is suspended.
    pub(crate) waits_for: Cell<WaitsFor>,
    /// The wait ends by itself after some time.
    pub(crate) bounded: Cell<bool>,
    /// The coroutine's latest wait.
    pub(crate) wait: Cell<WaitNumber>,
    pub(crate) waiting: Cell<bool>,
    /// There are too many spare coroutines: this one's body returns when resumed.
    pub(crate) retired: Cell<bool>,
    /// The guard of the coroutine's stack has been touched: no further task starts on it.
    pub(crate) spent: Cell<bool>,
    /// The thread state that code on the coroutine may have changed: `SIGNALS`, `LOCALE`.
    pub(crate) altered: Cell<u8>,
    /// The address of the thread's `errno`.
    errno: *mut libc::c_int,
    /// The budget charge for the coroutine's stack. It is here to keep [`Coroutine`] small: each
    /// switch moves one.
    _stack: Option<Charge>,
}

/// The thread's signal mask.
pub(crate) const SIGNALS: u8 = 1;
/// The thread's locale.
pub(crate) const LOCALE: u8 = 2;

/// The thread's state as module code has set it, kept while other code runs.
pub(crate) struct SetAside {
    errno: libc::c_int,
    floating_point: FloatingPoint,
    /// Boxed because it is large, and rare.
    thread: Option<Box<ThreadState>>,
}

impl Context {
    /// A context without a task and without a stack of its own.
    pub(super) fn new() -> Box<Context> {
        Context::with_stack(None)
    }

    /// A context without a task, for a coroutine whose stack has this charge.
    fn with_stack(charge: Option<Charge>) -> Box<Context> {
        Box::new(Context {
            yielder: Cell::new(ptr::null()),
            record: Cell::new(ptr::null_mut()),
            callback: Cell::new(ptr::null()),
            building: Cell::new(ptr::null()),
            life: Cell::new((ptr::null(), 0)),
            serves: Cell::new(None),
            waits_for: Cell::new(WaitsFor::Anyone),
            bounded: Cell::new(false),
            wait: Cell::default(),
            waiting: Cell::new(false),
            retired: Cell::new(false),
            spent: Cell::new(false),
            altered: Cell::new(0),
            // SAFETY: the function has no requirements.
            errno: unsafe { libc::__errno_location() },
            _stack: charge,
        })
    }

    /// The task that runs on the coroutine, or is suspended on it.
    #[inline]
    pub(crate) fn task(&self) -> Option<&Record> {
        // SAFETY: the pointer is null, or points to the record of a task that has not ended; the
        // record lives until the pointer is cleared.
        unsafe { self.record.get().as_ref() }
    }

    /// Pauses the coroutine until it is resumed.
    #[inline(always)]
    pub(crate) fn pause(&self, pause: Pause) {
        let state = self.set_aside();
        let exceptions = ExceptionState::take();
        // SAFETY: the yielder is on the coroutine's own stack and lives as long as its body runs,
        // and only code of that body calls this.
        unsafe { (*self.yielder.get()).suspend(pause) };
        exceptions.put_back();
        self.put_back(&state);
    }

    /// Sets the thread's state aside, and resets it to that in which methods start.
    #[inline]
    pub(crate) fn set_aside(&self) -> SetAside {
        SetAside {
            // SAFETY: the coroutine runs on the thread that created it, so this is the thread's own
            // `errno`.
            errno: unsafe { *self.errno },
            floating_point: FloatingPoint::set_aside(),
            thread: (self.altered.take() != 0).then(|| Box::new(ThreadState::set_aside())),
        }
    }

    /// Restores the thread state that was set aside.
    #[inline]
    pub(crate) fn put_back(&self, state: &SetAside) {
        if let Some(thread) = &state.thread {
            thread.put_back();
            self.altered.set(SIGNALS | LOCALE);
        }
        state.floating_point.put_back();
        // SAFETY: as above.
        unsafe { *self.errno = state.errno };
    }

    /// Resets the thread to the state in which methods start, after module code has run.
    #[inline(always)]
    pub(crate) fn restore(&self) {
        FloatingPoint::restore();
        if self.altered.get() != 0 {
            self.restore_thread();
        }
    }

    #[cold]
    fn restore_thread(&self) {
        ThreadState::set_aside();
        self.altered.set(0);
    }

    /// Resets the thread to the state in which methods start, after the code on this coroutine has
    /// been abandoned.
    pub(crate) fn abandon_state(&self) {
        FloatingPoint::reset();
        // Exceptions that were caught on that stack are lost with it.
        let _ = ExceptionState::take();
        if self.altered.get() != 0 {
            self.restore_thread();
        }
    }
}

/// A coroutine.
pub(crate) struct Coroutine {
    coroutine: corosensei::Coroutine<(), Pause, Ended, TaskStack>,
    trap: Trap,
    pub(crate) context: Box<Context>,
}

impl Coroutine {
    /// A coroutine that will run `body` on a stack of `stack` bytes, which `charge` accounts for.
    /// Only touched pages take memory; there is a guard below.
    pub(crate) fn new(
        stack: usize,
        charge: Charge,
        body: impl FnOnce() -> Ended + 'static,
    ) -> io::Result<Coroutine> {
        let context = Context::with_stack(Some(charge));
        let own: *const Context = &*context;
        if !has_addresses_for(TaskStack::mapped(stack) as u64) {
            return Err(io::Error::other("too few addresses are left (`ulimit -v`)"));
        }
        let stack = TaskStack::new(stack)?;
        let limit = stack.limit().get();
        let coroutine =
            corosensei::Coroutine::with_stack(stack, move |yielder: &Yielder<_, _>, ()| {
                // SAFETY: the context is boxed, so it does not move, and it outlives the coroutine.
                unsafe { (*own).yielder.set(yielder) };
                body()
            });
        let handler = coroutine.trap_handler();
        let trap = Trap { handler, limit, touched: &raw const context.spent };
        Ok(Coroutine { coroutine, trap, context })
    }

    /// Runs the coroutine until it pauses or its body ends.
    #[inline]
    pub(super) fn resume(&mut self) -> Result<Pause, Ended> {
        let Coroutine { coroutine, trap, .. } = self;
        match with_trap(*trap, || coroutine.resume(())) {
            CoroutineResult::Yield(pause) => Ok(pause),
            CoroutineResult::Return(ended) => Err(ended),
        }
    }
}
