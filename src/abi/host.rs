//! The host: what the runtime offers a container beyond sending tasks.

use core::ffi::{c_char, c_void};

use crate::{chi_ipc, chi_pool_id, chi_status};

/// A lane: a private queue of a container. Opaque; lives as long as its container.
#[repr(C)]
pub struct chi_lane {
    _opaque: [u8; 0],
}

/// A lock that suspends the tasks that wait for it. Opaque.
#[repr(C)]
pub struct chi_lock {
    _opaque: [u8; 0],
}

/// What a task waits for until some thread sets it. Opaque.
#[repr(C)]
pub struct chi_event {
    _opaque: [u8; 0],
}

/// What a worker looks at in its rounds. Opaque.
#[repr(C)]
pub struct chi_poller {
    _opaque: [u8; 0],
}

/// What a poller does when its worker calls it, with the context that it was added with: send out what
/// is to be sent, take in what has come, set events. It is brief, waits for nothing, and returns true
/// when there was something. `[worker]`
pub type chi_poll_fn = unsafe extern "C" fn(context: *mut c_void) -> bool;

/// `chi_host.event_wait`: a cancellation of the task does not end the wait.
pub const CHI_EVENT_UNINTERRUPTED: u32 = 1;

/// Mode of a lock: others that share it may hold it, too.
pub const CHI_LOCK_SHARED: u32 = 1;
/// Mode of a lock: nobody else may hold it.
pub const CHI_LOCK_EXCLUSIVE: u32 = 2;

/// `chi_host.log`: something failed.
pub const CHI_LOG_ERROR: u32 = 1;
/// `chi_host.log`: something is not as it should be.
pub const CHI_LOG_WARN: u32 = 2;
/// `chi_host.log`: a normal event worth knowing.
pub const CHI_LOG_INFO: u32 = 3;
/// `chi_host.log`: for the module's author.
pub const CHI_LOG_DEBUG: u32 = 4;

/// `chi_host.create_queue`: for tasks with `CHI_TASK_HIGH_LATENCY`.
pub const CHI_QUEUE_HIGH_LATENCY: u32 = 1;

/// What the runtime offers a container beyond the IPC manager. Passed to `chi_module`; lives as long
/// as the process. Every function takes the table itself first.
#[repr(C)]
pub struct chi_host {
    /// `sizeof(chi_host)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// The runtime's `CHI_ABI_MAJOR`.
    pub abi_major: u32,
    /// The runtime's `CHI_ABI_MINOR`.
    pub abi_minor: u32,
    /// Zero.
    pub reserved: u32,

    /// Says why the call that is about to fail fails: `len` bytes of UTF-8, copied. The runtime reads
    /// it when a function of the module, on this thread, then returns null or a status other than
    /// `CHI_OK`. `[loader]` `[worker]`
    pub set_error: unsafe extern "C" fn(host: *const chi_host, text: *const c_char, len: u64),

    /// Writes a line to the runtime's log: `len` bytes of UTF-8, copied. `level` is `CHI_LOG_*`.
    /// `[any thread]`
    pub log: unsafe extern "C" fn(host: *const chi_host, level: u32, text: *const c_char, len: u64),

    /// The IPC manager for this thread, or null when the thread is not running a module's code.
    /// Lives as long as the process. `[any thread]`
    pub ipc: unsafe extern "C" fn(host: *const chi_host) -> *const chi_ipc,

    /// Gives the container that is being built a queue of `n_lanes` lanes (1 to 65536), and stores
    /// the lanes' addresses in `lanes`, an array of `n_lanes`. `queue_id` is the caller's choice.
    /// `flags` is zero or `CHI_QUEUE_HIGH_LATENCY`. Only from construction, `init`, and the method `kCreate`. Errors:
    /// `CHI_INVALID`, `CHI_EXISTS`. `[loader]` `[worker]`
    pub create_queue: unsafe extern "C" fn(
        host: *const chi_host,
        pool_id: *const chi_pool_id,
        queue_id: u32,
        n_lanes: u32,
        flags: u32,
        lanes: *mut *mut chi_lane,
    ) -> chi_status,

    /// Lets other tasks of this worker run, then goes on. Returns `CHI_CANCELLED` when the task is
    /// cancelled, its client has gone, its pool is being destroyed or the runtime is stopping: the method
    /// should come to its end. `[worker]`
    pub yield_now: unsafe extern "C" fn(host: *const chi_host) -> chi_status,

    /// An optional feature by its id, or null when the runtime does not have it. `[any thread]`
    pub extension: unsafe extern "C" fn(host: *const chi_host, id: *const c_char) -> *const c_void,

    /// Which container of its pool the code that calls belongs to, from 0, and how many containers the
    /// pool has. While a container is built (construction, `init`, `kCreate`) it is that one, in a
    /// method the running task's; a monitor asked by another container's method does not learn its own.
    /// Neither pointer is null. Error: `CHI_INVALID`, elsewhere. Since ABI 1.1. `[loader]` `[worker]`
    pub container_id:
        unsafe extern "C" fn(host: *const chi_host, id: *mut u32, count: *mut u32) -> chi_status,

