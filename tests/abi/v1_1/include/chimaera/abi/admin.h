/* The tasks of the admin pool, which every runtime has.
 * Generated from src/abi/admin.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_ADMIN_H_
#define CHIMAERA_ABI_ADMIN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/task.h"

// Admin method: create a pool, or find it when it already exists (`chi_create_task`).
#define CHI_ADMIN_CREATE_POOL 10

// Admin method: destroy a pool (`chi_destroy_task`).
#define CHI_ADMIN_DESTROY_POOL 11

// Admin method: find a pool by its name (`chi_find_task`).
#define CHI_ADMIN_FIND_POOL 12

// Admin method: stop the runtime (a plain `chi_task`). The task completes before the runtime
// exits.
#define CHI_ADMIN_STOP 13

// Admin method: describe the runtime as JSON (`chi_describe_task`).
#define CHI_ADMIN_DESCRIBE 14

// Admin method: give the containers of a pool that are in quarantine new objects (`chi_create_task`,
// of which only `pool_name_` is read, and `pool_id_` written). Each one's own `kCreate` gets the
// same task, with the parameters of the pool.
#define CHI_ADMIN_RESET_POOL 15

// Admin method: find a pool by its name and its module (`chi_create_task`, of which only the two
// names and the id are used). A pool of another module is `CHI_INVALID`. Since ABI 1.1.
#define CHI_ADMIN_FIND_POOL_OF 16

// Admin method: as `CHI_ADMIN_CREATE_POOL`, and says who may use the pool and what happens when one
// of its methods crashes (`chi_create_with_task`). Since ABI 1.1.
#define CHI_ADMIN_CREATE_POOL_WITH 17

// The task that creates a pool. It is also passed to the `kCreate` of each container, one
// container at a time.
typedef struct chi_create_task {
  // The task.
  struct chi_task task;
  // In: the module's name, `"repo:module"`.
  struct chi_shm_string module_name_;
  // In: the pool's name: 1 to 255 bytes of UTF-8 without control characters.
  struct chi_shm_string pool_name_;
  // In: the module's parameters, opaque to the runtime. Containers receive them in the canonical
  // form that `chi_module_descriptor.params` writes.
  struct chi_shm_vector params_;
  // Out: the pool.
  struct chi_pool_id pool_id_;
  // Out: 1 when the pool already existed, else 0.
  uint32_t existed_;
  // In: the number of containers, at most `CHI_MAX_CONTAINERS`. 0 means 1: clients built against
  // ABI 1.0 always send 0.
  uint32_t containers_;
} chi_create_task;

// `chi_create_with_task.flags_`: a method that crashes ends the runtime. Only the runtime's own user
// and root may ask for it.
#define CHI_POOL_ABORTS 1

// `chi_create_with_task.flags_`: only those may call the pool to whom `grants_` gives the right to,
// besides its creator, the runtime's own user and root. Without it, all who may connect may.
#define CHI_POOL_RESTRICTED 2

// `chi_create_with_task.flags_`: the containers run in a process of their own, a module host. Since
// ABI 1.1.
#define CHI_POOL_ISOLATED 4

// `chi_create_with_task.flags_`: the pool is durable: its definition is kept in a file, and the next
// runtime of the instance makes it anew, also after a crash. Since ABI 1.1.
#define CHI_POOL_DURABLE 8

// `chi_grant.right_`: to call the pool.
#define CHI_MAY_CALL 1

// `chi_grant.right_`: to destroy the pool.
#define CHI_MAY_DESTROY 2

// A right of a user, or of all who have a group.
typedef struct chi_grant {
  // `CHI_MAY_*`.
  uint32_t right_;
  // 1 for a group, 0 for a user.
  uint32_t is_group_;
  // The number of the user or group.
  uint32_t number_;
} chi_grant;

// The task that creates a pool and says who may use it.
typedef struct chi_create_with_task {
  // The pool; this is what the `kCreate` of each container is passed.
  struct chi_create_task create;
  // In: `CHI_POOL_*`.
  uint32_t flags_;
  // In: on how many nodes of the cluster the pool is kept; 0: on all. On a runtime that is no node of a cluster,
  // 0 or 1. Since ABI 1.1.
  uint32_t nodes_;
  // In: an array of `chi_grant`, as bytes.
  struct chi_shm_vector grants_;
} chi_create_with_task;

// The task that destroys a pool. It is also passed to the `kDestroy` of each container.
typedef struct chi_destroy_task {
  // The task.
  struct chi_task task;
  // In: the pool.
  struct chi_pool_id pool_id_;
} chi_destroy_task;

// The task that finds a pool by its name.
typedef struct chi_find_task {
  // The task.
  struct chi_task task;
  // In: the pool's name.
  struct chi_shm_string pool_name_;
  // Out: the pool.
  struct chi_pool_id pool_id_;
} chi_find_task;

// `chi_describe_task.subject_`: the pools.
#define CHI_DESCRIBE_POOLS 1

// `chi_describe_task.subject_`: the modules found, and the files refused with the reasons.
#define CHI_DESCRIBE_MODULES 2

// `chi_describe_task.subject_`: sessions, memory, workers.
#define CHI_DESCRIBE_RUNTIME 3

// `chi_describe_task.subject_`: the cluster that the runtime is a node of.
#define CHI_DESCRIBE_CLUSTER 4

// The task that describes the runtime.
typedef struct chi_describe_task {
  // The task.
  struct chi_task task;
  // In: `CHI_DESCRIBE_*`.
  uint32_t subject_;
  // Zero.
  uint32_t reserved_;
  // Out: a JSON document.
  struct chi_shm_string json_;
} chi_describe_task;

#endif  // CHIMAERA_ABI_ADMIN_H_
