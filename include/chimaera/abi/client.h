/* libchimaera_client: connecting, and short forms of chi_ipc for programs in C.
 * Generated from src/client/c/lib.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_CLIENT_H_
#define CHIMAERA_ABI_CLIENT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/ipc.h"

#ifdef __cplusplus
extern "C" {
#endif

// How to connect. Zero it, then set what matters.
typedef struct chi_client_options {
  // `sizeof(chi_client_options)`.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // The runtime's instance. Null takes `$CHI_INSTANCE`, or else `default`.
  const char *instance;
  // Bytes of the session's segment. 0 takes the default, 128 MiB; half of it is for what the client
  // sends, half for what methods return. Memory is used only as far as it is touched.
  uint64_t segment_size;
  // How long to wait for a runtime that is not there yet, in nanoseconds. 0 fails at once.
  uint64_t connect_timeout_ns;
} chi_client_options;

// Gives, for the thread that calls, the table of the worker that it is.
//
// * Ownership: the table lives as long as the process.
// * Null: the result is null on a thread that is no worker.
// * Thread: `[any thread]`.
typedef const struct chi_ipc *(*chi_worker_ipc_fn)(void);

// Connects this process to a runtime. Calling it again while connected does nothing. When the runtime
// ends and another takes its place, the next new task connects to that one by itself; pools must then be
// created again.
//
// * Ownership: nothing is kept of the options.
// * Null: a null `options` is the defaults.
// * Errors: `CHI_UNAVAILABLE` (no runtime), `CHI_DENIED` (another user's, or inside the runtime),
//   `CHI_VERSION`, `CHI_FORKED`, `CHI_INVALID`, `CHI_IO`; the message is `chi_last_error`.
// * Thread: `[any thread]`.
chi_status chi_init(const struct chi_client_options *options);

// Ends the process's session. Tasks in flight are lost; no task and no buffer may be used any more.
//
// * Thread: `[any thread]`.
void chi_shutdown(void);

// The IPC manager for the thread that calls: the worker's table while a method runs, else the
// process's. Before `chi_init` its functions return `CHI_NOT_INITIALIZED`.
//
// * Ownership: the table lives as long as the process.
// * Null: the result is never null.
// * Thread: `[any thread]`.
const struct chi_ipc *chi_ipc_manager(void);

// For the runtime, which calls it when a module that it loads has brought this library along:
// `worker_ipc` gives a worker's table, and with `refuse_init` the process is a runtime, in which
// `chi_init` is refused.
//
// * Ownership: the function has to stay as long as the process, or until another call.
// * Null: a null `worker_ipc` takes an earlier one away.
// * Thread: `[loader]`.
void chi_client_adopt(chi_worker_ipc_fn worker_ipc, bool refuse_init);

// The message of the last call that failed on this thread.
//
// * Ownership: the text is the library's, until the next call on this thread.
// * Null: the result is never null.
// * Thread: `[any thread]`.
const char *chi_last_error(void);

// The name of a status, `"CHI_NO_POOL"` for example; `"CHI_STATUS"` for a module's own.
//
// * Ownership: the name lives as long as the process.
// * Null: the result is never null.
// * Thread: `[any thread]`.
const char *chi_status_name(chi_status status);

// Creates the pool `name` of the module `module`, or finds it when it exists with the same module and
// parameters, and stores its id.
//
// * Ownership: nothing is kept of the arguments; `*id` is written on success.
// * Null: `params` may be null when `params_len` is 0, the others must not be null.
// * Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (a name), what the module's construction returned,
//   `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_create(const char *module,
                           const char *name,
                           const void *params,
                           uint64_t params_len,
                           struct chi_pool_id *id);

// Like `chi_pool_create`, as `options` say: zero them, set `size`, then what matters.
//
// * Ownership: as `chi_pool_create`.
// * Null: `params` may be null when `params_len` is 0, the others must not be null.
// * Errors: as `chi_pool_create`; also `CHI_EXISTS` for a pool that exists with another number of containers,
//   `CHI_INVALID` for more than `CHI_MAX_CONTAINERS`, `CHI_VERSION` inside a runtime of ABI 1.0.
// * Thread: `[any thread]`.
chi_status chi_pool_create_with(const char *module,
                                const char *name,
                                const void *params,
                                uint64_t params_len,
                                const struct chi_pool_options *options,
                                struct chi_pool_id *id);

// Finds a pool by its name, and stores its id.
//
// * Ownership: nothing is kept of the arguments; `*id` is written on success.
// * Null: neither `name` nor `id` may be null.
// * Errors: `CHI_NO_POOL`, `CHI_INVALID` for what cannot be a pool's name, `CHI_UNAVAILABLE`, `CHI_FORKED`,
//   `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_find(const char *name,
                         struct chi_pool_id *id);

// Destroys a pool: its tasks that have not started end with `CHI_CANCELLED`, running ones end by
// themselves first.
//
// * Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), `CHI_BUSY` (still running tasks after 30 s; the
//   pool stays), `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_destroy(struct chi_pool_id id);

// Makes a task of `size` bytes, `sizeof` of a struct that begins with a `chi_task`, for the method
// `method` of the pool `pool`, and stores it in `*task`. The fields behind its `chi_task` are zero.
//
// * Ownership: the caller owns the task until `chi_task_delete`.
// * Null: `task` must not be null.
// * Errors: `CHI_NO_SPACE`, `CHI_INVALID` (the size), `CHI_UNAVAILABLE`, `CHI_FORKED`,
//   `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_task_new(uint64_t size,
                        struct chi_pool_id pool,
                        struct chi_domain_query query,
                        uint32_t method,
                        struct chi_task **task);

// Deletes a task, and with it every block that was allocated for it, by either side; on a task in flight
// that takes effect at its completion.
//
// * Ownership: the task is the caller's no longer.
// * Null: a null `task` is ignored.
// * Thread: `[any thread]`.
void chi_task_delete(struct chi_task *task);

// Submits a task. When the ring is full, waits for room up to 10 s.
//
// * Ownership: until its completion only `chi_wait`, `chi_is_complete` and `chi_task_delete` may be called
//   with the task. After an error it is still the caller's.
// * Null: `task` must not be null.
// * Errors: `CHI_RING_FULL`, `CHI_BUSY` (in flight already), `CHI_INVALID`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
//   `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_submit(struct chi_task *task);

// Like `chi_submit`, but returns `CHI_RING_FULL` at once when the ring is full.
//
// * Ownership: as `chi_submit`.
// * Null: `task` must not be null.
// * Errors: as `chi_submit`.
// * Thread: `[any thread]`.
chi_status chi_try_submit(struct chi_task *task);

// Waits for a task, at most `timeout_ns` nanoseconds or `CHI_WAIT_FOREVER`, and returns the task's own
// status when it is complete, with its message as `chi_last_error`.
//
// * Ownership: a complete task is the caller's again.
// * Null: `task` must not be null.
// * Errors: `CHI_TIMEOUT` when the task is not complete and goes on; `CHI_UNAVAILABLE` when the runtime has
//   ended, and the task with it; `CHI_INVALID` when it was never submitted; `CHI_FORKED`. A module's own
//   status may have the same number as one of these: `chi_is_complete` tells.
// * Thread: `[any thread]`.
chi_status chi_wait(struct chi_task *task,
                    uint64_t timeout_ns);

// True when a task is complete. In a child that was forked after `chi_init`, false.
//
// * Ownership: the task stays whose it is.
// * Null: a null `task` is not complete.
// * Thread: `[any thread]`.
bool chi_is_complete(const struct chi_task *task);

// Allocates a buffer of `size` bytes in the session's segment, aligned to 64, not zeroed.
//
// * Ownership: the caller owns the block until `chi_free`; `*buffer` is written on success.
// * Null: `buffer` must not be null.
// * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_alloc(uint64_t size,
                     struct chi_buffer *buffer);

// Gives a buffer of `chi_alloc` back. No task in flight may refer to it.
//
// * Ownership: the block is the caller's no longer. `*buffer` itself is only read.
// * Null: a null `buffer` is ignored, and so is one of no bytes.
// * Thread: `[any thread]`.
void chi_free(const struct chi_buffer *buffer);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_ABI_CLIENT_H_
