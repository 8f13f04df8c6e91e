//! The C library's functions that block signals, for a while or for good. The program exports replacements that call
//! these. What a task blocks it blocks for itself alone, and nothing blocks the signals of faults: the kernel ends a
//! process at once, without last words, that faults while their signal is blocked.

use std::ffi::{c_int, c_void};
use std::mem::transmute;
use std::ptr;

use super::state_calls::{is_sealed, note, set_errno};
use crate::coroutine::SIGNALS;
use crate::sys::signal;
use crate::sys::thread_state::{Original, SignalMask, PTHREAD_SIGMASK};

static PPOLL: Original = Original::new(c"ppoll");
static PPOLL_CHK: Original = Original::new(c"__ppoll_chk");
static PSELECT: Original = Original::new(c"pselect");
static EPOLL_PWAIT: Original = Original::new(c"epoll_pwait");
static EPOLL_PWAIT2: Original = Original::new(c"epoll_pwait2");
static SIGSUSPEND: Original = Original::new(c"sigsuspend");
static ATTRIBUTE: Original = Original::new(c"pthread_attr_setsigmask_np");
static SETCONTEXT: Original = Original::new(c"setcontext");
static SWAPCONTEXT: Original = Original::new(c"swapcontext");

/// Finds the replaced functions now: a child that was forked must not call the dynamic linker.
pub(super) fn prepare() {
    for function in
        [&PPOLL, &PPOLL_CHK, &PSELECT, &EPOLL_PWAIT, &SIGSUSPEND, &SETCONTEXT, &SWAPCONTEXT]
    {
        function.get();
    }
    // Older C libraries lack these.
    for function in [&EPOLL_PWAIT2, &ATTRIBUTE] {
        function.find();
    }
}

/// `pthread_sigmask`: lasts while the task runs, and leaves out the signals of faults.
///
/// # Safety
/// As for that function.
pub unsafe fn pthread_sigmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    let mut set = set;
    // SAFETY: by the caller's promise, the pointer is null or to a set.
    let mut without_faults = unsafe { set.as_ref() }.copied();
    if let Some(wanted) = &mut without_faults {
        note(SIGNALS, true);
        if how != libc::SIG_UNBLOCK && is_sealed() {
            drop_faults(wanted);
            set = wanted;
        }
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, SignalMask>(PTHREAD_SIGMASK.get());
        original(how, set, old)
    }
}

/// Takes the signals of faults out of a set that is to be blocked: the kernel ends a process at once that faults
/// meanwhile.
pub(super) fn drop_faults(set: &mut libc::sigset_t) {
    for fault in signal::of_faults() {
        // SAFETY: the set is valid, and so is the signal.
        unsafe { libc::sigdelset(set, fault) };
    }
}

/// Unblocks the signals of faults on this thread.
pub(super) fn unblock_faults() {
    // SAFETY: all zero is a valid set, which these functions change; the function has this type.
    unsafe {
        let mut faults = std::mem::zeroed();
        libc::sigemptyset(&mut faults);
        signal::of_faults().for_each(|fault| {
            libc::sigaddset(&mut faults, fault);
        });
        let original = transmute::<*mut c_void, SignalMask>(PTHREAD_SIGMASK.get());
        original(libc::SIG_UNBLOCK, &faults, ptr::null_mut());
    }
}

/// `sigprocmask`: lasts while the task runs.
///
/// # Safety
/// As for that function.
pub unsafe fn sigprocmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: by the caller's promise.
    match unsafe { pthread_sigmask(how, set, old) } {
        0 => 0,
        error => {
            set_errno(error);
            -1
        }
    }
}

/// A copy of a set that is to be blocked for a while, without the signals of faults.
struct Mask(Option<libc::sigset_t>);

