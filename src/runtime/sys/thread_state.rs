//! The state of a thread besides its registers: its blocked signals, and its locale.

use std::cell::Cell;
use std::ffi::{c_int, c_void, CStr};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function of the C library that the program may replace.
pub(crate) struct Original {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Original {
    pub(crate) const fn new(name: &'static CStr) -> Original {
        Original { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Its address; null if this C library lacks it.
    pub(crate) fn find(&self) -> *mut c_void {
        let known = self.found.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: the name is a C string.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.found.store(found, Ordering::Relaxed);
        found
    }

    /// Its address.
    pub(crate) fn get(&self) -> *mut c_void {
        let found = self.find();
        assert!(!found.is_null(), "the C library has this function");
        found
    }
}

/// `pthread_sigmask`.
pub(crate) type SignalMask =
    unsafe extern "C" fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int;
/// `uselocale`.
pub(crate) type UseLocale = unsafe extern "C" fn(libc::locale_t) -> libc::locale_t;

pub(crate) static PTHREAD_SIGMASK: Original = Original::new(c"pthread_sigmask");
pub(crate) static USELOCALE: Original = Original::new(c"uselocale");

/// The settings of a thread.
#[derive(Clone, Copy)]
pub(crate) struct ThreadState {
    signals: libc::sigset_t,
    locale: libc::locale_t,
}

thread_local! {
    /// The settings that a worker starts with.
    static OWN: Cell<Option<ThreadState>> = const { Cell::new(None) };
}

impl ThreadState {
    /// Records the settings that the calling thread, a worker, starts with.
    pub(crate) fn prepare_thread() {
        OWN.set(Some(ThreadState::swap(None)));
    }

    /// Restores the settings that the thread started with, and returns those of a module's code.
    #[cold]
    pub(crate) fn set_aside() -> ThreadState {
        ThreadState::swap(OWN.get())
    }

    /// Restores what was set aside.
    #[cold]
    pub(crate) fn put_back(&self) {
        ThreadState::swap(Some(*self));
    }

    /// Returns the thread's settings, and replaces them with `next`, if given.
    fn swap(next: Option<ThreadState>) -> ThreadState {
        // SAFETY: all zero is a valid `sigset_t`.
        let mut signals = unsafe { std::mem::zeroed() };
        let (new, locale) = match &next {
            Some(next) => (ptr::from_ref(&next.signals), next.locale),
            None => (ptr::null(), ptr::null_mut()),
        };
        // SAFETY: the functions have these types; the sets live until the call returns. The locale
        // was the thread's current one, which its owner must not free while it is current.
        unsafe {
            let mask = std::mem::transmute::<*mut c_void, SignalMask>(PTHREAD_SIGMASK.get());
            let locales = std::mem::transmute::<*mut c_void, UseLocale>(USELOCALE.get());
            mask(libc::SIG_SETMASK, new, &mut signals);
            ThreadState { signals, locale: locales(locale) }
        }
    }
}
