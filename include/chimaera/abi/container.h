/* A container: the functions that the runtime calls.
 * Generated from src/abi/container.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_CONTAINER_H_
#define CHIMAERA_ABI_CONTAINER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/archive.h"
#include "chimaera/abi/task.h"

struct chi_container;

// A lane: a private queue of a container. Opaque; lives as long as its container.
typedef struct chi_lane chi_lane;

// What a method or a monitor is told of the circumstances of its run. Valid until it returns.
typedef struct chi_run_context {
  // `sizeof(chi_run_context)` in the runtime.
  uint32_t size;
  // The worker's number, from 0.
  uint32_t worker_id_;
  // In a `CHI_MONITOR_LOCAL_SCHEDULE` monitor, set this to the lane that the task shall go to; when
  // left null, the runtime picks one. In a method, the lane that the task came through.
  chi_lane *lane_;
  // The runtime's own.
  void *runtime_;
  // In a `CHI_MONITOR_EST_LOAD` monitor, set this to how long the task will run, in nanoseconds, 0 for no
  // time at all. It is `UINT64_MAX` before; when left so, the runtime goes by what it has measured, and
  // asks again only after some tasks. Since ABI 1.1.
  uint64_t est_ns_;
} chi_run_context;

// Mode of a monitor: choose a lane for the task on this node.
#define CHI_MONITOR_LOCAL_SCHEDULE 0

// Mode of a monitor: rewrite the task's domain query.
#define CHI_MONITOR_GLOBAL_SCHEDULE 1

// Mode of a monitor: estimate how long the task will run.
#define CHI_MONITOR_EST_LOAD 2

// The functions of a container, in C. One table for all containers of a module.
//
// No function lets an exception or a panic out: it becomes a status, and `chi_host.set_error` has
// its message.
typedef struct chi_container_ops {
  // `sizeof(chi_container_ops)` in the module. The runtime calls a later function only when it is
  // covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Completes a container that `alloc_state` made. Called once.
  //
  // * Ownership: the arguments are not kept.
  // * Null: no argument is null.
  // * Errors: any status; the container is then destroyed.
  // * Thread: `[loader]`.
  chi_status (*init)(struct chi_container *container,
                     const struct chi_pool_id *pool_id,
                     const char *pool_name);
  // Runs a method on a task. Several may run at once, on the lanes of different workers.
  //
  // * Ownership: the task is the runtime's private copy, of the size and layout that the method's entry
  //   declares; it and the context are the method's until it returns.
  // * Null: neither task nor context is null.
  // * Errors: any status; it becomes the task's.
  // * Thread: `[worker]`.
  chi_status (*run)(struct chi_container *container,
                    uint32_t method,
                    struct chi_task *task,
                    struct chi_run_context *rctx);
  // Gives the module its say in where a task goes (`mode` is `CHI_MONITOR_*`). Must not suspend.
  // Called only for methods with `CHI_METHOD_MONITORED`.
  //
  // * Ownership: task and context are the runtime's, and not kept.
  // * Null: neither task nor context is null.
  // * Errors: any status; the task then ends with it.
  // * Thread: `[worker]`.
  chi_status (*monitor)(struct chi_container *container,
                        uint32_t mode,
                        uint32_t method,
                        struct chi_task *task,
                        struct chi_run_context *rctx);
  // Lets go of what a method attached to the private copy of a task, after the body went back.
  // May be null when there is never anything.
  //
  // * Ownership: the task stays the runtime's.
  // * Null: the task is not null.
  // * Thread: `[worker]`.
  void (*del)(struct chi_container *container, uint32_t method, struct chi_task *task);
  // Destroys the container and frees it. Called once, last, when no task is in it.
  //
  // * Ownership: the container is nobody's afterwards.
  // * Null: the container is not null.
  // * Thread: `[worker]`.
  void (*destroy)(struct chi_container *container);
  // Adds to `task`, a broadcast, what one container made of it: `replica`, a task of the same type
  // that is complete. Called on one container (the first of the node) for each replica in the order
  // of the containers, failed ones too, once all are complete. Afterwards the first replica whose
  // `status_` is not `CHI_OK` makes the broadcast fail: to let a failure pass, set it to `CHI_OK`. Must
  // not suspend: whatever would wait fails with `CHI_INVALID`. Called only for methods with
  // `CHI_METHOD_AGGREGATED`; may be null when there are none. Since ABI 1.1.
  //
  // * Ownership: tasks and context are the runtime's; the replicas are freed afterwards, so what is to
  //   stay is copied.
  // * Null: neither tasks nor context are null.
  // * Errors: any status; it becomes the broadcast's.
  // * Thread: `[worker]`.
  chi_status (*aggregate)(struct chi_container *container,
                          uint32_t method,
                          struct chi_task *task,
                          struct chi_task *replica,
                          struct chi_run_context *rctx);
  // Writes the inputs or the results of a task to an archive, or reads them (`mode` is
  // `CHI_SERIALIZE_*`). A task to read into is zero but for its header and the `offset_in_task_` of
  // its strings and vectors; their blocks are allocated for it through `chi_ipc`. Called only for
  // methods with `CHI_METHOD_SERIALIZED`; may be null when there are none. Since ABI 1.1.
  //
  // * Ownership: task and archive are the caller's, and not kept.
  // * Null: neither task nor archive is null.
  // * Errors: `CHI_INVALID` for bytes that are none of such a task, which leaves it half read, and
  //   those of the archive.
  // * Thread: `[worker]`.
  chi_status (*serialize)(struct chi_container *container,
                          uint32_t method,
                          struct chi_task *task,
                          uint32_t mode,
                          struct chi_archive *archive);
} chi_container_ops;

// A container as the runtime sees it: a pointer to its functions, then whatever the module puts
// there.
typedef struct chi_container {
  // Its functions; lives as long as the process.
  const struct chi_container_ops *ops;
} chi_container;

#endif  // CHIMAERA_ABI_CONTAINER_H_
