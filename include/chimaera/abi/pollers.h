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

// What a worker looks at in its rounds. Opaque.
typedef struct chi_poller chi_poller;

// What a poller does when its worker calls it, with the context that it was added with: send out what
// is to be sent, take in what has come, set events. It is brief, waits for nothing, and returns true
// when there was something.
//
// * Ownership: the context is the module's, as it was when the poller was added.
// * Null: `context` is null when it was added so.
// * Thread: `[worker]`, the one that added it.
typedef bool (*chi_poll_fn)(void *context);

// Pollers, which a worker calls between tasks.
typedef struct chi_pollers {
  // `sizeof(chi_pollers)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Gives this worker something to look at, not yet armed, and stores it in `poller`. While it is
  // armed, the worker calls `poll` whenever it has nothing else to do, and now and then when it has.
  // Before it sleeps it watches `fd`, edge-triggered, for becoming readable; -1 is none.
  //
  // * Ownership: the caller owns `*poller` until `remove`; until then the context, and an open `fd`,
  //   have to stay.
  // * Null: `context` may be null, `poll` and `poller` must not.
  // * Errors: `CHI_INVALID` when no worker calls, or `fd` cannot be watched.
  // * Thread: `[worker]`.
  chi_status (*add)(const struct chi_host *host,
                    int32_t fd,
                    chi_poll_fn poll,
                    void *context,
                    chi_poller **poller);
  // Removes and frees a poller. Its function is not running when this returns, so it must not be
  // called from there.
  //
  // * Ownership: no call on the poller may come later.
  // * Null: a null `poller` is ignored.
  // * Thread: `[any thread]`.
  void (*remove)(const struct chi_host *host, chi_poller *poller);
  // Has the worker call a poller from now on, or not any more; its own function may say so, too.
  //
  // * Ownership: the poller stays the caller's.
  // * Null: `poller` must not be null.
  // * Errors: `CHI_INVALID` on another worker than that which added it.
  // * Thread: `[worker]`.
  chi_status (*arm)(const struct chi_host *host, chi_poller *poller, bool armed);
} chi_pollers;

#endif  // CHIMAERA_ABI_POLLERS_H_
