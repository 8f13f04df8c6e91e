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

// A lock that suspends the tasks that wait for it. Opaque.
typedef struct chi_lock chi_lock;

// Mode of a lock: others that share it may hold it, too.
#define CHI_LOCK_SHARED 1

// Mode of a lock: nobody else may hold it.
#define CHI_LOCK_EXCLUSIVE 2

// Locks that suspend the tasks that wait for them, and never their worker.
//
// A lock is held by roots: all tasks that one task of a client led to pass together, so that a task
// may hold a lock and wait for another that takes it, too. Roots are served in the order in which
// they asked; who asks for it shared does not overtake who waits for it exclusively. Only a root
// that holds it already has it again at once. One that has it shared and asks for it exclusively
// waits until it is the only holder; two that do so wait for each other. Tasks that wait for each
// other's locks in a circle are found, within about half a second: the wait of one of them ends with
// `CHI_CANCELLED`, and its task with `CHI_DEADLOCK`.
//
// What a task still holds when its method ends, in whichever way, is given back.
typedef struct chi_locks {
  // `sizeof(chi_locks)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Makes a lock.
  //
  // * Ownership: the caller owns it until `free`.
  // * Null: the result is never null.
  // * Thread: `[any thread]`.
  chi_lock *(*create)(const struct chi_host *host);
  // Frees a lock. Who waits for it gets `CHI_CANCELLED`, who holds it gives it back at its method's
  // end. On a thread that is no worker, only while no task waits for it.
  //
  // * Ownership: no call on the lock may come later.
  // * Null: a null `lock` is ignored.
  // * Thread: `[any thread]`.
  void (*free)(const struct chi_host *host, chi_lock *lock);
  // Takes a lock for the running task; `mode` is `CHI_LOCK_*`. A task may take it many times, and in
  // both modes; each time wants an `unlock`. While others hold it, the task is suspended, at most
  // `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`.
  //
  // * Ownership: the task holds the lock until `unlock` or its end; the caller still owns it.
  // * Null: `lock` must not be null.
  // * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is cancelled while it waits, its client has
  //   gone, its pool is being destroyed or the runtime is stopping, or the lock is freed; `CHI_INVALID`
  //   when no task is running, or `mode` is none.
  // * Thread: `[worker]`.
  chi_status (*lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode, uint64_t timeout_ns);
  // Like `lock`, but returns at once where that would wait.
  //
  // * Ownership: as `lock`.
  // * Null: `lock` must not be null.
  // * Errors: `CHI_BUSY` where `lock` would wait; `CHI_INVALID` as there.
  // * Thread: `[worker]`.
  chi_status (*try_lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // Gives a lock back that the running task took in this mode.
  //
  // * Ownership: the task holds it once less; the caller still owns it.
  // * Null: `lock` must not be null.
  // * Errors: `CHI_INVALID` when the task has not taken it, even if another task of its root has.
  // * Thread: `[worker]`.
  chi_status (*unlock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
} chi_locks;

#endif  // CHIMAERA_ABI_LOCKS_H_
