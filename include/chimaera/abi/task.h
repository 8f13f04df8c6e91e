/* A task and its address.
 * Generated from src/abi/task.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_TASK_H_
#define CHIMAERA_ABI_TASK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/shm.h"
#include "chimaera/abi/status.h"

// The name of a pool as a number: unique among all pools of a runtime's life, never reused.
// All zero names no pool.
typedef struct chi_pool_id {
  // Slot in the pool table. The admin pool has slot 1.
  uint32_t major_;
  // Which of the pools that have had this slot.
  uint32_t minor_;
} chi_pool_id;

// The admin pool, which every runtime has from its start to its end.
#define CHI_ADMIN_POOL_MAJOR 1

// Where a task stands in the tree of tasks that one call from an application started.
typedef struct chi_task_node {
  // The root task's number, unique in its session.
  uint64_t root_;
  // 0 for the root, 1 for its subtasks, and so on.
  uint32_t depth_;
  // The node on which the root was made. 0 on a single node.
  uint32_t node_;
} chi_task_node;

// `chi_domain_query.kind_`: the runtime chooses (it asks the module's `kGlobalSchedule` monitor).
#define CHI_DOMAIN_DYNAMIC 0

// `chi_domain_query.kind_`: the container of this id on this node.
#define CHI_DOMAIN_LOCAL_ID 1

// `chi_domain_query.kind_`: the container on this node that the hash falls to.
#define CHI_DOMAIN_LOCAL_HASH 2

// `chi_domain_query.kind_`: the container of this id, on whichever node.
#define CHI_DOMAIN_GLOBAL_ID 3

// `chi_domain_query.kind_`: the container that the hash falls to, on whichever node.
#define CHI_DOMAIN_GLOBAL_HASH 4

// `chi_domain_query.kind_`: every container of the pool.
#define CHI_DOMAIN_GLOBAL_BCAST 5

// Which containers of a pool a task is for.
typedef struct chi_domain_query {
  // One of `CHI_DOMAIN_*`.
  uint32_t kind_;
  // The container id or the hash; 0 where the kind has neither.
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

// `chi_task.state_`: made, not submitted.
#define CHI_TASK_IDLE 0

// `chi_task.state_`, bit: submitted, and not complete.
#define CHI_TASK_IN_FLIGHT 1

// `chi_task.state_`, bit: complete; body, status and message are final.
#define CHI_TASK_COMPLETE 2

// `chi_task.state_`, bit: a thread of the client sleeps on this word.
#define CHI_TASK_PARKED 4

// `chi_task.state_`, bit, with complete: the runtime holds blocks for this task until its release.
#define CHI_TASK_HAS_BLOCKS 8

// `chi_task.state_`, with `CHI_TASK_HAS_BLOCKS`: from this bit up stands the number under which the
// runtime holds the blocks.
#define CHI_TASK_HOLD_SHIFT 8

// `chi_task.state_`, bit, with in flight: the client asks for the task's cancellation
// (`chi_ipc.cancel`).
#define CHI_TASK_CANCEL 16

// `chi_task.task_flags_`: the method runs every `period_ns_` nanoseconds, from now on, until the task
// is cancelled or deleted, a run fails, its pool is destroyed or its client ends. Each run finds the
// task as the one before left it. Runs do not drift: the n-th is due n periods after the first. When
// one takes longer than the period, those that it misses are left out. The task completes, for
// whoever waits for it, when it stops.
#define CHI_TASK_PERIODIC 1

// `chi_task.task_flags_`: nobody waits for the task: once submitted it is no longer the caller's, and
// is freed at its completion. When it fails, the runtime's log says so.
#define CHI_TASK_FIRE_AND_FORGET 2

// `chi_task.task_flags_`: throughput matters for this task, its latency does not. It goes to the
// container's lanes and to the workers for such tasks, where there are any, and otherwise runs after
// those that wait for an answer.
#define CHI_TASK_HIGH_LATENCY 4

// `chi_task.task_flags_`: the task is of no use later than `period_ns_` nanoseconds after its
// submission: it then does not start any more, or is cancelled, and ends with `CHI_DEADLINE`. Not
// together with `CHI_TASK_PERIODIC`.
#define CHI_TASK_DEADLINE 8

// The shortest period of a periodic task in nanoseconds.
#define CHI_MIN_PERIOD_NS 10000

// What every task begins with. A task's own fields follow at once: this struct is 64 bytes, one
// cache line, and has no padding.
//
// Made by `chi_ipc.new_task`, deleted by `chi_ipc.del_task`. From enqueue to completion it belongs
// to the runtime: the client neither reads nor writes it, apart from the state word.
typedef struct chi_task {
  // The pool that the task is for.
  struct chi_pool_id pool_;
  // Its place in the tree of tasks.
  struct chi_task_node task_node_;
  // Which containers of the pool.
  struct chi_domain_query dom_query_;
  // The method's number.
  uint32_t method_;
  // Properties of the task: `CHI_TASK_PERIODIC`, `CHI_TASK_FIRE_AND_FORGET`,
  // `CHI_TASK_HIGH_LATENCY`, `CHI_TASK_DEADLINE`.
  struct chi_bitfield task_flags_;
  // For a periodic task, the period; for one with a deadline, the time that it has. In nanoseconds.
  uint64_t period_ns_;
  // While a task with a deadline is on its way: when the deadline passes, in nanoseconds of
  // `CLOCK_MONOTONIC`. When the task failed: a block of a `u32` length and so many bytes of UTF-8, or
  // `CHI_SHM_NULL`. Read it with `chi_ipc.task_message`.
  chi_shm_ptr message_;
  // The outcome, valid once the task is complete.
  chi_status status_;
  // The completion word: `CHI_TASK_*`. Only ever accessed atomically.
  uint32_t state_;
} chi_task;

// Alignment of every task in bytes.
#define CHI_TASK_ALIGN 64

// The largest task in bytes, its strings and vectors not counted.
#define CHI_MAX_TASK_SIZE 16384

#endif  // CHIMAERA_ABI_TASK_H_
