/* Archives: byte sinks and sources for serializing tasks.
 * Generated from src/abi/archive.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_ARCHIVE_H_
#define CHIMAERA_ABI_ARCHIVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

// `chi_container_ops.serialize`: write the task's inputs.
#define CHI_SERIALIZE_SAVE_IN 0

// `chi_container_ops.serialize`: read the task's inputs.
#define CHI_SERIALIZE_LOAD_IN 1

// `chi_container_ops.serialize`: write the task's results.
#define CHI_SERIALIZE_SAVE_OUT 2

// `chi_container_ops.serialize`: read the task's results.
#define CHI_SERIALIZE_LOAD_OUT 3

// The destination or source of a task's serialised bytes. The caller of
// `chi_container_ops.serialize` creates it; a module only calls its functions, during that call
// and on the same thread. docs/wire-format.md specifies the bytes.
typedef struct chi_archive {
  // `sizeof(chi_archive)` in the runtime. Call a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Appends a copy of `len` bytes.
  //
  // * Ownership: the bytes are copied.
  // * Null: `data` may be null when `len` is 0.
  // * Errors: `CHI_INVALID` when the archive is open for reading, `CHI_NO_SPACE`,
  //   `CHI_TOO_LARGE`.
  // * Thread: `[worker]`, the one that was passed the archive.
  chi_status (*write)(struct chi_archive *archive, const void *data, uint64_t len);
  // Copies the next `len` bytes to `data`. When fewer remain, it fails and consumes none.
  //
  // * Ownership: `data` is the caller's.
  // * Null: `data` may be null when `len` is 0.
  // * Errors: `CHI_INVALID` when fewer bytes remain, or the archive is open for writing.
  // * Thread: `[worker]`, the one that was passed the archive.
  chi_status (*read)(struct chi_archive *archive, void *data, uint64_t len);
  // The number of bytes left to read; 0 when the archive is open for writing.
  //
  // * Thread: `[worker]`, the one that was passed the archive.
  uint64_t (*remaining)(const struct chi_archive *archive);
} chi_archive;

#endif  // CHIMAERA_ABI_ARCHIVE_H_
