// clang-format off
/* hello:shout for C: the tasks that its YAML describes. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_SHOUT_C_H_
#define HELLO_SHOUT_C_H_

#include <string.h>

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#define HELLO_SHOUT_ASSERT static_assert
#else
#define HELLO_SHOUT_ASSERT _Static_assert
#endif

/** The module's name. */
#define HELLO_SHOUT_MODULE "hello:shout"
/** Method kShout (hello_shout_shout_task). */
#define HELLO_SHOUT_SHOUT 10
#ifndef HELLO_SHOUT_FIND_POOL_
#define HELLO_SHOUT_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status hello_shout_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(HELLO_SHOUT_MODULE, pool_name, pool);
}
#endif

/** Makes a text loud. */
typedef struct hello_shout_shout_task {
  /** The header of the task. */
  chi_task task;
  /** In: What to say. */
  chi_shm_string text_;
  /** Out: The same in capitals. */
  chi_shm_string loud_;
} hello_shout_shout_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status hello_shout_shout_new(
    chi_pool_id pool, chi_domain_query query,
    const char *text,
    hello_shout_shout_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, HELLO_SHOUT_SHOUT, &made);
  if (status != CHI_OK) return status;
  *task = (hello_shout_shout_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x400);
  status = chi_string_set(made, &(*task)->text_, text);
  if (status != CHI_OK) {
    chi_task_delete(made);
    *task = NULL;
  }
  return status;
}

HELLO_SHOUT_ASSERT(sizeof(hello_shout_shout_task) == 144, "size differs from the other languages");
HELLO_SHOUT_ASSERT(offsetof(hello_shout_shout_task, text_) == 64, "offset differs from the other languages");
HELLO_SHOUT_ASSERT(offsetof(hello_shout_shout_task, loud_) == 104, "offset differs from the other languages");

#undef HELLO_SHOUT_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // HELLO_SHOUT_C_H_