impl Mask {
    /// # Safety
    /// The pointer is null or to a set.
    unsafe fn of(set: *const libc::sigset_t) -> Mask {
        let mut copy = (!set.is_null()).then(|| {
            // SAFETY: all zero is a valid set. By the caller's promise there is one, of which the kernel reads a
            // word for its 64 signals, and some callers have no more.
            unsafe {
                let mut copy: libc::sigset_t = std::mem::zeroed();
                ptr::from_mut(&mut copy).cast::<u64>().write(set.cast::<u64>().read_unaligned());
                copy
            }
        });
        if let Some(set) = copy.as_mut().filter(|_| is_sealed()) {
            drop_faults(set);
        }
        Mask(copy)
    }

    /// Null if there is none.
    fn as_ptr(&self) -> *const libc::sigset_t {
        self.0.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}

/// Blocks this signal, or unblocks it, by the task's mask.
fn change(how: c_int, signal: c_int) -> c_int {
    // SAFETY: all zero is a valid set, which these functions change; they check the signal.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        match libc::sigaddset(&mut set, signal) {
            0 => sigprocmask(how, &set, ptr::null_mut()),
            error => error,
        }
    }
}

/// `sighold`: lasts while the task runs.
pub fn sighold(signal: c_int) -> c_int {
    change(libc::SIG_BLOCK, signal)
}

/// `sigrelse`: lasts while the task runs.
pub fn sigrelse(signal: c_int) -> c_int {
    change(libc::SIG_UNBLOCK, signal)
}

/// The signals that a mask of one word can name.
const OF_WORD: std::ops::RangeInclusive<c_int> = 1..=32;

fn of_word(mask: c_int) -> libc::sigset_t {
    // SAFETY: all zero is a valid set; the signals are valid.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in OF_WORD.filter(|signal| mask & 1 << (signal - 1) != 0) {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

fn change_word(how: c_int, mask: c_int) -> c_int {
    let mut before = of_word(0);
    // SAFETY: there are these sets; the signals are valid.
    unsafe {
        sigprocmask(how, &of_word(mask), &mut before);
        OF_WORD
            .filter(|signal| libc::sigismember(&before, *signal) == 1)
            .fold(0, |word, signal| word | 1 << (signal - 1))
    }
}

/// `sigblock`: lasts while the task runs.
pub fn sigblock(mask: c_int) -> c_int {
    change_word(libc::SIG_BLOCK, mask)
}

/// `sigsetmask`: lasts while the task runs.
pub fn sigsetmask(mask: c_int) -> c_int {
    change_word(libc::SIG_SETMASK, mask)
}

/// `ppoll`.
///
/// # Safety
/// As for that function.
pub unsafe fn ppoll(
    files: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    type Ppoll = unsafe extern "C-unwind" fn(
        *mut libc::pollfd,
        libc::nfds_t,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, Ppoll>(PPOLL.get());
        original(files, count, timeout, Mask::of(mask).as_ptr())
    }
}

/// `ppoll` as checked builds call it, with the size of the array in bytes.
///
/// # Safety
/// As for that function.
pub unsafe fn ppoll_checked(
    files: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
    size: usize,
) -> c_int {
    type Ppoll = unsafe extern "C-unwind" fn(
        *mut libc::pollfd,
        libc::nfds_t,
        *const libc::timespec,
        *const libc::sigset_t,
        usize,
    ) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, Ppoll>(PPOLL_CHK.get());
        original(files, count, timeout, Mask::of(mask).as_ptr(), size)
    }
}

/// `pselect`.
///
/// # Safety
/// As for that function.
pub unsafe fn pselect(
    count: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    except: *mut libc::fd_set,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    type Pselect = unsafe extern "C-unwind" fn(
        c_int,
        *mut libc::fd_set,
        *mut libc::fd_set,
        *mut libc::fd_set,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, Pselect>(PSELECT.get());
        original(count, read, write, except, timeout, Mask::of(mask).as_ptr())
    }
}

