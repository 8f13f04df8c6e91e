/* A container: the functions that the runtime calls.
 * Generated from src/abi/container.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_CONTAINER_H_
#define CHIMAERA_ABI_CONTAINER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/life.h"

struct chi_container;

// A lane of a container's queue. Opaque; lives as long as its container.
typedef struct chi_lane chi_lane;

// The context of one run of a method or a monitor. Valid until that run returns.
typedef struct chi_run_context {
  // `sizeof(chi_run_context)` in the runtime.
  uint32_t size;
  // The worker's number, from 0.
  uint32_t worker_id_;
  // In a `CHI_MONITOR_LOCAL_SCHEDULE` monitor, set this to the lane that the task should go to;
  // if it stays null, the runtime picks one. In a method, the lane that delivered the task.
  chi_lane *lane_;
  // Private to the runtime.
  void *runtime_;
  // In a `CHI_MONITOR_EST_LOAD` monitor, set this to the task's estimated run time in
  // nanoseconds; 0 means negligible. It is `UINT64_MAX` on entry. If it stays so, the runtime
  // uses the run times that it has measured, and asks the monitor again only after some more
  // tasks. Since ABI 1.1.
  uint64_t est_ns_;
} chi_run_context;

// Mode of a monitor: choose a lane for the task on this node.
#define CHI_MONITOR_LOCAL_SCHEDULE 0

// Mode of a monitor: rewrite the task's domain query.
#define CHI_MONITOR_GLOBAL_SCHEDULE 1

// Mode of a monitor: estimate the task's run time.
#define CHI_MONITOR_EST_LOAD 2

// The functions of a container. All containers of a module share one table.
//
// No function may let an exception or a panic escape: it must catch it, pass the message to
// `chi_host.set_error` and return a status.
typedef struct chi_container_ops {
  // `sizeof(chi_container_ops)` in the module. The runtime calls a later function only when it
  // is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Initialises a container that `alloc_state` constructed. Called once.
  //
  // * Ownership: the arguments are not kept.
  // * Null: no argument is null.
  // * Errors: any status; the container is then destroyed.
  // * Thread: `[loader]`.
  chi_status (*init)(struct chi_container *container,
                     const struct chi_pool_id *pool_id,
                     const char *pool_name);
  // Runs a method on a task. Several methods of one container may run at once, on different
  // workers.
  //
  // * Ownership: the task is the runtime's private copy, with the size and layout that the
  //   method's `chi_method` declares. The method may use the copy and the context until it
  //   returns.
  // * Null: neither task nor context is null.
  // * Errors: any status; it becomes the task's status.
  // * Thread: `[worker]`.
  chi_status (*run)(struct chi_container *container,
                    uint32_t method,
                    struct chi_task *task,
                    struct chi_run_context *rctx);
  // Lets the module influence how a task is scheduled; `mode` is `CHI_MONITOR_*`. Must not
  // suspend. Called only for methods with `CHI_METHOD_MONITORED`.
  //
  // * Ownership: task and context stay the runtime's; the monitor must not keep pointers to
  //   them.
  // * Null: neither task nor context is null.
  // * Errors: any status; the task then completes with it, without running.
  // * Thread: `[worker]`.
  chi_status (*monitor)(struct chi_container *container,
                        uint32_t mode,
                        uint32_t method,
                        struct chi_task *task,
                        struct chi_run_context *rctx);
  // Releases what a method attached to the runtime's private copy of a task. Called after the
  // task's body has been copied back to the client. May be null when no method attaches
  // anything.
  //
  // * Ownership: the task stays the runtime's.
  // * Null: the task is not null.
  // * Thread: `[worker]`.
  void (*del)(struct chi_container *container, uint32_t method, struct chi_task *task);
  // Destroys the container and frees it. The last call on the container, made when none of its
  // tasks are left.
  //
  // * Ownership: the container is freed; the runtime drops its pointer.
  // * Null: the container is not null.
  // * Thread: `[worker]`.
  void (*destroy)(struct chi_container *container);
  // Merges the result of one container into a broadcast: `task` is the broadcast, `replica` the
  // complete task, of the same type, that the container ran. Called once all replicas are
  // complete, on one container (the first of the node), for each replica in the order of the
  // containers, including those that failed. Afterwards the broadcast fails with the first
  // replica whose `status_` is not `CHI_OK`: to ignore a failure, set that field to `CHI_OK`.
  // Must not suspend: every call that would wait fails with `CHI_INVALID`. Called only for
  // methods with `CHI_METHOD_AGGREGATED`; may be null when there are none. Since ABI 1.1.
  //
  // * Ownership: tasks and context stay the runtime's. The replicas are freed afterwards, so
  //   copy everything that the result needs.
  // * Null: neither the tasks nor the context are null.
  // * Errors: any status; it becomes the broadcast's status.
  // * Thread: `[worker]`.
  chi_status (*aggregate)(struct chi_container *container,
                          uint32_t method,
                          struct chi_task *task,
                          struct chi_task *replica,
                          struct chi_run_context *rctx);
  // Writes the inputs or the results of a task to an archive, or reads them from it; `mode` is
  // `CHI_SERIALIZE_*`. A task that is read into is zero except for its header and the
  // `offset_in_task_` of its strings and vectors; the module allocates their blocks for the task
  // through `chi_ipc`. Called only for methods with `CHI_METHOD_SERIALIZED`; may be null when
  // there are none. Since ABI 1.1.
  //
  // * Ownership: task and archive stay the caller's; the module must not keep pointers to them.
  // * Null: neither task nor archive is null.
  // * Errors: `CHI_INVALID` when the bytes do not encode such a task, which may then be partly
  //   read; and the errors of the archive.
  // * Thread: `[worker]`.
  chi_status (*serialize)(struct chi_container *container,
                          uint32_t method,
                          struct chi_task *task,
                          uint32_t mode,
                          struct chi_archive *archive);
  // Writes the container's state, for a successor that `load` reads it into, and gives up what a
  // successor could not have at the same time, such as a file that it has locked. No task is in the
  // container. Then either `destroy` is called, without `kDestroy`, or `resume`. May suspend. Null
  // when the container has no state that could be saved: it then cannot be migrated. Since ABI 1.1.
  //
  // * Ownership: the state stays the caller's; the module must not keep pointers to it.
  // * Null: the state is not null.
  // * Errors: any status; `resume` is called then, too.
  // * Thread: `[worker]`.
  chi_status (*save)(struct chi_container *container, struct chi_state *state);
  // Reads the state that a container of the same module saved, perhaps one of another version or
  // in another language. Called once, after `kCreate`, before any task. May suspend. Null when and
  // only when `save` is null. Since ABI 1.1.
  //
  // * Ownership: the state stays the caller's; the module must not keep pointers to it.
  // * Null: the state is not null.
  // * Errors: any status; the container is then destroyed without `kDestroy`, so `destroy` must free
  //   what `kCreate` opened, and its predecessor goes on.
  // * Thread: `[worker]`.
  chi_status (*load)(struct chi_container *container, struct chi_state *state);
  // Takes back what `save` gave up, because the container goes on after all. It may have given up
  // nothing, if `save` failed. May suspend. May be null when `save` never gives up anything. Since ABI 1.1.
  //
  // * Errors: any status; the container is then in quarantine.
  // * Thread: `[worker]`.
  chi_status (*resume)(struct chi_container *container);
} chi_container_ops;

// The start of every container: a pointer to its functions. The module's own fields follow; the
// runtime does not touch them.
typedef struct chi_container {
  // The container's functions; the table lives as long as the process.
  const struct chi_container_ops *ops;
} chi_container;

#endif  // CHIMAERA_ABI_CONTAINER_H_
