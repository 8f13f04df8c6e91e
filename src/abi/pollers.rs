//! The extension "pollers": what a worker looks at between tasks.

use core::ffi::{c_void, CStr};

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_pollers`.
pub const CHI_EXT_POLLERS: &CStr = c"chimaera.pollers/1";

/// What a worker looks at in its rounds. Opaque.
#[repr(C)]
pub struct chi_poller {
    _opaque: [u8; 0],
}

/// What a poller does when its worker calls it, with the context that it was added with: send out what
/// is to be sent, take in what has come, set events. It is brief, waits for nothing, and returns true
/// when there was something.
///
/// * Ownership: the context is the module's, as it was when the poller was added.
/// * Null: `context` is null when it was added so.
/// * Thread: `[worker]`, the one that added it.
pub type chi_poll_fn = unsafe extern "C" fn(context: *mut c_void) -> bool;

/// Pollers, which a worker calls between tasks.
#[repr(C)]
pub struct chi_pollers {
    /// `sizeof(chi_pollers)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Gives this worker something to look at, not yet armed, and stores it in `poller`. While it is
    /// armed, the worker calls `poll` whenever it has nothing else to do, and now and then when it has.
    /// Before it sleeps it watches `fd`, edge-triggered, for becoming readable; -1 is none.
    ///
    /// * Ownership: the caller owns `*poller` until `remove`; until then the context, and an open `fd`,
    ///   have to stay.
    /// * Null: `context` may be null, `poll` and `poller` must not.
    /// * Errors: `CHI_INVALID` when no worker calls, or `fd` cannot be watched.
    /// * Thread: `[worker]`.
    pub add: unsafe extern "C" fn(
        host: *const chi_host,
        fd: i32,
        poll: chi_poll_fn,
        context: *mut c_void,
        poller: *mut *mut chi_poller,
    ) -> chi_status,

    /// Removes and frees a poller. Its function is not running when this returns, so it must not be
    /// called from there.
    ///
    /// * Ownership: no call on the poller may come later.
    /// * Null: a null `poller` is ignored.
    /// * Thread: `[any thread]`.
    pub remove: unsafe extern "C" fn(host: *const chi_host, poller: *mut chi_poller),

    /// Has the worker call a poller from now on, or not any more; its own function may say so, too.
    ///
    /// * Ownership: the poller stays the caller's.
    /// * Null: `poller` must not be null.
    /// * Errors: `CHI_INVALID` on another worker than that which added it.
    /// * Thread: `[worker]`.
    pub arm: unsafe extern "C" fn(
        host: *const chi_host,
        poller: *mut chi_poller,
        armed: bool,
    ) -> chi_status,
}