/// `epoll_pwait`.
///
/// # Safety
/// As for that function.
pub unsafe fn epoll_pwait(
    epoll: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const libc::sigset_t,
) -> c_int {
    type EpollPwait = unsafe extern "C-unwind" fn(
        c_int,
        *mut libc::epoll_event,
        c_int,
        c_int,
        *const libc::sigset_t,
    ) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, EpollPwait>(EPOLL_PWAIT.get());
        original(epoll, events, count, timeout, Mask::of(mask).as_ptr())
    }
}

/// `epoll_pwait2`.
///
/// # Safety
/// As for that function.
pub unsafe fn epoll_pwait2(
    epoll: c_int,
    events: *mut libc::epoll_event,
    count: c_int,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    type EpollPwait2 = unsafe extern "C-unwind" fn(
        c_int,
        *mut libc::epoll_event,
        c_int,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int;
    if EPOLL_PWAIT2.find().is_null() {
        set_errno(libc::ENOSYS);
        return -1;
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, EpollPwait2>(EPOLL_PWAIT2.get());
        original(epoll, events, count, timeout, Mask::of(mask).as_ptr())
    }
}

/// `sigsuspend`.
///
/// # Safety
/// As for that function.
pub unsafe fn sigsuspend(mask: *const libc::sigset_t) -> c_int {
    type Sigsuspend = unsafe extern "C-unwind" fn(*const libc::sigset_t) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, Sigsuspend>(SIGSUSPEND.get());
        original(Mask::of(mask).as_ptr())
    }
}

/// `sigpause` with a mask of one word, as BSD has it.
pub fn sigpause(mask: c_int) -> c_int {
    let set = of_word(mask);
    // SAFETY: there is a set.
    unsafe { sigsuspend(&set) }
}

/// `pthread_attr_setsigmask_np`: the mask with which a thread begins.
///
/// # Safety
/// As for that function.
pub unsafe fn pthread_attr_setsigmask_np(
    attributes: *mut libc::pthread_attr_t,
    mask: *const libc::sigset_t,
) -> c_int {
    type Attribute =
        unsafe extern "C" fn(*mut libc::pthread_attr_t, *const libc::sigset_t) -> c_int;
    if ATTRIBUTE.find().is_null() {
        return libc::ENOSYS;
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = transmute::<*mut c_void, Attribute>(ATTRIBUTE.get());
        original(attributes, Mask::of(mask).as_ptr())
    }
}

/// Takes the signals of faults out of the mask of a context that is to be entered.
///
/// # Safety
/// The pointer is to a context.
unsafe fn unmask(context: *const libc::ucontext_t) {
    note(SIGNALS, true);
    if !is_sealed() {
        return;
    }
    // SAFETY: by the caller's promise, and only a mask that somebody has written has such signals.
    unsafe {
        let mask = &raw mut (*context.cast_mut()).uc_sigmask;
        for fault in signal::of_faults() {
            if libc::sigismember(mask, fault) == 1 {
                libc::sigdelset(mask, fault);
            }
        }
    }
}

/// `setcontext`: its mask lasts while the task runs.
///
/// # Safety
/// As for that function.
pub unsafe fn setcontext(context: *const libc::ucontext_t) -> c_int {
    type Setcontext = unsafe extern "C-unwind" fn(*const libc::ucontext_t) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        unmask(context);
        transmute::<*mut c_void, Setcontext>(SETCONTEXT.get())(context)
    }
}

/// `swapcontext`: its mask lasts while the task runs.
///
/// # Safety
/// As for that function.
pub unsafe fn swapcontext(own: *mut libc::ucontext_t, next: *const libc::ucontext_t) -> c_int {
    type Swapcontext =
        unsafe extern "C-unwind" fn(*mut libc::ucontext_t, *const libc::ucontext_t) -> c_int;
    // SAFETY: the function has this type; the rest is the caller's promise. Nothing here needs to be dropped.
    unsafe {
        unmask(next);
        transmute::<*mut c_void, Swapcontext>(SWAPCONTEXT.get())(own, next)
    }
}
