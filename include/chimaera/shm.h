/* Strings and vectors in tasks, for C: how to place, fill and read them.
 *
 * The C++ classes hipc::string and hipc::vector are built on these functions. All of them may be
 * called on any thread, by one thread at a time for one task, and never between the task's enqueue
 * and its completion.
 *
 *     my_task *task = ...;  // from chi_ipc.new_task
 *     chi_shm_vector_place(&task->data_, &task->task);
 *     chi_status status = chi_shm_vector_assign(ipc, &task->data_, &task->task, bytes, n);
 */
#ifndef CHIMAERA_SHM_H_
#define CHIMAERA_SHM_H_

#include <string.h>

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Empties a vector that lies in the body of `task` and tells it where it lies. */
static inline void chi_shm_vector_place(chi_shm_vector *vector, const chi_task *task) {
  memset(vector, 0, sizeof(*vector));
  vector->offset_in_task_ = (uint32_t)((const char *)vector - (const char *)task);
}

/** Empties a string that lies in the body of `task` and tells it where it lies. */
static inline void chi_shm_string_place(chi_shm_string *string, const chi_task *task) {
  chi_shm_vector_place(&string->bytes_, task);
}

/** The first byte in this process, or null when there is none. Borrowed: valid until the task is
 * deleted or the vector is assigned to. */
static inline void *chi_shm_vector_data(const chi_ipc *ipc, const chi_shm_vector *vector) {
  if (vector->data_ != NULL || vector->shm_ == CHI_SHM_NULL) return vector->data_;
  return ipc->resolve(ipc, vector->shm_);
}

/** Makes room for `bytes` bytes and keeps the bytes in use. A block that proves too small stays
 * with the task until the task is deleted. Errors: those of `chi_ipc.alloc`. */
static inline chi_status chi_shm_vector_reserve(const chi_ipc *ipc, chi_shm_vector *vector,
                                                chi_task *owner, uint64_t bytes) {
  if (bytes <= vector->capacity_) return CHI_OK;
  chi_buffer block;
  chi_status status = ipc->alloc(ipc, owner, bytes, &block);
  if (status != CHI_OK) return status;
  const void *old = chi_shm_vector_data(ipc, vector);
  if (vector->size_ != 0 && old != NULL) memcpy(block.data_, old, (size_t)vector->size_);
  vector->shm_ = block.shm_;
  vector->data_ = block.data_;
  vector->capacity_ = block.size_;
  return CHI_OK;
}

/** Replaces the content by a copy of `size` bytes, which must not lie in the vector itself.
 * Errors: those of `chi_ipc.alloc`. */
static inline chi_status chi_shm_vector_assign(const chi_ipc *ipc, chi_shm_vector *vector,
                                               chi_task *owner, const void *bytes, uint64_t size) {
  vector->size_ = 0;
  chi_status status = chi_shm_vector_reserve(ipc, vector, owner, size);
  if (status != CHI_OK) return status;
  if (size != 0) memcpy(chi_shm_vector_data(ipc, vector), bytes, (size_t)size);
  vector->size_ = size;
  return CHI_OK;
}

/** Makes the vector refer to the first `size` bytes of a buffer, without a copy. The buffer stays
 * its owner's, and must outlive the task's run. */
static inline void chi_shm_vector_attach(chi_shm_vector *vector, const chi_buffer *buffer,
                                         uint64_t size) {
  vector->shm_ = buffer->shm_;
  vector->data_ = buffer->data_;
  vector->size_ = size;
  vector->capacity_ = buffer->size_;
}

/** Replaces the content of a string by a copy of `size` bytes of UTF-8. Errors: those of
 * `chi_ipc.alloc`. */
static inline chi_status chi_shm_string_assign(const chi_ipc *ipc, chi_shm_string *string,
                                               chi_task *owner, const char *text, uint64_t size) {
  return chi_shm_vector_assign(ipc, &string->bytes_, owner, text, size);
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_SHM_H_
