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

// `kPut`: puts a value under a key.
typedef struct chimaera_kv_put_task {
  // What every task begins with.
  chi_task task;
  // In.
  chi_shm_string key_;
  // In.
  chi_shm_vector value_;
  // Out: 1 when it replaced a value.
  uint32_t replaced_;
  uint32_t reserved_;
} chimaera_kv_put_task;

// `kGet`: gets the value of a key.
typedef struct chimaera_kv_get_task {
  // What every task begins with.
  chi_task task;
  // In.
  chi_shm_string key_;
  // Out.
  chi_shm_vector value_;
} chimaera_kv_get_task;

// `kDelete`: deletes a key.
typedef struct chimaera_kv_delete_task {
  // What every task begins with.
  chi_task task;
  // In.
  chi_shm_string key_;
  // Out: 1 when the key was there.
  uint32_t existed_;
  uint32_t reserved_;
} chimaera_kv_delete_task;

// `kScan`: lists keys in order.
typedef struct chimaera_kv_scan_task {
  // What every task begins with.
  chi_task task;
  // In: what the keys begin with; empty for all.
  chi_shm_string prefix_;
  // In: how many keys at most; 0 for all.
  uint64_t limit_;
  // Out: the keys, sorted by their bytes.
  chi_shm_vector keys_;
} chimaera_kv_scan_task;

// `kCount`: counts keys.
typedef struct chimaera_kv_count_task {
  // What every task begins with.
  chi_task task;
  // Out.
  uint64_t count_;
} chimaera_kv_count_task;

CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_put_task) == 152, "another size than in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, key_) == 64, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, value_) == 104, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, replaced_) == 144, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_put_task, reserved_) == 148, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_get_task) == 144, "another size than in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_get_task, key_) == 64, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_get_task, value_) == 104, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_delete_task) == 112, "another size than in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_delete_task, key_) == 64, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_delete_task, existed_) == 104, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_delete_task, reserved_) == 108, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_scan_task) == 152, "another size than in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_scan_task, prefix_) == 64, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_scan_task, limit_) == 104, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_scan_task, keys_) == 112, "lies elsewhere in the other languages");
CHIMAERA_KV_ASSERT(sizeof(chimaera_kv_count_task) == 72, "another size than in the other languages");
CHIMAERA_KV_ASSERT(offsetof(chimaera_kv_count_task, count_) == 64, "lies elsewhere in the other languages");

#undef CHIMAERA_KV_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_KV_TASKS_C_H_
