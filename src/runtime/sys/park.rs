//! Parking a worker, with a timeout accurate to the microsecond.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{epoll, Timespec};

/// The timer slack, in nanoseconds: how much longer than requested a thread may sleep. The default
/// of Linux is 50 us, longer than the shortest period of a task. See prctl(2), `PR_SET_TIMERSLACK`.
const SLACK_NS: libc::c_ulong = 1000;

/// Lowers the calling thread's timer slack, so that it wakes up on time. `[a worker, once]`
pub(crate) fn prepare_thread() {
    // SAFETY: the call affects this thread's timers only. If it is refused, sleeps take a little
    // longer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS) };
}

/// Parks until one of the descriptors signals, or for `rest`. They are never read: they are
/// edge-triggered, so each event is reported once. An interrupted wait returns as if there had been
/// an event.
pub(crate) fn park_on_epoll(epoll: BorrowedFd<'_>, rest: Option<Duration>) {
    /// Set if the kernel has no `epoll_pwait2` (before Linux 5.11) or a sandbox forbids it.
    static COARSE: AtomicBool = AtomicBool::new(false);
    let time = rest.map(|rest| libc::timespec {
        tv_sec: rest.as_secs() as libc::time_t,
        tv_nsec: rest.subsec_nanos() as _,
    });
    let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; 16];
    if !COARSE.load(Ordering::Relaxed) {
        let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the array has room for as many events as the call is told, the time is null or
        // points to a `timespec` that outlives the call, and the signal mask is null.
        let done = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll.as_raw_fd(),
                events.as_mut_ptr(),
                events.len(),
                time,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let error = io::Error::last_os_error().raw_os_error();
        if done >= 0 || !matches!(error, Some(libc::ENOSYS | libc::EPERM)) {
            return;
        }
        COARSE.store(true, Ordering::Relaxed);
    }
    let time = rest.map(|rest| Timespec {
        tv_sec: rest.as_secs() as i64,
        tv_nsec: rest.subsec_nanos().into(),
    });
    let mut events = [const { MaybeUninit::uninit() }; 16];
    let _ = epoll::wait(epoll, &mut events, time.as_ref());
}
