//! Events and pollers: how a task waits for something that happens outside the runtime's tasks.

use std::ffi::{c_void, CStr};
use std::fmt;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chimaera_abi::{
    chi_event, chi_events, chi_host, chi_poller, chi_pollers, read_field, CHI_BUSY, CHI_CANCELLED,
    CHI_EVENT_UNINTERRUPTED, CHI_EXT_EVENTS, CHI_EXT_POLLERS, CHI_INVALID, CHI_NOT_INITIALIZED,
    CHI_OK, CHI_TIMEOUT, CHI_UNSUPPORTED, CHI_WAIT_FOREVER,
};
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host, log, LogLevel};
use crate::panics::catch;

/// One of the runtime's tables of functions, and the host to call it with.
struct Of<T> {
    host: *const chi_host,
    table: T,
}

// SAFETY: the host is immutable, lives as long as the process, and the functions check their
// thread.
unsafe impl<T: Send> Send for Of<T> {}
// SAFETY: as above; threads may call them at the same time.
unsafe impl<T: Sync> Sync for Of<T> {}

/// The extension with this id, or the table that `of_host` makes from the members of the host that
/// ABI 1.1 has instead.
///
/// # Safety
///
/// The extension is a struct with the layout of `T` that begins with its size, a `u32`.
unsafe fn find<T>(
    found: &'static OnceLock<Of<T>>,
    id: &CStr,
    of_host: impl FnOnce(*const chi_host) -> Option<T>,
) -> Result<&'static Of<T>> {
    if let Some(found) = found.get() {
        return Ok(found);
    }
    let host = host().ok_or_else(|| {
        Status::new(CHI_NOT_INITIALIZED, "events and pollers work only inside a runtime")
    })?;
    // SAFETY: by the caller's promise.
    let table = unsafe { extension_table(id) }.or_else(|| of_host(host));
    let Some(table) = table else {
        let what = "this runtime has no events and pollers: they need ABI 1.1 or later";
        return Err(Status::new(CHI_UNSUPPORTED, what));
    };
    Ok(found.get_or_init(|| Of { host, table }))
}

fn events() -> Result<&'static Of<chi_events>> {
    static EVENTS: OnceLock<Of<chi_events>> = OnceLock::new();
    // SAFETY: the extension with this id is a `chi_events`; the host is as long as its size says.
    unsafe {
        find(&EVENTS, CHI_EXT_EVENTS, |host| {
            Some(chi_events {
                size: size_of::<chi_events>() as u32,
                reserved: 0,
                create: read_field!(host, chi_host, event_new)?,
                free: read_field!(host, chi_host, event_free)?,
                wait: read_field!(host, chi_host, event_wait)?,
                set: read_field!(host, chi_host, event_set)?,
            })
        })
    }
}

fn pollers() -> Result<&'static Of<chi_pollers>> {
    static POLLERS: OnceLock<Of<chi_pollers>> = OnceLock::new();
    // SAFETY: as in `events`, with `chi_pollers`.
    unsafe {
        find(&POLLERS, CHI_EXT_POLLERS, |host| {
            Some(chi_pollers {
                size: size_of::<chi_pollers>() as u32,
                reserved: 0,
                add: read_field!(host, chi_host, poller_add)?,
                remove: read_field!(host, chi_host, poller_remove)?,
                arm: read_field!(host, chi_host, poller_arm)?,
            })
        })
    }
}

/// An auto-reset event: a task waits until any thread, a worker or another, sets it.
///
/// Setting the event ends one wait: the current one, or else the next. Setting it twice before a
/// wait has the same effect as setting it once. Only one task at a time may wait for it.
///
/// ```
/// # use std::sync::{Arc, OnceLock};
/// use chimaera::module::Event;
///
/// fn read_slowly() -> chimaera::Result<()> {
///     let done = Arc::new(Event::new()?);
///     let told = done.clone();
///     std::thread::spawn(move || {
///         // Slow work here does not keep a worker from running other tasks.
///         told.set();
///     });
///     done.wait()
/// }
/// # assert_eq!(read_slowly().unwrap_err().code(), chimaera::abi::CHI_NOT_INITIALIZED);
/// ```
pub struct Event {
    events: &'static Of<chi_events>,
    event: *mut chi_event,
}

// SAFETY: any thread may call `set` and `free`; `wait` checks the calling thread.
unsafe impl Send for Event {}
// SAFETY: as above; threads may call them at the same time.
unsafe impl Sync for Event {}

impl Event {
    /// Creates an event that is not set. Errors: `CHI_NOT_INITIALIZED` on a thread that is not a
    /// worker, `CHI_UNSUPPORTED` in a runtime with ABI 1.0. `[worker]`
    pub fn new() -> Result<Self> {
        let events = events()?;
        // SAFETY: the function checks the thread.
        let event = unsafe { (events.table.create)(events.host) };
        match event.is_null() {
            true => Err(Status::new(
                CHI_NOT_INITIALIZED,
                "an event can be created only on a worker thread",
            )),
            false => Ok(Event { events, event }),
        }
    }

    /// Suspends the running task until the event is set. Errors: `CHI_CANCELLED` when the task is
    /// cancelled; `CHI_BUSY` when another task is already waiting; `CHI_INVALID` outside a method.
    /// `[worker]`
    pub fn wait(&self) -> Result<()> {
        self.wait_as(0, CHI_WAIT_FOREVER)
    }

