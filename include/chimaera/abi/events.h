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

// What a task waits for until some thread sets it. Opaque.
typedef struct chi_event chi_event;

// `chi_events.wait`: a cancellation of the task does not end the wait.
#define CHI_EVENT_UNINTERRUPTED 1

// Events, by which any thread ends the wait of a task.
typedef struct chi_events {
  // `sizeof(chi_events)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Makes an event, not set.
  //
  // * Ownership: the caller owns it until `free`.
  // * Null: the result is null when no worker calls.
  // * Thread: `[worker]`.
  chi_event *(*create)(const struct chi_host *host);
  // Frees an event that no task waits for. Whoever has waited for it may free it at once, also while
  // the call that set it has not returned.
  //
  // * Ownership: no call on the event may come later.
  // * Null: a null `event` is ignored.
  // * Thread: `[any thread]`.
  void (*free)(const struct chi_host *host, chi_event *event);
  // Suspends the running task until the event is set, and unsets it; returns at once when it is set
  // already. It takes at most `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`. `flags` is
  // zero or `CHI_EVENT_UNINTERRUPTED`, for what is sure to come and must have come before the method
  // ends. One task at a time may wait.
  //
  // * Ownership: the event stays the caller's. After an error it is as it was.
  // * Null: `event` must not be null.
  // * Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is cancelled, its client has gone, its pool
  //   is being destroyed or the runtime is stopping; `CHI_BUSY` when another task waits for it;
  //   `CHI_INVALID` when no task is running, or for another flag.
  // * Thread: `[worker]`.
  chi_status (*wait)(const struct chi_host *host,
                     chi_event *event,
                     uint32_t flags,
                     uint64_t timeout_ns);
  // Sets an event: whoever waits for it goes on, or else whoever waits for it next.
  //
  // * Ownership: the event stays whose it is.
  // * Null: `event` must not be null.
  // * Thread: `[any thread]`.
  void (*set)(const struct chi_host *host, chi_event *event);
} chi_events;

#endif  // CHIMAERA_ABI_EVENTS_H_
