/* The extension "publishing": memory that containers write and clients read without copies.
 * Generated from src/abi/publishing.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_PUBLISHING_H_
#define CHIMAERA_ABI_PUBLISHING_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/shm.h"
#include "chimaera/abi/status.h"

struct chi_host;
struct chi_task;

// `chi_host.extension`: a `chi_publishing`.
#define CHI_EXT_PUBLISHING "chimaera.publishing/1"

// A shared pointer into published memory has this value in its upper 2 bits. What it points to can be read, but not
// written. Since ABI 1.2.
#define CHI_SHM_PUBLISHED 2

// The number of low bits of a `chi_shm_ptr` above which `CHI_SHM_PUBLISHED` is. Since ABI 1.2.
#define CHI_SHM_PUBLISHED_SHIFT 62

// A reference to a block of published memory. Opaque.
typedef struct chi_published chi_published;

// A block of published memory, as `chi_publishing.alloc` returns it.
typedef struct chi_published_block {
  // The reference, for the functions of `chi_publishing`.
  chi_published *reference_;
  // The address of the block, aligned to 64.
  void *data_;
  // Usable bytes, at least as many as were asked for.
  uint64_t size_;
} chi_published_block;

// Publishing: a container keeps bytes in memory that clients map read-only, and lends them as results of tasks. A
// client whose task has `CHI_TASK_TAKES_LEASES` then reads them where they are; others get a copy, as always.
//
// A block is written before it is lent for the first time, and not afterwards: whoever has it on lease reads it at any
// time. To change a value, make a new block and release the old one; it is freed once nobody has it on lease.
typedef struct chi_publishing {
  // `sizeof(chi_publishing)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Allocates a block for the container that is being created or runs the current task. Its contents are
  // unspecified.
  //
  // * Ownership: the caller owns the reference in `*block` until `release`; the block lives as long as a reference
  //   or a lease.
  // * Null: `block` must not be null.
  // * Errors: `CHI_INVALID` for a size of 0, or if there is no such container; `CHI_NO_SPACE` when the memory budget
  //   has no room, or the system; `CHI_TOO_LARGE`; `CHI_UNSUPPORTED` in a module host. Then keep the bytes in other
  //   memory and copy them into results.
  // * Thread: `[worker]`.
  chi_status (*alloc)(const struct chi_host *host, uint64_t size, struct chi_published_block *block);
  // Makes another reference to a block; each has to be released.
  //
  // * Ownership: the caller owns one more reference.
  // * Null: `reference` must not be null.
  // * Thread: `[any thread]`.
  void (*retain)(const struct chi_host *host, chi_published *reference);
  // Releases a reference.
  //
  // * Ownership: the reference must not be used again, nor the block without another one.
  // * Null: a null `reference` is ignored.
  // * Thread: `[any thread]`.
  void (*release)(const struct chi_host *host, chi_published *reference);
  // Makes a string or vector of `task`, the task that the method runs, refer to `len` bytes at `offset` of a block,
  // without copying them.
  //
  // * Ownership: the task keeps the block alive until it is deleted; for the task of a client, as long as the client
  //   needs it. The vector has no capacity: to write to it, give it another block.
  // * Null: none may be null.
  // * Errors: `CHI_UNSUPPORTED` when the bytes must be copied instead: for a task of another method that does not take
  //   leases, or a task that the method has made; `CHI_INVALID` for bytes beyond the end of the block.
  // * Thread: `[worker]`.
  chi_status (*lend)(const struct chi_host *host,
                     chi_published *reference,
                     uint64_t offset,
                     uint64_t len,
                     struct chi_task *task,
                     struct chi_shm_vector *vector);
} chi_publishing;

#endif  // CHIMAERA_ABI_PUBLISHING_H_
