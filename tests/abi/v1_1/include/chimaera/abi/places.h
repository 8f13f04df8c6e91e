/* The extension "places": where the containers of a pool are.
 * Generated from src/abi/places.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_PLACES_H_
#define CHIMAERA_ABI_PLACES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_places`.
#define CHI_EXT_PLACES "chimaera.places/1"

// `chi_place.round_trip_ns_`: not known, or the node cannot be reached now.
#define CHI_ROUND_TRIP_UNKNOWN UINT64_MAX

// Where a container is, and what this node knows of it.
typedef struct chi_place {
  // The id of the node that has the container; 0 if none has it now, or if the runtime is no node of a
  // cluster.
  uint64_t node_;
  // How many tasks are in the container. For one of another node: as that said with its last answer in the
  // last second, if any, but at least those that this node has sent there.
  uint64_t tasks_;
  // The round trip to its node in nanoseconds, 0 if it is this one, or `CHI_ROUND_TRIP_UNKNOWN`.
  uint64_t round_trip_ns_;
} chi_place;

// Places: a monitor looks where the containers are before it sends a task to one.
typedef struct chi_places {
  // `sizeof(chi_places)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Where the container of this number is, of the pool whose code is running.
  //
  // * Ownership: the place is written, and not kept.
  // * Null: `place` is not null.
  // * Errors: `CHI_NOT_FOUND` if the pool has no such container, `CHI_INVALID` if no code of a pool is
  //   running.
  // * Thread: `[worker]`.
  chi_status (*find)(const struct chi_host *host, uint32_t container, struct chi_place *place);
} chi_places;

#endif  // CHIMAERA_ABI_PLACES_H_
