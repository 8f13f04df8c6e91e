//! The C library's timers that notify by a thread (`SIGEV_THREAD`). It starts such threads itself, with all signals
//! blocked and without a stack for signals: a fault there would end the process without last words. The program
//! exports replacements that call these.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::mem::{offset_of, transmute};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::signal_masks;
use super::state_calls::{is_sealed, set_errno};
use crate::coroutine::stack;
use crate::sys::thread_state::Original;

static TIMER_CREATE: Original = Original::new(c"timer_create");
static TIMER_DELETE: Original = Original::new(c"timer_delete");

/// Finds the replaced functions now: a child that was forked must not call the dynamic linker.
pub(super) fn prepare() {
    if TIMER_CREATE.find().is_null() {
        // Before glibc 2.34 they are in a library of their own, which a module may bring later.
        // SAFETY: the name is a C string; the library has no initialiser that could disturb.
        unsafe { libc::dlopen(c"librt.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    }
    TIMER_CREATE.find();
    TIMER_DELETE.find();
}

type Function = unsafe extern "C-unwind" fn(libc::sigval);

/// `struct sigevent` for a thread. The `libc` crate has no names for the last two.
#[repr(C)]
struct ThreadEvent {
    value: libc::sigval,
    signal: c_int,
    notify: c_int,
    function: Option<Function>,
    attributes: *mut libc::pthread_attr_t,
}

const _: () = assert!(
    offset_of!(ThreadEvent, notify) == offset_of!(libc::sigevent, sigev_notify)
        && size_of::<ThreadEvent>() <= size_of::<libc::sigevent>()
);

/// What a thread of a timer shall call.
#[derive(Clone, Copy)]
struct Notification {
    function: Function,
    value: usize,
}

/// The notifications of the timers that there are, by numbers that are never used again: a thread may begin after its
/// timer was deleted, and finds nothing then.
struct Timers {
    last: usize,
    notifications: HashMap<usize, Notification>,
    /// The number of a timer.
    numbers: HashMap<usize, usize>,
}

static TIMERS: Mutex<Option<Timers>> = Mutex::new(None);

fn with_timers<R>(act: impl FnOnce(&mut Timers) -> R) -> R {
    let mut timers = TIMERS.lock().unwrap_or_else(PoisonError::into_inner);
    act(timers.get_or_insert_with(|| Timers {
        last: 0,
        notifications: HashMap::new(),
        numbers: HashMap::new(),
    }))
}

/// `timer_create`: a thread of the timer has a stack for signals, and does not block those of faults.
///
/// # Safety
/// As for that function.
pub unsafe fn timer_create(
    clock: libc::clockid_t,
    event: *mut libc::sigevent,
    timer: *mut libc::timer_t,
) -> c_int {
    type Create =
        unsafe extern "C" fn(libc::clockid_t, *mut libc::sigevent, *mut libc::timer_t) -> c_int;
    if TIMER_CREATE.find().is_null() {
        set_errno(libc::ENOSYS);
        return -1;
    }
    // SAFETY: the function has this type.
    let original = unsafe { transmute::<*mut c_void, Create>(TIMER_CREATE.get()) };
    // SAFETY: by the caller's promise, the pointer is null or to an event, which has these fields if it is for a
    // thread.
    let wanted = unsafe { event.cast::<ThreadEvent>().as_ref() }
        .filter(|event| event.notify == libc::SIGEV_THREAD && is_sealed())
        .and_then(|event| Some((event, event.function?)));
    let Some((wanted, function)) = wanted else {
        // SAFETY: by the caller's promise.
        return unsafe { original(clock, event, timer) };
    };
    let number = with_timers(|timers| {
        timers.last += 1;
        let value = wanted.value.sival_ptr.expose_provenance();
        timers.notifications.insert(timers.last, Notification { function, value });
        timers.last
    });
    // SAFETY: by the caller's promise; `ThreadEvent` has these fields of an event.
    let created = unsafe {
        let mut changed = ptr::read(event);
        let fields = (&raw mut changed).cast::<ThreadEvent>();
        (*fields).value = libc::sigval { sival_ptr: ptr::without_provenance_mut(number) };
        (*fields).function = Some(begin);
        original(clock, &mut changed, timer)
    };
    with_timers(|timers| {
        if created == 0 {
            // SAFETY: the call has written it.
            timers.numbers.insert(unsafe { *timer }.addr(), number);
        } else {
            timers.notifications.remove(&number);
        }
    });
    created
}

/// `timer_delete`.
///
/// # Safety
/// As for that function.
pub unsafe fn timer_delete(timer: libc::timer_t) -> c_int {
    type Delete = unsafe extern "C" fn(libc::timer_t) -> c_int;
    if is_sealed() {
        // Before the call: after it, another thread may be given a timer of this name.
        with_timers(|timers| {
            if let Some(number) = timers.numbers.remove(&timer.addr()) {
                timers.notifications.remove(&number);
            }
        });
    }
    // SAFETY: there is a timer, so there is this function, which has this type; the rest is the caller's promise.
    unsafe { transmute::<*mut c_void, Delete>(TIMER_DELETE.get())(timer) }
}

unsafe extern "C-unwind" fn begin(number: libc::sigval) {
    let number = number.sival_ptr.addr();
    let Some(notification) = with_timers(|timers| timers.notifications.get(&number).copied())
    else {
        return;
    };
    signal_masks::unblock_faults();
    stack::prepare_thread_of_module();
    let value = libc::sigval { sival_ptr: ptr::with_exposed_provenance_mut(notification.value) };
    // SAFETY: by the promise of whoever has created the timer. Nothing is dropped if it is unwound.
    unsafe { (notification.function)(value) }
}
