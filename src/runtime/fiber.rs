//! Fibers: the pooled coroutines on which a worker's loop and its tasks run.
//!
//! A worker's loop itself runs on a fiber. A task that does not wait runs right there, without any
//! switch. A task that waits suspends the fiber; the worker then goes on with a fiber whose task can
//! go on, or else with a spare one that takes up the loop. A fiber never changes its thread.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use corosensei::stack::Stack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::aside::Aside;
use crate::container::Container;
use crate::locks::Lock;
use crate::record::Record;
use crate::stack::{with_trap, Ended, TaskStack, Trap};
use crate::wait::WaitsFor;

/// Why a fiber gave up its worker.
pub(crate) enum Pause {
    /// It has nothing to do; any time will do to go on.
    Spare,
    /// Its task waits; it goes on when it is woken.
    Waiting,
}

/// What a fiber's code finds out about its fiber.
pub(crate) struct Context {
    yielder: Cell<*const Yielder<(), Pause>>,
    /// The task that runs on the fiber.
    pub(crate) record: Cell<*mut Record>,
    /// The innermost module's code that runs on the fiber beside a method; else null.
    pub(crate) aside: Cell<*const Aside>,
    /// The container that the fiber builds; else null.
    pub(crate) building: Cell<*const Container>,
    /// What the task waits for, while it is suspended.
    pub(crate) waits_for: Cell<WaitsFor>,
    /// The wait ends by itself after a time.
    pub(crate) bounded: Cell<bool>,
    /// Counts the fiber's waits, so that a late wake-up does not end a later wait.
    pub(crate) turn: Cell<u32>,
    pub(crate) waiting: Cell<bool>,
    /// The lock that the task waits for, or null.
    pub(crate) lock: Cell<*const Lock>,
    /// The fiber is one too many: its body returns when it is resumed.
    pub(crate) retired: Cell<bool>,
}

impl Context {
    /// The context of a fiber without a task, or of none.
    pub(crate) fn new() -> Box<Context> {
        Box::new(Context {
            yielder: Cell::new(ptr::null()),
            record: Cell::new(ptr::null_mut()),
            aside: Cell::new(ptr::null()),
            building: Cell::new(ptr::null()),
            waits_for: Cell::new(WaitsFor::Anyone),
            bounded: Cell::new(false),
            turn: Cell::new(0),
            waiting: Cell::new(false),
            lock: Cell::new(ptr::null()),
            retired: Cell::new(false),
        })
    }

    /// Gives up the worker until the fiber is resumed.
    pub(crate) fn pause(&self, pause: Pause) {
        let saved = ExceptionState::take();
        // SAFETY: the yielder lives on the fiber's own stack as long as its code runs.
        unsafe { (*self.yielder.get()).suspend(pause) };
        saved.put_back();
    }
}

/// A fiber.
pub(crate) struct Fiber {
    coroutine: Coroutine<(), Pause, Ended, TaskStack>,
    trap: Trap,
    pub(crate) context: Box<Context>,
}

impl Fiber {
    /// A fiber that will run `body` on a stack of this many bytes. Its pages count only once they are
    /// touched; below lies a guard page.
    pub(crate) fn new(stack: usize, body: impl FnOnce() + 'static) -> std::io::Result<Fiber> {
        let context = Context::new();
        let own: *const Context = &*context;
        let stack = TaskStack::new(stack)?;
        let limit = stack.limit().get();
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<_, _>, ()| {
            // SAFETY: the context is boxed and lives longer than the coroutine.
            unsafe { (*own).yielder.set(yielder) };
            body();
            Ended::Returned
        });
        let trap = Trap { handler: coroutine.trap_handler(), limit };
        Ok(Fiber { coroutine, trap, context })
    }

    /// Runs the fiber until it pauses, or its body has ended.
    pub(crate) fn resume(&mut self) -> Result<Pause, Ended> {
        let Fiber { coroutine, trap, .. } = self;
        match with_trap(*trap, || coroutine.resume(())) {
            CoroutineResult::Yield(pause) => Ok(pause),
            CoroutineResult::Return(ended) => Err(ended),
        }
    }
}

/// `__cxa_get_globals` of the C++ runtime library: the thread's exceptions that are caught or in
/// flight. <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html#cxx-data>
pub(crate) type ExceptionGlobals = unsafe extern "C" fn() -> *mut ExceptionState;

static EXCEPTION_GLOBALS: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Called when a module has brought the C++ runtime library along.
pub(crate) fn set_exception_globals(globals: ExceptionGlobals) {
    EXCEPTION_GLOBALS.store(globals as *mut c_void, Ordering::Release);
}

/// The C++ exception state of a thread, as the Itanium C++ ABI lays it out.
#[repr(C)]
pub(crate) struct ExceptionState {
    caught: *mut c_void,
    uncaught: u32,
}

impl ExceptionState {
    fn of_thread() -> *mut ExceptionState {
        let globals = EXCEPTION_GLOBALS.load(Ordering::Acquire);
        if globals.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: only `set_exception_globals` stores here.
        unsafe { std::mem::transmute::<*mut c_void, ExceptionGlobals>(globals)() }
    }

    /// Takes the thread's state away and leaves none behind.
    pub(crate) fn take() -> ExceptionState {
        let none = ExceptionState { caught: ptr::null_mut(), uncaught: 0 };
        let state = ExceptionState::of_thread();
        if state.is_null() {
            return none;
        }
        // SAFETY: the state is this thread's own.
        unsafe { ptr::replace(state, none) }
    }

    fn put_back(self) {
        let state = ExceptionState::of_thread();
        if !state.is_null() {
            // SAFETY: the state is this thread's own.
            unsafe { state.write(self) };
        }
    }
}
