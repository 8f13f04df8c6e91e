//! How a module writes a task as bytes and makes it again, for another process or node.

use core::ffi::c_void;

use crate::chi_status;

/// `chi_container_ops.serialize`: write what the caller gives.
pub const CHI_SERIALIZE_SAVE_IN: u32 = 0;
/// `chi_container_ops.serialize`: read what the caller gave.
pub const CHI_SERIALIZE_LOAD_IN: u32 = 1;
/// `chi_container_ops.serialize`: write what the method found.
pub const CHI_SERIALIZE_SAVE_OUT: u32 = 2;
/// `chi_container_ops.serialize`: read what the method found.
pub const CHI_SERIALIZE_LOAD_OUT: u32 = 3;

/// Where the bytes of a task go to, or come from. Whoever calls `chi_container_ops.serialize` makes
/// it; a module only calls its functions, during that call and on its thread. The bytes are those of
/// docs/wire-format.md.
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
    /// * Errors: `CHI_INVALID` when the archive is for reading, `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
    /// * Thread: `[worker]`, the one that was given the archive.
    pub write: unsafe extern "C" fn(
        archive: *mut chi_archive,
        data: *const c_void,
        len: u64,
    ) -> chi_status,

    /// Copies the next `len` bytes to `data`; when fewer remain, none are taken.
    ///
    /// * Ownership: `data` is the caller's.
    /// * Null: `data` may be null when `len` is 0.
    /// * Errors: `CHI_INVALID` when fewer bytes remain, or the archive is for writing.
    /// * Thread: `[worker]`, the one that was given the archive.
    pub read:
        unsafe extern "C" fn(archive: *mut chi_archive, data: *mut c_void, len: u64) -> chi_status,

    /// How many bytes remain to be read; 0 when the archive is for writing.
    ///
    /// * Thread: `[worker]`, the one that was given the archive.
    pub remaining: unsafe extern "C" fn(archive: *const chi_archive) -> u64,
}
