//! What lies in shared memory: pointers, buffers, strings and vectors.

use core::ffi::c_void;

/// A shared pointer: the segment's number in the upper 16 bits, the offset in the lower 48.
/// `CHI_SHM_NULL` points nowhere. It means the same in every process of a session.
pub type chi_shm_ptr = u64;

/// The shared pointer that points nowhere.
pub const CHI_SHM_NULL: u64 = 0;

/// How many low bits of a `chi_shm_ptr` are the offset.
pub const CHI_SHM_OFFSET_BITS: u32 = 48;

/// A buffer: where it lies for every process of the session, and where it lies here.
///
/// Made by `chi_ipc.alloc`, and given back by `chi_ipc.free` unless it was allocated for a task.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_buffer {
    /// The buffer as a shared pointer.
    pub shm_: chi_shm_ptr,
    /// The buffer's address in this process.
    pub data_: *mut c_void,
    /// Usable bytes.
    pub size_: u64,
}

/// A vector inside a task: bytes, or elements of a fixed size.
///
/// It owns nothing: its block belongs to the task that it lies in and goes with it; it may also point
/// into the middle of such a block. Inside a method, the runtime has already checked pointer, length
/// and capacity, and they cannot change any more; the bytes that they point to can, because the client
/// may write to them at any time.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_shm_vector {
    /// The block as a shared pointer.
    pub shm_: chi_shm_ptr,
    /// The block's address in this process.
    pub data_: *mut c_void,
    /// Bytes in use. The number of elements times their size.
    pub size_: u64,
    /// Bytes that the block holds.
    pub capacity_: u64,
    /// Distance in bytes from the start of the task to this struct, for a vector that lies directly
    /// in the task's body; 0 for one that lies in another vector's block.
    pub offset_in_task_: u32,
    /// Zero.
    pub reserved_: u32,
}

/// A string inside a task: `size_` bytes, not terminated by a zero. Otherwise like
/// `chi_shm_vector`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_shm_string {
    /// The bytes.
    pub bytes_: chi_shm_vector,
}

/// `chi_field_layout.kind_`: the field is a `chi_shm_string`.
pub const CHI_FIELD_STRING: u32 = 1;
/// `chi_field_layout.kind_`: the field is a `chi_shm_vector`.
pub const CHI_FIELD_VECTOR: u32 = 2;

/// How deep vectors may lie in vectors. A module that declares more is refused.
pub const CHI_MAX_FIELD_DEPTH: u32 = 4;

/// Where a string or a vector lies in a task, or in an element of a vector.
///
/// Fields that hold no shared pointers need no entry: the task's body is copied whole.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_field_layout {
    /// Bytes from the start of the task or of the element.
    pub offset_: u32,
    /// `CHI_FIELD_STRING` or `CHI_FIELD_VECTOR`.
    pub kind_: u32,
    /// Size of one element in bytes, at least 1. For a string, 1.
    pub elem_size_: u32,
    /// Alignment of an element in bytes, a power of two, at most 64.
    pub elem_align_: u32,
    /// The strings and vectors inside one element; null when there are none. Lives as long as the
    /// module.
    pub elem_fields_: *const chi_field_layout,
    /// How many there are.
    pub n_elem_fields_: u32,
    /// Zero.
    pub reserved_: u32,
}

// SAFETY: the pointer is to a table that the module never changes after `chi_module` returned.
unsafe impl Sync for chi_field_layout {}
// SAFETY: as above; the table is not bound to a thread.
unsafe impl Send for chi_field_layout {}
