//! Replacements for the C library's functions that block signals. Modules call these instead, because the dynamic
//! linker searches the program first. Those that wait may be unwound: a thread can be cancelled in them.

use std::ffi::c_int;

use chimaera_runtime::signal_masks;

#[no_mangle]
unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the caller promises what this call requires.
    unsafe { signal_masks::pthread_sigmask(how, set, old) }
}

#[no_mangle]
unsafe extern "C" fn sigprocmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::sigprocmask(how, set, old) }
}

#[no_mangle]
extern "C" fn sighold(signal: c_int) -> c_int {
    signal_masks::sighold(signal)
}

#[no_mangle]
extern "C" fn sigrelse(signal: c_int) -> c_int {
    signal_masks::sigrelse(signal)
}

#[no_mangle]
extern "C" fn sigblock(mask: c_int) -> c_int {
    signal_masks::sigblock(mask)
}

#[no_mangle]
extern "C" fn sigsetmask(mask: c_int) -> c_int {
    signal_masks::sigsetmask(mask)
}

#[no_mangle]
unsafe extern "C-unwind" fn ppoll(
    files: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::ppoll(files, count, timeout, mask) }
}

#[no_mangle]
unsafe extern "C-unwind" fn __ppoll_chk(
    files: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
    size: usize,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::ppoll_checked(files, count, timeout, mask, size) }
}

#[no_mangle]
unsafe extern "C-unwind" fn pselect(
    count: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    except: *mut libc::fd_set,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::pselect(count, read, write, except, timeout, mask) }
}

#[no_mangle]
unsafe extern "C-unwind" fn epoll_pwait(
    epoll: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::epoll_pwait(epoll, events, count, timeout, mask) }
}

#[no_mangle]
unsafe extern "C-unwind" fn epoll_pwait2(
    epoll: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::epoll_pwait2(epoll, events, count, timeout, mask) }
}

#[no_mangle]
unsafe extern "C-unwind" fn sigsuspend(mask: *const libc::sigset_t) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::sigsuspend(mask) }
}

#[no_mangle]
extern "C-unwind" fn sigpause(mask: c_int) -> c_int {
    signal_masks::sigpause(mask)
}

#[no_mangle]
unsafe extern "C" fn pthread_attr_setsigmask_np(
    attributes: *mut libc::pthread_attr_t,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::pthread_attr_setsigmask_np(attributes, mask) }
}

#[no_mangle]
unsafe extern "C-unwind" fn setcontext(context: *const libc::ucontext_t) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::setcontext(context) }
}

#[no_mangle]
unsafe extern "C-unwind" fn swapcontext(
    own: *mut libc::ucontext_t,
    next: *const libc::ucontext_t,
) -> c_int {
    // SAFETY: as above.
    unsafe { signal_masks::swapcontext(own, next) }
}
