//! The extension "locks": locks that suspend the tasks that wait for them, and never their worker.

use core::ffi::CStr;

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_locks`.
pub const CHI_EXT_LOCKS: &CStr = c"chimaera.locks/1";

/// A lock that suspends the tasks that wait for it. Opaque.
#[repr(C)]
pub struct chi_lock {
    _opaque: [u8; 0],
}

/// Mode of a lock: others that share it may hold it, too.
pub const CHI_LOCK_SHARED: u32 = 1;
/// Mode of a lock: nobody else may hold it.
pub const CHI_LOCK_EXCLUSIVE: u32 = 2;

/// Locks that suspend the tasks that wait for them, and never their worker.
///
/// A lock is held by roots: all tasks that one task of a client led to pass together, so that a task
/// may hold a lock and wait for another that takes it, too. Roots are served in the order in which
/// they asked; who asks for it shared does not overtake who waits for it exclusively. Only a root
/// that holds it already has it again at once. One that has it shared and asks for it exclusively
/// waits until it is the only holder; two that do so wait for each other. Tasks that wait for each
/// other's locks in a circle are found, within about half a second: the wait of one of them ends with
/// `CHI_CANCELLED`, and its task with `CHI_DEADLOCK`.
///
/// What a task still holds when its method ends, in whichever way, is given back.
#[repr(C)]
pub struct chi_locks {
    /// `sizeof(chi_locks)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Makes a lock.
    ///
    /// * Ownership: the caller owns it until `free`.
    /// * Null: the result is never null.
    /// * Thread: `[any thread]`.
    pub create: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_lock,

    /// Frees a lock. Who waits for it gets `CHI_CANCELLED`, who holds it gives it back at its method's
    /// end. On a thread that is no worker, only while no task waits for it.
    ///
    /// * Ownership: no call on the lock may come later.
    /// * Null: a null `lock` is ignored.
    /// * Thread: `[any thread]`.
    pub free: unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock),

    /// Takes a lock for the running task; `mode` is `CHI_LOCK_*`. A task may take it many times, and in
    /// both modes; each time wants an `unlock`. While others hold it, the task is suspended, at most
    /// `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`.
    ///
    /// * Ownership: the task holds the lock until `unlock` or its end; the caller still owns it.
    /// * Null: `lock` must not be null.
    /// * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is cancelled while it waits, its client has
    ///   gone, its pool is being destroyed or the runtime is stopping, or the lock is freed; `CHI_INVALID`
    ///   when no task is running, or `mode` is none.
    /// * Thread: `[worker]`.
    pub lock: unsafe extern "C" fn(
        host: *const chi_host,
        lock: *mut chi_lock,
        mode: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Like `lock`, but returns at once where that would wait.
    ///
    /// * Ownership: as `lock`.
    /// * Null: `lock` must not be null.
    /// * Errors: `CHI_BUSY` where `lock` would wait; `CHI_INVALID` as there.
    /// * Thread: `[worker]`.
    pub try_lock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,

    /// Gives a lock back that the running task took in this mode.
    ///
    /// * Ownership: the task holds it once less; the caller still owns it.
    /// * Null: `lock` must not be null.
    /// * Errors: `CHI_INVALID` when the task has not taken it, even if another task of its root has.
    /// * Thread: `[worker]`.
    pub unlock:
        unsafe extern "C" fn(host: *const chi_host, lock: *mut chi_lock, mode: u32) -> chi_status,
}
