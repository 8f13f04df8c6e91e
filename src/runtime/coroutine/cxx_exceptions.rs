//! The C++ exceptions that a thread has caught or has in flight. Each coroutine has its own.

use crate::module::ExceptionGlobals;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `__cxa_get_globals` of the C++ runtime library: the thread's exceptions that are caught or in
/// flight. <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html#cxx-data>
static GLOBALS: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Called when a module has brought the C++ runtime library along.
pub(crate) fn set_globals(globals: ExceptionGlobals) {
    GLOBALS.store(globals as *mut c_void, Ordering::Release);
}

/// The C++ exception state of a thread, as the Itanium C++ ABI lays it out.
#[repr(C)]
pub(crate) struct ExceptionState {
    caught: *mut c_void,
    uncaught: u32,
}

impl ExceptionState {
    #[inline]
    fn of_thread() -> *mut ExceptionState {
        let globals = GLOBALS.load(Ordering::Acquire);
        if globals.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: only `set_globals` stores here.
        unsafe { std::mem::transmute::<*mut c_void, ExceptionGlobals>(globals)() }.cast()
    }

    /// Takes the thread's state away and leaves none behind.
    #[inline]
    pub(crate) fn take() -> ExceptionState {
        let none = ExceptionState { caught: ptr::null_mut(), uncaught: 0 };
        let state = ExceptionState::of_thread();
        if state.is_null() {
            return none;
        }
        // SAFETY: the state is this thread's own.
        unsafe { ptr::replace(state, none) }
    }

    #[inline]
    pub(crate) fn put_back(self) {
        let state = ExceptionState::of_thread();
        if !state.is_null() {
            // SAFETY: the state is this thread's own.
            unsafe { state.write(self) };
        }
    }
}
