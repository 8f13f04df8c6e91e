//! The C library's functions with which code changes the state of its thread or of the process. The
//! program exports replacements that call these. Changes to the thread are recorded, so that the
//! next task does not inherit them; changes to the whole process, and those that would silence last words, are
//! refused.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;
use std::sync::OnceLock;

use super::signal_masks::{self, drop_faults, pthread_sigmask};
use super::timer_threads;
use super::worker::with_current;
use crate::coroutine::{stack, LOCALE, SIGNALS};
use crate::log::{log_task, LineKind, RateLimit, Subject};
use crate::sys::objects::{self, Owner};
use crate::sys::signal;
use crate::sys::thread;
use crate::sys::thread_state::{Original, UseLocale, USELOCALE};

/// `LC_GLOBAL_LOCALE`: the thread uses the locale of the process.
const LC_GLOBAL_LOCALE: isize = -1;

static CHDIR: Original = Original::new(c"chdir");
static FCHDIR: Original = Original::new(c"fchdir");
static DAEMON: Original = Original::new(c"daemon");
static SIGACTION: Original = Original::new(c"sigaction");
static SIGNAL: Original = Original::new(c"signal");
static SYSV_SIGNAL: Original = Original::new(c"sysv_signal");
static SIGSET: Original = Original::new(c"sigset");
static THRD_CREATE: Original = Original::new(c"thrd_create");
static SIGIGNORE: Original = Original::new(c"sigignore");

/// The process whose state is sealed, and its umask, which cannot be read without changing it.
static SEALED: OnceLock<(u32, libc::mode_t)> = OnceLock::new();

/// Refuses changes to the state of this process from now on. Its children may still change theirs.
pub(crate) fn seal() {
    SEALED.get_or_init(|| {
        // A child must not call the dynamic linker: another thread may have been inside it at the
        // fork.
        let functions =
            [&CHDIR, &FCHDIR, &DAEMON, &SIGACTION, &SIGNAL, &SYSV_SIGNAL, &SIGSET, &SIGIGNORE];
        for function in functions {
            function.get();
        }
        THRD_CREATE.find();
        signal_masks::prepare();
        timer_threads::prepare();
        let umask = original_umask();
        // SAFETY: the function has no requirements. Other users cannot read what another thread
        // creates meanwhile.
        let own = unsafe {
            let own = umask(0o077);
            umask(own);
            own
        };
        (std::process::id(), own)
    });
}

fn original_umask() -> unsafe extern "C" fn(libc::mode_t) -> libc::mode_t {
    static UMASK: Original = Original::new(c"umask");
    // SAFETY: the function has this type.
    unsafe { std::mem::transmute(UMASK.get()) }
}

/// Whether the state of this process is sealed; that of a child that it has forked is not.
pub(super) fn is_sealed() -> bool {
    SEALED.get().is_some_and(|(process, _)| *process == std::process::id())
}

/// If the process is sealed, returns its umask and logs that a module has called the function.
fn refuse(function: &str) -> Option<libc::mode_t> {
    let &(process, umask) = SEALED.get()?;
    if std::process::id() != process {
        return None;
    }
    // These functions are no cancellation points, and what logs must not be unwound.
    let before = thread::stay();
    report(function);
    thread::leave(before);
    Some(umask)
}

fn report(function: &str) {
    static OF_THREADS: OnceLock<RateLimit> = OnceLock::new();
    const WHY: &str = "is refused: it changes the state of the runtime, not only of the task";
    with_current(|worker| {
        let kind = LineKind::StateCall;
        match worker.and_then(|worker| Some((worker, worker.running()?))) {
            Some((worker, record)) => {
                if let Some(left_out) = worker.shared.rate_limit.pass(kind, record.log_subject()) {
                    log_task!(warn, record.log_context(), left_out, "{function} {WHY}");
                }
            }
            None => {
                let limit = OF_THREADS.get_or_init(RateLimit::default);
                if let Some(left_out) = limit.pass(kind, Subject::default()) {
                    tracing::warn!(left_out, "{function} outside of tasks {WHY}");
                }
            }
        }
    });
}

