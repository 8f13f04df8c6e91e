/* The host: what the runtime offers containers besides sending tasks.
 * Generated from src/abi/host.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_HOST_H_
#define CHIMAERA_ABI_HOST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/container.h"
#include "chimaera/abi/events.h"
#include "chimaera/abi/ipc.h"
#include "chimaera/abi/locks.h"
#include "chimaera/abi/pollers.h"

// `chi_host.log`: something failed.
#define CHI_LOG_ERROR 1

// `chi_host.log`: something is not as it should be.
#define CHI_LOG_WARN 2

// `chi_host.log`: a normal event worth knowing.
#define CHI_LOG_INFO 3

// `chi_host.log`: for the module's author.
#define CHI_LOG_DEBUG 4

// `chi_host.create_queue`: for tasks with `CHI_TASK_HIGH_LATENCY`.
#define CHI_QUEUE_HIGH_LATENCY 1

// What the runtime offers a container beyond the IPC manager. Passed to `chi_module`; lives as long
// as the process. Every function takes the table itself first.
//
// Locks, events and pollers are extensions: see `CHI_EXT_LOCKS`, `CHI_EXT_EVENTS`, `CHI_EXT_POLLERS`.
// The members for them here are what ABI 1.1 had, and stay.
typedef struct chi_host {
  // `sizeof(chi_host)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // The runtime's `CHI_ABI_MAJOR`.
  uint32_t abi_major;
  // The runtime's `CHI_ABI_MINOR`.
  uint32_t abi_minor;
  // Zero.
  uint32_t reserved;
  // Says why the call that is about to fail fails: `len` bytes of UTF-8. The runtime reads it when a
  // function of the module, on this thread, then returns null or a status other than `CHI_OK`.
  //
  // * Ownership: the text is copied.
  // * Null: a null `text` is an empty one.
  // * Thread: `[loader]` `[worker]`.
  void (*set_error)(const struct chi_host *host, const char *text, uint64_t len);
  // Writes a line to the runtime's log: `len` bytes of UTF-8. `level` is `CHI_LOG_*`.
  //
  // * Ownership: the text is copied.
  // * Null: a null `text` is an empty one.
  // * Thread: `[any thread]`.
  void (*log)(const struct chi_host *host, uint32_t level, const char *text, uint64_t len);
  // The IPC manager for this thread.
  //
  // * Ownership: the table lives as long as the process.
  // * Null: the result is null when the thread is not running a module's code.
  // * Thread: `[any thread]`.
  const struct chi_ipc *(*ipc)(const struct chi_host *host);
  // Gives the container that is being built a queue of `n_lanes` lanes (1 to 65536), and stores
  // the lanes' addresses in `lanes`, an array of `n_lanes`. `queue_id` is the caller's choice.
  // `flags` is zero or `CHI_QUEUE_HIGH_LATENCY`. Only from construction, `init`, and the method
  // `kCreate`.
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
  // Lets other tasks of this worker run, then goes on.
  //
  // * Errors: `CHI_CANCELLED` when the task is cancelled, its client has gone, its pool is being
  //   destroyed or the runtime is stopping: the method should come to its end; `CHI_INVALID` when no
  //   task is running.
  // * Thread: `[worker]`.
  chi_status (*yield_now)(const struct chi_host *host);
  // An optional feature by its id, one of `CHI_EXT_*` for example: what the pointer is to, the id's
  // own documentation says.
  //
  // * Ownership: the feature lives as long as the process. The id is not kept.
  // * Null: `id` is not null. The result is null when the runtime does not have the feature.
  // * Thread: `[any thread]`.
  const void *(*extension)(const struct chi_host *host, const char *id);
  // Which container of its pool the code that calls belongs to, from 0, and how many containers the
  // pool has. While a container is built (construction, `init`, `kCreate`) it is that one, in a
  // method the running task's; a monitor asked by another container's method does not learn its own.
  // Since ABI 1.1.
  //
  // * Ownership: the places are written, and not kept.
  // * Null: neither `id` nor `count` may be null.
  // * Errors: `CHI_INVALID`, elsewhere.
  // * Thread: `[loader]` `[worker]`.
  chi_status (*container_id)(const struct chi_host *host, uint32_t *id, uint32_t *count);
  // `chi_locks.create`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Thread: `[any thread]`.
  chi_lock *(*lock_new)(const struct chi_host *host);
  // `chi_locks.free`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Thread: `[any thread]`.
  void (*lock_free)(const struct chi_host *host, chi_lock *lock);
  // `chi_locks.lock`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Errors: as there.
  // * Thread: `[worker]`.
  chi_status (*lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode, uint64_t timeout_ns);
  // `chi_locks.try_lock`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Errors: as there.
  // * Thread: `[worker]`.
  chi_status (*try_lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // `chi_locks.unlock`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Errors: as there.
  // * Thread: `[worker]`.
  chi_status (*unlock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // True when the running task is cancelled: it should come to its end. For methods that compute for
  // long without waiting. Since ABI 1.1.
  //
  // * Thread: `[worker]`.
  bool (*is_cancelled)(const struct chi_host *host);
  // `chi_events.create`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Thread: `[worker]`.
  chi_event *(*event_new)(const struct chi_host *host);
  // `chi_events.free`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Thread: `[any thread]`.
  void (*event_free)(const struct chi_host *host, chi_event *event);
  // `chi_events.wait`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Errors: as there.
  // * Thread: `[worker]`.
  chi_status (*event_wait)(const struct chi_host *host,
                           chi_event *event,
                           uint32_t flags,
                           uint64_t timeout_ns);
  // `chi_events.set`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Thread: `[any thread]`.
  void (*event_set)(const struct chi_host *host, chi_event *event);
  // `chi_pollers.add`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Errors: as there.
  // * Thread: `[worker]`.
  chi_status (*poller_add)(const struct chi_host *host,
                           int32_t fd,
                           chi_poll_fn poll,
                           void *context,
                           chi_poller **poller);
  // `chi_pollers.remove`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Thread: `[any thread]`.
  void (*poller_remove)(const struct chi_host *host, chi_poller *poller);
  // `chi_pollers.arm`. Since ABI 1.1.
  //
  // * Ownership: as there.
  // * Null: as there.
  // * Errors: as there.
  // * Thread: `[worker]`.
  chi_status (*poller_arm)(const struct chi_host *host, chi_poller *poller, bool armed);
} chi_host;

#endif  // CHIMAERA_ABI_HOST_H_
