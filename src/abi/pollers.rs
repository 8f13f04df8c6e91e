//! The extension "pollers": functions that a worker calls between tasks, to poll devices or
//! sockets.

use core::ffi::{c_void, CStr};

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_pollers`.
pub const CHI_EXT_POLLERS: &CStr = c"chimaera.pollers/1";

/// A function that a worker calls between tasks. Opaque.
#[repr(C)]
pub struct chi_poller {
    _opaque: [u8; 0],
}

/// The function of a poller, called by its worker with the context that it was added with. It
/// submits pending I/O, collects completions and sets events. It must be brief and must not wait.
/// It returns true when it found something to do.
///
/// * Ownership: the context is the module's; the runtime passes on the pointer that `add` got.
/// * Null: `context` is null when it was null in `add`.
/// * Thread: `[worker]`, the one that added the poller.
pub type chi_poll_fn = unsafe extern "C" fn(context: *mut c_void) -> bool;

/// Pollers: functions that a worker calls between tasks.
#[repr(C)]
pub struct chi_pollers {
    /// `sizeof(chi_pollers)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Adds a poller to the calling worker, not yet armed, and stores it in `*poller`. While the
    /// poller is armed, the worker calls `poll` whenever it is idle, and from time to time while it
    /// is busy. While it sleeps, it watches `fd` for becoming readable (edge-triggered) and wakes
    /// up for it; -1 means no descriptor.
    ///
    /// * Ownership: the caller owns `*poller` until `remove`. Until then the context must stay
    ///   valid, and `fd` open.
    /// * Null: `context` may be null; `poll` and `poller` must not be null.
    /// * Errors: `CHI_INVALID` when the calling thread is not a worker, or `fd` cannot be watched.
    /// * Thread: `[worker]`.
    pub add: unsafe extern "C" fn(
        host: *const chi_host,
        fd: i32,
        poll: chi_poll_fn,
        context: *mut c_void,
        poller: *mut *mut chi_poller,
    ) -> chi_status,

    /// Removes and frees a poller. Waits until its function is not running, so that function itself
    /// must not call this.
    ///
    /// * Ownership: the poller is freed; it must not be used again.
    /// * Null: a null `poller` is ignored.
    /// * Thread: `[any thread]`.
    pub remove: unsafe extern "C" fn(host: *const chi_host, poller: *mut chi_poller),

    /// Arms or disarms a poller: its worker calls it only while it is armed. The poller's own
    /// function may call this.
    ///
    /// * Ownership: the poller stays the caller's.
    /// * Null: `poller` must not be null.
    /// * Errors: `CHI_INVALID` on any worker other than the one that added it.
    /// * Thread: `[worker]`.
    pub arm: unsafe extern "C" fn(
        host: *const chi_host,
        poller: *mut chi_poller,
        armed: bool,
    ) -> chi_status,
}