/// Records whether the running code has changed `what` of its thread.
pub(super) fn note(what: u8, altered: bool) {
    with_current(|worker| {
        if let Some(worker) = worker {
            let rest = worker.context().altered.get() & !what;
            worker.context().altered.set(rest | if altered { what } else { 0 });
        }
    });
}

pub(super) fn set_errno(errno: c_int) {
    // SAFETY: the pointer is to this thread's `errno`.
    unsafe { *libc::__errno_location() = errno };
}

/// Fails as the C library's functions do.
fn not_permitted() -> c_int {
    set_errno(libc::EPERM);
    -1
}

/// Prepares the calling thread, the main one, before it starts others: it blocks no signal, although whoever has
/// started the program may have blocked some, and has a stack for signals, on which the last words of static
/// destructors of modules can be written.
///
/// # Errors
/// There is no memory for the stack.
pub fn prepare_main_thread() -> std::io::Result<()> {
    // SAFETY: all zero is a valid set, which `sigemptyset` empties.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
    stack::prepare_thread()
}

/// `uselocale`: lasts while the task runs.
///
/// # Safety
/// As for that function.
pub unsafe fn uselocale(locale: libc::locale_t) -> libc::locale_t {
    if !locale.is_null() {
        // Library functions that parse or print numbers set another locale while they run.
        note(LOCALE, locale.addr() as isize != LC_GLOBAL_LOCALE);
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original = std::mem::transmute::<*mut c_void, UseLocale>(USELOCALE.get());
        original(locale)
    }
}

/// `setlocale`: refused, unless it changes nothing.
///
/// # Safety
/// As for that function.
pub unsafe fn setlocale(category: c_int, locale: *const c_char) -> *mut c_char {
    static SETLOCALE: Original = Original::new(c"setlocale");
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original: unsafe extern "C" fn(c_int, *const c_char) -> *mut c_char =
            std::mem::transmute(SETLOCALE.get());
        if locale.is_null() {
            return original(category, locale);
        }
        let now = original(category, ptr::null());
        if !now.is_null() && CStr::from_ptr(now) == CStr::from_ptr(locale) {
            return now;
        }
        match refuse("setlocale") {
            Some(_) => ptr::null_mut(),
            None => original(category, locale),
        }
    }
}

/// `umask`: has no effect. It cannot fail, so it returns the current mask.
pub fn umask(mask: libc::mode_t) -> libc::mode_t {
    let sealed = SEALED.get().filter(|sealed| sealed.0 == std::process::id());
    match sealed {
        Some(&(_, own)) if own == mask & 0o777 => own,
        Some(_) => refuse("umask").unwrap_or(mask),
        // SAFETY: the function has no requirements.
        None => unsafe { original_umask()(mask) },
    }
}

/// `chdir`: refused.
///
/// # Safety
/// As for that function.
pub unsafe fn chdir(path: *const c_char) -> c_int {
    if refuse("chdir").is_some() {
        return not_permitted();
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original: unsafe extern "C" fn(*const c_char) -> c_int =
            std::mem::transmute(CHDIR.get());
        original(path)
    }
}

/// `fchdir`: refused.
pub fn fchdir(directory: c_int) -> c_int {
    if refuse("fchdir").is_some() {
        return not_permitted();
    }
    // SAFETY: the function has this type, and takes any number.
    unsafe {
        let original: unsafe extern "C" fn(c_int) -> c_int = std::mem::transmute(FCHDIR.get());
        original(directory)
    }
}

/// `daemon`: refused. The process would end, and a child without the runtime's threads would go on.
pub fn daemon(keep_directory: c_int, keep_files: c_int) -> c_int {
    if refuse("daemon").is_some() {
        return not_permitted();
    }
    // SAFETY: the function has this type, and takes any numbers.
    unsafe {
        let original: unsafe extern "C" fn(c_int, c_int) -> c_int =
            std::mem::transmute(DAEMON.get());
        original(keep_directory, keep_files)
    }
}

