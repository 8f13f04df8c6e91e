/* The extension "directory": where a container of a durable pool keeps its files.
 * Generated from src/abi/directory.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_DIRECTORY_H_
#define CHIMAERA_ABI_DIRECTORY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

struct chi_host;

// `chi_host.extension`: a `chi_directory`.
#define CHI_EXT_DIRECTORY "chimaera.directory/1"

// Directories for the files of containers. Each container of a durable pool has one, from before its
// `kCreate` until the pool is destroyed, over all restarts of the runtime. The runtime removes it, with
// what is in it, after the last `kDestroy`.
typedef struct chi_directory {
  // `sizeof(chi_directory)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Writes the absolute path of the directory of the container that is being created, or else that runs
  // the current task, into `path`, with a zero behind it, if `capacity` bytes suffice. `length` becomes the
  // path's length in bytes; 0 if the pool is not durable.
  //
  // * Ownership: the bytes are copied.
  // * Null: no pointer may be null; `path` may if `capacity` is 0.
  // * Thread: `[worker]`.
  // * Errors: `CHI_INVALID` if no container is being created or runs a task; `CHI_NO_SPACE` if `capacity`
  //   is not more than the length, and nothing has been written but `length`.
  chi_status (*path)(const struct chi_host *host, char *path, uint64_t capacity, uint64_t *length);
} chi_directory;

#endif  // CHIMAERA_ABI_DIRECTORY_H_
