/* The extension "events": lets any thread wake a waiting task.
 * Generated from src/abi/events.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_EVENTS_H_
#define CHIMAERA_ABI_EVENTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_events`.
#define CHI_EXT_EVENTS "chimaera.events/1"

// An event: a task waits for it until some thread sets it. Opaque.
typedef struct chi_event chi_event;

// `chi_events.wait`: cancelling the task does not end the wait.
#define CHI_EVENT_UNINTERRUPTED 1

// Auto-reset events: a task waits for one, and any thread can set it.
typedef struct chi_events {
  // `sizeof(chi_events)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Creates an event that is not set.
  //
  // * Ownership: the caller owns it until `free`.
  // * Null: the result is null when the calling thread is not a worker.
  // * Thread: `[worker]`.
  chi_event *(*create)(const struct chi_host *host);
  // Frees an event that no task is waiting for. A task whose wait was ended by `set` may free
  // the event at once, even if that call of `set` has not yet returned on its own thread.
  //
  // * Ownership: the event is freed; it must not be used again.
  // * Null: a null `event` is ignored.
  // * Thread: `[any thread]`.
  void (*free)(const struct chi_host *host, chi_event *event);
  // Suspends the running task until the event is set, then resets it; returns at once when it is
  // already set. Waits at most `timeout_ns` nanoseconds, or without a limit for
  // `CHI_WAIT_FOREVER`. `flags` is zero or `CHI_EVENT_UNINTERRUPTED`; the latter is for an event
  // that is certain to be set, and must be set before the method returns: for example the end of
  // an operation that uses the task's memory. Only one task at a time may wait.
  //
  // * Ownership: the event stays the caller's. An error leaves it unchanged.
  // * Null: `event` must not be null.
  // * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is cancelled, its client has gone,
  //   its pool is being destroyed or the runtime is stopping; `CHI_BUSY` when another task is
  //   already waiting; `CHI_INVALID` when no task is running, or for an unknown flag.
  // * Thread: `[worker]`.
  chi_status (*wait)(const struct chi_host *host,
                     chi_event *event,
                     uint32_t flags,
                     uint64_t timeout_ns);
  // Sets an event. The task that is waiting for it resumes; if there is none, the next wait
  // returns at once.
  //
  // * Ownership: the event stays with its owner.
  // * Null: `event` must not be null.
  // * Thread: `[any thread]`.
  void (*set)(const struct chi_host *host, chi_event *event);
} chi_events;

#endif  // CHIMAERA_ABI_EVENTS_H_
