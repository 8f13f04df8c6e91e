/* A task and its address.
 * Generated from src/abi/task.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_TASK_H_
#define CHIMAERA_ABI_TASK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/shm.h"
#include "chimaera/abi/status.h"

// A pool's number. Never reused while the runtime lives. All zeros is no pool.
typedef struct chi_pool_id {
  // Slot in the pool table. The admin pool has slot 1.
  uint32_t major_;
  // Generation of the slot: tells apart the pools that have used it.
  uint32_t minor_;
} chi_pool_id;

// Slot of the admin pool, which exists as long as the runtime does.
#define CHI_ADMIN_POOL_MAJOR 1

// A task's position in the tree of tasks: the root is a task from an application, and subtasks
// descend from it.
typedef struct chi_task_node {
  // The root task's number, unique within its session.
  uint64_t root_;
  // 0 for the root, 1 for its subtasks, and so on.
  uint32_t depth_;
  // The node on which the root was made. 0 on a single node.
  uint32_t node_;
} chi_task_node;

// `chi_domain_query.kind_`: the runtime chooses (it asks the module's `kGlobalSchedule` monitor).
#define CHI_DOMAIN_DYNAMIC 0

// `chi_domain_query.kind_`: the container with this id, on this node.
#define CHI_DOMAIN_LOCAL_ID 1

// `chi_domain_query.kind_`: the container on this node that the hash selects.
#define CHI_DOMAIN_LOCAL_HASH 2

// `chi_domain_query.kind_`: the container with this id, on any node.
#define CHI_DOMAIN_GLOBAL_ID 3

// `chi_domain_query.kind_`: the container that the hash selects, on any node.
#define CHI_DOMAIN_GLOBAL_HASH 4

// `chi_domain_query.kind_`: every container of the pool.
#define CHI_DOMAIN_GLOBAL_BCAST 5

// Selects the containers of a pool that a task goes to.
typedef struct chi_domain_query {
  // One of `CHI_DOMAIN_*`.
  uint32_t kind_;
  // The container id or the hash; 0 for the kinds that use neither.
  uint32_t value_;
} chi_domain_query;

// A set of flags in 32 bits.
typedef struct chi_bitfield {
  // The flags.
  uint32_t bits_;
#ifdef __cplusplus
  /* Sets the flags of `mask`. */
  void SetBits(uint32_t mask) { bits_ |= mask; }
  /* Clears the flags of `mask`. */
  void UnsetBits(uint32_t mask) { bits_ &= ~mask; }
  /* True when any flag of `mask` is set. */
  bool Any(uint32_t mask) const { return (bits_ & mask) != 0; }
  /* True when all flags of `mask` are set. */
  bool All(uint32_t mask) const { return (bits_ & mask) == mask; }
  /* Clears all flags. */
  void Clear() { bits_ = 0; }
#endif
} chi_bitfield;

// `chi_task.state_`: not submitted yet.
#define CHI_TASK_IDLE 0

// `chi_task.state_`, bit: submitted and not yet complete.
#define CHI_TASK_IN_FLIGHT 1

// `chi_task.state_`, bit: complete; body, status and message are final.
#define CHI_TASK_COMPLETE 2

// `chi_task.state_`, bit: a thread of the client is sleeping on this word.
#define CHI_TASK_PARKED 4

// `chi_task.state_`, bit, with `CHI_TASK_COMPLETE`: the runtime holds blocks for this task until
// the client releases them.
#define CHI_TASK_HAS_BLOCKS 8

// `chi_task.state_`, with `CHI_TASK_HAS_BLOCKS`: the bits from this one up are the number under
// which the runtime holds the blocks.
#define CHI_TASK_HOLD_SHIFT 8

// `chi_task.state_`, bit, with `CHI_TASK_IN_FLIGHT`: the client has requested the task's
// cancellation (`chi_ipc.cancel`).
#define CHI_TASK_CANCEL 16

// `chi_task.state_`, bit, with `CHI_TASK_IN_FLIGHT`: the task is in a completion queue. The bits from
// `CHI_TASK_PLACE_SHIFT` up say where. Since ABI 1.2.
#define CHI_TASK_QUEUED 32

// `chi_task.state_`, with `CHI_TASK_QUEUED`: the bits from this one up are the place of the task in a completion queue,
// and those from `CHI_TASK_PLACE_SHIFT + CHI_COMPLETIONS_PLACE_BITS` up the number of the queue.
#define CHI_TASK_PLACE_SHIFT 8

// `chi_task.state_`, bit, with `CHI_TASK_COMPLETE`: the runtime has published memory that the session has not mapped, so
// that results were copied. Since ABI 1.2.
#define CHI_TASK_PUBLISHED 64

