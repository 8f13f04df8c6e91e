//! Replacements for the C library's functions that change the state of a thread or of the process.
//! Modules call these instead, because the dynamic linker searches the program first.

use std::ffi::{c_char, c_int, c_void};

use chimaera_runtime::state_calls::{self, SetHandler};
use chimaera_runtime::timer_threads;

#[no_mangle]
unsafe extern "C" fn uselocale(locale: libc::locale_t) -> libc::locale_t {
    // SAFETY: the caller promises what this call requires.
    unsafe { state_calls::uselocale(locale) }
}

#[no_mangle]
unsafe extern "C" fn setlocale(category: c_int, locale: *const c_char) -> *mut c_char {
    // SAFETY: as above.
    unsafe { state_calls::setlocale(category, locale) }
}

#[no_mangle]
extern "C" fn umask(mask: libc::mode_t) -> libc::mode_t {
    state_calls::umask(mask)
}

#[no_mangle]
unsafe extern "C" fn chdir(path: *const c_char) -> c_int {
    // SAFETY: as above.
    unsafe { state_calls::chdir(path) }
}

#[no_mangle]
extern "C" fn fchdir(directory: c_int) -> c_int {
    state_calls::fchdir(directory)
}

#[no_mangle]
extern "C" fn daemon(keep_directory: c_int, keep_files: c_int) -> c_int {
    state_calls::daemon(keep_directory, keep_files)
}

#[no_mangle]
unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: as above.
    unsafe { state_calls::sigaction(signal, new, old) }
}

#[no_mangle]
unsafe extern "C" fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: as above.
    unsafe { state_calls::set_handler(SetHandler::Signal, signal, handler) }
}

#[no_mangle]
unsafe extern "C" fn sysv_signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: as above.
    unsafe { state_calls::set_handler(SetHandler::SysvSignal, signal, handler) }
}

#[no_mangle]
unsafe extern "C" fn __sysv_signal(
    signal: c_int,
    handler: libc::sighandler_t,
) -> libc::sighandler_t {
    // SAFETY: as above.
    unsafe { state_calls::set_handler(SetHandler::SysvSignal, signal, handler) }
}

#[no_mangle]
unsafe extern "C" fn ssignal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: as above. It is another name of `signal`.
    unsafe { state_calls::set_handler(SetHandler::Signal, signal, handler) }
}

#[no_mangle]
unsafe extern "C" fn bsd_signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: as above. It is another name of `signal`.
    unsafe { state_calls::set_handler(SetHandler::Signal, signal, handler) }
}

#[no_mangle]
unsafe extern "C" fn sigset(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: as above.
    unsafe { state_calls::set_handler(SetHandler::Sigset, signal, handler) }
}

#[no_mangle]
extern "C" fn sigignore(signal: c_int) -> c_int {
    state_calls::sigignore(signal)
}

#[no_mangle]
unsafe extern "C" fn sigaltstack(new: *const libc::stack_t, old: *mut libc::stack_t) -> c_int {
    // SAFETY: as above.
    unsafe { state_calls::sigaltstack(new, old) }
}

#[no_mangle]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    unsafe { state_calls::pthread_create(thread, attributes, start, argument) }
}

#[no_mangle]
unsafe extern "C" fn thrd_create(
    thread: *mut libc::pthread_t,
    start: unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    unsafe { state_calls::thrd_create(thread, start, argument) }
}

#[no_mangle]
unsafe extern "C" fn timer_create(
    clock: libc::clockid_t,
    event: *mut libc::sigevent,
    timer: *mut libc::timer_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { timer_threads::timer_create(clock, event, timer) }
}

#[no_mangle]
unsafe extern "C" fn timer_delete(timer: libc::timer_t) -> c_int {
    // SAFETY: as above.
    unsafe { timer_threads::timer_delete(timer) }
}
