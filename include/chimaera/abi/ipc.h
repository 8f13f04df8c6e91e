/* The IPC manager: the table through which all code creates and sends tasks.
 * Generated from src/abi/ipc.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_IPC_H_
#define CHIMAERA_ABI_IPC_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/task.h"

// The most containers of a pool on a node.
#define CHI_MAX_CONTAINERS 4096

// How a pool is created. Zero it, then set what matters.
typedef struct chi_pool_options {
  // `sizeof(chi_pool_options)`.
  uint32_t size;
  // How many containers the pool has, at most `CHI_MAX_CONTAINERS`. 0 is 1.
  uint32_t containers;
} chi_pool_options;

// `chi_ipc.wait`: no bound. The wait still ends, with `CHI_UNAVAILABLE`, when the runtime does.
#define CHI_WAIT_FOREVER UINT64_MAX

// The functions by which any code, in an application or inside a module, makes and sends tasks.
//
// libchimaera_client implements it for applications, the runtime for modules, so a module's client
// code runs unchanged in both. Get it from `chi_ipc_manager()` or `CHI_IPC_MANAGER`; it lives as
// long as the process. Every function takes the table itself as its first argument.
//
// A function that returns a status other than `CHI_OK` has left a message for `last_error`. An argument
// that is null and must not be is `CHI_INVALID`, and so is a size out of range. Beside what a function
// names, each that speaks to the runtime may return `CHI_UNAVAILABLE` (there is none, or it has ended),
// `CHI_FORKED` (the process was forked after it connected) or `CHI_NOT_INITIALIZED` (it never did).
typedef struct chi_ipc {
  // `sizeof(chi_ipc)` on the side that made it. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Makes a task of `size` bytes, 64 to `CHI_MAX_TASK_SIZE`, zeroed but for a fresh `task_node_`,
  // aligned to `CHI_TASK_ALIGN`.
  //
  // * Ownership: the caller owns `*task` until `del_task`.
  // * Null: `task` must not be null.
  // * Errors: `CHI_INVALID` (the size), `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
  // * Thread: `[any thread]`.
  chi_status (*new_task)(const struct chi_ipc *ipc, uint32_t size, struct chi_task **task);
  // Deletes a task and everything that was allocated for it, by either side. On a task in flight
  // it takes effect at the task's completion.
  //
  // * Ownership: the task is the caller's no longer.
  // * Null: a null `task` is ignored.
  // * Thread: `[any thread]`.
  void (*del_task)(const struct chi_ipc *ipc, struct chi_task *task);
  // Submits a task. When the ring is full, waits for room, at most 10 seconds. A task may be submitted
  // again once it is complete; strings and vectors that its last run wrote are then there for the next
  // one, those of earlier runs only if the client wrote them.
  //
  // * Ownership: from now until its completion the task belongs to the runtime: wait for it, cancel it
  //   or delete it, no more. After an error it is still the caller's.
  // * Null: `task` must not be null.
  // * Errors: `CHI_RING_FULL`, `CHI_BUSY` when the task is in flight, `CHI_INVALID` when it is no task.
  // * Thread: `[any thread]`.
  chi_status (*enqueue)(const struct chi_ipc *ipc, struct chi_task *task);
  // Like `enqueue`, but returns `CHI_RING_FULL` at once when the ring is full.
  //
  // * Ownership: as `enqueue`.
  // * Null: `task` must not be null.
  // * Errors: as `enqueue`.
  // * Thread: `[any thread]`.
  chi_status (*try_enqueue)(const struct chi_ipc *ipc, struct chi_task *task);
  // Waits until the task is complete, at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`: no
  // bound). Inside a method it suspends the task that waits, not the worker. Returns `CHI_OK`
  // when the task is complete, whatever its own status.
  //
  // * Ownership: a complete task is the caller's again.
  // * Null: `task` must not be null.
  // * Errors: `CHI_TIMEOUT` when the task is not complete and goes on; `CHI_UNAVAILABLE` when the
  //   runtime has ended (the task is then over too); `CHI_INVALID` when it was never submitted, or in a
  //   monitor, which cannot wait; `CHI_BUSY` in a method when another waits for the task already.
  // * Thread: `[any thread]`.
  chi_status (*wait)(const struct chi_ipc *ipc, struct chi_task *task, uint64_t timeout_ns);
  // The message of a complete task, as `*len` bytes of UTF-8 that are not terminated by a zero;
  // `*len` is 0 when there is none.
  //
  // * Ownership: the bytes are the task's, until it is deleted or submitted again.
  // * Null: neither `task` nor `len` may be null; either gives no bytes. The result is never null.
  // * Thread: `[any thread]`.
  const char *(*task_message)(const struct chi_ipc *ipc, const struct chi_task *task, uint64_t *len);
  // Allocates `size` bytes, aligned to 64, not zeroed. A size of 0 gives `CHI_SHM_NULL` and null data.
  //
  // * Ownership: with an `owner`, the block belongs to that task and goes with it; in a method, for the
  //   method's own task, it lies in the client's segment, so that the client sees it. Without one, it
  //   is the caller's until `free`.
  // * Null: `owner` may be null, `buffer` must not.
  // * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
  // * Thread: `[any thread]`.
  chi_status (*alloc)(const struct chi_ipc *ipc,
                      struct chi_task *owner,
                      uint64_t size,
                      struct chi_buffer *buffer);
  // Gives back a buffer that was allocated without an owner. No task in flight may refer to it.
  //
  // * Ownership: the block is the caller's no longer. `*buffer` itself is only read.
  // * Null: a null `buffer` is ignored, and so is one without data.
  // * Thread: `[any thread]`.
  void (*free)(const struct chi_ipc *ipc, const struct chi_buffer *buffer);
  // The address of a shared pointer in this process.
  //
  // * Ownership: the block stays whose it is.
  // * Null: the result is null for a pointer that points nowhere.
  // * Thread: `[any thread]`.
  void *(*resolve)(const struct chi_ipc *ipc, chi_shm_ptr shm);
  // A fresh node: in an application the root of a new tree; in a method, a child of the task that
  // is running.
  //
  // * Ownership: `*node` is written, and not kept.
  // * Null: a null `node` is ignored.
  // * Thread: `[any thread]`.
  void (*make_task_node)(const struct chi_ipc *ipc, struct chi_task_node *node);
  // Creates the pool `name` of the module `module` (`"repo:module"`) with `params_len` bytes of
  // parameters, or finds it when it exists with the same module and parameters. Waits until it is
  // ready.
  //
  // * Ownership: nothing is kept of the arguments; `*id` is written on success.
  // * Null: `params` may be null when `params_len` is 0, the others must not be null.
  // * Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (name, or parameters that are not the
  //   module's), `CHI_BUSY` when another task still creates or destroys a pool of that name after 40
  //   seconds, whatever the container's construction returned, and those of `wait`.
  // * Thread: `[any thread]`.
  chi_status (*create_pool)(const struct chi_ipc *ipc,
                            const char *module,
                            const char *name,
                            const void *params,
                            uint64_t params_len,
                            struct chi_pool_id *id);
  // Finds a pool by its name.
  //
  // * Ownership: nothing is kept of the arguments; `*id` is written on success.
  // * Null: neither `name` nor `id` may be null.
  // * Errors: `CHI_NO_POOL`, `CHI_INVALID` for what cannot be a pool's name, and those of `wait`.
  // * Thread: `[any thread]`.
  chi_status (*find_pool)(const struct chi_ipc *ipc, const char *name, struct chi_pool_id *id);
  // Destroys a pool. Its tasks that have not started end with `CHI_CANCELLED`, running ones end by
  // themselves first.
  //
  // * Ownership: `*id` is only read.
  // * Null: `id` must not be null.
  // * Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), `CHI_BUSY` when tasks still run after 30
  //   seconds (the pool stays), and those of `wait`.
  // * Thread: `[any thread]`.
  chi_status (*destroy_pool)(const struct chi_ipc *ipc, const struct chi_pool_id *id);
  // The message of the last call on this thread, or in this method, that failed; terminated by a zero.
  //
  // * Ownership: the text is the table's, until the next call on this thread.
  // * Null: the result is never null.
  // * Thread: `[any thread]`.
  const char *(*last_error)(const struct chi_ipc *ipc);
  // Like `alloc`, for a block that will itself hold strings or vectors: inside a method it lies in the
  // runtime's private memory, where the client cannot change a descriptor under the method, and goes
  // into the segment at completion.
  //
  // * Ownership: as `alloc`.
  // * Null: `owner` may be null, `buffer` must not.
  // * Errors: as `alloc`.
  // * Thread: `[any thread]`.
  chi_status (*alloc_elements)(const struct chi_ipc *ipc,
                               struct chi_task *owner,
                               uint64_t size,
                               struct chi_buffer *buffer);
  // Like `create_pool`, as `options` say. Since ABI 1.1.
  //
  // * Ownership: as `create_pool`.
  // * Null: `params` may be null when `params_len` is 0, the others must not be null.
  // * Errors: as `create_pool`; also `CHI_EXISTS` for a pool that exists with another number of
  //   containers, and `CHI_INVALID` for more than `CHI_MAX_CONTAINERS`.
  // * Thread: `[any thread]`.
  chi_status (*create_pool_with)(const struct chi_ipc *ipc,
                                 const char *module,
                                 const char *name,
                                 const void *params,
                                 uint64_t params_len,
                                 const struct chi_pool_options *options,
                                 struct chi_pool_id *id);
  // Submits the `count` tasks at `tasks` in order, like `enqueue`, but wakes the runtime once for
  // all of them. Stores in `*submitted` how many were submitted: all, unless it fails. Since ABI 1.1.
  //
  // * Ownership: as `enqueue`, for each that was submitted; the others are still the caller's. The
  //   array is only read.
  // * Null: `tasks` may be null when `count` is 0, and `submitted` always; a task that is null ends it.
  // * Errors: those of `enqueue`, of the first task that cannot be submitted.
  // * Thread: `[any thread]`.
  chi_status (*enqueue_batch)(const struct chi_ipc *ipc,
                              struct chi_task *const *tasks,
                              uint64_t count,
                              uint64_t *submitted);
  // Like `wait` for each of the `count` tasks at `tasks`, with one bound for all. Since ABI 1.1.
  //
  // * Ownership: as `wait`. The array is only read.
  // * Null: `tasks` may be null when `count` is 0; a task that is null ends it.
  // * Errors: those of `wait`, of the first task that gives one.
  // * Thread: `[any thread]`.
  chi_status (*wait_all)(const struct chi_ipc *ipc,
                         struct chi_task *const *tasks,
                         uint64_t count,
                         uint64_t timeout_ns);
  // Asks for a task's cancellation, and returns at once. A task that has not started never does; one
  // that is suspended goes on, with the wait that suspends it over (a wait for other tasks cancels
  // these, and is over when they are); one that runs sees it when it next waits, or when it asks.
  // The task completes exactly once, with `CHI_CANCELLED` or with what its method makes of it; `wait`
  // tells. A task that is complete, or was never submitted, is left as it is. Since ABI 1.1.
  //
  // * Ownership: the task stays whose it is.
  // * Null: `task` must not be null.
  // * Errors: `CHI_INVALID` when it is no task; `CHI_RING_FULL` when there is no room to ask for 10
  //   seconds.
  // * Thread: `[any thread]`.
  chi_status (*cancel)(const struct chi_ipc *ipc, struct chi_task *task);
  // Sleeps for `duration_ns` nanoseconds; inside a method, suspends the task and not the worker. Since
  // ABI 1.1.
  //
  // * Errors: in a method, `CHI_CANCELLED`, early, when the task is cancelled; `CHI_INVALID` in a
  //   monitor, which cannot wait.
  // * Thread: `[any thread]`.
  chi_status (*sleep)(const struct chi_ipc *ipc, uint64_t duration_ns);
  // Lets others run, then goes on: inside a method, other tasks of its worker; elsewhere, other
  // threads. Since ABI 1.1.
  //
  // * Errors: in a method, `CHI_CANCELLED` when the task is cancelled: it should come to its end;
  //   `CHI_INVALID` in a monitor, which cannot wait.
  // * Thread: `[any thread]`.
  chi_status (*yield_now)(const struct chi_ipc *ipc);
} chi_ipc;

#endif  // CHIMAERA_ABI_IPC_H_
