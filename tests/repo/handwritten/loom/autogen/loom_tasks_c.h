// clang-format off
/* written:loom for C: the tasks of client/src/tasks.rs. Generated from chimaera_mod.yaml; do not edit. */
#ifndef WRITTEN_LOOM_TASKS_C_H_
#define WRITTEN_LOOM_TASKS_C_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#define WRITTEN_LOOM_ASSERT static_assert
#else
#define WRITTEN_LOOM_ASSERT _Static_assert
#endif

/** The module's name. */
#define WRITTEN_LOOM_MODULE "written:loom"
/** Method kTurn (written_loom_turn_task). */
#define WRITTEN_LOOM_TURN 10
/** Method kFail (written_loom_fail_task). */
#define WRITTEN_LOOM_FAIL 11
/** Method kRelay (written_loom_relay_task). */
#define WRITTEN_LOOM_RELAY 12
#ifndef WRITTEN_LOOM_FIND_POOL_
#define WRITTEN_LOOM_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status written_loom_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(WRITTEN_LOOM_MODULE, pool_name, pool);
}
#endif

// A range of blocks.
typedef struct written_loom_extent {
  // The first block.
  uint64_t start_;
  // Number of blocks.
  uint32_t blocks_;
  // Padding; zero.
  uint32_t reserved_;
} written_loom_extent;

// A named range.
typedef struct written_loom_entry {
  // Its name.
  chi_shm_string name_;
  // Its range.
  struct written_loom_extent extent_;
  // Its weights.
  chi_shm_vector weights_;
} written_loom_entry;

// Changes every field.
typedef struct written_loom_turn_task {
  // The header of the task.
  chi_task task;
  // In and out.
  chi_shm_string text_;
  // In and out.
  chi_shm_vector words_;
  // In and out.
  chi_shm_vector extents_;
  // In and out.
  struct written_loom_entry entry_;
  // In and out.
  chi_shm_vector entries_;
  // In and out.
  uint64_t total_;
} written_loom_turn_task;

// Fails.
typedef struct written_loom_fail_task {
  // The header of the task.
  chi_task task;
  // In: 1 to fail with a panic.
  uint32_t thrown_;
  uint32_t reserved_;
  // In.
  chi_shm_string why_;
} written_loom_fail_task;

// Has the C++ module turn a text.
typedef struct written_loom_relay_task {
  // The header of the task.
  chi_task task;
  // In: the name of the C++ module's pool.
  chi_shm_string store_;
  // In.
  chi_shm_string text_;
  // In: number of concurrent calls.
  uint32_t width_;
  uint32_t reserved_;
  // In: the reason why the other module shall fail afterwards, if not empty.
  chi_shm_string why_;
  // Out.
  chi_shm_vector answers_;
} written_loom_relay_task;

WRITTEN_LOOM_ASSERT(sizeof(written_loom_extent) == 16, "size differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_extent, start_) == 0, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_extent, blocks_) == 8, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_extent, reserved_) == 12, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(sizeof(written_loom_entry) == 96, "size differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_entry, name_) == 0, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_entry, extent_) == 40, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_entry, weights_) == 56, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(sizeof(written_loom_turn_task) == 328, "size differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_turn_task, text_) == 64, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_turn_task, words_) == 104, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_turn_task, extents_) == 144, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_turn_task, entry_) == 184, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_turn_task, entries_) == 280, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_turn_task, total_) == 320, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(sizeof(written_loom_fail_task) == 112, "size differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_fail_task, thrown_) == 64, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_fail_task, reserved_) == 68, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_fail_task, why_) == 72, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(sizeof(written_loom_relay_task) == 232, "size differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_relay_task, store_) == 64, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_relay_task, text_) == 104, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_relay_task, width_) == 144, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_relay_task, reserved_) == 148, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_relay_task, why_) == 152, "offset differs from the other languages");
WRITTEN_LOOM_ASSERT(offsetof(written_loom_relay_task, answers_) == 192, "offset differs from the other languages");

#undef WRITTEN_LOOM_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // WRITTEN_LOOM_TASKS_C_H_