    /// Like [`wait`](Self::wait), but fails with `CHI_TIMEOUT` when the event is not set within
    /// `timeout`. `[worker]`
    pub fn wait_for(&self, timeout: Duration) -> Result<()> {
        self.wait_as(0, u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER))
    }

    /// Like [`wait`](Self::wait), but cancelling the task does not end it. For an operation that is
    /// certain to finish soon, and that must finish before the method returns because it uses the
    /// task's memory. `[worker]`
    pub fn wait_uninterrupted(&self) -> Result<()> {
        self.wait_as(CHI_EVENT_UNINTERRUPTED, CHI_WAIT_FOREVER)
    }

    /// Sets the event. `[any thread]`
    pub fn set(&self) {
        // SAFETY: the event lives as long as `self`; any thread may call.
        unsafe { (self.events.table.set)(self.events.host, self.event) }
    }

    fn wait_as(&self, flags: u32, timeout_ns: u64) -> Result<()> {
        // SAFETY: the event lives as long as `self`; the function checks the thread.
        let status =
            unsafe { (self.events.table.wait)(self.events.host, self.event, flags, timeout_ns) };
        let why = match status {
            CHI_OK => return Ok(()),
            CHI_TIMEOUT => "timed out waiting for the event",
            CHI_CANCELLED => "the task was cancelled while it waited for an event",
            CHI_BUSY => "another task is already waiting for the event",
            CHI_INVALID => "only a running method can wait for an event",
            _ => "cannot wait for the event",
        };
        Err(Status::new(status, why))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: `create` made it, and this is the last call.
        unsafe { (self.events.table.free)(self.events.host, self.event) }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").finish_non_exhaustive()
    }
}

/// The work that a worker does for a [`Poller`] between tasks.
pub trait Poll: Send + Sync + 'static {
    /// Submits pending I/O, collects completions and sets events. Returns true when it found
    /// something to do. It must be brief and must not wait. A panic counts as false; the first one
    /// is logged. `[worker]`
    fn poll(&self) -> bool;
}

/// Has the worker that created it poll a [`Poll`] between tasks.
///
/// While the poller is armed, its worker calls [`Poll::poll`] whenever it is idle, and from time to
/// time while it is busy. A sleeping worker watches the file descriptor, and wakes up when it
/// becomes readable. Drop the poller to remove it, on any thread, but not inside `poll`.
pub struct Poller<T: Poll> {
    pollers: &'static Of<chi_pollers>,
    poller: *mut chi_poller,
    watched: Arc<Watched<T>>,
}

/// The context of the poller's function.
struct Watched<T> {
    target: Arc<T>,
    /// A call has panicked, and was logged.
    failed: AtomicBool,
}

// SAFETY: any thread may call `remove`; `arm` checks the calling thread. The target is `Send` and
// `Sync`.
unsafe impl<T: Poll> Send for Poller<T> {}
// SAFETY: as above; threads may call them at the same time.
unsafe impl<T: Poll> Sync for Poller<T> {}

impl<T: Poll> Poller<T> {
    /// Adds a poller to the calling worker, not armed. `fd` must stay open as long as `target`
    /// lives; -1 means no descriptor. Errors: `CHI_INVALID` on a thread that is not a worker, or
    /// when the descriptor cannot be watched; `CHI_NOT_INITIALIZED`, `CHI_UNSUPPORTED` as for
    /// [`Event::new`]. `[worker]`
    pub fn new(fd: RawFd, target: Arc<T>) -> Result<Self> {
        let pollers = pollers()?;
        let watched = Arc::new(Watched { target, failed: AtomicBool::new(false) });
        let context = Arc::as_ptr(&watched).cast_mut().cast::<c_void>();
        let mut poller = std::ptr::null_mut();
        // SAFETY: the context lives until the poller is removed: `watched` is dropped after that.
        let status =
            unsafe { (pollers.table.add)(pollers.host, fd, poll::<T>, context, &mut poller) };
        match status {
            CHI_OK => Ok(Poller { pollers, poller, watched }),
            status => Err(Status::new(
                status,
                "a poller needs a worker thread and a file descriptor that epoll can watch",
            )),
        }
    }

    /// The target that it polls.
    pub fn target(&self) -> &T {
        &self.watched.target
    }

    /// Arms or disarms the poller: its worker calls it only while it is armed. Errors:
    /// `CHI_INVALID` on another worker. `[worker]`
    pub fn arm(&self, armed: bool) -> Result<()> {
        // SAFETY: the poller lives as long as `self`; the function checks the thread.
        match unsafe { (self.pollers.table.arm)(self.pollers.host, self.poller, armed) } {
            CHI_OK => Ok(()),
            status => {
                Err(Status::new(status, "a poller can be armed only on the worker that created it"))
            }
        }
    }
}

impl<T: Poll> Drop for Poller<T> {
    fn drop(&mut self) {
        // SAFETY: `add` made it, and this is the last call; the context is dropped only afterwards.
        unsafe { (self.pollers.table.remove)(self.pollers.host, self.poller) }
    }
}

impl<T: Poll> fmt::Debug for Poller<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

unsafe extern "C" fn poll<T: Poll>(context: *mut c_void) -> bool {
    // SAFETY: the context that `Poller::new` passed, which lives until the poller is removed.
    let watched = unsafe { &*context.cast::<Watched<T>>() };
    catch(|| Ok(watched.target.poll())).unwrap_or_else(|status| {
        // Logged once, because a poller may be called a million times a second.
        if !watched.failed.swap(true, Ordering::Relaxed) {
            log(LogLevel::Error, format_args!("a poller failed: {}", status.message()));
        }
        false
    })
}
