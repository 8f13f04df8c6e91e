/* Archives: byte sinks and sources for serializing tasks.
 * Generated from src/abi/archive.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_ARCHIVE_H_
#define CHIMAERA_ABI_ARCHIVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/status.h"

// `chi_container_ops.serialize`: write what the caller gives.
#define CHI_SERIALIZE_SAVE_IN 0

// `chi_container_ops.serialize`: read what the caller gave.
#define CHI_SERIALIZE_LOAD_IN 1

// `chi_container_ops.serialize`: write what the method found.
#define CHI_SERIALIZE_SAVE_OUT 2

// `chi_container_ops.serialize`: read what the method found.
#define CHI_SERIALIZE_LOAD_OUT 3

// Where the bytes of a task go to, or come from. Whoever calls `chi_container_ops.serialize` makes
// it; a module only calls its functions, during that call and on its thread. The bytes are those of
// docs/wire-format.md.
typedef struct chi_archive {
  // `sizeof(chi_archive)` in the runtime. Call a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Appends a copy of `len` bytes.
  //
  // * Ownership: the bytes are copied.
  // * Null: `data` may be null when `len` is 0.
  // * Errors: `CHI_INVALID` when the archive is for reading, `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
  // * Thread: `[worker]`, the one that was given the archive.
  chi_status (*write)(struct chi_archive *archive, const void *data, uint64_t len);
  // Copies the next `len` bytes to `data`; when fewer remain, none are taken.
  //
  // * Ownership: `data` is the caller's.
  // * Null: `data` may be null when `len` is 0.
  // * Errors: `CHI_INVALID` when fewer bytes remain, or the archive is for writing.
  // * Thread: `[worker]`, the one that was given the archive.
  chi_status (*read)(struct chi_archive *archive, void *data, uint64_t len);
  // How many bytes remain to be read; 0 when the archive is for writing.
  //
  // * Thread: `[worker]`, the one that was given the archive.
  uint64_t (*remaining)(const struct chi_archive *archive);
} chi_archive;

#endif  // CHIMAERA_ABI_ARCHIVE_H_
