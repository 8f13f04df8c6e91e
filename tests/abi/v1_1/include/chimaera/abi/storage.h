/* The extension "storage": what a container stores is on its node.
 * Generated from src/abi/storage.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_STORAGE_H_
#define CHIMAERA_ABI_STORAGE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_storage`.
#define CHI_EXT_STORAGE "chimaera.storage/1"

// Storage: a container says that its data are on its node, in a file or on a device.
typedef struct chi_storage {
  // `sizeof(chi_storage)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Says that what the container that is being created stores is on this node, so that it is worth nothing
  // on another one. In a cluster, no other node makes the container when this one is lost, until a person
  // gives it up (`chimaera pool recover`), and to move it, a copy of its state is taken. Elsewhere it changes
  // nothing.
  //
  // * Null: `host` is not null.
  // * Errors: `CHI_INVALID` if no container is being created.
  // * Thread: `[worker]`.
  chi_status (*set_local)(const struct chi_host *host);
} chi_storage;

#endif  // CHIMAERA_ABI_STORAGE_H_
