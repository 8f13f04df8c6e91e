//! The host: the functions that only the runtime offers to its modules, beyond those of `chi_ipc`.

use core::ffi::{c_char, c_void};

use crate::{
    chi_event, chi_ipc, chi_lane, chi_lock, chi_poll_fn, chi_poller, chi_pool_id, chi_status,
};

/// `chi_host.log`: an operation failed.
pub const CHI_LOG_ERROR: u32 = 1;
/// `chi_host.log`: something unexpected that did not make an operation fail.
pub const CHI_LOG_WARN: u32 = 2;
/// `chi_host.log`: a normal event worth knowing.
pub const CHI_LOG_INFO: u32 = 3;
/// `chi_host.log`: details for the module's author.
pub const CHI_LOG_DEBUG: u32 = 4;

/// `chi_host.create_queue`: the queue is for tasks with `CHI_TASK_HIGH_LATENCY`.
pub const CHI_QUEUE_HIGH_LATENCY: u32 = 1;

/// The functions that the runtime offers to its modules in addition to `chi_ipc`. Passed to
/// `chi_module`; lives as long as the process. Every function takes the table itself as its first
/// argument.
///
/// Locks, events, pollers and clients are extensions: see `CHI_EXT_LOCKS`, `CHI_EXT_EVENTS`,
/// `CHI_EXT_POLLERS`. The members for them in this table remain for modules built against ABI 1.1.
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

    /// Sets the error message of a call that is about to fail: `len` bytes of UTF-8. The runtime
    /// reads it when a function of the module then returns null, or a status other than `CHI_OK`,
    /// on this thread.
    ///
    /// * Ownership: the text is copied.
    /// * Null: a null `text` means an empty message.
    /// * Thread: `[loader]` `[worker]`.
    pub set_error: unsafe extern "C" fn(host: *const chi_host, text: *const c_char, len: u64),

    /// Writes a line to the runtime's log: `len` bytes of UTF-8. `level` is `CHI_LOG_*`.
    ///
    /// * Ownership: the text is copied.
    /// * Null: a null `text` means an empty line.
    /// * Thread: `[any thread]`.
    pub log: unsafe extern "C" fn(host: *const chi_host, level: u32, text: *const c_char, len: u64),

    /// The IPC manager for this thread.
    ///
    /// * Ownership: the table lives as long as the process.
    /// * Null: the result is null when the thread is not running a module's code.
    /// * Thread: `[any thread]`.
    pub ipc: unsafe extern "C" fn(host: *const chi_host) -> *const chi_ipc,

    /// Creates a queue of `n_lanes` lanes (1 to 65536) in the container that is being built, and
    /// stores the lanes' addresses in `lanes`, an array of `n_lanes`. `queue_id` is the caller's
    /// choice. `flags` is zero or `CHI_QUEUE_HIGH_LATENCY`. May be called only during construction,
    /// `init` and the method `kCreate`.
    ///
    /// * Ownership: the lanes live as long as the container. The arguments are not kept.
    /// * Null: neither `pool_id` nor `lanes` may be null.
    /// * Errors: `CHI_INVALID`, `CHI_EXISTS`.
    /// * Thread: `[loader]` `[worker]`.
    pub create_queue: unsafe extern "C" fn(
        host: *const chi_host,
        pool_id: *const chi_pool_id,
        queue_id: u32,
        n_lanes: u32,
        flags: u32,
        lanes: *mut *mut chi_lane,
    ) -> chi_status,

    /// Lets other tasks of this worker run, then returns.
    ///
    /// * Errors: `CHI_CANCELLED` when the task is cancelled, its client has gone, its pool is being
    ///   destroyed or the runtime is stopping: the method should return soon; `CHI_INVALID` when no
    ///   task is running.
    /// * Thread: `[worker]`.
    pub yield_now: unsafe extern "C" fn(host: *const chi_host) -> chi_status,

    /// Looks up an optional feature by its id, for example one of `CHI_EXT_*`. The documentation of
    /// the id says what the pointer refers to.
    ///
    /// * Ownership: the feature lives as long as the process. The id is not kept.
    /// * Null: the result is null when the runtime does not have the feature, or `id` is null.
    /// * Thread: `[any thread]`.
    pub extension: unsafe extern "C" fn(host: *const chi_host, id: *const c_char) -> *const c_void,

    /// The number of the current container in its pool, from 0, and how many containers the pool
    /// has. The current container is the one that is being built (construction, `init`, `kCreate`),
    /// else that of the running task. So a monitor that runs on behalf of another container's
    /// method gets that container's number, not its own. Since ABI 1.1.
    ///
    /// * Ownership: `*id` and `*count` are written; the pointers are not kept.
    /// * Null: neither `id` nor `count` may be null.
    /// * Errors: `CHI_INVALID` when there is no current container.
    /// * Thread: `[loader]` `[worker]`.
    pub container_id:
        unsafe extern "C" fn(host: *const chi_host, id: *mut u32, count: *mut u32) -> chi_status,

    /// Same as `chi_locks.create`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Thread: `[any thread]`.
    pub lock_new: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_lock,

    /// Same as `chi_locks.free`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Thread: `[any thread]`.
    pub lock_free: unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock),

    /// Same as `chi_locks.lock`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Errors: as documented there.
    /// * Thread: `[worker]`.
    pub lock: unsafe extern "C" fn(
        host: *const chi_host,
        lock: *mut chi_lock,
        mode: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Same as `chi_locks.try_lock`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Errors: as documented there.
    /// * Thread: `[worker]`.
    pub try_lock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,

    /// Same as `chi_locks.unlock`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Errors: as documented there.
    /// * Thread: `[worker]`.
    pub unlock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,

    /// True when the running task has been cancelled and its method should return soon. For methods
    /// that compute for a long time without waiting. Since ABI 1.1.
    ///
    /// * Thread: `[worker]`.
    pub is_cancelled: unsafe extern "C" fn(host: *const chi_host) -> bool,

    /// Same as `chi_events.create`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Thread: `[worker]`.
    pub event_new: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_event,

    /// Same as `chi_events.free`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Thread: `[any thread]`.
    pub event_free: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),

    /// Same as `chi_events.wait`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Errors: as documented there.
    /// * Thread: `[worker]`.
    pub event_wait: unsafe extern "C" fn(
        host: *const chi_host,
        event: *mut chi_event,
        flags: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Same as `chi_events.set`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Thread: `[any thread]`.
    pub event_set: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),

    /// Same as `chi_pollers.add`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Errors: as documented there.
    /// * Thread: `[worker]`.
    pub poller_add: unsafe extern "C" fn(
        host: *const chi_host,
        fd: i32,
        poll: chi_poll_fn,
        context: *mut c_void,
        poller: *mut *mut chi_poller,
    ) -> chi_status,

    /// Same as `chi_pollers.remove`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Thread: `[any thread]`.
    pub poller_remove: unsafe extern "C" fn(host: *const chi_host, poller: *mut chi_poller),

    /// Same as `chi_pollers.arm`. Since ABI 1.1.
    ///
    /// * Ownership: as documented there.
    /// * Null: as documented there.
    /// * Errors: as documented there.
    /// * Thread: `[worker]`.
    pub poller_arm: unsafe extern "C" fn(
        host: *const chi_host,
        poller: *mut chi_poller,
        armed: bool,
    ) -> chi_status,
}

// SAFETY: the table is immutable once built, and its functions check the calling thread.
unsafe impl Sync for chi_host {}
// SAFETY: as above.
unsafe impl Send for chi_host {}