// `chi_task.state_`, bit, with `CHI_TASK_COMPLETE`: some of the results are leases on published memory. Since ABI 1.2.
#define CHI_TASK_ON_LEASE 128

// How many bits of `chi_task.state_` are the place of a task in a completion queue.
#define CHI_COMPLETIONS_PLACE_BITS 20

// The most completion queues of a session.
#define CHI_MAX_COMPLETIONS 16

// `chi_task.task_flags_`: the method runs at once and then every `period_ns_` nanoseconds, until
// the task is cancelled or deleted, a run fails, its pool is destroyed or its client exits. Each
// run sees the task as the previous one left it. Runs do not drift: run n is due n periods after
// the first. Runs that are missed because an earlier one took longer than the period are skipped.
// The task completes when it stops.
#define CHI_TASK_PERIODIC 1

// `chi_task.task_flags_`: the caller will not wait for the task. From its submission it belongs to
// the runtime, which frees it at completion and logs a failure.
#define CHI_TASK_FIRE_AND_FORGET 2

// `chi_task.task_flags_`: throughput matters for this task, latency does not. It goes to the lanes
// and workers for high-latency tasks where there are any; elsewhere it runs after the
// latency-sensitive tasks.
#define CHI_TASK_HIGH_LATENCY 4

// `chi_task.task_flags_`: the task has a deadline, `period_ns_` nanoseconds after its submission.
// When the deadline passes, the task is not started, or is cancelled if it has started; it ends
// with `CHI_DEADLINE`. Cannot be combined with `CHI_TASK_PERIODIC`.
#define CHI_TASK_DEADLINE 8

// `chi_task.task_flags_`: the caller only reads the strings and vectors of the result, so they may be leases on
// published memory instead of copies (`chi_publishing`). A lease ends with the task: when it is deleted, or submitted
// again and has ended. Runtimes before ABI 1.2 copy. Since ABI 1.2.
#define CHI_TASK_TAKES_LEASES 16

// The shortest period of a periodic task, in nanoseconds.
#define CHI_MIN_PERIOD_NS 10000

// The header that every task begins with. The task's own fields follow directly: the header is 64
// bytes, one cache line, without padding.
//
// Made by `chi_ipc.new_task` and deleted by `chi_ipc.del_task`. From submission to completion the
// task belongs to the runtime: the client must neither read nor write it, apart from the state
// word.
typedef struct chi_task {
  // The pool that the task is for.
  struct chi_pool_id pool_;
  // Its position in the tree of tasks.
  struct chi_task_node task_node_;
  // Which containers of the pool.
  struct chi_domain_query dom_query_;
  // The method's number.
  uint32_t method_;
  // Properties of the task: `CHI_TASK_PERIODIC`, `CHI_TASK_FIRE_AND_FORGET`,
  // `CHI_TASK_HIGH_LATENCY`, `CHI_TASK_DEADLINE`.
  struct chi_bitfield task_flags_;
  // In nanoseconds: the period of a periodic task; for a task with a deadline, the time from its
  // submission to the deadline.
  uint64_t period_ns_;
  // While a task with a deadline is in flight: the deadline, in nanoseconds of
  // `CLOCK_MONOTONIC`. After a failure: a block with a `u32` length and that many bytes of
  // UTF-8, or `CHI_SHM_NULL`; read it with `chi_ipc.task_message`.
  chi_shm_ptr message_;
  // The task's outcome. Valid once the task is complete. Until its first submission: 0, or the
  // layout that its client was built with, `CHI_TASK_LAYOUT`.
  chi_status status_;
  // The completion word: `CHI_TASK_*`. Access it only atomically.
  uint32_t state_;
} chi_task;

// `chi_task.status_`, before a task is first submitted, bit: the rest is the layout of the task as its
// client was built with it. The runtime compares it with the module's before it reads the body, and
// a task with another layout ends with `CHI_VERSION`. Clients that leave 0 there are not checked.
#define CHI_TASK_LAYOUT 2147483648

// `chi_task.status_`, with `CHI_TASK_LAYOUT`: the bits from this one up are the size of the task in
// units of 8 bytes. Those below are the fingerprint of its description in `chimaera_mod.yaml`, or of
// its declaration (`CHI_METHOD_DECLARED`); 0 when its client does not know it.
#define CHI_TASK_LAYOUT_SIZE_SHIFT 19

// Alignment of every task in bytes.
#define CHI_TASK_ALIGN 64

// The maximum size of a task in bytes, not counting the blocks of its strings and vectors.
#define CHI_MAX_TASK_SIZE 16384

#endif  // CHIMAERA_ABI_TASK_H_
