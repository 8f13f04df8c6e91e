/* chimaera:bdev, a block device, for C: functions that create its tasks. bdev_tasks_c.h has the
 * structs.
 *
 *     chimaera_bdev_write_task *write;
 *     chi_status status = chimaera_bdev_write_new(pool, query, block, bytes, 4096, &write);
 *     if (status == CHI_OK) status = chi_submit(&write->task);
 *     if (status == CHI_OK) status = chi_wait(&write->task, CHI_WAIT_FOREVER);
 *     chi_task_delete(&write->task);
 */
#ifndef CHIMAERA_BDEV_C_H_
#define CHIMAERA_BDEV_C_H_

#include "bdev_tasks_c.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Creates a task that allocates `count` blocks: `extents_` then holds chimaera_bdev_extent
 * structs. Before it is submitted, `owner_` can be set: such blocks are free again when the owner
 * is released, and when the device is opened again. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new`) there is no task to delete. Any thread.
 */
static inline chi_status chimaera_bdev_allocate_new(chi_pool_id pool, chi_domain_query query,
                                                    uint64_t count,
                                                    chimaera_bdev_allocate_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_ALLOCATE, &made);
  *task = (chimaera_bdev_allocate_task *)(void *)made;
  if (status == CHI_OK) (*task)->count_ = count;
  return status;
}

/** Creates a task that frees the blocks of `n` extents. Otherwise like chimaera_bdev_allocate_new;
 * errors also those of `chi_vector_set`. */
static inline chi_status chimaera_bdev_free_new(chi_pool_id pool, chi_domain_query query,
                                                const chimaera_bdev_extent *extents, uint64_t n,
                                                chimaera_bdev_free_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_FREE, &made);
  if (status != CHI_OK) return status;
  chimaera_bdev_free_task *release = (chimaera_bdev_free_task *)(void *)made;
  status = chi_vector_set(made, &release->extents_, extents, n * sizeof(*extents));
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = release;
  return CHI_OK;
}

/** Creates a task that frees the blocks of an owner, which is not 0: `blocks_` then is their
 * number. Otherwise like chimaera_bdev_allocate_new. */
static inline chi_status chimaera_bdev_release_new(chi_pool_id pool, chi_domain_query query,
                                                   uint64_t owner,
                                                   chimaera_bdev_release_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_RELEASE, &made);
  *task = (chimaera_bdev_release_task *)(void *)made;
  if (status == CHI_OK) (*task)->owner_ = owner;
  return status;
}

/** Creates a task that reads `count` blocks, beginning at `block`, into `data_`. Otherwise like
 * chimaera_bdev_allocate_new. */
static inline chi_status chimaera_bdev_read_new(chi_pool_id pool, chi_domain_query query,
                                                uint64_t block, uint64_t count,
                                                chimaera_bdev_read_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_READ, &made);
  *task = (chimaera_bdev_read_task *)(void *)made;
  if (status != CHI_OK) return status;
  (*task)->block_ = block;
  (*task)->count_ = count;
  return CHI_OK;
}

/** Creates a task that writes a copy of `size` bytes, whole blocks, beginning at `block`. Otherwise
 * like chimaera_bdev_free_new. */
static inline chi_status chimaera_bdev_write_new(chi_pool_id pool, chi_domain_query query,
                                                 uint64_t block, const void *data, uint64_t size,
                                                 chimaera_bdev_write_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_WRITE, &made);
  if (status != CHI_OK) return status;
  chimaera_bdev_write_task *write = (chimaera_bdev_write_task *)(void *)made;
  write->block_ = block;
  status = chi_vector_set(made, &write->data_, data, size);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = write;
  return CHI_OK;
}

/** Creates a task that makes completed writes, allocations and releases durable. Otherwise like
 * chimaera_bdev_allocate_new. */
static inline chi_status chimaera_bdev_flush_new(chi_pool_id pool, chi_domain_query query,
                                                 chimaera_bdev_flush_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_FLUSH, &made);
  *task = (chimaera_bdev_flush_task *)(void *)made;
  return status;
}

/** Creates a task that adds blocks to a device in a file: `total_` then is the number that it has.
 * Otherwise like chimaera_bdev_allocate_new. */
static inline chi_status chimaera_bdev_grow_new(chi_pool_id pool, chi_domain_query query,
                                                uint64_t blocks, chimaera_bdev_grow_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_GROW, &made);
  *task = (chimaera_bdev_grow_task *)(void *)made;
  if (status == CHI_OK) (*task)->blocks_ = blocks;
  return status;
}

/** Creates a task that gets the device's properties and counters. Otherwise like
 * chimaera_bdev_allocate_new. */
static inline chi_status chimaera_bdev_stats_new(chi_pool_id pool, chi_domain_query query,
                                                 chimaera_bdev_stats_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_BDEV_STATS, &made);
  *task = (chimaera_bdev_stats_task *)(void *)made;
  return status;
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_BDEV_C_H_