/// The signals whose handlers belong to the program.
static OWN_SIGNALS: OnceLock<Vec<c_int>> = OnceLock::new();

/// From here on, the handlers of these signals stay what they are: those by which a user stops the
/// daemon. SIGPIPE stays ignored: the log may be a pipe.
pub fn seal_signals(signals: Vec<c_int>) {
    // They are sealed once.
    let _ = OWN_SIGNALS.set(signals);
}

/// Whether a signal must not have this handler.
fn is_own_signal(signal: c_int, handler: libc::sighandler_t) -> bool {
    match signal {
        libc::SIGPIPE => OWN_SIGNALS.get().is_some() && handler != libc::SIG_IGN,
        // A module may handle a fault, but not have it pass without last words.
        _ if signal::is_of_fault(signal) => OWN_SIGNALS.get().is_some() && handler == libc::SIG_IGN,
        _ => OWN_SIGNALS.get().is_some_and(|signals| signals.contains(&signal)),
    }
}

/// `sigaction`: refused for the program's own signals, and leaves the signals of faults out of the mask.
///
/// # Safety
/// As for that function.
pub unsafe fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: by the caller's promise, the pointer is null or to an action.
    let handler = unsafe { new.as_ref() }.map(|new| new.sa_sigaction);
    let is_own = handler.is_some_and(|handler| is_own_signal(signal, handler));
    if is_own && refuse("sigaction").is_some() {
        return not_permitted();
    }
    // SAFETY: as above.
    let mut without_faults = unsafe { new.as_ref() }.copied();
    let mut new = new;
    if let Some(wanted) = without_faults.as_mut().filter(|_| is_sealed()) {
        drop_faults(&mut wanted.sa_mask);
        new = wanted;
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original: unsafe extern "C" fn(
            c_int,
            *const libc::sigaction,
            *mut libc::sigaction,
        ) -> c_int = std::mem::transmute(SIGACTION.get());
        original(signal, new, old)
    }
}

/// The functions of the C library that set the handler of a signal and return the one before.
#[derive(Clone, Copy, Debug)]
pub enum SetHandler {
    /// `signal`.
    Signal,
    /// `sysv_signal`, which `signal` is under strict standards; also `__sysv_signal`.
    SysvSignal,
    /// `sigset`.
    Sigset,
}

/// The handler with which `sigset` blocks a signal instead of setting one.
const SIG_HOLD: libc::sighandler_t = 2;

/// `signal` and its like: refused for the program's own signals.
///
/// # Safety
/// As for that function.
pub unsafe fn set_handler(
    function: SetHandler,
    signal: c_int,
    handler: libc::sighandler_t,
) -> libc::sighandler_t {
    let (name, original) = match function {
        SetHandler::Signal => ("signal", &SIGNAL),
        SetHandler::SysvSignal => ("sysv_signal", &SYSV_SIGNAL),
        SetHandler::Sigset => ("sigset", &SIGSET),
    };
    if is_own_signal(signal, handler) && refuse(name).is_some() {
        not_permitted();
        return libc::SIG_ERR;
    }
    if matches!(function, SetHandler::Sigset) {
        // It unblocks the signal, or blocks it.
        note(SIGNALS, true);
        if handler == SIG_HOLD && signal::is_of_fault(signal) && is_sealed() {
            // SAFETY: all zero is a valid action, which the function fills in.
            return unsafe {
                let mut now: libc::sigaction = std::mem::zeroed();
                sigaction(signal, ptr::null(), &mut now);
                now.sa_sigaction
            };
        }
    }
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original: unsafe extern "C" fn(c_int, libc::sighandler_t) -> libc::sighandler_t =
            std::mem::transmute(original.get());
        original(signal, handler)
    }
}

/// `sigignore`: refused for the program's own signals.
pub fn sigignore(signal: c_int) -> c_int {
    if is_own_signal(signal, libc::SIG_IGN) && refuse("sigignore").is_some() {
        return not_permitted();
    }
    // SAFETY: the function has this type, and takes any number.
    unsafe {
        let original: unsafe extern "C" fn(c_int) -> c_int = std::mem::transmute(SIGIGNORE.get());
        original(signal)
    }
}

