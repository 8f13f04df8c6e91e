// clang-format off
/* chimaera:kv for C: the tasks of client/src/tasks.rs. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_KV_TASKS_C_H_
#define CHIMAERA_KV_TASKS_C_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#define CHIMAERA_KV_ASSERT static_assert
#else
#define CHIMAERA_KV_ASSERT _Static_assert
#endif

/** The module's name. */
#define CHIMAERA_KV_MODULE "chimaera:kv"
/** Method kPut (chimaera_kv_put_task). */
#define CHIMAERA_KV_PUT 10
/** Method kGet (chimaera_kv_get_task). */
#define CHIMAERA_KV_GET 11
/** Method kDelete (chimaera_kv_delete_task). */
#define CHIMAERA_KV_DELETE 12
/** Method kScan (chimaera_kv_scan_task). */
#define CHIMAERA_KV_SCAN 13
/** Method kCount (chimaera_kv_count_task). */
#define CHIMAERA_KV_COUNT 14
/** Method kFlush (chimaera_kv_flush_task). */
#define CHIMAERA_KV_FLUSH 15
/** Method kStats (chimaera_kv_stats_task). */
#define CHIMAERA_KV_STATS 16
/** Method kCompact (chimaera_kv_compact_task). */
#define CHIMAERA_KV_COMPACT 17
#ifndef CHIMAERA_KV_FIND_POOL_
#define CHIMAERA_KV_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status chimaera_kv_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(CHIMAERA_KV_MODULE, pool_name, pool);
}
#endif

// The size of a store, and its counters: with a path, since its file was opened, else since its
// pool was created. The numbers are those of the whole pool.
typedef struct chimaera_kv_stats {
  // Number of keys.
  uint64_t keys_;
  // Bytes of all keys and values. With a device, the values count as what memory holds of them.
  uint64_t bytes_;
  // The limit on `bytes`; `UINT64_MAX` for no limit.
  uint64_t max_bytes_;
  // Length of the file; 0 without a path. Replaced and deleted values leave free space in it, which
  // is used again.
  uint64_t file_bytes_;
  // By how much the file was shortened since it was opened, and then already.
  uint64_t compacted_bytes_;
  // Transactions. Puts and deletes that arrive together share one.
  uint64_t commits_;
  // Those that were made durable.
  uint64_t syncs_;
  // How often the file was compacted.
  uint64_t compactions_;
  // How often a container lost its keys because one of its methods crashed, and began without any.
  // Always 0 with a path.
  uint64_t lost_;
} chimaera_kv_stats;

// `kPut`: stores a value under a key.
typedef struct chimaera_kv_put_task {
  // The header of the task.
  chi_task task;
  // In.
  chi_shm_string key_;
  // In.
  chi_shm_vector value_;
  // Out: 1 if it replaced a value.
  uint32_t replaced_;
  uint32_t reserved_;
} chimaera_kv_put_task;

// `kGet`: gets the value of a key.
typedef struct chimaera_kv_get_task {
  // The header of the task.
  chi_task task;
  // In.
  chi_shm_string key_;
  // Out.
  chi_shm_vector value_;
} chimaera_kv_get_task;

// `kDelete`: deletes a key.
typedef struct chimaera_kv_delete_task {
  // The header of the task.
  chi_task task;
  // In.
  chi_shm_string key_;
  // Out: 1 if the key existed.
  uint32_t existed_;
  uint32_t reserved_;
} chimaera_kv_delete_task;

// `kScan`: lists keys in order.
typedef struct chimaera_kv_scan_task {
  // The header of the task.
  chi_task task;
  // In: the prefix of the keys; empty for all keys.
  chi_shm_string prefix_;
  // In: maximum number of keys; 0 for all.
  uint64_t limit_;
  // Out: the keys, in bytewise order.
  chi_shm_vector keys_;
} chimaera_kv_scan_task;

// `kCount`: counts keys.
typedef struct chimaera_kv_count_task {
  // The header of the task.
  chi_task task;
  // Out.
  uint64_t count_;
} chimaera_kv_count_task;

// `kFlush`: makes durable what was put and deleted before.
typedef struct chimaera_kv_flush_task {
  // The header of the task.
  chi_task task;
} chimaera_kv_flush_task;

// `kStats`: gets the size of the store and its counters.
typedef struct chimaera_kv_stats_task {
  // The header of the task.
  chi_task task;
  // Out.
  struct chimaera_kv_stats stats_;
} chimaera_kv_stats_task;

// `kCompact`: shortens the file as far as its contents allow.
typedef struct chimaera_kv_compact_task {
  // The header of the task.
  chi_task task;
  // Out: by how much it was shortened.
  uint64_t bytes_;
} chimaera_kv_compact_task;

CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_stats) == 72, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, keys_) == 0, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, bytes_) == 8, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, max_bytes_) == 16, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, file_bytes_) == 24, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, compacted_bytes_) == 32, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, commits_) == 40, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, syncs_) == 48, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, compactions_) == 56, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats, lost_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_put_task) == 152, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, key_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, value_) == 104, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, replaced_) == 144, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, reserved_) == 148, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_get_task) == 144, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_get_task, key_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_get_task, value_) == 104, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_delete_task) == 112, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_delete_task, key_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_delete_task, existed_) == 104, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_delete_task, reserved_) == 108, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_scan_task) == 152, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_scan_task, prefix_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_scan_task, limit_) == 104, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_scan_task, keys_) == 112, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_count_task) == 72, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_count_task, count_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_flush_task) == 64, "size differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_stats_task) == 136, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_stats_task, stats_) == 64, "offset differs from the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_compact_task) == 72, "size differs from the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_compact_task, bytes_) == 64, "offset differs from the other languages");

#undef CHIMAERA_KV_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_KV_TASKS_C_H_
