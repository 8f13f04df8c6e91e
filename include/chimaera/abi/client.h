/* libchimaera_client: connecting, and shorthands of chi_ipc for programs in C.
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

// Options for connecting. Zero the struct, set `size`, then set the options that you need.
typedef struct chi_client_options {
  // `sizeof(chi_client_options)`.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Name of the runtime's instance. Null means `$CHI_INSTANCE`, or `default` when that is not
  // set.
  const char *instance;
  // Size of the session's segment in bytes. 0 means the default, 128 MiB. One half is for data
  // that the client sends, the other for data that methods return. Pages that are never touched
  // use no memory.
  uint64_t segment_size;
  // How long to wait for a runtime that is not running yet, in nanoseconds. 0 fails at once.
  uint64_t connect_timeout_ns;
} chi_client_options;

// Returns the calling worker's table.
//
// * Ownership: the table lives as long as the process.
// * Null: the result is null on a thread that is not a worker.
// * Thread: `[any thread]`.
typedef const struct chi_ipc *(*chi_worker_ipc_fn)(void);

// Connects this process to a runtime. Calling it again while connected does nothing. When the
// runtime stops and another one starts in its place, the next new task reconnects automatically;
// the pools must then be created again.
//
// * Ownership: nothing is kept of the options.
// * Null: a null `options` means the defaults.
// * Errors: `CHI_UNAVAILABLE` (no runtime, or no answer within 5 s), `CHI_DENIED` (the runtime is
//   another user's, or this process is a runtime), `CHI_VERSION`, `CHI_FORKED`, `CHI_INVALID`,
//   `CHI_IO`; the message is `chi_last_error`.
// * Thread: `[any thread]`.
chi_status chi_init(const struct chi_client_options *options);

// Ends the process's session. Tasks in flight are lost, and no task or buffer of the session may
// be used afterwards.
//
// * Thread: `[any thread]`.
void chi_shutdown(void);

// The IPC manager for the calling thread: the worker's table while a method runs, else the
// process's table. Before `chi_init`, its functions return `CHI_NOT_INITIALIZED`.
//
// * Ownership: the table lives as long as the process.
// * Null: the result is never null.
// * Thread: `[any thread]`.
const struct chi_ipc *chi_ipc_manager(void);

// For the runtime only, which calls this when a module that it loads is linked to this library.
// `worker_ipc` returns a worker's table. `refuse_init` makes `chi_init` fail: the process is a
// runtime and must not connect to one.
//
// * Ownership: the function must stay valid as long as the process lives, or until the next call.
// * Null: a null `worker_ipc` removes the current function.
// * Thread: `[loader]`.
void chi_client_adopt(chi_worker_ipc_fn worker_ipc, bool refuse_init);

// The message of the last call that failed on this thread, zero-terminated.
//
// * Ownership: the text belongs to the library and is valid until the next call on this thread.
// * Null: the result is never null.
// * Thread: `[any thread]`.
const char *chi_last_error(void);

// The name of a status, for example `"CHI_NO_POOL"`; `"CHI_STATUS"` for a status defined by a
// module.
//
// * Ownership: the name lives as long as the process.
// * Null: the result is never null.
// * Thread: `[any thread]`.
const char *chi_status_name(chi_status status);

// Creates the pool `name` of the module `module`, or finds it when it exists with the same module
// and parameters, and stores its id.
//
// * Ownership: the arguments are not kept; `*id` is written on success.
// * Null: `params` may be null when `params_len` is 0; the others must not be null.
// * Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (a malformed name, or parameters that the
//   module rejects), the status with which the construction of a container failed,
//   `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_create(const char *module,
                           const char *name,
                           const void *params,
                           uint64_t params_len,
                           struct chi_pool_id *id);

// Like `chi_pool_create`, with options. Zero them, set `size`, then set the options that you need.
//
// * Ownership: as `chi_pool_create`.
// * Null: `params` may be null when `params_len` is 0; the others must not be null.
// * Errors: as `chi_pool_create`; also `CHI_EXISTS` for a pool that exists with a different number
//   of containers, `CHI_INVALID` for more than `CHI_MAX_CONTAINERS`, `CHI_VERSION` inside a
//   runtime with ABI 1.0.
// * Thread: `[any thread]`.
chi_status chi_pool_create_with(const char *module,
                                const char *name,
                                const void *params,
                                uint64_t params_len,
                                const struct chi_pool_options *options,
                                struct chi_pool_id *id);

// Finds a pool by its name, and stores its id.
//
// * Ownership: the arguments are not kept; `*id` is written on success.
// * Null: neither `name` nor `id` may be null.
// * Errors: `CHI_NO_POOL`, `CHI_INVALID` (a malformed name), `CHI_UNAVAILABLE`, `CHI_FORKED`,
//   `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_find(const char *name, struct chi_pool_id *id);

// Finds a pool by its name, if it is of the module `module` (`"repo:module"`), and stores its id: a pool of
// another module would misread the tasks. The generated functions `<repo>_<module>_find_pool` call it.
//
// * Ownership: the arguments are not kept; `*id` is written on success.
// * Null: no argument may be null.
// * Errors: `CHI_NO_POOL`, `CHI_INVALID` (a malformed name, or the pool is of another module), `CHI_NO_METHOD`
//   from a runtime of ABI 1.0, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_find_of(const char *module,
                            const char *name,
                            struct chi_pool_id *id);

// Destroys a pool. Tasks that have not started end with `CHI_CANCELLED`; the call waits until
// those that are running have finished.
//
// * Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), `CHI_BUSY` (tasks are still running
//   after 30 s; the pool stays), `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_pool_destroy(struct chi_pool_id id);

// Makes a task for the method `method` of the pool `pool`, and stores it in `*task`. `size` is the
// `sizeof` of a struct that begins with a `chi_task`; the fields after that header are zero.
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

// Deletes a task and every block that client or runtime allocated for it. If the task is in
// flight, it is deleted when it completes.
//
// * Ownership: the task is no longer the caller's and must not be used again.
// * Null: a null `task` is ignored.
// * Thread: `[any thread]`.
void chi_task_delete(struct chi_task *task);

// Submits a task. When the ring is full, waits up to 10 s for space.
//
// * Ownership: until the task is complete, the caller may only pass it to `chi_wait`,
//   `chi_is_complete` and `chi_task_delete`. After an error it is still the caller's.
// * Null: `task` must not be null.
// * Errors: `CHI_RING_FULL`, `CHI_BUSY` (already in flight), `CHI_INVALID`, `CHI_UNAVAILABLE`,
//   `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_submit(struct chi_task *task);

// Like `chi_submit`, but returns `CHI_RING_FULL` at once when the ring is full.
//
// * Ownership: as `chi_submit`.
// * Null: `task` must not be null.
// * Errors: as `chi_submit`.
// * Thread: `[any thread]`.
chi_status chi_try_submit(struct chi_task *task);

// Waits until a task is complete, at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`: no
// timeout), and returns the task's own status; `chi_last_error` then has the task's message.
//
// * Ownership: a complete task is the caller's again.
// * Null: `task` must not be null.
// * Errors: `CHI_TIMEOUT` when the task is not complete yet, and continues; `CHI_UNAVAILABLE` when
//   the runtime has stopped, which ends the task too; `CHI_INVALID` when the task was never
//   submitted; `CHI_FORKED`. The task's own status may be one of these numbers, too:
//   `chi_is_complete` tells the two cases apart.
// * Thread: `[any thread]`.
chi_status chi_wait(struct chi_task *task, uint64_t timeout_ns);

// True when a task is complete. Always false in a child that was forked after `chi_init`.
//
// * Ownership: the task stays with its owner.
// * Null: false for a null `task`.
// * Thread: `[any thread]`.
bool chi_is_complete(const struct chi_task *task);

// Allocates a buffer of `size` bytes in the session's segment, aligned to 64 and not zeroed.
//
// * Ownership: the caller owns the block until `chi_free`; `*buffer` is written on success.
// * Null: `buffer` must not be null.
// * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
//   `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_alloc(uint64_t size, struct chi_buffer *buffer);

// Frees a buffer from `chi_alloc`. No task in flight may refer to it.
//
// * Ownership: the block is freed and must not be used again. `*buffer` itself is only read.
// * Null: a null `buffer` is ignored, and so is a buffer of size 0.
// * Thread: `[any thread]`.
void chi_free(const struct chi_buffer *buffer);

// Waits until one of the `count` tasks at `tasks` is complete, at most `timeout_ns` nanoseconds, and stores its index in
// `*index`. `chi_wait` then returns its status at once. For many tasks, again and again, a completion queue is cheaper.
//
// * Ownership: the complete task is the caller's again. The array is only read.
// * Null: neither `tasks` nor `index` may be null, nor any task.
// * Errors: those of `chi_wait`; `CHI_INVALID` when `count` is 0.
// * Thread: `[any thread]`.
chi_status chi_wait_any(struct chi_task *const *tasks,
                        uint64_t count,
                        uint64_t timeout_ns,
                        uint64_t *index);

// Makes a completion queue for up to `capacity` tasks (1 to 2^20) at a time.
//
//     chi_completions *queue;
//     chi_status status = chi_completions_new(1024, &queue);
//     ...
//     status = chi_completions_add(queue, task, argument);
//     chi_completed done[16];
//     uint32_t count;
//     status = chi_completions_next(queue, done, 16, &count, CHI_WAIT_FOREVER);
//
// * Ownership: the caller owns `*queue` until `chi_completions_delete`.
// * Null: `queue` must not be null.
// * Errors: `CHI_INVALID` for another capacity; `CHI_NO_SPACE` for more than `CHI_MAX_COMPLETIONS` queues, or when there
//   is no room; `CHI_VERSION` with a runtime of an older version; `CHI_IO`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
//   `CHI_NOT_INITIALIZED`.
// * Thread: `[any thread]`.
chi_status chi_completions_new(uint32_t capacity,
                               chi_completions **queue);

// Deletes a completion queue. Tasks that are in it stay their owner's.
//
// * Ownership: the queue must not be used again, nor its descriptor.
// * Null: a null `queue` is ignored.
// * Thread: `[any thread]`, while no other uses the queue.
void chi_completions_delete(chi_completions *queue);

// The descriptor of a completion queue, for `poll`, `select` and `epoll`: readable when `chi_completions_next` may have
// something to return, until that has returned nothing. It stays the same when the client connects to another runtime.
//
// * Ownership: it is the queue's: do not read, write or close it.
// * Null: -1 for a null `queue`.
// * Thread: `[any thread]`.
int32_t chi_completions_descriptor(const chi_completions *queue);

// Has a task collected when it is complete. It must have been submitted.
//
// * Ownership: the task must not be deleted, nor submitted again, before `chi_completions_next` or `chi_completions_run`
//   has returned it, or `chi_completions_remove` has taken it out. `argument` is kept until then.
// * Null: neither `queue` nor `task` may be null; `argument` may be.
// * Errors: `CHI_INVALID` when the task was never submitted; `CHI_BUSY` when it is in a completion queue already;
//   `CHI_NO_SPACE` when the queue is full.
// * Thread: `[any thread]`.
chi_status chi_completions_add(chi_completions *queue,
                               struct chi_task *task,
                               void *argument);

// Takes a task out of a completion queue, whether it is complete or not.
//
// * Ownership: the task stays its owner's.
// * Null: neither may be null.
// * Errors: `CHI_INVALID` when the task is not in the queue.
// * Thread: `[any thread]`.
chi_status chi_completions_remove(chi_completions *queue, struct chi_task *task);

// Takes up to `most` tasks that are complete out of a completion queue, whatever their status, and stores how many in
// `*count`. Waits for the first at most `timeout_ns` nanoseconds; 0 only looks. When the runtime stops, its tasks end with
// `CHI_UNAVAILABLE`, and are returned.
//
// * Ownership: the tasks are the caller's again. `*done` and `*count` are written.
// * Null: none may be null.
// * Errors: `CHI_INVALID` when `most` is 0; `CHI_IO`; `CHI_FORKED`. That there are none is no error: `*count` is 0.
// * Thread: `[any thread]`; each task is returned to one of them.
chi_status chi_completions_next(chi_completions *queue,
                                struct chi_completed *done,
                                uint32_t most,
                                uint32_t *count,
                                uint64_t timeout_ns);

// What `chi_completions_run` calls for a task: give the address of one to `chi_completions_add`, as the argument.
typedef struct chi_completion {
  // Called when the task is complete.
  //
  // * Ownership: the task is the function's, to use, delete or submit again; `argument` is what is beside it here.
  // * Null: nothing is called if it is null. `task` is not null.
  // * Thread: `[any thread]`, that of `chi_completions_run`. It may use the queue.
  void (*done)(struct chi_task *task, void *argument);
  // For `done`.
  void *argument;
} chi_completion;

// Takes tasks that are complete out of a completion queue, at most 1024, and calls what was given with them. Waits for the
// first at most `timeout_ns` nanoseconds. Stores in `*count` how many there were.
//
// * Ownership: the tasks are the caller's again. Each `chi_completion` is read before it is called.
// * Null: `count` may be null.
// * Errors: those of `chi_completions_next`.
// * Thread: `[any thread]`.
chi_status chi_completions_run(chi_completions *queue,
                               uint64_t timeout_ns,
                               uint64_t *count);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_ABI_CLIENT_H_
