/* The extension "pollers": callbacks that a worker polls between tasks.
 * Generated from src/abi/pollers.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_POLLERS_H_
#define CHIMAERA_ABI_POLLERS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_pollers`.
#define CHI_EXT_POLLERS "chimaera.pollers/1"

// A function that a worker calls between tasks. Opaque.
typedef struct chi_poller chi_poller;

// The function of a poller, called by its worker with the context that it was added with. It
// submits pending I/O, collects completions and sets events. It must be brief and must not wait.
// It returns true when it found something to do.
//
// * Ownership: the context is the module's; the runtime passes on the pointer that `add` got.
// * Null: `context` is null when it was null in `add`.
// * Thread: `[worker]`, the one that added the poller.
typedef bool (*chi_poll_fn)(void *context);

// Pollers: functions that a worker calls between tasks.
typedef struct chi_pollers {
  // `sizeof(chi_pollers)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Adds a poller to the calling worker, not yet armed, and stores it in `*poller`. While the
  // poller is armed, the worker calls `poll` whenever it is idle, and from time to time while it
  // is busy. While it sleeps, it watches `fd` for becoming readable (edge-triggered) and wakes
  // up for it; -1 means no descriptor.
  //
  // * Ownership: the caller owns `*poller` until `remove`. Until then the context must stay
  //   valid, and `fd` open.
  // * Null: `context` may be null; `poll` and `poller` must not be null.
  // * Errors: `CHI_INVALID` when the calling thread is not a worker, or `fd` cannot be watched.
  // * Thread: `[worker]`.
  chi_status (*add)(const struct chi_host *host,
                    int32_t fd,
                    chi_poll_fn poll,
                    void *context,
                    chi_poller **poller);
  // Removes and frees a poller. Waits until its function is not running, so that function itself
  // must not call this.
  //
  // * Ownership: the poller is freed; it must not be used again.
  // * Null: a null `poller` is ignored.
  // * Thread: `[any thread]`.
  void (*remove)(const struct chi_host *host, chi_poller *poller);
  // Arms or disarms a poller: its worker calls it only while it is armed. The poller's own
  // function may call this.
  //
  // * Ownership: the poller stays the caller's.
  // * Null: `poller` must not be null.
  // * Errors: `CHI_INVALID` on any worker other than the one that added it.
  // * Thread: `[worker]`.
  chi_status (*arm)(const struct chi_host *host, chi_poller *poller, bool armed);
} chi_pollers;

#endif  // CHIMAERA_ABI_POLLERS_H_
