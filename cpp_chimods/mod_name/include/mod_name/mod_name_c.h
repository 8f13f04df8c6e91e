/* example:mod_name for C: its tasks as C structs, and functions that create them. */
#ifndef EXAMPLE_MOD_NAME_C_H_
#define EXAMPLE_MOD_NAME_C_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The module's name. */
#define EXAMPLE_MOD_NAME_MODULE "example:mod_name"
/** Method: compress (example_mod_name_compress_task). */
#define EXAMPLE_MOD_NAME_COMPRESS 10
/** Method: decompress (example_mod_name_decompress_task). */
#define EXAMPLE_MOD_NAME_DECOMPRESS 11

/** Compresses bytes into one zstd frame. */
typedef struct example_mod_name_compress_task {
  /** The header of the task. */
  chi_task task;
  /** In: the zstd level; 0 means the pool's. */
  int32_t level_;
  /** Padding; zero. */
  uint32_t reserved_;
  /** In: the bytes. */
  chi_shm_vector data_;
  /** Out: the frame. */
  chi_shm_vector output_;
} example_mod_name_compress_task;

/** Decompresses zstd frames. */
typedef struct example_mod_name_decompress_task {
  /** The header of the task. */
  chi_task task;
  /** In: the limit for the decompressed bytes; more are refused. */
  uint64_t max_size_;
  /** In: the frames. */
  chi_shm_vector data_;
  /** Out: the bytes. */
  chi_shm_vector output_;
} example_mod_name_decompress_task;

/** Creates a task that compresses a copy of `size` bytes. The caller submits it, and deletes it
 * with `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no
 * task to delete. Any thread. */
static inline chi_status example_mod_name_compress_new(chi_pool_id pool, chi_domain_query query,
                                                       const void *bytes, uint64_t size,
                                                       int32_t level,
                                                       example_mod_name_compress_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, EXAMPLE_MOD_NAME_COMPRESS, &made);
  if (status != CHI_OK) return status;
  example_mod_name_compress_task *compress = (example_mod_name_compress_task *)(void *)made;
  compress->level_ = level;
  status = chi_vector_set(made, &compress->data_, bytes, size);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = compress;
  return CHI_OK;
}

/** Creates a task that decompresses a copy of `size` bytes into at most `max_size`. Otherwise like
 * example_mod_name_compress_new. */
static inline chi_status example_mod_name_decompress_new(chi_pool_id pool, chi_domain_query query,
                                                         const void *bytes, uint64_t size,
                                                         uint64_t max_size,
                                                         example_mod_name_decompress_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, EXAMPLE_MOD_NAME_DECOMPRESS, &made);
  if (status != CHI_OK) return status;
  example_mod_name_decompress_task *decompress = (example_mod_name_decompress_task *)(void *)made;
  decompress->max_size_ = max_size;
  status = chi_vector_set(made, &decompress->data_, bytes, size);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = decompress;
  return CHI_OK;
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // EXAMPLE_MOD_NAME_C_H_
