//! The C++ exceptions that a thread has caught or is throwing. Each coroutine has its own.

use crate::module::ExceptionGlobals;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `__cxa_get_globals` of the C++ runtime library: the thread's exceptions that are caught or being
/// thrown. <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html#cxx-data>
static GLOBALS: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Called when a module that links the C++ runtime library has been loaded.
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
        // SAFETY: only `set_globals` stores here, and it stores a function of this type.
        unsafe { std::mem::transmute::<*mut c_void, ExceptionGlobals>(globals)() }.cast()
    }

    /// Takes the thread's state, and leaves the state of a thread without exceptions.
    #[inline]
    pub(crate) fn take() -> ExceptionState {
        let none = ExceptionState { caught: ptr::null_mut(), uncaught: 0 };
        let state = ExceptionState::of_thread();
        if state.is_null() {
            return none;
        }
        // SAFETY: the function returned this thread's own state, which no other thread accesses.
        unsafe { ptr::replace(state, none) }
    }

    #[inline]
    pub(crate) fn put_back(self) {
        let state = ExceptionState::of_thread();
        if !state.is_null() {
            // SAFETY: the function returned this thread's own state, which no other thread
            // accesses.
            unsafe { state.write(self) };
        }
    }
}
