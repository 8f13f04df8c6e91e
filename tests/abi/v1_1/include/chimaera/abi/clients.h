/* The extension "clients": which client sent a task, and whether it is still there.
 * Generated from src/abi/clients.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_CLIENTS_H_
#define CHIMAERA_ABI_CLIENTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_clients`.
#define CHI_EXT_CLIENTS "chimaera.clients/1"

// `chi_clients.is_there`: the client's session has ended, and so have all of its tasks.
#define CHI_CLIENT_GONE 0

// `chi_clients.is_there`: the client's session is open, or some of its tasks have not ended.
#define CHI_CLIENT_THERE 1

// `chi_clients.is_there`: the number is none of this runtime's: that of a client of an earlier runtime, for
// instance, which may have connected again. A client keeps its number over `chimaera restart`.
#define CHI_CLIENT_UNKNOWN 2

// Clients: a module remembers which one something was made for, and gives it back when the client is gone,
// however it ended.
typedef struct chi_clients {
  // `sizeof(chi_clients)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // The number of the client that has sent the running task; 0 if a method or the runtime has, or no task
  // is running. A client that connects again has another number. Numbers are not used again, also not
  // by other runtimes.
  //
  // * Thread: `[worker]`.
  uint64_t (*sender)(const struct chi_host *host);
  // Whether a client is there: a `CHI_CLIENT_*`.
  //
  // * Thread: `[any thread]`; on others than workers, every client is unknown.
  uint32_t (*is_there)(const struct chi_host *host, uint64_t client);
} chi_clients;

#endif  // CHIMAERA_ABI_CLIENTS_H_
