/* chimaera:kv, a key-value store, for C: its tasks as C structs, and how to make them.
 *
 *     chimaera_kv_put_task *put;
 *     chi_status status = chimaera_kv_put_new(pool, query, "colour", "green", 5, &put);
 *     if (status == CHI_OK) status = chi_submit(&put->task);
 *     if (status == CHI_OK) status = chi_wait(&put->task, CHI_WAIT_FOREVER);
 *     chi_task_delete(&put->task);
 */
#ifndef CHIMAERA_KV_C_H_
#define CHIMAERA_KV_C_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The module's name. */
#define CHIMAERA_KV_MODULE "chimaera:kv"
/** Method: store a value (chimaera_kv_put_task). */
#define CHIMAERA_KV_PUT 10
/** Method: read a value (chimaera_kv_get_task). */
#define CHIMAERA_KV_GET 11
/** Method: remove a key (chimaera_kv_delete_task). */
#define CHIMAERA_KV_DELETE 12
/** Method: list keys (chimaera_kv_scan_task). */
#define CHIMAERA_KV_SCAN 13
/** Method: count the keys (chimaera_kv_count_task). */
#define CHIMAERA_KV_COUNT 14

/** Stores a value under a key. */
typedef struct chimaera_kv_put_task {
  /** The task. */
  chi_task task;
  /** In: the key. */
  chi_shm_string key_;
  /** In: the value. */
  chi_shm_vector value_;
  /** Out: 1 when there was a value before. */
  uint32_t replaced_;
  /** Zero. */
  uint32_t reserved_;
} chimaera_kv_put_task;

/** Reads the value of a key. Status: `CHI_NOT_FOUND` when there is none. */
typedef struct chimaera_kv_get_task {
  /** The task. */
  chi_task task;
  /** In: the key. */
  chi_shm_string key_;
  /** Out: the value. */
  chi_shm_vector value_;
} chimaera_kv_get_task;

/** Removes a key. */
typedef struct chimaera_kv_delete_task {
  /** The task. */
  chi_task task;
  /** In: the key. */
  chi_shm_string key_;
  /** Out: 1 when it was there. */
  uint32_t existed_;
  /** Zero. */
  uint32_t reserved_;
} chimaera_kv_delete_task;

/** Lists the keys that begin with a prefix, in order. */
typedef struct chimaera_kv_scan_task {
  /** The task. */
  chi_task task;
  /** In: the prefix; empty for all keys. */
  chi_shm_string prefix_;
  /** In: the most keys to list; 0 for all. */
  uint64_t limit_;
  /** Out: the keys, each a chi_shm_string. */
  chi_shm_vector keys_;
} chimaera_kv_scan_task;

/** Counts the keys. */
typedef struct chimaera_kv_count_task {
  /** The task. */
  chi_task task;
  /** Out: how many there are. */
  uint64_t count_;
} chimaera_kv_count_task;

/** Makes a task that stores a copy of `size` bytes under a C string. The caller submits it, and
 * deletes it with `chi_task_delete`. Errors: those of `chi_task_new` and `chi_vector_set`; then
 * there is no task. Any thread. */
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

/** Makes a task that reads the value of a key. Otherwise like chimaera_kv_put_new. */
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

/** Makes a task that removes a key. Otherwise like chimaera_kv_put_new. */
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

/** Makes a task that lists at most `limit` keys (0: all) from a prefix. Otherwise like
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

/** Makes a task that counts the keys. Otherwise like chimaera_kv_put_new. */
static inline chi_status chimaera_kv_count_new(chi_pool_id pool, chi_domain_query query,
                                               chimaera_kv_count_task **task) {
  chi_task *made = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, CHIMAERA_KV_COUNT, &made);
  *task = (chimaera_kv_count_task *)(void *)made;
  return status;
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_KV_C_H_
