//! Archives: how a module serialises a task for another process or node, and rebuilds it there.

use core::ffi::c_void;

use crate::chi_status;

/// `chi_container_ops.serialize`: write the task's inputs.
pub const CHI_SERIALIZE_SAVE_IN: u32 = 0;
/// `chi_container_ops.serialize`: read the task's inputs.
pub const CHI_SERIALIZE_LOAD_IN: u32 = 1;
/// `chi_container_ops.serialize`: write the task's results.
pub const CHI_SERIALIZE_SAVE_OUT: u32 = 2;
/// `chi_container_ops.serialize`: read the task's results.
pub const CHI_SERIALIZE_LOAD_OUT: u32 = 3;

/// The destination or source of a task's serialised bytes. The caller of
/// `chi_container_ops.serialize` creates it; a module only calls its functions, during that call
/// and on the same thread. docs/wire-format.md specifies the bytes.
#[repr(C)]
pub struct chi_archive {
    /// `sizeof(chi_archive)` in the runtime. Call a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Appends a copy of `len` bytes.
    ///
    /// * Ownership: the bytes are copied.
    /// * Null: `data` may be null when `len` is 0.
    /// * Errors: `CHI_INVALID` when the archive is open for reading, `CHI_NO_SPACE`,
    ///   `CHI_TOO_LARGE`.
    /// * Thread: `[worker]`, the one that was passed the archive.
    pub write: unsafe extern "C" fn(
        archive: *mut chi_archive,
        data: *const c_void,
        len: u64,
    ) -> chi_status,

    /// Copies the next `len` bytes to `data`. When fewer remain, it fails and consumes none.
    ///
    /// * Ownership: `data` is the caller's.
    /// * Null: `data` may be null when `len` is 0.
    /// * Errors: `CHI_INVALID` when fewer bytes remain, or the archive is open for writing.
    /// * Thread: `[worker]`, the one that was passed the archive.
    pub read:
        unsafe extern "C" fn(archive: *mut chi_archive, data: *mut c_void, len: u64) -> chi_status,

    /// The number of bytes left to read; 0 when the archive is open for writing.
    ///
    /// * Thread: `[worker]`, the one that was passed the archive.
    pub remaining: unsafe extern "C" fn(archive: *const chi_archive) -> u64,
}
