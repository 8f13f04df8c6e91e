/* example:mod_name for C: its tasks as C structs, and how to make them. */
#ifndef EXAMPLE_MOD_NAME_C_H_
#define EXAMPLE_MOD_NAME_C_H_

#include "chimaera/abi.h"
#include "chimaera/shm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The module's name. */
#define EXAMPLE_MOD_NAME_MODULE "example:mod_name"
/** Method: compress (example_mod_name_compress_task). */
#define EXAMPLE_MOD_NAME_COMPRESS 10
/** Method: decompress (example_mod_name_decompress_task). */
#define EXAMPLE_MOD_NAME_DECOMPRESS 11

/** Makes one zstd frame of bytes. */
typedef struct example_mod_name_compress_task {
  /** The task. */
  chi_task task;
  /** In: zstd's level; 0 means 3. */
  int32_t level_;
  /** Zero. */
  uint32_t reserved_;
  /** In: the bytes. */
  chi_shm_vector data_;
  /** Out: the frame. */
  chi_shm_vector output_;
} example_mod_name_compress_task;

/** The bytes of zstd frames. */
typedef struct example_mod_name_decompress_task {
  /** The task. */
  chi_task task;
  /** In: refuse to inflate beyond so many bytes. */
  uint64_t max_size_;
  /** In: the frames. */
  chi_shm_vector data_;
  /** Out: the bytes. */
  chi_shm_vector output_;
} example_mod_name_decompress_task;

/** Makes a task that compresses a copy of `size` bytes. The caller enqueues it and deletes it with
 * `chi_ipc.del_task`. Errors: those of `chi_ipc.new_task` and `chi_ipc.alloc`; then there is no
 * task. Any thread. */
static inline chi_status example_mod_name_compress_new(const chi_ipc *ipc, chi_pool_id pool,
                                                       chi_domain_query query, const void *bytes,
                                                       uint64_t size, int32_t level,
                                                       example_mod_name_compress_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = ipc->new_task(ipc, sizeof(**task), &made);
  if (status != CHI_OK) return status;
  example_mod_name_compress_task *t = (example_mod_name_compress_task *)(void *)made;
  made->pool_ = pool;
  made->dom_query_ = query;
  made->method_ = EXAMPLE_MOD_NAME_COMPRESS;
  t->level_ = level;
  chi_shm_vector_place(&t->data_, made);
  chi_shm_vector_place(&t->output_, made);
  status = chi_shm_vector_assign(ipc, &t->data_, made, bytes, size);
  if (status != CHI_OK) {
    ipc->del_task(ipc, made);
    return status;
  }
  *task = t;
  return CHI_OK;
}

/** Makes a task that decompresses a copy of `size` bytes into at most `max_size`. Otherwise like
 * example_mod_name_compress_new. */
static inline chi_status example_mod_name_decompress_new(const chi_ipc *ipc, chi_pool_id pool,
                                                         chi_domain_query query, const void *bytes,
                                                         uint64_t size, uint64_t max_size,
                                                         example_mod_name_decompress_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = ipc->new_task(ipc, sizeof(**task), &made);
  if (status != CHI_OK) return status;
  example_mod_name_decompress_task *t = (example_mod_name_decompress_task *)(void *)made;
  made->pool_ = pool;
  made->dom_query_ = query;
  made->method_ = EXAMPLE_MOD_NAME_DECOMPRESS;
  t->max_size_ = max_size;
  chi_shm_vector_place(&t->data_, made);
  chi_shm_vector_place(&t->output_, made);
  status = chi_shm_vector_assign(ipc, &t->data_, made, bytes, size);
  if (status != CHI_OK) {
    ipc->del_task(ipc, made);
    return status;
  }
  *task = t;
  return CHI_OK;
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // EXAMPLE_MOD_NAME_C_H_
