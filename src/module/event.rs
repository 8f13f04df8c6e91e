//! Events and pollers: how what happens outside of tasks gets to the tasks that wait for it.

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

/// A table of the runtime's, and the host to call it with.
struct Of<T> {
    host: *const chi_host,
    table: T,
}

// SAFETY: the host is immutable, lives as long as the process, and the functions check their thread.
unsafe impl<T: Send> Send for Of<T> {}
// SAFETY: as above, and at the same time.
unsafe impl<T: Sync> Sync for Of<T> {}

/// The extension of this id, or what the host itself has for modules of ABI 1.1.
///
/// # Safety
///
/// The extension is a struct that begins with its size, a `u32`, and then is as `T`.
unsafe fn find<T>(
    found: &'static OnceLock<Of<T>>,
    id: &CStr,
    of_host: impl FnOnce(*const chi_host) -> Option<T>,
) -> Result<&'static Of<T>> {
    if let Some(found) = found.get() {
        return Ok(found);
    }
    let host = host().ok_or_else(|| {
        Status::new(CHI_NOT_INITIALIZED, "events and pollers work inside a runtime only")
    })?;
    // SAFETY: says the caller.
    let table = unsafe { extension_table(id) }.or_else(|| of_host(host));
    let Some(table) = table else {
        let what = "this runtime has no events and pollers; it is older than the module";
        return Err(Status::new(CHI_UNSUPPORTED, what));
    };
    Ok(found.get_or_init(|| Of { host, table }))
}

fn events() -> Result<&'static Of<chi_events>> {
    static EVENTS: OnceLock<Of<chi_events>> = OnceLock::new();
    // SAFETY: the id's extension is such a table; the host is as long as it says.
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
    // SAFETY: as in `events`.
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

/// What a task waits for until some thread, a task's or another, sets it.
///
/// Setting it ends one wait, the next one if nobody waits yet; setting it twice before a wait is as
/// setting it once. One task at a time waits for it.
///
/// ```
/// # use std::sync::{Arc, OnceLock};
/// use chimaera::module::Event;
///
/// fn read_slowly() -> chimaera::Result<()> {
///     let done = Arc::new(Event::new()?);
///     let told = done.clone();
///     std::thread::spawn(move || {
///         // Something that takes its time, without keeping a worker from other tasks.
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

// SAFETY: the runtime's functions say which thread may call them, and check where they must.
unsafe impl Send for Event {}
// SAFETY: as above, and at the same time.
unsafe impl Sync for Event {}

impl Event {
    /// An event that is not set. Errors: `CHI_NOT_INITIALIZED` outside a runtime's workers,
    /// `CHI_UNSUPPORTED` in an older runtime. `[worker]`
    pub fn new() -> Result<Self> {
        let events = events()?;
        // SAFETY: the function checks the thread.
        let event = unsafe { (events.table.create)(events.host) };
        match event.is_null() {
            true => Err(Status::new(CHI_NOT_INITIALIZED, "only a worker can make an event")),
            false => Ok(Event { events, event }),
        }
    }

    /// Suspends the running task until the event is set. Errors: `CHI_CANCELLED` when the task is
    /// cancelled; `CHI_BUSY` when another task waits for it; `CHI_INVALID` outside a method. `[worker]`
    pub fn wait(&self) -> Result<()> {
        self.wait_as(0, CHI_WAIT_FOREVER)
    }

    /// Like [`wait`](Self::wait), but no longer than this. Errors: also `CHI_TIMEOUT`. `[worker]`
    pub fn wait_for(&self, timeout: Duration) -> Result<()> {
        self.wait_as(0, u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER))
    }

    /// Like [`wait`](Self::wait), but a cancellation does not end it: for what is sure to come soon, and
    /// must have come before the method returns because it still uses the task's memory. `[worker]`
    pub fn wait_uninterrupted(&self) -> Result<()> {
        self.wait_as(CHI_EVENT_UNINTERRUPTED, CHI_WAIT_FOREVER)
    }

    /// Sets it. `[any thread]`
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
            CHI_TIMEOUT => "the event was not set in time",
            CHI_CANCELLED => "the task was cancelled while it waited for an event",
            CHI_BUSY => "another task waits for the event",
            CHI_INVALID => "only a running method can wait for an event",
            _ => "the event cannot be waited for",
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

