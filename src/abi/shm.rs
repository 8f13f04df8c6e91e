//! Shared memory: pointers, buffers, strings and vectors.

use core::ffi::c_void;

/// A shared pointer: the segment's number in the upper 16 bits, the offset in the lower 48. It
/// refers to the same memory in every process of a session. `CHI_SHM_NULL` is the null pointer.
pub type chi_shm_ptr = u64;

/// The null shared pointer.
pub const CHI_SHM_NULL: u64 = 0;

/// The number of low bits of a `chi_shm_ptr` that hold the offset.
pub const CHI_SHM_OFFSET_BITS: u32 = 48;

/// A buffer: a block of memory, with its shared pointer and its address in this process.
///
/// Allocated by `chi_ipc.alloc`. Free it with `chi_ipc.free`, unless it was allocated for a task,
/// which then owns it.
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
/// It does not own its block: the block belongs to the task that contains the vector, and is freed
/// with that task. A vector may also point into the middle of a block. Inside a method, the runtime
/// has already checked pointer, length and capacity, and they can no longer change; the bytes in
/// the block can, because the client may write to them at any time.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_shm_vector {
    /// The block as a shared pointer.
    pub shm_: chi_shm_ptr,
    /// The block's address in this process.
    pub data_: *mut c_void,
    /// Bytes in use: the number of elements times their size.
    pub size_: u64,
    /// Capacity of the block in bytes.
    pub capacity_: u64,
    /// Offset in bytes of this struct from the start of the task, for a vector directly in the
    /// task's body; 0 for a vector in another vector's block.
    pub offset_in_task_: u32,
    /// Zero.
    pub reserved_: u32,
}

/// A string inside a task: `size_` bytes, not zero-terminated. Otherwise like `chi_shm_vector`.
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

/// The maximum nesting depth of vectors. A module that declares deeper ones is refused.
pub const CHI_MAX_FIELD_DEPTH: u32 = 4;

/// Describes a string or a vector in a task, or in an element of a vector.
///
/// Fields without shared pointers need no entry: the task's body is copied as a whole.
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
    /// The layouts of the strings and vectors in one element; null when there are none. Must live
    /// as long as the process.
    pub elem_fields_: *const chi_field_layout,
    /// The number of entries in `elem_fields_`.
    pub n_elem_fields_: u32,
    /// Zero.
    pub reserved_: u32,
}

// SAFETY: the pointer is to a table that the module never changes after `chi_module` returned.
unsafe impl Sync for chi_field_layout {}
// SAFETY: as above; the table is not bound to a thread.
unsafe impl Send for chi_field_layout {}
