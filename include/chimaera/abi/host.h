/* The host: what the runtime offers containers besides sending tasks.
 * Generated from src/abi/host.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_HOST_H_
#define CHIMAERA_ABI_HOST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/clients.h"
#include "chimaera/abi/container.h"
#include "chimaera/abi/directory.h"
#include "chimaera/abi/events.h"
#include "chimaera/abi/ipc.h"
#include "chimaera/abi/locks.h"
#include "chimaera/abi/places.h"
#include "chimaera/abi/pollers.h"
#include "chimaera/abi/publishing.h"
#include "chimaera/abi/storage.h"

// `chi_host.log`: an operation failed.
#define CHI_LOG_ERROR 1

// `chi_host.log`: something unexpected that did not make an operation fail.
#define CHI_LOG_WARN 2

// `chi_host.log`: a normal event worth knowing.
#define CHI_LOG_INFO 3

// `chi_host.log`: details for the module's author.
#define CHI_LOG_DEBUG 4

// `chi_host.create_queue`: the queue is for tasks with `CHI_TASK_HIGH_LATENCY`.
#define CHI_QUEUE_HIGH_LATENCY 1

// The functions that the runtime offers to its modules in addition to `chi_ipc`. Passed to
// `chi_module`; lives as long as the process. Every function takes the table itself as its first
// argument.
//
// Locks, events, pollers and clients are extensions: see `CHI_EXT_LOCKS`, `CHI_EXT_EVENTS`,
// `CHI_EXT_POLLERS`. The members for them in this table remain for modules built against ABI 1.1.
typedef struct chi_host {
  // `sizeof(chi_host)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // The runtime's `CHI_ABI_MAJOR`.
  uint32_t abi_major;
  // The runtime's `CHI_ABI_MINOR`.
  uint32_t abi_minor;
  // Zero.
  uint32_t reserved;
  // Sets the error message of a call that is about to fail: `len` bytes of UTF-8. The runtime
  // reads it when a function of the module then returns null, or a status other than `CHI_OK`,
  // on this thread.
  //
  // * Ownership: the text is copied.
  // * Null: a null `text` means an empty message.
  // * Thread: `[loader]` `[worker]`.
  void (*set_error)(const struct chi_host *host, const char *text, uint64_t len);
  // Writes a line to the runtime's log: `len` bytes of UTF-8. `level` is `CHI_LOG_*`.
  //
  // * Ownership: the text is copied.
  // * Null: a null `text` means an empty line.
  // * Thread: `[any thread]`.
  void (*log)(const struct chi_host *host, uint32_t level, const char *text, uint64_t len);
  // The IPC manager for this thread.
  //
  // * Ownership: the table lives as long as the process.
  // * Null: the result is null when the thread is not running a module's code.
  // * Thread: `[any thread]`.
  const struct chi_ipc *(*ipc)(const struct chi_host *host);
  // Creates a queue of `n_lanes` lanes (1 to 65536) in the container that is being built, and
  // stores the lanes' addresses in `lanes`, an array of `n_lanes`. `queue_id` is the caller's
  // choice. `flags` is zero or `CHI_QUEUE_HIGH_LATENCY`. May be called only during construction,
  // `init` and the method `kCreate`.
  //
  // * Ownership: the lanes live as long as the container. The arguments are not kept.
  // * Null: neither `pool_id` nor `lanes` may be null.
  // * Errors: `CHI_INVALID`, `CHI_EXISTS`.
  // * Thread: `[loader]` `[worker]`.
  chi_status (*create_queue)(const struct chi_host *host,
                             const struct chi_pool_id *pool_id,
                             uint32_t queue_id,
                             uint32_t n_lanes,
                             uint32_t flags,
                             chi_lane **lanes);
  // Lets other tasks of this worker run, then returns.
  //
  // * Errors: `CHI_CANCELLED` when the task is cancelled, its client has gone, its pool is being
  //   destroyed or the runtime is stopping: the method should return soon; `CHI_INVALID` when no
  //   task is running.
  // * Thread: `[worker]`.
  chi_status (*yield_now)(const struct chi_host *host);
  // Looks up an optional feature by its id, for example one of `CHI_EXT_*`. The documentation of
  // the id says what the pointer refers to.
  //
  // * Ownership: the feature lives as long as the process. The id is not kept.
  // * Null: the result is null when the runtime does not have the feature, or `id` is null.
  // * Thread: `[any thread]`.
  const void *(*extension)(const struct chi_host *host, const char *id);
  // The number of the current container in its pool, from 0, and how many containers the pool
  // has. The current container is the one that is being built (construction, `init`, `kCreate`),
  // else that of the running task. So a monitor that runs on behalf of another container's
  // method gets that container's number, not its own. Since ABI 1.1.
  //
  // * Ownership: `*id` and `*count` are written; the pointers are not kept.
  // * Null: neither `id` nor `count` may be null.
  // * Errors: `CHI_INVALID` when there is no current container.
  // * Thread: `[loader]` `[worker]`.
  chi_status (*container_id)(const struct chi_host *host, uint32_t *id, uint32_t *count);
  // Same as `chi_locks.create`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Thread: `[any thread]`.
  chi_lock *(*lock_new)(const struct chi_host *host);
  // Same as `chi_locks.free`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Thread: `[any thread]`.
  void (*lock_free)(const struct chi_host *host, chi_lock *lock);
  // Same as `chi_locks.lock`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Errors: as documented there.
  // * Thread: `[worker]`.
  chi_status (*lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode, uint64_t timeout_ns);
  // Same as `chi_locks.try_lock`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Errors: as documented there.
  // * Thread: `[worker]`.
  chi_status (*try_lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // Same as `chi_locks.unlock`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Errors: as documented there.
  // * Thread: `[worker]`.
  chi_status (*unlock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // True when the running task has been cancelled and its method should return soon. For methods
  // that compute for a long time without waiting. Since ABI 1.1.
  //
  // * Thread: `[worker]`.
  bool (*is_cancelled)(const struct chi_host *host);
  // Same as `chi_events.create`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Thread: `[worker]`.
  chi_event *(*event_new)(const struct chi_host *host);
  // Same as `chi_events.free`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Thread: `[any thread]`.
  void (*event_free)(const struct chi_host *host, chi_event *event);
  // Same as `chi_events.wait`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Errors: as documented there.
  // * Thread: `[worker]`.
  chi_status (*event_wait)(const struct chi_host *host,
                           chi_event *event,
                           uint32_t flags,
                           uint64_t timeout_ns);
  // Same as `chi_events.set`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Thread: `[any thread]`.
  void (*event_set)(const struct chi_host *host, chi_event *event);
  // Same as `chi_pollers.add`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Errors: as documented there.
  // * Thread: `[worker]`.
  chi_status (*poller_add)(const struct chi_host *host,
                           int32_t fd,
                           chi_poll_fn poll,
                           void *context,
                           chi_poller **poller);
  // Same as `chi_pollers.remove`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Thread: `[any thread]`.
  void (*poller_remove)(const struct chi_host *host, chi_poller *poller);
  // Same as `chi_pollers.arm`. Since ABI 1.1.
  //
  // * Ownership: as documented there.
  // * Null: as documented there.
  // * Errors: as documented there.
  // * Thread: `[worker]`.
  chi_status (*poller_arm)(const struct chi_host *host, chi_poller *poller, bool armed);
} chi_host;

#endif  // CHIMAERA_ABI_HOST_H_
