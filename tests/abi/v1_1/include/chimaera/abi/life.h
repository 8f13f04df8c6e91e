/* The life of a container: its state, and why it has a successor.
 * Generated from src/abi/life.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_LIFE_H_
#define CHIMAERA_ABI_LIFE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/archive.h"
#include "chimaera/abi/task.h"

// The state of a container while it is saved or loaded: an archive that is divided into fields, each
// with a number. The runtime creates it; a module only calls its functions, during
// `chi_container_ops.save` or `load` and on the same thread. docs/wire-format.md specifies the bytes.
// Since ABI 1.1.
typedef struct chi_state {
  // `sizeof(chi_state)` in the runtime. Call a later function only when it is covered.
  uint32_t size;
  // What a state that is being saved is for: `CHI_SAVED_FOR_SUCCESSOR` or `CHI_SAVED_AS_COPY`. Zero in
  // one that is being loaded.
  uint32_t purpose;
  // Writes and reads the bytes of the current field. `write` fails before `begin_field` and `read`
  // before `next_field`; a read does not go beyond the end of a field. `remaining` is at least the
  // number of bytes that the field still has, and at most that of the whole state. A read
  // that fails for that reason consumes nothing, so a module may try to read one byte more to see
  // whether a field has ended.
  struct chi_archive *archive;
  // Begins a field, and ends the one before it. `number` is greater than that of every field before.
  //
  // * Ownership: the state stays the runtime's.
  // * Null: the state is not null.
  // * Errors: `CHI_INVALID` when the number is not greater, or the state is being loaded;
  //   `CHI_NO_SPACE`.
  // * Thread: `[worker]`, the one that was passed the state.
  chi_status (*begin_field)(struct chi_state *state, uint32_t number);
  // Goes to the next field, skipping what is left of the current one, and stores its number, which
  // is greater than that of every field before; 0 when there are no more.
  //
  // * Ownership: `*number` is written; the pointer is not kept.
  // * Null: `number` is not null.
  // * Errors: `CHI_INVALID` when the state is malformed, or is being saved.
  // * Thread: `[worker]`, the one that was passed the state.
  chi_status (*next_field)(struct chi_state *state, uint32_t *number);
} chi_state;

// `chi_state.purpose`: the state is for a successor, which finds everything outside the container as it
// is: the same files, and the pools that the container uses under the same ids. The container gives up
// what only one of the two can have, such as a file that is locked.
#define CHI_SAVED_FOR_SUCCESSOR 0

// `chi_state.purpose`: the state is a copy, which may be loaded at any time, on another machine too. It has
// all that belongs to the container, also what is in files of its own or in other pools. The container
// goes on and gives up nothing; `chi_container_ops.resume` is called nevertheless.
#define CHI_SAVED_AS_COPY 1

// `chi_life_task.reason_`: the container's pool is migrated.
#define CHI_REASON_MIGRATED 1

// `chi_life_task.reason_`: the module has a new version.
#define CHI_REASON_UPGRADED 2

// `chi_life_task.reason_`: a method of the container crashed, and the pool is reset.
#define CHI_REASON_CRASHED 3

// `chi_life_task.reason_`: the runtime was restarted, and another process has made the container.
#define CHI_REASON_RESTARTED 4

// `chi_life_task.reason_`: the runtime ended without saving the container.
#define CHI_REASON_KILLED 5

// `chi_life_task.reason_`, of `kNodeFailure`: a pool that the container's pool depends on was lost: a
// container of it is in quarantine, it was destroyed, or the process that ran it has ended. Or a node of the
// cluster was lost, with containers of such a pool or of the container's own.
#define CHI_REASON_LOST 6

// `chi_life_task.reason_`, of `kNodeFailure`: a pool that was lost takes tasks again, or containers that were
// lost with a node have owners again.
#define CHI_REASON_RECOVERED 7

// The task of `kNodeFailure`, `kRecover`, `kMigrate` and `kUpgrade`, which only the runtime itself
// sends. Since ABI 1.1.
//
// `kCreate` has made the container before, with the parameters of its pool. Before `kMigrate` and
// `kUpgrade`, `chi_container_ops.load` has loaded what its predecessor saved; if they fail, the
// container is destroyed without `kDestroy`, and its predecessor goes on. If `kRecover` fails, the
// container stays in quarantine. `kNodeFailure` runs on a container that is in use, beside its tasks, when
// a pool that its pool depends on is lost or recovered, and when another node is, with containers of such a
// pool or of its own. If it fails, that is logged, and the container
// goes on.
typedef struct chi_life_task {
  // The task.
  struct chi_task task;
  // In: `CHI_REASON_*`.
  uint32_t reason_;
  // Zero.
  uint32_t reserved_;
  // In: the reason in words, for messages and the log. Lives as long as the call.
  const char *message_text_;
  // In: the version of the module that saved the state; empty if no state was loaded. Lives as long
  // as the call.
  const char *old_version_;
  // In: the directory for the container's own files, which exists; empty if the pool has none. Lives
  // as long as the call.
  const char *directory_;
  // In, of `kNodeFailure`: the pool that was lost or recovered; otherwise zero.
  struct chi_pool_id lost_pool_;
  // In: the name of that pool; otherwise empty. Lives as long as the call.
  const char *lost_name_;
  // In: the number of the node that was lost, or is back, with containers of that pool. 0 if it was lost
  // on this one, as a whole.
  uint64_t lost_node_;
  // In: the numbers of those containers, `lost_count_` of them, in order. Lives as long as the call.
  const uint32_t *lost_containers_;
  // In: how many containers; 0 if `lost_node_` is.
  uint32_t lost_count_;
  // Zero.
  uint32_t reserved2_;
} chi_life_task;

#endif  // CHIMAERA_ABI_LIFE_H_
