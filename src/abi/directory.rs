//! The extension "directory": where a container of a durable pool keeps its files.

use core::ffi::{c_char, CStr};

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_directory`.
pub const CHI_EXT_DIRECTORY: &CStr = c"chimaera.directory/1";

/// Directories for the files of containers. Each container of a durable pool has one, from before its
/// `kCreate` until the pool is destroyed, over all restarts of the runtime. The runtime removes it, with
/// what is in it, after the last `kDestroy`.
#[repr(C)]
pub struct chi_directory {
    /// `sizeof(chi_directory)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Writes the absolute path of the directory of the container that is being created, or else that runs
    /// the current task, into `path`, with a zero behind it, if `capacity` bytes suffice. `length` becomes the
    /// path's length in bytes; 0 if the pool is not durable.
    ///
    /// * Ownership: the bytes are copied.
    /// * Null: no pointer may be null; `path` may if `capacity` is 0.
    /// * Thread: `[worker]`.
    /// * Errors: `CHI_INVALID` if no container is being created or runs a task; `CHI_NO_SPACE` if `capacity`
    ///   is not more than the length, and nothing has been written but `length`.
    pub path: unsafe extern "C" fn(
        host: *const chi_host,
        path: *mut c_char,
        capacity: u64,
        length: *mut u64,
    ) -> chi_status,
}
