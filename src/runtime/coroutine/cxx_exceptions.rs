//! The C++ exceptions that a thread has caught or is throwing. Each coroutine has its own, in each
//! C++ runtime library of the process: a module may have brought its own.

use crate::module::ExceptionGlobals;
use crate::sys::lock;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::Mutex;

/// How many C++ runtime libraries there may be.
const MOST: usize = 16;

/// `__cxa_get_globals` of each C++ runtime library, which finds the exceptions that the calling
/// thread has caught or is throwing.
/// <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html#cxx-data>
static GLOBALS: [AtomicPtr<c_void>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];
/// How many entries of `GLOBALS` are in use.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Adds a C++ runtime library that a module has been found to use. False if there are too many.
pub(crate) fn add_globals(globals: ExceptionGlobals) -> bool {
    static ADDING: Mutex<()> = Mutex::new(());
    let _adding = lock(&ADDING);
    let count = COUNT.load(Ordering::Relaxed);
    let globals = globals as *mut c_void;
    if GLOBALS[..count].iter().any(|known| known.load(Ordering::Relaxed) == globals) {
        return true;
    }
    let Some(free) = GLOBALS.get(count) else { return false };
    free.store(globals, Ordering::Relaxed);
    COUNT.store(count + 1, Ordering::Release);
    true
}

/// The C++ exception state of a thread, as the Itanium C++ ABI lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct State {
    caught: *mut c_void,
    uncaught: u32,
}

impl State {
    const NONE: State = State { caught: ptr::null_mut(), uncaught: 0 };
}

/// The addresses of a thread's state, in each library that the thread has asked for it.
struct Known {
    count: Cell<usize>,
    states: [Cell<*mut State>; MOST],
}

thread_local! {
    static KNOWN: Known = const {
        Known { count: Cell::new(0), states: [const { Cell::new(ptr::null_mut()) }; MOST] }
    };
}

impl Known {
    /// The thread's states.
    #[inline]
    fn all(&self) -> &[Cell<*mut State>] {
        if self.count.get() != COUNT.load(Ordering::Acquire) {
            self.look();
        }
        &self.states[..self.count.get().min(MOST)]
    }

    /// Asks every library for the address of the thread's state, which does not change.
    #[cold]
    fn look(&self) {
        let count = COUNT.load(Ordering::Acquire);
        for (globals, state) in GLOBALS[..count].iter().zip(&self.states) {
            let globals = globals.load(Ordering::Relaxed);
            // SAFETY: only `add_globals` stores here, and it stores a function of this type;
            // `COUNT` shows that it has done so.
            let globals = unsafe { std::mem::transmute::<*mut c_void, ExceptionGlobals>(globals) };
            // SAFETY: the function has no requirements.
            state.set(unsafe { globals() }.cast());
        }
        self.count.set(count);
    }
}

/// The C++ exceptions of a coroutine that is not running; `None` if there are none.
pub(super) struct ExceptionState(Option<Box<[State; MOST]>>);

impl ExceptionState {
    /// Takes the thread's state, and leaves the state of a thread without exceptions.
    #[inline]
    pub(super) fn take() -> ExceptionState {
        KNOWN.with(|known| {
            for state in known.all() {
                // SAFETY: this is the thread's own state, which no other thread accesses.
                let State { caught, uncaught } = unsafe { *state.get() };
                if !caught.is_null() || uncaught != 0 {
                    return ExceptionState(Some(take_all(known)));
                }
            }
            ExceptionState(None)
        })
    }

    /// Restores the thread's state that was taken. Other coroutines have taken theirs in the
    /// meantime.
    #[inline]
    pub(super) fn put_back(self) {
        if let Some(taken) = self.0 {
            put_back_all(taken);
        }
    }
}

#[cold]
fn take_all(known: &Known) -> Box<[State; MOST]> {
    let mut taken = Box::new([State::NONE; MOST]);
    for (state, taken) in known.all().iter().zip(&mut *taken) {
        // SAFETY: this is the thread's own state, which no other thread accesses.
        *taken = unsafe { ptr::replace(state.get(), State::NONE) };
    }
    taken
}

/// For libraries found since, `taken` holds `State::NONE`.
#[cold]
fn put_back_all(taken: Box<[State; MOST]>) {
    KNOWN.with(|known| {
        for (state, taken) in known.all().iter().zip(*taken) {
            // SAFETY: as above.
            unsafe { state.get().write(taken) };
        }
    });
}
