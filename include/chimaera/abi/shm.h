/* The contents of shared memory: pointers, buffers, strings and vectors.
 * Generated from src/abi/shm.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_SHM_H_
#define CHIMAERA_ABI_SHM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A shared pointer: the segment's number in the upper 16 bits, the offset in the lower 48.
// `CHI_SHM_NULL` points nowhere. It means the same in every process of a session.
typedef uint64_t chi_shm_ptr;

// The shared pointer that points nowhere.
#define CHI_SHM_NULL 0

// How many low bits of a `chi_shm_ptr` are the offset.
#define CHI_SHM_OFFSET_BITS 48

// A buffer: where it lies for every process of the session, and where it lies here.
//
// Made by `chi_ipc.alloc`, and given back by `chi_ipc.free` unless it was allocated for a task.
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
// It owns nothing: its block belongs to the task that it lies in and goes with it; it may also point
// into the middle of such a block. Inside a method, the runtime has already checked pointer, length
// and capacity, and they cannot change any more; the bytes that they point to can, because the client
// may write to them at any time.
typedef struct chi_shm_vector {
  // The block as a shared pointer.
  chi_shm_ptr shm_;
  // The block's address in this process.
  void *data_;
  // Bytes in use. The number of elements times their size.
  uint64_t size_;
  // Bytes that the block holds.
  uint64_t capacity_;
  // Distance in bytes from the start of the task to this struct, for a vector that lies directly
  // in the task's body; 0 for one that lies in another vector's block.
  uint32_t offset_in_task_;
  // Zero.
  uint32_t reserved_;
} chi_shm_vector;

// A string inside a task: `size_` bytes, not terminated by a zero. Otherwise like
// `chi_shm_vector`.
typedef struct chi_shm_string {
  // The bytes.
  struct chi_shm_vector bytes_;
} chi_shm_string;

// `chi_field_layout.kind_`: the field is a `chi_shm_string`.
#define CHI_FIELD_STRING 1

// `chi_field_layout.kind_`: the field is a `chi_shm_vector`.
#define CHI_FIELD_VECTOR 2

// How deep vectors may lie in vectors. A module that declares more is refused.
#define CHI_MAX_FIELD_DEPTH 4

// Where a string or a vector lies in a task, or in an element of a vector.
//
// Fields that hold no shared pointers need no entry: the task's body is copied whole.
typedef struct chi_field_layout {
  // Bytes from the start of the task or of the element.
  uint32_t offset_;
  // `CHI_FIELD_STRING` or `CHI_FIELD_VECTOR`.
  uint32_t kind_;
  // Size of one element in bytes, at least 1. For a string, 1.
  uint32_t elem_size_;
  // Alignment of an element in bytes, a power of two, at most 64.
  uint32_t elem_align_;
  // The strings and vectors inside one element; null when there are none. Lives as long as the
  // module.
  const struct chi_field_layout *elem_fields_;
  // How many there are.
  uint32_t n_elem_fields_;
  // Zero.
  uint32_t reserved_;
} chi_field_layout;

#endif  // CHIMAERA_ABI_SHM_H_
