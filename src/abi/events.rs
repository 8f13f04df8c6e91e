//! The extension "events": a task waits for an event, and any thread can set it.

use core::ffi::CStr;

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_events`.
pub const CHI_EXT_EVENTS: &CStr = c"chimaera.events/1";

/// An event: a task waits for it until some thread sets it. Opaque.
#[repr(C)]
pub struct chi_event {
    _opaque: [u8; 0],
}

/// `chi_events.wait`: cancelling the task does not end the wait.
pub const CHI_EVENT_UNINTERRUPTED: u32 = 1;

/// Auto-reset events: a task waits for one, and any thread can set it.
#[repr(C)]
pub struct chi_events {
    /// `sizeof(chi_events)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Creates an event that is not set.
    ///
    /// * Ownership: the caller owns it until `free`.
    /// * Null: the result is null when the calling thread is not a worker.
    /// * Thread: `[worker]`.
    pub create: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_event,

    /// Frees an event that no task is waiting for. A task whose wait was ended by `set` may free
    /// the event at once, even if that call of `set` has not yet returned on its own thread.
    ///
    /// * Ownership: the event is freed; it must not be used again.
    /// * Null: a null `event` is ignored.
    /// * Thread: `[any thread]`.
    pub free: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),

    /// Suspends the running task until the event is set, then resets it; returns at once when it is
    /// already set. Waits at most `timeout_ns` nanoseconds, or without a limit for
    /// `CHI_WAIT_FOREVER`. `flags` is zero or `CHI_EVENT_UNINTERRUPTED`; the latter is for an event
    /// that is certain to be set, and must be set before the method returns: for example the end of
    /// an operation that uses the task's memory. Only one task at a time may wait.
    ///
    /// * Ownership: the event stays the caller's. An error leaves it unchanged.
    /// * Null: `event` must not be null.
    /// * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is cancelled, its client has gone,
    ///   its pool is being destroyed or the runtime is stopping; `CHI_BUSY` when another task is
    ///   already waiting; `CHI_INVALID` when no task is running, or for an unknown flag.
    /// * Thread: `[worker]`.
    pub wait: unsafe extern "C" fn(
        host: *const chi_host,
        event: *mut chi_event,
        flags: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Sets an event. The task that is waiting for it resumes; if there is none, the next wait
    /// returns at once.
    ///
    /// * Ownership: the event stays with its owner.
    /// * Null: `event` must not be null.
    /// * Thread: `[any thread]`.
    pub set: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),
}
