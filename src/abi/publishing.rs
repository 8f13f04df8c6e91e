//! The extension "publishing": memory that containers write and clients read without copies.

use core::ffi::{c_void, CStr};

use crate::{chi_host, chi_shm_vector, chi_status, chi_task};

/// `chi_host.extension`: a `chi_publishing`.
pub const CHI_EXT_PUBLISHING: &CStr = c"chimaera.publishing/1";

/// A shared pointer into published memory has this value in its upper 2 bits. What it points to can be read, but not
/// written. Since ABI 1.2.
pub const CHI_SHM_PUBLISHED: u64 = 2;
/// The number of low bits of a `chi_shm_ptr` above which `CHI_SHM_PUBLISHED` is. Since ABI 1.2.
pub const CHI_SHM_PUBLISHED_SHIFT: u32 = 62;

/// A reference to a block of published memory. Opaque.
#[repr(C)]
pub struct chi_published {
    _opaque: [u8; 0],
}

/// A block of published memory, as `chi_publishing.alloc` returns it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_published_block {
    /// The reference, for the functions of `chi_publishing`.
    pub reference_: *mut chi_published,
    /// The address of the block, aligned to 64.
    pub data_: *mut c_void,
    /// Usable bytes, at least as many as were asked for.
    pub size_: u64,
}

/// Publishing: a container keeps bytes in memory that clients map read-only, and lends them as results of tasks. A
/// client whose task has `CHI_TASK_TAKES_LEASES` then reads them where they are; others get a copy, as always.
///
/// A block is written before it is lent for the first time, and not afterwards: whoever has it on lease reads it at any
/// time. To change a value, make a new block and release the old one; it is freed once nobody has it on lease.
#[repr(C)]
pub struct chi_publishing {
    /// `sizeof(chi_publishing)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Allocates a block for the container that is being created or runs the current task. Its contents are
    /// unspecified.
    ///
    /// * Ownership: the caller owns the reference in `*block` until `release`; the block lives as long as a reference
    ///   or a lease.
    /// * Null: `block` must not be null.
    /// * Errors: `CHI_INVALID` for a size of 0, or if there is no such container; `CHI_NO_SPACE` when the memory budget
    ///   has no room, or the system; `CHI_TOO_LARGE`; `CHI_UNSUPPORTED` in a module host. Then keep the bytes in other
    ///   memory and copy them into results.
    /// * Thread: `[worker]`.
    pub alloc: unsafe extern "C" fn(
        host: *const chi_host,
        size: u64,
        block: *mut chi_published_block,
    ) -> chi_status,

    /// Makes another reference to a block; each has to be released.
    ///
    /// * Ownership: the caller owns one more reference.
    /// * Null: `reference` must not be null.
    /// * Thread: `[any thread]`.
    pub retain: unsafe extern "C" fn(host: *const chi_host, reference: *mut chi_published),

    /// Releases a reference.
    ///
    /// * Ownership: the reference must not be used again, nor the block without another one.
    /// * Null: a null `reference` is ignored.
    /// * Thread: `[any thread]`.
    pub release: unsafe extern "C" fn(host: *const chi_host, reference: *mut chi_published),

    /// Makes a string or vector of `task`, the task that the method runs, refer to `len` bytes at `offset` of a block,
    /// without copying them.
    ///
    /// * Ownership: the task keeps the block alive until it is deleted; for the task of a client, as long as the client
    ///   needs it. The vector has no capacity: to write to it, give it another block.
    /// * Null: none may be null.
    /// * Errors: `CHI_UNSUPPORTED` when the bytes must be copied instead: for a task of another method that does not take
    ///   leases, or a task that the method has made; `CHI_INVALID` for bytes beyond the end of the block.
    /// * Thread: `[worker]`.
    pub lend: unsafe extern "C" fn(
        host: *const chi_host,
        reference: *mut chi_published,
        offset: u64,
        len: u64,
        task: *mut chi_task,
        vector: *mut chi_shm_vector,
    ) -> chi_status,
}