    /// Makes a lock that suspends the tasks that wait for it, and never their worker. The caller owns it
    /// until `lock_free`.
    ///
    /// A lock is held by roots: all tasks that one task of a client led to pass together, so that a task
    /// may hold a lock and wait for another that takes it, too. Roots are served in the order in which
    /// they asked; who asks for it shared does not overtake who waits for it exclusively. Only a root
    /// that holds it already has it again at once. One that has it shared and asks for it exclusively
    /// waits until it is the only holder; two that do so wait for each other. Tasks that wait for each
    /// other's locks in a circle are found, within about half a second: the wait of one of them ends with
    /// `CHI_CANCELLED`, and its task with `CHI_DEADLOCK`.
    ///
    /// What a task still holds when its method ends, in whichever way, is given back. Since ABI 1.1.
    /// `[any thread]`
    pub lock_new: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_lock,

    /// Frees a lock; null is ignored. Who waits for it gets `CHI_CANCELLED`, who holds it gives it back
    /// at its method's end. No call on the lock may come later. On a thread that is no worker, only while
    /// no task waits for it. Since ABI 1.1. `[any thread]`
    pub lock_free: unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock),

    /// Takes a lock for the running task; `mode` is `CHI_LOCK_*`. A task may take it many times, and in
    /// both modes; each time wants an `unlock`. While others hold it, the task is suspended, at most
    /// `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`. Errors: `CHI_TIMEOUT`;
    /// `CHI_CANCELLED` when the task is cancelled while it waits, its client has gone, its pool is being
    /// destroyed or the runtime is stopping, or the lock is freed; `CHI_INVALID` when no task is
    /// running, or `mode` is none. Since ABI 1.1. `[worker]`
    pub lock: unsafe extern "C" fn(
        host: *const chi_host,
        lock: *mut chi_lock,
        mode: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Like `lock`, but returns `CHI_BUSY` at once where that would wait. Since ABI 1.1. `[worker]`
    pub try_lock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,

    /// Gives a lock back that the running task took in this mode. Error: `CHI_INVALID` when it has not,
    /// even if another task of its root has. Since ABI 1.1. `[worker]`
    pub unlock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,
    /// True when the running task is cancelled: it should come to its end. For methods that compute for
    /// long without waiting. Since ABI 1.1. `[worker]`
    pub is_cancelled: unsafe extern "C" fn(host: *const chi_host) -> bool,

    /// Makes an event, not set, by which any thread ends the wait of a task. The caller owns it until
    /// `event_free`. Null when no worker calls. Since ABI 1.1. `[worker]`
    pub event_new: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_event,

    /// Frees an event that no task waits for; null is ignored. Whoever has waited for it may free it at
    /// once, also while the call that set it has not returned. Since ABI 1.1. `[any thread]`
    pub event_free: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),

    /// Suspends the running task until the event is set, and unsets it; returns at once when it is set
    /// already. It takes at most `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`. `flags` is
    /// zero or `CHI_EVENT_UNINTERRUPTED`, for what is sure to come and must have come before the method
    /// ends. One task at a time may wait. Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is
    /// cancelled, its client has gone, its pool is being destroyed or the runtime is stopping; `CHI_BUSY`
    /// when another task waits for it; `CHI_INVALID` when no task is running, or for another flag. After
    /// an error the event is as it was. Since ABI 1.1. `[worker]`
    pub event_wait: unsafe extern "C" fn(
        host: *const chi_host,
        event: *mut chi_event,
        flags: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Sets an event: whoever waits for it goes on, or else whoever waits for it next. Since ABI 1.1.
    /// `[any thread]`
    pub event_set: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),

    /// Gives this worker something to look at, not yet armed, and stores it in `poller`. While it is
    /// armed, the worker calls `poll` whenever it has nothing else to do, and now and then when it has.
    /// Before it sleeps it watches `fd`, edge-triggered, for becoming readable; -1 is none. The context,
    /// and an open `fd`, stay until `poller_remove`. Errors: `CHI_INVALID` when no worker calls, or `fd`
    /// cannot be watched. Since ABI 1.1. `[worker]`
    pub poller_add: unsafe extern "C" fn(
        host: *const chi_host,
        fd: i32,
        poll: chi_poll_fn,
        context: *mut c_void,
        poller: *mut *mut chi_poller,
    ) -> chi_status,

    /// Removes and frees a poller; null is ignored. Its function is not running when this returns, so it
    /// must not be called from there. Since ABI 1.1. `[any thread]`
    pub poller_remove: unsafe extern "C" fn(host: *const chi_host, poller: *mut chi_poller),

    /// Has the worker call a poller from now on, or not any more; its own function may say so, too.
    /// Error: `CHI_INVALID` on another worker than that which added it. Since ABI 1.1. `[worker]`
    pub poller_arm: unsafe extern "C" fn(
        host: *const chi_host,
        poller: *mut chi_poller,
        armed: bool,
    ) -> chi_status,
}

// SAFETY: the table is immutable once made, and its functions check the thread that calls them.
unsafe impl Sync for chi_host {}
// SAFETY: as above.
unsafe impl Send for chi_host {}
