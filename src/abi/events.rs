//! The extension "events": what ends the wait of a task from any thread.

use core::ffi::CStr;

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_events`.
pub const CHI_EXT_EVENTS: &CStr = c"chimaera.events/1";

/// What a task waits for until some thread sets it. Opaque.
#[repr(C)]
pub struct chi_event {
    _opaque: [u8; 0],
}

/// `chi_events.wait`: a cancellation of the task does not end the wait.
pub const CHI_EVENT_UNINTERRUPTED: u32 = 1;

/// Events, by which any thread ends the wait of a task.
#[repr(C)]
pub struct chi_events {
    /// `sizeof(chi_events)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Makes an event, not set.
    ///
    /// * Ownership: the caller owns it until `free`.
    /// * Null: the result is null when no worker calls.
    /// * Thread: `[worker]`.
    pub create: unsafe extern "C" fn(host: *const chi_host) -> *mut chi_event,

    /// Frees an event that no task waits for. Whoever has waited for it may free it at once, also while
    /// the call that set it has not returned.
    ///
    /// * Ownership: no call on the event may come later.
    /// * Null: a null `event` is ignored.
    /// * Thread: `[any thread]`.
    pub free: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),

    /// Suspends the running task until the event is set, and unsets it; returns at once when it is set
    /// already. It takes at most `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`. `flags` is
    /// zero or `CHI_EVENT_UNINTERRUPTED`, for what is sure to come and must have come before the method
    /// ends. One task at a time may wait.
    ///
    /// * Ownership: the event stays the caller's. After an error it is as it was.
    /// * Null: `event` must not be null.
    /// * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is cancelled, its client has gone, its pool
    ///   is being destroyed or the runtime is stopping; `CHI_BUSY` when another task waits for it;
    ///   `CHI_INVALID` when no task is running, or for another flag.
    /// * Thread: `[worker]`.
    pub wait: unsafe extern "C" fn(
        host: *const chi_host,
        event: *mut chi_event,
        flags: u32,
        timeout_ns: u64,
    ) -> chi_status,

    /// Sets an event: whoever waits for it goes on, or else whoever waits for it next.
    ///
    /// * Ownership: the event stays whose it is.
    /// * Null: `event` must not be null.
    /// * Thread: `[any thread]`.
    pub set: unsafe extern "C" fn(host: *const chi_host, event: *mut chi_event),
}
