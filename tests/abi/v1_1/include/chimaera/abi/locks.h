/* The extension "locks": locks that suspend a task and not its worker.
 * Generated from src/abi/locks.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_LOCKS_H_
#define CHIMAERA_ABI_LOCKS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_locks`.
#define CHI_EXT_LOCKS "chimaera.locks/1"

// A lock that suspends the waiting task and not its worker. Opaque.
typedef struct chi_lock chi_lock;

// Lock mode: other roots may hold the lock at the same time, also shared.
#define CHI_LOCK_SHARED 1

// Lock mode: no other root may hold the lock.
#define CHI_LOCK_EXCLUSIVE 2

// Locks that suspend the waiting task and never its worker.
//
// The holder of a lock is a root: a task from a client together with all tasks that descend from
// it. So a task may hold a lock and wait for a subtask that takes the same lock. Roots get the
// lock in the order in which they asked for it: a shared request does not overtake a waiting
// exclusive one. Only a root that already holds the lock gets it again at once. A root that holds
// it shared and asks for it exclusively waits until it is the only holder; two roots that do so
// deadlock. Deadlocks are detected within about half a second: the wait of one task ends with
// `CHI_CANCELLED`, and the task itself with `CHI_DEADLOCK`.
//
// Locks that a task still holds when its method ends, for whatever reason, are released.
typedef struct chi_locks {
  // `sizeof(chi_locks)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Creates a lock.
  //
  // * Ownership: the caller owns it until `free`.
  // * Null: the result is never null.
  // * Thread: `[any thread]`.
  chi_lock *(*create)(const struct chi_host *host);
  // Frees a lock. Tasks that wait for it get `CHI_CANCELLED`; tasks that hold it keep it until
  // their method ends. A thread that is not a worker may call this only while no task waits for
  // the lock.
  //
  // * Ownership: the lock must not be used again.
  // * Null: a null `lock` is ignored.
  // * Thread: `[any thread]`.
  void (*free)(const struct chi_host *host, chi_lock *lock);
  // Takes a lock for the running task; `mode` is `CHI_LOCK_*`. A task may take a lock
  // repeatedly, and in both modes; each `lock` needs its own `unlock`. While another root holds
  // the lock, the task is suspended, for at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`:
  // no timeout).
  //
  // * Ownership: the task holds the lock until `unlock` or its end; the caller still owns it.
  // * Null: `lock` must not be null.
  // * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when, during the wait, the task is cancelled, its
  //   client goes, its pool is being destroyed, the runtime is stopping, or the lock is freed;
  //   `CHI_INVALID` when no task is running, or for an unknown `mode`.
  // * Thread: `[worker]`.
  chi_status (*lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode, uint64_t timeout_ns);
  // Like `lock`, but never waits.
  //
  // * Ownership: as `lock`.
  // * Null: `lock` must not be null.
  // * Errors: `CHI_BUSY` when `lock` would wait; `CHI_INVALID` as `lock`.
  // * Thread: `[worker]`.
  chi_status (*try_lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // Releases a lock that the running task has taken in this mode.
  //
  // * Ownership: undoes one `lock` of the task; the caller still owns the lock.
  // * Null: `lock` must not be null.
  // * Errors: `CHI_INVALID` when this task has not taken the lock, even if another task of its
  //   root has.
  // * Thread: `[worker]`.
  chi_status (*unlock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
} chi_locks;

#endif  // CHIMAERA_ABI_LOCKS_H_
