// clang-format off
/* example:mod_name for C: the tasks of src/tasks.rs. Generated from chimaera_mod.yaml; do not edit. */
#ifndef EXAMPLE_MOD_NAME_TASKS_C_H_
#define EXAMPLE_MOD_NAME_TASKS_C_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#define EXAMPLE_MOD_NAME_ASSERT static_assert
#else
#define EXAMPLE_MOD_NAME_ASSERT _Static_assert
#endif

/** The module's name. */
#define EXAMPLE_MOD_NAME_MODULE "example:mod_name"
/** Method kFirst (example_mod_name_first_task). */
#define EXAMPLE_MOD_NAME_FIRST 10
#ifndef EXAMPLE_MOD_NAME_FIND_POOL_
#define EXAMPLE_MOD_NAME_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status example_mod_name_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(EXAMPLE_MOD_NAME_MODULE, pool_name, pool);
}
#endif

// Where a part lies.
typedef struct example_mod_name_extent {
  uint64_t start_;
  uint8_t digest_[20];
  uint32_t reserved_;
} example_mod_name_extent;

typedef struct example_mod_name_entry {
  chi_shm_string name_;
  struct example_mod_name_extent extent_;
  chi_shm_vector weights_;
  uint8_t flag_;
} example_mod_name_entry;

// What this struct is takes so many words that its comment does not fit into a line of a header,
// which has at most a hundred columns.
typedef struct example_mod_name_first_task {
  // The header of the task.
  chi_task task;
  // In.
  struct example_mod_name_entry entry_;
  chi_shm_vector entries_;
  chi_shm_vector rows_;
  chi_shm_vector blobs_;
  uint8_t type_;
  chi_pool_id cache_;
  chi_domain_query asked_;
  chi_task_node node_;
  struct example_mod_name_extent extents_[2];
} example_mod_name_first_task;

// Has no method.
typedef struct example_mod_name_other_task {
  // The header of the task.
  chi_task task;
} example_mod_name_other_task;

EXAMPLE_MOD_NAME_ASSERT(sizeof(example_mod_name_extent) == 32, "size differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_extent, start_) == 0, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_extent, digest_) == 8, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_extent, reserved_) == 28, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(sizeof(example_mod_name_entry) == 120, "size differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_entry, name_) == 0, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_entry, extent_) == 40, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_entry, weights_) == 72, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_entry, flag_) == 112, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(sizeof(example_mod_name_first_task) == 408, "size differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, entry_) == 64, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, entries_) == 184, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, rows_) == 224, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, blobs_) == 264, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, type_) == 304, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, cache_) == 308, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, asked_) == 316, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, node_) == 328, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(offsetof(example_mod_name_first_task, extents_) == 344, "offset differs from the other languages");
EXAMPLE_MOD_NAME_ASSERT(sizeof(example_mod_name_other_task) == 64, "size differs from the other languages");

#undef EXAMPLE_MOD_NAME_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // EXAMPLE_MOD_NAME_TASKS_C_H_
