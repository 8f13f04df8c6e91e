// clang-format off
/* hello:greet for C: the tasks that its YAML describes. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_GREET_C_H_
#define HELLO_GREET_C_H_

#include <string.h>

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#define HELLO_GREET_ASSERT static_assert
#else
#define HELLO_GREET_ASSERT _Static_assert
#endif

/** The module's name. */
#define HELLO_GREET_MODULE "hello:greet"
/** Method kGreet (hello_greet_greet_task). */
#define HELLO_GREET_GREET 10
#ifndef HELLO_GREET_FIND_POOL_
#define HELLO_GREET_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status hello_greet_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(HELLO_GREET_MODULE, pool_name, pool);
}
#endif

/** Makes a greeting of a name. */
typedef struct hello_greet_greet_task {
  /** The header of the task. */
  chi_task task;
  /** In: Whom to greet. */
  chi_shm_string name_;
  /** Out: The greeting. */
  chi_shm_string text_;
} hello_greet_greet_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status hello_greet_greet_new(
    chi_pool_id pool, chi_domain_query query,
    const char *name,
    hello_greet_greet_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, HELLO_GREET_GREET, &made);
  if (status != CHI_OK) return status;
  *task = (hello_greet_greet_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x6448);
  status = chi_string_set(made, &(*task)->name_, name);
  if (status != CHI_OK) {
    chi_task_delete(made);
    *task = NULL;
  }
  return status;
}

HELLO_GREET_ASSERT(sizeof(hello_greet_greet_task) == 144, "size differs from the other languages");
HELLO_GREET_ASSERT(offsetof(hello_greet_greet_task, name_) == 64, "offset differs from the other languages");
HELLO_GREET_ASSERT(offsetof(hello_greet_greet_task, text_) == 104, "offset differs from the other languages");

#undef HELLO_GREET_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // HELLO_GREET_C_H_
