//! The extension "locks": locks that suspend the waiting task and never its worker.

use core::ffi::CStr;

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_locks`.
pub const CHI_EXT_LOCKS: &CStr = c"chimaera.locks/1";

/// A lock that suspends the waiting task and not its worker. Opaque.
#[repr(C)]
pub struct chi_lock {
    _opaque: [u8; 0],
}

/// Lock mode: other roots may hold the lock at the same time, also shared.
pub const CHI_LOCK_SHARED: u32 = 1;
/// Lock mode: no other root may hold the lock.
pub const CHI_LOCK_EXCLUSIVE: u32 = 2;

/// Locks that suspend the waiting task and never its worker.
///
/// The holder of a lock is a root: a task from a client together with all tasks that descend from
/// it. So a task may hold a lock and wait for a subtask that takes the same lock. Roots get the
/// lock in the order in which they asked for it: a shared request does not overtake a waiting
/// exclusive one. Only a root that already holds the lock gets it again at once. A root that holds
/// it shared and asks for it exclusively waits until it is the only holder; two roots that do so
/// deadlock. Deadlocks are detected within about half a second: the wait of one task ends with
/// `CHI_CANCELLED`, and the task itself with `CHI_DEADLOCK`.
///
/// Locks that a task still holds when its method ends, for whatever reason, are released.
#[repr(C)]
pub struct chi_locks {
    /// `sizeof(chi_locks)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Creates a lock.
    ///
    /// * Ownership: the caller owns it until `free`.
    /// * Null: the result is never null.
    /// * Thread: `[any thread]`.
    pub create: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_lock,

    /// Frees a lock. Tasks that wait for it get `CHI_CANCELLED`; tasks that hold it keep it until
    /// their method ends. A thread that is not a worker may call this only while no task waits for
    /// the lock.
    ///
    /// * Ownership: the lock must not be used again.
    /// * Null: a null `lock` is ignored.
    /// * Thread: `[any thread]`.
    pub free: unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock),

    /// Takes a lock for the running task; `mode` is `CHI_LOCK_*`. A task may take a lock
    /// repeatedly, and in both modes; each `lock` needs its own `unlock`. While another root holds
    /// the lock, the task is suspended, for at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`:
    /// no timeout).
    ///
    /// * Ownership: the task holds the lock until `unlock` or its end; the caller still owns it.
    /// * Null: `lock` must not be null.
    /// * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when, during the wait, the task is cancelled, its
    ///   client goes, its pool is being destroyed, the runtime is stopping, or the lock is freed;
    ///   `CHI_INVALID` when no task is running, or for an unknown `mode`.
    /// * Thread: `[worker]`.
    pub lock: unsafe extern "C" fn(
        host: *const chi_host,
        lock: *mut chi_lock,
        mode: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Like `lock`, but never waits.
    ///
    /// * Ownership: as `lock`.
    /// * Null: `lock` must not be null.
    /// * Errors: `CHI_BUSY` when `lock` would wait; `CHI_INVALID` as `lock`.
    /// * Thread: `[worker]`.
    pub try_lock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,

    /// Releases a lock that the running task has taken in this mode.
    ///
    /// * Ownership: undoes one `lock` of the task; the caller still owns the lock.
    /// * Null: `lock` must not be null.
    /// * Errors: `CHI_INVALID` when this task has not taken the lock, even if another task of its
    ///   root has.
    /// * Thread: `[worker]`.
    pub unlock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,
}
