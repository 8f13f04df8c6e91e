/* The contents of shared memory: pointers, buffers, strings and vectors.
 * Generated from src/abi/shm.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_SHM_H_
#define CHIMAERA_ABI_SHM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A shared pointer: the segment's number in the upper 16 bits, the offset in the lower 48. It
// refers to the same memory in every process of a session. `CHI_SHM_NULL` is the null pointer.
typedef uint64_t chi_shm_ptr;

// The null shared pointer.
#define CHI_SHM_NULL 0

// The number of low bits of a `chi_shm_ptr` that hold the offset.
#define CHI_SHM_OFFSET_BITS 48

// A buffer: a block of memory, with its shared pointer and its address in this process.
//
// Allocated by `chi_ipc.alloc`. Free it with `chi_ipc.free`, unless it was allocated for a task,
// which then owns it.
typedef struct chi_buffer {
  // The buffer as a shared pointer.
  chi_shm_ptr shm_;
  // The buffer's address in this process.
  void *data_;
  // Usable bytes.
  uint64_t size_;
} chi_buffer;

// A vector inside a task: bytes, or elements of a fixed size.
//
// It does not own its block: the block belongs to the task that contains the vector, and is freed
// with that task. A vector may also point into the middle of a block. Inside a method, the runtime
// has already checked pointer, length and capacity, and they can no longer change; the bytes in
// the block can, because the client may write to them at any time.
typedef struct chi_shm_vector {
  // The block as a shared pointer.
  chi_shm_ptr shm_;
  // The block's address in this process.
  void *data_;
  // Bytes in use: the number of elements times their size.
  uint64_t size_;
  // Capacity of the block in bytes.
  uint64_t capacity_;
  // Offset in bytes of this struct from the start of the task, for a vector directly in the
  // task's body; 0 for a vector in another vector's block.
  uint32_t offset_in_task_;
  // Zero.
  uint32_t reserved_;
} chi_shm_vector;

// A string inside a task: `size_` bytes, not zero-terminated. Otherwise like `chi_shm_vector`.
typedef struct chi_shm_string {
  // The bytes.
  struct chi_shm_vector bytes_;
} chi_shm_string;

// `chi_field_layout.kind_`: the field is a `chi_shm_string`.
#define CHI_FIELD_STRING 1

// `chi_field_layout.kind_`: the field is a `chi_shm_vector`.
#define CHI_FIELD_VECTOR 2

// The maximum nesting depth of vectors. A module that declares deeper ones is refused.
#define CHI_MAX_FIELD_DEPTH 4

// Describes a string or a vector in a task, or in an element of a vector.
//
// Fields without shared pointers need no entry: the task's body is copied as a whole.
typedef struct chi_field_layout {
  // Bytes from the start of the task or of the element.
  uint32_t offset_;
  // `CHI_FIELD_STRING` or `CHI_FIELD_VECTOR`.
  uint32_t kind_;
  // Size of one element in bytes, at least 1. For a string, 1.
  uint32_t elem_size_;
  // Alignment of an element in bytes, a power of two, at most 64.
  uint32_t elem_align_;
  // The layouts of the strings and vectors in one element; null when there are none. Must live
  // as long as the process.
  const struct chi_field_layout *elem_fields_;
  // The number of entries in `elem_fields_`.
  uint32_t n_elem_fields_;
  // Zero.
  uint32_t reserved_;
} chi_field_layout;

#endif  // CHIMAERA_ABI_SHM_H_