/// Threads that modules create begin here.
struct Begin<R> {
    start: unsafe extern "C-unwind" fn(*mut c_void) -> R,
    argument: *mut c_void,
}

/// `pthread_create`: gives a thread of a module a stack for signals, so that there are last words if its own
/// overflows.
///
/// # Safety
/// As for that function.
pub unsafe fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;
    static PTHREAD_CREATE: Original = Original::new(c"pthread_create");
    // SAFETY: the function has this type.
    let original = unsafe { std::mem::transmute::<*mut c_void, Create>(PTHREAD_CREATE.get()) };
    let is_own = || objects::owner(start as usize) == Some(Owner::Runtime);
    if SEALED.get().is_none() || is_own() {
        // SAFETY: by the caller's promise.
        return unsafe { original(thread, attributes, start, argument) };
    }
    begin(Begin { start, argument }, |begin| {
        // SAFETY: by the caller's promise; the thread takes `begin`.
        unsafe { original(thread, attributes, begin_thread::<*mut c_void>, begin) }
    })
}

/// `thrd_create`: as `pthread_create`.
///
/// # Safety
/// As for that function.
pub unsafe fn thrd_create(
    thread: *mut libc::pthread_t,
    start: unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
        *mut c_void,
    ) -> c_int;
    // SAFETY: the function has this type.
    let original = unsafe { std::mem::transmute::<*mut c_void, Create>(THRD_CREATE.get()) };
    if SEALED.get().is_none() {
        // SAFETY: by the caller's promise.
        return unsafe { original(thread, start, argument) };
    }
    begin(Begin { start, argument }, |begin| {
        // SAFETY: by the caller's promise; the thread takes `begin`.
        unsafe { original(thread, begin_thread::<c_int>, begin) }
    })
}

/// Has a thread begin with this; `create` returns 0 if there is one, which takes what it is given.
fn begin<R>(begin: Begin<R>, create: impl FnOnce(*mut c_void) -> c_int) -> c_int {
    let begin = Box::into_raw(Box::new(begin));
    let created = create(begin.cast());
    if created != 0 {
        // SAFETY: there is no thread that takes it.
        drop(unsafe { Box::from_raw(begin) });
    }
    created
}

unsafe extern "C-unwind" fn begin_thread<R>(begin: *mut c_void) -> R {
    // SAFETY: whoever has created the thread has made it for it.
    let Begin { start, argument } = *unsafe { Box::from_raw(begin.cast::<Begin<R>>()) };
    stack::prepare_thread_of_module();
    // SAFETY: by the promise of whoever has created the thread. Nothing is dropped if it is unwound.
    unsafe { start(argument) }
}

/// `sigaltstack`: refused on workers, which need theirs to detect stack overflows. A thread that the runtime has given
/// one keeps it until its very end.
///
/// # Safety
/// As for that function.
pub unsafe fn sigaltstack(new: *const libc::stack_t, old: *mut libc::stack_t) -> c_int {
    static SIGALTSTACK: Original = Original::new(c"sigaltstack");
    if !new.is_null() && super::is_current() && refuse("sigaltstack").is_some() {
        return not_permitted();
    }
    // SAFETY: by the caller's promise, the pointer is null or to a description.
    let ends = unsafe { new.as_ref() }.is_some_and(|new| new.ss_flags & libc::SS_DISABLE != 0);
    // Rust's library does so when a thread's body has returned; destructors of modules come after that.
    let stays = ends && stack::is_prepared() && is_sealed();
    let new = if stays { ptr::null() } else { new };
    // SAFETY: the function has this type; the rest is the caller's promise.
    unsafe {
        let original: unsafe extern "C" fn(*const libc::stack_t, *mut libc::stack_t) -> c_int =
            std::mem::transmute(SIGALTSTACK.get());
        original(new, old)
    }
}
