/* chimaera:kv, a key-value store, for C: functions that create its tasks. kv_tasks_c.h has the
 * structs.
 *
 *     chimaera_kv_put_task *put;
 *     chi_status status = chimaera_kv_put_new(pool, query, "colour", "green", 5, &put);
 *     if (status == CHI_OK) status = chi_submit(&put->task);
 *     if (status == CHI_OK) status = chi_wait(&put->task, CHI_WAIT_FOREVER);
 *     chi_task_delete(&put->task);
 */
#ifndef CHIMAERA_KV_C_H_
#define CHIMAERA_KV_C_H_

#include "kv_tasks_c.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Creates a task that stores a copy of `size` bytes under a C string. The caller submits it, and
 * deletes it with `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`)
 * there is no task to delete. Any thread. */
static inline chi_status chimaera_kv_put_new(chi_pool_id pool, chi_domain_query query,
                                             const char *key, const void *value, uint64_t size,
                                             chimaera_kv_put_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_PUT, &made);
  if (status != CHI_OK) return status;
  chimaera_kv_put_task *put = (chimaera_kv_put_task *)(void *)made;
  status = chi_string_set(made, &put->key_, key);
  if (status == CHI_OK) status = chi_vector_set(made, &put->value_, value, size);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = put;
  return CHI_OK;
}

/** Creates a task that reads the value of a key. Otherwise like chimaera_kv_put_new. */
static inline chi_status chimaera_kv_get_new(chi_pool_id pool, chi_domain_query query,
                                             const char *key, chimaera_kv_get_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_GET, &made);
  if (status != CHI_OK) return status;
  chimaera_kv_get_task *get = (chimaera_kv_get_task *)(void *)made;
  status = chi_string_set(made, &get->key_, key);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = get;
  return CHI_OK;
}

/** Creates a task that removes a key. Otherwise like chimaera_kv_put_new. */
static inline chi_status chimaera_kv_delete_new(chi_pool_id pool, chi_domain_query query,
                                                const char *key, chimaera_kv_delete_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_DELETE, &made);
  if (status != CHI_OK) return status;
  chimaera_kv_delete_task *del = (chimaera_kv_delete_task *)(void *)made;
  status = chi_string_set(made, &del->key_, key);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = del;
  return CHI_OK;
}

/** Creates a task that lists at most `limit` keys (0: all) that begin with a prefix. Otherwise like
 * chimaera_kv_put_new. */
static inline chi_status chimaera_kv_scan_new(chi_pool_id pool, chi_domain_query query,
                                              const char *prefix, uint64_t limit,
                                              chimaera_kv_scan_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_SCAN, &made);
  if (status != CHI_OK) return status;
  chimaera_kv_scan_task *scan = (chimaera_kv_scan_task *)(void *)made;
  scan->limit_ = limit;
  status = chi_string_set(made, &scan->prefix_, prefix);
  if (status != CHI_OK) {
    chi_task_delete(made);
    return status;
  }
  *task = scan;
  return CHI_OK;
}

/** Creates a task that counts the keys. Otherwise like chimaera_kv_put_new. */
static inline chi_status chimaera_kv_count_new(chi_pool_id pool, chi_domain_query query,
                                               chimaera_kv_count_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_COUNT, &made);
  *task = (chimaera_kv_count_task *)(void *)made;
  return status;
}

/** Creates a task that makes durable what was put and deleted before. Otherwise like
 * chimaera_kv_put_new. */
static inline chi_status chimaera_kv_flush_new(chi_pool_id pool, chi_domain_query query,
                                               chimaera_kv_flush_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_FLUSH, &made);
  *task = (chimaera_kv_flush_task *)(void *)made;
  return status;
}

/** Creates a task that gets the size of the store and its counters. Otherwise like
 * chimaera_kv_put_new. */
static inline chi_status chimaera_kv_stats_new(chi_pool_id pool, chi_domain_query query,
                                               chimaera_kv_stats_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_STATS, &made);
  *task = (chimaera_kv_stats_task *)(void *)made;
  return status;
}

/** Creates a task that shortens the file as far as its contents allow. Otherwise like
 * chimaera_kv_put_new. */
static inline chi_status chimaera_kv_compact_new(chi_pool_id pool, chi_domain_query query,
                                                 chimaera_kv_compact_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_COMPACT, &made);
  *task = (chimaera_kv_compact_task *)(void *)made;
  return status;
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_KV_C_H_
