//! The C++ exceptions that a thread has caught or is throwing. Each coroutine has its own, in each C++
//! runtime library of the process: a module may have brought one with it.

use crate::module::ExceptionGlobals;
use crate::sys::lock;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::Mutex;

/// How many C++ runtime libraries there may be.
const MOST: usize = 16;

/// `__cxa_get_globals` of each C++ runtime library: the thread's exceptions that are caught or being
/// thrown. <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html#cxx-data>
static GLOBALS: [AtomicPtr<c_void>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];
/// How many of them there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Called when a C++ runtime library has been found that a module uses. False if there are too many.
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

/// The state in one of the C++ runtime libraries.
#[inline]
fn of_thread(library: usize) -> *mut State {
    let globals = GLOBALS[library].load(Ordering::Relaxed);
    // SAFETY: only `add_globals` stores here, and it stores a function of this type; `COUNT` says that it
    // has done so.
    unsafe { std::mem::transmute::<*mut c_void, ExceptionGlobals>(globals)() }.cast()
}

/// The C++ exceptions of a coroutine that is not running.
pub(crate) struct ExceptionState {
    states: [MaybeUninit<State>; MOST],
    /// How many of them are set.
    count: usize,
}

impl ExceptionState {
    /// Takes the thread's state, and leaves the state of a thread without exceptions.
    #[inline]
    pub(crate) fn take() -> ExceptionState {
        let none = State { caught: ptr::null_mut(), uncaught: 0 };
        let count = COUNT.load(Ordering::Acquire);
        let mut taken = ExceptionState { states: [const { MaybeUninit::uninit() }; MOST], count };
        for (library, taken) in taken.states[..count].iter_mut().enumerate() {
            // SAFETY: the function returned this thread's own state, which no other thread accesses.
            taken.write(unsafe { ptr::replace(of_thread(library), none) });
        }
        taken
    }

    /// Gives the thread the state that was taken. Libraries that were found since had none.
    #[inline]
    pub(crate) fn put_back(self) {
        for (library, taken) in self.states[..self.count].iter().enumerate() {
            // SAFETY: `take` has written so many; the function returned this thread's own state, which no
            // other thread accesses.
            unsafe { of_thread(library).write(taken.assume_init()) };
        }
    }
}
