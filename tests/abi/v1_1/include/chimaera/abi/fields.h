/* libchimaera_client: filling in the strings and vectors of a task.
 * Generated from src/client/c/fields.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_FIELDS_H_
#define CHIMAERA_ABI_FIELDS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/task.h"

#ifdef __cplusplus
extern "C" {
#endif

// Resizes a vector of a task to `size` uninitialised bytes, in a new block; the old contents are
// dropped. `vector` is in the body of `task`, or in an element of one of its vectors.
//
// * Ownership: the block belongs to the task and is freed with it.
// * Null: neither `task` nor `vector` may be null.
// * Errors: those of `chi_alloc`.
// * Thread: `[any thread]`.
chi_status chi_vector_resize(struct chi_task *task, struct chi_shm_vector *vector, uint64_t size);

// Resizes a vector of a task to `count` elements of `elem_size` bytes, in a new block, and zeroes
// them: a zeroed element contains empty strings and vectors, which the other functions here can
// then fill.
//
// * Ownership: as `chi_vector_resize`.
// * Null: neither `task` nor `vector` may be null.
// * Errors: those of `chi_alloc`.
// * Thread: `[any thread]`.
chi_status chi_vector_elements(struct chi_task *task,
                               struct chi_shm_vector *vector,
                               uint64_t count,
                               uint64_t elem_size);

// Sets a vector of a task to a copy of the `size` bytes at `data`.
//
// * Ownership: as `chi_vector_resize`; `data` is copied.
// * Null: `data` may be null when `size` is 0; neither `task` nor `vector` may be null.
// * Errors: those of `chi_alloc`.
// * Thread: `[any thread]`.
chi_status chi_vector_set(struct chi_task *task,
                          struct chi_shm_vector *vector,
                          const void *data,
                          uint64_t size);

// Sets a string of a task to a copy of the C string `text`, without its terminating zero.
//
// * Ownership: as `chi_vector_resize`; `text` is copied.
// * Null: a null `text` means the empty string; neither `task` nor `string` may be null.
// * Errors: those of `chi_alloc`.
// * Thread: `[any thread]`.
chi_status chi_string_set(struct chi_task *task, struct chi_shm_string *string, const char *text);

// Sets a vector of strings to copies of the `count` C strings at `texts`.
//
// * Ownership: as `chi_vector_resize`; the texts are copied.
// * Null: a null text means the empty string; `texts` may be null when `count` is 0; neither
//   `task` nor `vector` may be null.
// * Errors: those of `chi_alloc`.
// * Thread: `[any thread]`.
chi_status chi_strings_set(struct chi_task *task,
                           struct chi_shm_vector *vector,
                           const char *const *texts,
                           uint64_t count);

// Sets a vector of vectors to copies of `count` arrays of plain elements: the array at `arrays[i]`
// has `counts[i]` elements of `elem_size` bytes.
//
// * Ownership: as `chi_vector_resize`; the arrays are copied.
// * Null: an array without elements may be null; `arrays` and `counts` may be null when `count` is
//   0; neither `task` nor `vector` may be null.
// * Errors: those of `chi_alloc`.
// * Thread: `[any thread]`.
chi_status chi_vectors_set(struct chi_task *task,
                           struct chi_shm_vector *vector,
                           const void *const *arrays,
                           const uint64_t *counts,
                           uint64_t elem_size,
                           uint64_t count);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_ABI_FIELDS_H_