/// What a worker looks at between tasks.
pub trait Poll: Send + Sync + 'static {
    /// Sends out what is to be sent, takes in what has come, sets events. True when there was something.
    /// It is brief, and waits for nothing. A panic goes to the log, the first time, and counts as false.
    /// `[worker]`
    fn poll(&self) -> bool;
}

/// Has the worker that made it look at something in its rounds.
///
/// While it is armed, [`Poll::poll`] is called whenever the worker has nothing else to do, and now and
/// then when it has. Before it sleeps it watches the file descriptor, and wakes when that becomes
/// readable. Dropping it ends that, on any thread but not in `poll` itself.
pub struct Poller<T: Poll> {
    pollers: &'static Of<chi_pollers>,
    poller: *mut chi_poller,
    watched: Arc<Watched<T>>,
}

/// What the runtime calls with.
struct Watched<T> {
    target: Arc<T>,
    /// A call has panicked.
    failed: AtomicBool,
}

// SAFETY: the runtime's functions say which thread may call them, and check where they must.
unsafe impl<T: Poll> Send for Poller<T> {}
// SAFETY: as above, and at the same time.
unsafe impl<T: Poll> Sync for Poller<T> {}

impl<T: Poll> Poller<T> {
    /// A poller of this worker, not armed. `fd` stays open as long as `target` lives, or is -1 for none.
    /// Errors: `CHI_INVALID` outside a worker, or when the descriptor cannot be watched;
    /// `CHI_NOT_INITIALIZED`, `CHI_UNSUPPORTED` as for [`Event::new`]. `[worker]`
    pub fn new(fd: RawFd, target: Arc<T>) -> Result<Self> {
        let pollers = pollers()?;
        let watched = Arc::new(Watched { target, failed: AtomicBool::new(false) });
        let context = Arc::as_ptr(&watched).cast_mut().cast::<c_void>();
        let mut poller = std::ptr::null_mut();
        // SAFETY: what the function is called with lives until the poller is removed.
        let status =
            unsafe { (pollers.table.add)(pollers.host, fd, poll::<T>, context, &mut poller) };
        match status {
            CHI_OK => Ok(Poller { pollers, poller, watched }),
            status => {
                Err(Status::new(status, "only a worker can watch, and only what can be polled"))
            }
        }
    }

    /// What it looks at.
    pub fn target(&self) -> &T {
        &self.watched.target
    }

    /// Has the worker call it from now on, or not any more. Errors: `CHI_INVALID` on another worker.
    /// `[worker]`
    pub fn arm(&self, armed: bool) -> Result<()> {
        // SAFETY: the poller lives as long as `self`; the function checks the thread.
        match unsafe { (self.pollers.table.arm)(self.pollers.host, self.poller, armed) } {
            CHI_OK => Ok(()),
            status => Err(Status::new(status, "a poller is armed by its own worker")),
        }
    }
}

impl<T: Poll> Drop for Poller<T> {
    fn drop(&mut self) {
        // SAFETY: `add` made it, and this is the last call; the target is still there.
        unsafe { (self.pollers.table.remove)(self.pollers.host, self.poller) }
    }
}

impl<T: Poll> fmt::Debug for Poller<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

unsafe extern "C" fn poll<T: Poll>(context: *mut c_void) -> bool {
    // SAFETY: what `Poller::new` gave, which lives until the poller is removed.
    let watched = unsafe { &*context.cast::<Watched<T>>() };
    catch(|| Ok(watched.target.poll())).unwrap_or_else(|status| {
        // Once, for a poller may be called a million times in a second.
        if !watched.failed.swap(true, Ordering::Relaxed) {
            log(LogLevel::Error, format_args!("a poller failed: {}", status.message()));
        }
        false
    })
}
