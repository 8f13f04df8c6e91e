//! The extension "clients": which client sent a task, and whether it is still there.

use core::ffi::CStr;

use crate::chi_host;

/// `chi_host.extension`: a `chi_clients`.
pub const CHI_EXT_CLIENTS: &CStr = c"chimaera.clients/1";

/// `chi_clients.is_there`: the client's session has ended, and so have all of its tasks.
pub const CHI_CLIENT_GONE: u32 = 0;
/// `chi_clients.is_there`: the client's session is open, or some of its tasks have not ended.
pub const CHI_CLIENT_THERE: u32 = 1;
/// `chi_clients.is_there`: the number is none of this runtime's: that of a client of an earlier runtime, for
/// instance, which may have connected again. A client keeps its number over `chimaera restart`.
pub const CHI_CLIENT_UNKNOWN: u32 = 2;

/// Clients: a module remembers which one something was made for, and gives it back when the client is gone,
/// however it ended.
#[repr(C)]
pub struct chi_clients {
    /// `sizeof(chi_clients)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// The number of the client that has sent the running task; 0 if a method or the runtime has, or no task
    /// is running. A client that connects again has another number. Numbers are not used again, also not
    /// by other runtimes.
    ///
    /// * Thread: `[worker]`.
    pub sender: unsafe extern "C" fn(host: *const chi_host) -> u64,

    /// Whether a client is there: a `CHI_CLIENT_*`.
    ///
    /// * Thread: `[any thread]`; on others than workers, every client is unknown.
    pub is_there: unsafe extern "C" fn(host: *const chi_host, client: u64) -> u32,
}
