/* The C contract of Chimaera: types, status codes, and the tables of functions that modules and
 * clients are built on. Generated from src/abi and src/client/c by `make headers`; do not edit.
 *
 * Each function says which thread may call it: [any thread], [worker] (a thread of the runtime that
 * runs a method or a monitor), [loader] (the thread that loads a module or builds a container).
 * Strings are UTF-8. Nothing here throws. */

#ifndef CHIMAERA_ABI_H_
#define CHIMAERA_ABI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* A lane: a private queue of a container. Opaque; lives as long as its container. */
typedef struct chi_lane chi_lane;
/* A lock that suspends the tasks that wait for it. Opaque. */
typedef struct chi_lock chi_lock;
/* What a task waits for until some thread sets it. Opaque. */
typedef struct chi_event chi_event;
/* What a worker looks at in its rounds. Opaque. */
typedef struct chi_poller chi_poller;

// Major version of the contract. A module loads only into a runtime of the same major version.
#define CHI_ABI_MAJOR 1

// Minor version of the contract. It rises when a table or a struct that begins with its size grows;
// a module and a runtime of different minors use what both know.
#define CHI_ABI_MINOR 1

// Admin method: create a pool or find the one that exists (`chi_create_task`).
#define CHI_ADMIN_CREATE_POOL 10

// Admin method: destroy a pool (`chi_destroy_task`).
#define CHI_ADMIN_DESTROY_POOL 11

// Admin method: find a pool by its name (`chi_find_task`).
#define CHI_ADMIN_FIND_POOL 12

// Admin method: stop the runtime (`chi_task`, nothing more). It completes before the runtime ends.
#define CHI_ADMIN_STOP 13

// Admin method: describe the runtime as JSON (`chi_describe_task`).
#define CHI_ADMIN_DESCRIBE 14

// The most containers of a pool on a node.
#define CHI_MAX_CONTAINERS 4096

// `chi_describe_task.subject_`: the pools.
#define CHI_DESCRIBE_POOLS 1

// `chi_describe_task.subject_`: the modules found, and the files refused and why.
#define CHI_DESCRIBE_MODULES 2

// `chi_describe_task.subject_`: sessions, memory, workers.
#define CHI_DESCRIBE_RUNTIME 3

// `chi_container_ops.serialize`: write what the caller gives.
#define CHI_SERIALIZE_SAVE_IN 0

// `chi_container_ops.serialize`: read what the caller gave.
#define CHI_SERIALIZE_LOAD_IN 1

// `chi_container_ops.serialize`: write what the method found.
#define CHI_SERIALIZE_SAVE_OUT 2

// `chi_container_ops.serialize`: read what the method found.
#define CHI_SERIALIZE_LOAD_OUT 3

// `chi_host.event_wait`: a cancellation of the task does not end the wait.
#define CHI_EVENT_UNINTERRUPTED 1

// Mode of a lock: others that share it may hold it, too.
#define CHI_LOCK_SHARED 1

// Mode of a lock: nobody else may hold it.
#define CHI_LOCK_EXCLUSIVE 2

// `chi_host.log`: something failed.
#define CHI_LOG_ERROR 1

// `chi_host.log`: something is not as it should be.
#define CHI_LOG_WARN 2

// `chi_host.log`: a normal event worth knowing.
#define CHI_LOG_INFO 3

// `chi_host.log`: for the module's author.
#define CHI_LOG_DEBUG 4

// `chi_host.create_queue`: for tasks with `CHI_TASK_HIGH_LATENCY`.
#define CHI_QUEUE_HIGH_LATENCY 1

// `chi_ipc.wait`: no bound. The wait still ends, with `CHI_UNAVAILABLE`, when the runtime does.
#define CHI_WAIT_FOREVER UINT64_MAX

// The magic number of a `chi_module_descriptor`, `"ChiMod"` and a zero byte twice, little-endian.
#define CHI_MODULE_MAGIC 110429202901059

// `chi_module_descriptor.language`: C++.
#define CHI_LANG_CPP 1

// `chi_module_descriptor.language`: Rust.
#define CHI_LANG_RUST 2

// `chi_module_descriptor.language`: C, or anything else that speaks the contract.
#define CHI_LANG_C 3

// The method that the runtime runs once per container, with the creating task, when a pool is created.
#define CHI_METHOD_CREATE 0

// The method that the runtime runs once per container before a pool is destroyed.
#define CHI_METHOD_DESTROY 1

// Called after a node failed.
#define CHI_METHOD_NODE_FAILURE 2

// Called to recover a container's state.
#define CHI_METHOD_RECOVER 3

// Called to move a container.
#define CHI_METHOD_MIGRATE 4

// Called to hand a container's state to a newer module.
#define CHI_METHOD_UPGRADE 5

// The first number for methods of a module's own. Tasks from clients name only such methods.
#define CHI_METHOD_CUSTOM 10

// No method's number reaches this.
#define CHI_METHOD_LIMIT 4096

// `chi_method.flags_`: the container runs it. Without it, a task that names it ends with
// `CHI_UNSUPPORTED`.
#define CHI_METHOD_SUPPORTED 1

// `chi_method.flags_`: the module has a monitor for it; without one the runtime picks a lane itself.
#define CHI_METHOD_MONITORED 2

// `chi_method.flags_`: the module puts the results of a broadcast together itself, with
// `chi_container_ops.aggregate`. Without it, a broadcast returns what container 0 returned. Since ABI
// 1.1.
#define CHI_METHOD_AGGREGATED 4

// `chi_method.flags_`: `chi_container_ops.serialize` works on its tasks. Since ABI 1.1.
#define CHI_METHOD_SERIALIZED 8

// Mode of a monitor: choose a lane for the task on this node.
#define CHI_MONITOR_LOCAL_SCHEDULE 0

// Mode of a monitor: rewrite the task's domain query.
#define CHI_MONITOR_GLOBAL_SCHEDULE 1

// Mode of a monitor: estimate how long the task will run.
#define CHI_MONITOR_EST_LOAD 2

// The shared pointer that points nowhere.
#define CHI_SHM_NULL 0

// How many low bits of a `chi_shm_ptr` are the offset.
#define CHI_SHM_OFFSET_BITS 48

// `chi_field_layout.kind_`: the field is a `chi_shm_string`.
#define CHI_FIELD_STRING 1

// `chi_field_layout.kind_`: the field is a `chi_shm_vector`.
#define CHI_FIELD_VECTOR 2

// How deep vectors may lie in vectors. A module that declares more is refused.
#define CHI_MAX_FIELD_DEPTH 4

// It worked.
#define CHI_OK 0

// A method failed: it threw, panicked, or said so. The message tells why.
#define CHI_FAILED 1

// An argument or a task is malformed.
#define CHI_INVALID 2

// No pool has this name or id (it may have been destroyed).
#define CHI_NO_POOL 3

// The module has no method of this number.
#define CHI_NO_METHOD 4

// The module declares this method as unsupported (`-1` in `chimaera_mod.yaml`), or it cannot be
// called from here.
#define CHI_UNSUPPORTED 5

// No module of this name is loaded.
#define CHI_NO_MODULE 6

// The name is taken, by a pool of another module or with other parameters.
#define CHI_EXISTS 7

// The segment has no room left. Deleting tasks and freeing buffers makes room again.
#define CHI_NO_SPACE 8

// Larger than the segment (or a limit) could ever hold.
#define CHI_TOO_LARGE 9

// The submission ring is full. Waiting makes room.
#define CHI_RING_FULL 10

// The bound passed before it was done. The task goes on.
#define CHI_TIMEOUT 11

// There is no runtime, or it has ended.
#define CHI_UNAVAILABLE 12

// Not allowed for this user or from this place.
#define CHI_DENIED 13

// The two sides speak different versions.
#define CHI_VERSION 14

// The process was forked after it connected; only the parent may use the session.
#define CHI_FORKED 15

// `chi_init` has not been called, or has not succeeded.
#define CHI_NOT_INITIALIZED 16

// The task never ran, or ended early: it was cancelled, its pool was destroyed, its client has gone, or
// the runtime is stopping.
#define CHI_CANCELLED 17

// What was asked for is not there (a key, for example).
#define CHI_NOT_FOUND 18

// The operating system refused something; the message has its reason.
#define CHI_IO 19

// It is in use: a task in flight, say.
#define CHI_BUSY 20

// A defect in Chimaera itself. Please report it with the message.
#define CHI_INTERNAL 21

// The task's deadline passed before it was done.
#define CHI_DEADLINE 22

// Tasks wait for each other in a circle; the message names them. This one was chosen to fail.
#define CHI_DEADLOCK 23

// The method did something that no language catches: it overflowed its stack.
#define CHI_FAULT 24

// The first number that a module may use for statuses of its own.
#define CHI_MODULE_STATUS 1000

// The admin pool, which every runtime has from its start to its end.
#define CHI_ADMIN_POOL_MAJOR 1

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

// Alignment of every task in bytes.
#define CHI_TASK_ALIGN 64

// The largest task in bytes, its strings and vectors not counted.
#define CHI_MAX_TASK_SIZE 16384

// The outcome of a call or of a task: `CHI_OK`, another of the codes of this header, or a module's own.
//
// Numbers from `CHI_MODULE_STATUS` up belong to modules, which may return them from their methods
// as they like; Chimaera passes them on unchanged.
typedef int32_t chi_status;

// How to connect. Zero it, then set what matters.
typedef struct chi_client_options {
  // `sizeof(chi_client_options)`.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // The runtime's instance. Null takes `$CHI_INSTANCE`, or else `default`.
  const char *instance;
  // Bytes of the session's segment. 0 takes the default, 128 MiB; half of it is for what the client
  // sends, half for what methods return. Memory is used only as far as it is touched.
  uint64_t segment_size;
  // How long to wait for a runtime that is not there yet, in nanoseconds. 0 fails at once.
  uint64_t connect_timeout_ns;
} chi_client_options;

// The name of a pool as a number: unique among all pools of a runtime's life, never reused.
// All zero names no pool.
typedef struct chi_pool_id {
  // Slot in the pool table. The admin pool has slot 1.
  uint32_t major_;
  // Which of the pools that have had this slot.
  uint32_t minor_;
} chi_pool_id;

// Where a task stands in the tree of tasks that one call from an application started.
typedef struct chi_task_node {
  // The root task's number, unique in its session.
  uint64_t root_;
  // 0 for the root, 1 for its subtasks, and so on.
  uint32_t depth_;
  // The node on which the root was made. 0 on a single node.
  uint32_t node_;
} chi_task_node;

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

// A shared pointer: the segment's number in the upper 16 bits, the offset in the lower 48.
// `CHI_SHM_NULL` points nowhere. It means the same in every process of a session.
typedef uint64_t chi_shm_ptr;

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

// A buffer: where it lies for every process of the session, and where it lies here.
//
// Made by `chi_ipc.alloc`, and given back by `chi_ipc.free` unless it was allocated for a task.
typedef struct chi_buffer {
  // The buffer as a shared pointer.
  chi_shm_ptr shm_;
  // The buffer's address in this process.
  void *data_;
  // Usable bytes.
  uint64_t size_;
} chi_buffer;

// How a pool is created. Zero it, then set what matters.
typedef struct chi_pool_options {
  // `sizeof(chi_pool_options)`.
  uint32_t size;
  // How many containers the pool has, at most `CHI_MAX_CONTAINERS`. 0 is 1.
  uint32_t containers;
} chi_pool_options;

// The functions by which any code, in an application or inside a module, makes and sends tasks.
//
// libchimaera_client implements it for applications, the runtime for modules, so a module's client
// code runs unchanged in both. Get it from `chi_ipc_manager()` or `CHI_IPC_MANAGER`; it lives as
// long as the process. Every function takes the table itself as its first argument. A function that
// returns a status other than `CHI_OK` has left a message for `last_error`.
typedef struct chi_ipc {
  // `sizeof(chi_ipc)` on the side that made it. Read a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Makes a task of `size` bytes, zeroed but for a fresh `task_node_`, aligned to
  // `CHI_TASK_ALIGN`. The caller owns it until `del_task`. Errors: `CHI_NO_SPACE`,
  // `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`. `[any thread]`
  chi_status (*new_task)(const struct chi_ipc *ipc, uint32_t size, struct chi_task **task);
  // Deletes a task and everything that was allocated for it, by either side. On a task in flight
  // it takes effect at the task's completion. Null is ignored. `[any thread]`
  void (*del_task)(const struct chi_ipc *ipc, struct chi_task *task);
  // Submits a task. When the ring is full, waits for room up to a bound (10 s), then returns
  // `CHI_RING_FULL`, and the task is not submitted. A task may be submitted again once it is
  // complete; strings and vectors that its last run wrote are then there for the next one, those of
  // earlier runs only if the client wrote them. Other errors: `CHI_BUSY` when the task is in flight,
  // `CHI_UNAVAILABLE`, `CHI_FORKED`. `[any thread]`
  chi_status (*enqueue)(const struct chi_ipc *ipc, struct chi_task *task);
  // Like `enqueue`, but returns `CHI_RING_FULL` at once when the ring is full. `[any thread]`
  chi_status (*try_enqueue)(const struct chi_ipc *ipc, struct chi_task *task);
  // Waits until the task is complete, at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`: no
  // bound). Inside a method it suspends the task that waits, not the worker. Returns `CHI_OK`
  // when the task is complete, whatever its own status; `CHI_TIMEOUT` when it is not and goes on;
  // `CHI_UNAVAILABLE` when the runtime has ended (the task is then over too); `CHI_INVALID` when
  // it was never submitted, or in a monitor, which cannot wait. In methods one task at a time may
  // wait for another; the next gets `CHI_BUSY`. `[any thread]`
  chi_status (*wait)(const struct chi_ipc *ipc, struct chi_task *task, uint64_t timeout_ns);
  // The message of a complete task, as `*len` bytes of UTF-8 that are not terminated by a zero;
  // `*len` is 0 when there is none. Valid until the task is deleted or submitted again.
  // `[any thread]`
  const char *(*task_message)(const struct chi_ipc *ipc, const struct chi_task *task, uint64_t *len);
  // Allocates `size` bytes, aligned to 64, not zeroed. With an `owner`, the block belongs to that
  // task and goes with it; in a method, for the method's own task, it lies in the client's
  // segment, so that the client sees it. With a null `owner`, it is the caller's until `free`.
  // A size of 0 gives `CHI_SHM_NULL` and null data. Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`,
  // `CHI_UNAVAILABLE`, `CHI_FORKED`. `[any thread]`
  chi_status (*alloc)(const struct chi_ipc *ipc,
                      struct chi_task *owner,
                      uint64_t size,
                      struct chi_buffer *buffer);
  // Gives back a buffer that was allocated without an owner. No task in flight may refer to it.
  // `[any thread]`
  void (*free)(const struct chi_ipc *ipc, const struct chi_buffer *buffer);
  // The address of a shared pointer in this process, or null when it points nowhere.
  // `[any thread]`
  void *(*resolve)(const struct chi_ipc *ipc, chi_shm_ptr shm);
  // A fresh node: in an application the root of a new tree; in a method, a child of the task that
  // is running. `[any thread]`
  void (*make_task_node)(const struct chi_ipc *ipc, struct chi_task_node *node);
  // Creates the pool `name` of the module `module` (`"repo:module"`) with `params_len` bytes of
  // parameters, or finds it when it exists with the same module and parameters. Waits until it is
  // ready. Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (name, or parameters that are not the
  // module's), `CHI_BUSY` when another task still creates or destroys a pool of that name after 40
  // seconds, whatever the container's construction returned, and those of `wait`. `[any thread]`
  chi_status (*create_pool)(const struct chi_ipc *ipc,
                            const char *module,
                            const char *name,
                            const void *params,
                            uint64_t params_len,
                            struct chi_pool_id *id);
  // Finds a pool by its name. Errors: `CHI_NO_POOL` and those of `wait`. `[any thread]`
  chi_status (*find_pool)(const struct chi_ipc *ipc, const char *name, struct chi_pool_id *id);
  // Destroys a pool. Its tasks that have not started end with `CHI_CANCELLED`, running ones end by
  // themselves first. Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), and those of `wait`.
  // `[any thread]`
  chi_status (*destroy_pool)(const struct chi_ipc *ipc, const struct chi_pool_id *id);
  // The message of the last call on this thread that failed, terminated by a zero, never null.
  // Valid until the next call on this thread. `[any thread]`
  const char *(*last_error)(const struct chi_ipc *ipc);
  // Like `alloc` with an `owner`, for a block that will itself hold strings or vectors: inside a
  // method it lies in the runtime's private memory, where the client cannot change a descriptor
  // under the method, and goes into the segment at completion. `[any thread]`
  chi_status (*alloc_elements)(const struct chi_ipc *ipc,
                               struct chi_task *owner,
                               uint64_t size,
                               struct chi_buffer *buffer);
  // Like `create_pool`, as `options` say, which are not null. A pool that exists with another number
  // of containers is `CHI_EXISTS`; more than `CHI_MAX_CONTAINERS` are `CHI_INVALID`. Since ABI 1.1.
  // `[any thread]`
  chi_status (*create_pool_with)(const struct chi_ipc *ipc,
                                 const char *module,
                                 const char *name,
                                 const void *params,
                                 uint64_t params_len,
                                 const struct chi_pool_options *options,
                                 struct chi_pool_id *id);
  // Submits the `count` tasks at `tasks` in order, like `enqueue`, but wakes the runtime once for
  // all of them. Stores in `*submitted` how many were submitted: all, unless it fails; the others
  // are still the caller's. Since ABI 1.1. `[any thread]`
  chi_status (*enqueue_batch)(const struct chi_ipc *ipc,
                              struct chi_task *const *tasks,
                              uint64_t count,
                              uint64_t *submitted);
  // Like `wait` for each of the `count` tasks at `tasks`, with one bound for all. Since ABI 1.1.
  // `[any thread]`
  chi_status (*wait_all)(const struct chi_ipc *ipc,
                         struct chi_task *const *tasks,
                         uint64_t count,
                         uint64_t timeout_ns);
  // Asks for a task's cancellation, and returns at once. A task that has not started never does; one
  // that is suspended goes on, with the wait that suspends it over (a wait for other tasks cancels
  // these, and is over when they are); one that runs sees it when it next waits, or when it asks.
  // The task completes exactly once, with `CHI_CANCELLED` or with what its method makes of it; `wait`
  // tells. A task that is complete, or was never submitted, is left as it is. Errors:
  // `CHI_UNAVAILABLE`, `CHI_FORKED`. Since ABI 1.1. `[any thread]`
  chi_status (*cancel)(const struct chi_ipc *ipc, struct chi_task *task);
  // Sleeps for `duration_ns` nanoseconds; inside a method, suspends the task and not the worker. In a
  // method it returns `CHI_CANCELLED`, early, when the task is cancelled. Since ABI 1.1.
  // `[any thread]`
  chi_status (*sleep)(const struct chi_ipc *ipc, uint64_t duration_ns);
  // Lets others run, then goes on: inside a method, other tasks of its worker; elsewhere, other
  // threads. In a method it returns `CHI_CANCELLED` when the task is cancelled: it should come to its
  // end. Since ABI 1.1. `[any thread]`
  chi_status (*yield_now)(const struct chi_ipc *ipc);
} chi_ipc;

// Gives, for the thread that calls, the table of the worker that it is, or null.
typedef const struct chi_ipc *(*chi_worker_ipc_fn)(void);

// A vector inside a task: bytes, or elements of a fixed size.
//
// It owns nothing: its block belongs to the task that it lies in and goes with it; it may also point
// into the middle of such a block. Inside a method, the runtime has already checked pointer, length
// and capacity, and they cannot change any more; the bytes that they point to can, because the client
// may write to them at any time.
typedef struct chi_shm_vector {
  // The block as a shared pointer.
  chi_shm_ptr shm_;
  // The block's address in this process.
  void *data_;
  // Bytes in use. The number of elements times their size.
  uint64_t size_;
  // Bytes that the block holds.
  uint64_t capacity_;
  // Distance in bytes from the start of the task to this struct, for a vector that lies directly
  // in the task's body; 0 for one that lies in another vector's block.
  uint32_t offset_in_task_;
  // Zero.
  uint32_t reserved_;
} chi_shm_vector;

// A string inside a task: `size_` bytes, not terminated by a zero. Otherwise like
// `chi_shm_vector`.
typedef struct chi_shm_string {
  // The bytes.
  struct chi_shm_vector bytes_;
} chi_shm_string;

// Where the bytes of a task go to, or come from. Whoever calls `chi_container_ops.serialize` makes
// it; a module only calls its functions, during that call and on its thread. The bytes are those of
// docs/wire-format.md.
typedef struct chi_archive {
  // `sizeof(chi_archive)` in the runtime. Call a later function only when it is covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Appends a copy of `len` bytes. `CHI_INVALID` when the archive is for reading, `CHI_NO_SPACE`,
  // `CHI_TOO_LARGE`. `[worker]`
  chi_status (*write)(struct chi_archive *archive, const void *data, uint64_t len);
  // Copies the next `len` bytes to `data`; when fewer remain it is `CHI_INVALID`, and none are
  // taken. `[worker]`
  chi_status (*read)(struct chi_archive *archive, void *data, uint64_t len);
  // How many bytes remain to be read; 0 when the archive is for writing. `[worker]`
  uint64_t (*remaining)(const struct chi_archive *archive);
} chi_archive;

// What a poller does when its worker calls it, with the context that it was added with: send out what
// is to be sent, take in what has come, set events. It is brief, waits for nothing, and returns true
// when there was something. `[worker]`
typedef bool (*chi_poll_fn)(void *context);

// What the runtime offers a container beyond the IPC manager. Passed to `chi_module`; lives as long
// as the process. Every function takes the table itself first.
typedef struct chi_host {
  // `sizeof(chi_host)` in the runtime. Read a later function only when it is covered.
  uint32_t size;
  // The runtime's `CHI_ABI_MAJOR`.
  uint32_t abi_major;
  // The runtime's `CHI_ABI_MINOR`.
  uint32_t abi_minor;
  // Zero.
  uint32_t reserved;
  // Says why the call that is about to fail fails: `len` bytes of UTF-8, copied. The runtime reads
  // it when a function of the module, on this thread, then returns null or a status other than
  // `CHI_OK`. `[loader]` `[worker]`
  void (*set_error)(const struct chi_host *host, const char *text, uint64_t len);
  // Writes a line to the runtime's log: `len` bytes of UTF-8, copied. `level` is `CHI_LOG_*`.
  // `[any thread]`
  void (*log)(const struct chi_host *host, uint32_t level, const char *text, uint64_t len);
  // The IPC manager for this thread, or null when the thread is not running a module's code.
  // Lives as long as the process. `[any thread]`
  const struct chi_ipc *(*ipc)(const struct chi_host *host);
  // Gives the container that is being built a queue of `n_lanes` lanes (1 to 65536), and stores
  // the lanes' addresses in `lanes`, an array of `n_lanes`. `queue_id` is the caller's choice.
  // `flags` is zero or `CHI_QUEUE_HIGH_LATENCY`. Only from construction, `init`, and the method `kCreate`. Errors:
  // `CHI_INVALID`, `CHI_EXISTS`. `[loader]` `[worker]`
  chi_status (*create_queue)(const struct chi_host *host,
                             const struct chi_pool_id *pool_id,
                             uint32_t queue_id,
                             uint32_t n_lanes,
                             uint32_t flags,
                             chi_lane **lanes);
  // Lets other tasks of this worker run, then goes on. Returns `CHI_CANCELLED` when the task is
  // cancelled, its client has gone, its pool is being destroyed or the runtime is stopping: the method
  // should come to its end. `[worker]`
  chi_status (*yield_now)(const struct chi_host *host);
  // An optional feature by its id, or null when the runtime does not have it. `[any thread]`
  const void *(*extension)(const struct chi_host *host, const char *id);
  // Which container of its pool the code that calls belongs to, from 0, and how many containers the
  // pool has. While a container is built (construction, `init`, `kCreate`) it is that one, in a
  // method the running task's; a monitor asked by another container's method does not learn its own.
  // Neither pointer is null. Error: `CHI_INVALID`, elsewhere. Since ABI 1.1. `[loader]` `[worker]`
  chi_status (*container_id)(const struct chi_host *host, uint32_t *id, uint32_t *count);
  // Makes a lock that suspends the tasks that wait for it, and never their worker. The caller owns it
  // until `lock_free`.
  //
  // A lock is held by roots: all tasks that one task of a client led to pass together, so that a task
  // may hold a lock and wait for another that takes it, too. Roots are served in the order in which
  // they asked; who asks for it shared does not overtake who waits for it exclusively. Only a root
  // that holds it already has it again at once. One that has it shared and asks for it exclusively
  // waits until it is the only holder; two that do so wait for each other. Tasks that wait for each
  // other's locks in a circle are found, within about half a second: the wait of one of them ends with
  // `CHI_CANCELLED`, and its task with `CHI_DEADLOCK`.
  //
  // What a task still holds when its method ends, in whichever way, is given back. Since ABI 1.1.
  // `[any thread]`
  chi_lock *(*lock_new)(const struct chi_host *host);
  // Frees a lock; null is ignored. Who waits for it gets `CHI_CANCELLED`, who holds it gives it back
  // at its method's end. No call on the lock may come later. On a thread that is no worker, only while
  // no task waits for it. Since ABI 1.1. `[any thread]`
  void (*lock_free)(const struct chi_host *host, chi_lock *lock);
  // Takes a lock for the running task; `mode` is `CHI_LOCK_*`. A task may take it many times, and in
  // both modes; each time wants an `unlock`. While others hold it, the task is suspended, at most
  // `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`. Errors: `CHI_TIMEOUT`;
  // `CHI_CANCELLED` when the task is cancelled while it waits, its client has gone, its pool is being
  // destroyed or the runtime is stopping, or the lock is freed; `CHI_INVALID` when no task is
  // running, or `mode` is none. Since ABI 1.1. `[worker]`
  chi_status (*lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode, uint64_t timeout_ns);
  // Like `lock`, but returns `CHI_BUSY` at once where that would wait. Since ABI 1.1. `[worker]`
  chi_status (*try_lock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // Gives a lock back that the running task took in this mode. Error: `CHI_INVALID` when it has not,
  // even if another task of its root has. Since ABI 1.1. `[worker]`
  chi_status (*unlock)(const struct chi_host *host, chi_lock *lock, uint32_t mode);
  // True when the running task is cancelled: it should come to its end. For methods that compute for
  // long without waiting. Since ABI 1.1. `[worker]`
  bool (*is_cancelled)(const struct chi_host *host);
  // Makes an event, not set, by which any thread ends the wait of a task. The caller owns it until
  // `event_free`. Null when no worker calls. Since ABI 1.1. `[worker]`
  chi_event *(*event_new)(const struct chi_host *host);
  // Frees an event that no task waits for; null is ignored. Whoever has waited for it may free it at
  // once, also while the call that set it has not returned. Since ABI 1.1. `[any thread]`
  void (*event_free)(const struct chi_host *host, chi_event *event);
  // Suspends the running task until the event is set, and unsets it; returns at once when it is set
  // already. It takes at most `timeout_ns` nanoseconds unless that is `CHI_WAIT_FOREVER`. `flags` is
  // zero or `CHI_EVENT_UNINTERRUPTED`, for what is sure to come and must have come before the method
  // ends. One task at a time may wait. Errors: `CHI_TIMEOUT`; `CHI_CANCELLED` when the task is
  // cancelled, its client has gone, its pool is being destroyed or the runtime is stopping; `CHI_BUSY`
  // when another task waits for it; `CHI_INVALID` when no task is running, or for another flag. After
  // an error the event is as it was. Since ABI 1.1. `[worker]`
  chi_status (*event_wait)(const struct chi_host *host,
                           chi_event *event,
                           uint32_t flags,
                           uint64_t timeout_ns);
  // Sets an event: whoever waits for it goes on, or else whoever waits for it next. Since ABI 1.1.
  // `[any thread]`
  void (*event_set)(const struct chi_host *host, chi_event *event);
  // Gives this worker something to look at, not yet armed, and stores it in `poller`. While it is
  // armed, the worker calls `poll` whenever it has nothing else to do, and now and then when it has.
  // Before it sleeps it watches `fd`, edge-triggered, for becoming readable; -1 is none. The context,
  // and an open `fd`, stay until `poller_remove`. Errors: `CHI_INVALID` when no worker calls, or `fd`
  // cannot be watched. Since ABI 1.1. `[worker]`
  chi_status (*poller_add)(const struct chi_host *host,
                           int32_t fd,
                           chi_poll_fn poll,
                           void *context,
                           chi_poller **poller);
  // Removes and frees a poller; null is ignored. Its function is not running when this returns, so it
  // must not be called from there. Since ABI 1.1. `[any thread]`
  void (*poller_remove)(const struct chi_host *host, chi_poller *poller);
  // Has the worker call a poller from now on, or not any more; its own function may say so, too.
  // Error: `CHI_INVALID` on another worker than that which added it. Since ABI 1.1. `[worker]`
  chi_status (*poller_arm)(const struct chi_host *host, chi_poller *poller, bool armed);
} chi_host;

// Where a string or a vector lies in a task, or in an element of a vector.
//
// Fields that hold no shared pointers need no entry: the task's body is copied whole.
typedef struct chi_field_layout {
  // Bytes from the start of the task or of the element.
  uint32_t offset_;
  // `CHI_FIELD_STRING` or `CHI_FIELD_VECTOR`.
  uint32_t kind_;
  // Size of one element in bytes, at least 1. For a string, 1.
  uint32_t elem_size_;
  // Alignment of an element in bytes, a power of two, at most 64.
  uint32_t elem_align_;
  // The strings and vectors inside one element; null when there are none. Lives as long as the
  // module.
  const struct chi_field_layout *elem_fields_;
  // How many there are.
  uint32_t n_elem_fields_;
  // Zero.
  uint32_t reserved_;
} chi_field_layout;

// One method of a module.
typedef struct chi_method {
  // Its number, below `CHI_METHOD_LIMIT`.
  uint32_t number_;
  // `CHI_METHOD_SUPPORTED`, `CHI_METHOD_MONITORED`, `CHI_METHOD_AGGREGATED`, `CHI_METHOD_SERIALIZED`.
  uint32_t flags_;
  // Its name, `"kCompress"` for example.
  const char *name_;
  // Size of its task in bytes, `chi_task` included. 0 for one that is not supported.
  uint32_t task_size_;
  // How many strings and vectors lie in the task.
  uint32_t n_fields_;
  // Where they lie; null when there are none.
  const struct chi_field_layout *fields_;
} chi_method;

// What a module says of itself. Everything it points to lives as long as the process.
typedef struct chi_module_descriptor {
  // `CHI_MODULE_MAGIC`. First, and never moved.
  uint64_t magic;
  // `sizeof(chi_module_descriptor)` in the module.
  uint32_t size;
  // `CHI_ABI_MAJOR` that the module was built against.
  uint32_t abi_major;
  // `CHI_ABI_MINOR` that the module was built against.
  uint32_t abi_minor;
  // `CHI_LANG_*`.
  uint32_t language;
  // Version of the SDK it was built with, `"0.1.0"`.
  const char *sdk_version;
  // The module's name, `"repo:module"`; the same as `get_module_name()` returns.
  const char *name;
  // The module's own version.
  const char *version;
  // How many methods follow.
  uint32_t n_methods;
  // `sizeof(chi_method)` in the module: the distance from one to the next.
  uint32_t method_stride;
  // The methods, in any order, no number twice.
  const struct chi_method *methods;
  // `sizeof(chi_field_layout)` in the module.
  uint32_t field_stride;
  // Zero.
  uint32_t reserved;
  // Writes to `archive` the one form of a pool's parameters, which may also be text, or equal to the
  // defaults. `CHI_INVALID`, after `chi_host.set_error`, for what are no such parameters. The runtime
  // calls it before it makes a pool or compares it with one that exists; containers get what it
  // wrote. Null when all bytes are parameters, as they are. Must not suspend. Since ABI 1.1.
  // `[worker]`
  chi_status (*params)(const void *params, uint64_t len, struct chi_archive *archive);
} chi_module_descriptor;

// What a method or a monitor is told of the circumstances of its run. Valid until it returns.
typedef struct chi_run_context {
  // `sizeof(chi_run_context)` in the runtime.
  uint32_t size;
  // The worker's number, from 0.
  uint32_t worker_id_;
  // In a `CHI_MONITOR_LOCAL_SCHEDULE` monitor, set this to the lane that the task shall go to; when
  // left null, the runtime picks one. In a method, the lane that the task came through.
  chi_lane *lane_;
  // The runtime's own.
  void *runtime_;
  // In a `CHI_MONITOR_EST_LOAD` monitor, set this to how long the task will run, in nanoseconds, 0 for no
  // time at all. It is `UINT64_MAX` before; when left so, the runtime goes by what it has measured, and
  // asks again only after some tasks. Since ABI 1.1.
  uint64_t est_ns_;
} chi_run_context;

// A container as the runtime sees it: a pointer to its functions, then whatever the module puts
// there.
typedef struct chi_container {
  // Its functions; lives as long as the process.
  const struct chi_container_ops *ops;
} chi_container;

// The functions of a container, in C. One table for all containers of a module.
//
// No function lets an exception or a panic out: it becomes a status, and `chi_host.set_error` has
// its message.
typedef struct chi_container_ops {
  // `sizeof(chi_container_ops)` in the module. The runtime calls a later function only when it is
  // covered.
  uint32_t size;
  // Zero.
  uint32_t reserved;
  // Completes a container that `alloc_state` made. Called once. `[loader]`
  chi_status (*init)(struct chi_container *container,
                     const struct chi_pool_id *pool_id,
                     const char *pool_name);
  // Runs a method on a task. The task is the runtime's private copy, of the size and layout that
  // the method's entry declares. Several may run at once, on the lanes of different workers.
  // `[worker]`
  chi_status (*run)(struct chi_container *container,
                    uint32_t method,
                    struct chi_task *task,
                    struct chi_run_context *rctx);
  // Gives the module its say in where a task goes (`mode` is `CHI_MONITOR_*`). Must not suspend.
  // Called only for methods with `CHI_METHOD_MONITORED`. `[worker]`
  chi_status (*monitor)(struct chi_container *container,
                        uint32_t mode,
                        uint32_t method,
                        struct chi_task *task,
                        struct chi_run_context *rctx);
  // Lets go of what a method attached to the private copy of a task, after the body went back.
  // May be null when there is never anything. `[worker]`
  void (*del)(struct chi_container *container, uint32_t method, struct chi_task *task);
  // Destroys the container and frees it. Called once, last, when no task is in it. `[worker]`
  void (*destroy)(struct chi_container *container);
  // Adds to `task`, a broadcast, what one container made of it: `replica`, a task of the same type
  // that is complete. Called on one container (the first of the node) for each replica in the order
  // of the containers, failed ones too, once all are complete; the replicas are freed afterwards, so
  // what is to stay is copied. Afterwards the first replica whose `status_` is not `CHI_OK` makes the
  // broadcast fail: to let a failure pass, set it to `CHI_OK`. May suspend. Called only for methods
  // with `CHI_METHOD_AGGREGATED`; may be null when there are none. Since ABI 1.1. `[worker]`
  chi_status (*aggregate)(struct chi_container *container,
                          uint32_t method,
                          struct chi_task *task,
                          struct chi_task *replica,
                          struct chi_run_context *rctx);
  // Writes the inputs or the results of a task to an archive, or reads them (`mode` is
  // `CHI_SERIALIZE_*`). A task to read into is zero but for its header and the `offset_in_task_` of
  // its strings and vectors; their blocks are allocated for it through `chi_ipc`. Bytes that are
  // none of such a task are `CHI_INVALID`, and leave it half read. Called only for methods with
  // `CHI_METHOD_SERIALIZED`; may be null when there are none. Since ABI 1.1. `[worker]`
  chi_status (*serialize)(struct chi_container *container,
                          uint32_t method,
                          struct chi_task *task,
                          uint32_t mode,
                          struct chi_archive *archive);
} chi_container_ops;

// The task that creates a pool. Each container's own `kCreate` gets the same task, one after the
// other.
typedef struct chi_create_task {
  // The task.
  struct chi_task task;
  // In: the module's name, `"repo:module"`.
  struct chi_shm_string module_name_;
  // In: the pool's name: 1 to 255 bytes of UTF-8 without control characters.
  struct chi_shm_string pool_name_;
  // In: the module's parameters, bytes that only the module understands. A container gets them in
  // the form that `chi_module_descriptor.params` gives them.
  struct chi_shm_vector params_;
  // Out: the pool.
  struct chi_pool_id pool_id_;
  // Out: 1 when the pool existed before.
  uint32_t existed_;
  // In: how many containers the pool has, at most `CHI_MAX_CONTAINERS`. 0, which is all that ABI
  // 1.0 knew, is 1.
  uint32_t containers_;
} chi_create_task;

// The task that destroys a pool. Each container's own `kDestroy` gets the same task.
typedef struct chi_destroy_task {
  // The task.
  struct chi_task task;
  // In: the pool.
  struct chi_pool_id pool_id_;
} chi_destroy_task;

// The task that finds a pool by its name.
typedef struct chi_find_task {
  // The task.
  struct chi_task task;
  // In: the pool's name.
  struct chi_shm_string pool_name_;
  // Out: the pool.
  struct chi_pool_id pool_id_;
} chi_find_task;

// The task that describes the runtime.
typedef struct chi_describe_task {
  // The task.
  struct chi_task task;
  // In: `CHI_DESCRIBE_*`.
  uint32_t subject_;
  // Zero.
  uint32_t reserved_;
  // Out: a JSON document.
  struct chi_shm_string json_;
} chi_describe_task;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Connects this process to a runtime. `options` may be null for the defaults. Calling it again while
// connected does nothing. When the runtime ends and another takes its place, the next new task
// connects to that one by itself; pools must then be created again. Errors: `CHI_UNAVAILABLE` (no
// runtime), `CHI_DENIED` (another user's, or inside the runtime), `CHI_VERSION`, `CHI_FORKED`,
// `CHI_INVALID`, `CHI_IO`; the message is `chi_last_error`. `[any thread]`
chi_status chi_init(const struct chi_client_options *options);

// Ends the process's session. Tasks in flight are lost; no task and no buffer may be used any more.
// `[any thread]`
void chi_shutdown(void);

// The IPC manager for the thread that calls: the worker's table while a method runs, else the
// process's. Never null, valid for the process's life. Before `chi_init` its functions return
// `CHI_NOT_INITIALIZED`. `[any thread]`
const struct chi_ipc *chi_ipc_manager(void);

// For the runtime, which calls it when a module that it loads has brought this library along:
// `worker_ipc` gives a worker's table, and with `refuse_init` the process is a runtime, in which
// `chi_init` is refused. A null `worker_ipc` takes an earlier one away. `[loader]`
void chi_client_adopt(chi_worker_ipc_fn worker_ipc, bool refuse_init);

// The message of the last call that failed on this thread, never null. Valid until the next call on
// this thread. `[any thread]`
const char *chi_last_error(void);

// The name of a status, `"CHI_NO_POOL"` for example; `"CHI_STATUS"` for a module's own. Valid for the
// process's life. `[any thread]`
const char *chi_status_name(chi_status status);

// Creates the pool `name` of the module `module`, or finds it when it exists with the same module and
// parameters, and stores its id. Names are C strings, not null; `params` may be null when `params_len`
// is 0; `id` is not null. Nothing is kept of the arguments. Errors: `CHI_NO_MODULE`, `CHI_EXISTS`,
// `CHI_INVALID` (a name), what the module's construction returned, `CHI_UNAVAILABLE`, `CHI_FORKED`,
// `CHI_NOT_INITIALIZED`. `[any thread]`
chi_status chi_pool_create(const char *module,
                           const char *name,
                           const void *params,
                           uint64_t params_len,
                           struct chi_pool_id *id);

// Like `chi_pool_create`, as `options` say, which are not null: zero them, set `size`, then what matters.
// A pool that exists with another number of containers is `CHI_EXISTS`, more than `CHI_MAX_CONTAINERS` are
// `CHI_INVALID`; `CHI_VERSION` inside a runtime of ABI 1.0. `[any thread]`
chi_status chi_pool_create_with(const char *module,
                                const char *name,
                                const void *params,
                                uint64_t params_len,
                                const struct chi_pool_options *options,
                                struct chi_pool_id *id);

// Finds a pool by its name, a C string that is not null, and stores its id in `id`, which is not null
// either. Errors: `CHI_NO_POOL`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// `[any thread]`
chi_status chi_pool_find(const char *name,
                         struct chi_pool_id *id);

// Destroys a pool: its tasks that have not started end with `CHI_CANCELLED`, running ones end by
// themselves first. Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), `CHI_BUSY` (still running
// tasks after 30 s; the pool stays), `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
// `[any thread]`
chi_status chi_pool_destroy(struct chi_pool_id id);

// Makes a task of `size` bytes, `sizeof` of a struct that begins with a `chi_task`, for the method
// `method` of the pool `pool`, and stores it in `task`, which is not null. The fields behind its
// `chi_task` are zero. The caller owns the task until `chi_task_delete`. Errors: `CHI_NO_SPACE`,
// `CHI_INVALID` (the size), `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`. `[any thread]`
chi_status chi_task_new(uint64_t size,
                        struct chi_pool_id pool,
                        struct chi_domain_query query,
                        uint32_t method,
                        struct chi_task **task);

// Deletes a task, and with it every block that was allocated for it, by either side; on a task in flight
// that takes effect at its completion. Null is ignored. `[any thread]`
void chi_task_delete(struct chi_task *task);

// Submits a task, which is not null; from now until its completion only `chi_wait`, `chi_is_complete` and
// `chi_task_delete` may be called with it. When the ring is full, waits for room up to 10 s, then
// returns `CHI_RING_FULL`, and the task is still the caller's. Other errors: `CHI_BUSY` (in flight
// already), `CHI_INVALID`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`. `[any thread]`
chi_status chi_submit(struct chi_task *task);

// Like `chi_submit`, but returns `CHI_RING_FULL` at once when the ring is full. `[any thread]`
chi_status chi_try_submit(struct chi_task *task);

// Waits for a task, which is not null, at most `timeout_ns` nanoseconds or `CHI_WAIT_FOREVER`, and returns
// the task's own status when it is complete, with its message as `chi_last_error`. `CHI_TIMEOUT` means
// that it is not complete and goes on; `CHI_UNAVAILABLE` that the runtime has ended, and the task with
// it; `CHI_INVALID` that it was never submitted; `CHI_FORKED`. A module's own status may have the same
// number as one of these: `chi_is_complete` tells. `[any thread]`
chi_status chi_wait(struct chi_task *task,
                    uint64_t timeout_ns);

// True when a task, which is not null, is complete. In a child that was forked after `chi_init`, false.
// `[any thread]`
bool chi_is_complete(const struct chi_task *task);

// Allocates a buffer of `size` bytes in the session's segment, aligned to 64, not zeroed, and stores it in
// `buffer`, which is not null. The caller owns it until `chi_free`. Errors: `CHI_NO_SPACE`,
// `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`. `[any thread]`
chi_status chi_alloc(uint64_t size,
                     struct chi_buffer *buffer);

// Gives a buffer of `chi_alloc` back. No task in flight may refer to it. Null, and a buffer of no bytes,
// are ignored. `[any thread]`
void chi_free(const struct chi_buffer *buffer);

// Gives a vector of a task room for `size` bytes, which then count as in use, uninitialised; what it
// held before is forgotten. `vector` lies in the body of `task`, or in an element of one of its vectors,
// and neither is null. The block goes with the task. Errors: those of `chi_alloc`. `[any thread]`
chi_status chi_vector_resize(struct chi_task *task,
                             struct chi_shm_vector *vector,
                             uint64_t size);

// Gives a vector of a task `count` elements of `elem_size` bytes each, all of them zero: plain zeroes,
// empty strings and empty vectors, which the other functions here then fill in. As `chi_vector_resize`
// otherwise. `[any thread]`
chi_status chi_vector_elements(struct chi_task *task,
                               struct chi_shm_vector *vector,
                               uint64_t count,
                               uint64_t elem_size);

// Sets a vector of a task to a copy of the `size` bytes at `data`, which may be null when `size` is 0. As
// `chi_vector_resize` otherwise. `[any thread]`
chi_status chi_vector_set(struct chi_task *task,
                          struct chi_shm_vector *vector,
                          const void *data,
                          uint64_t size);

// Sets a string of a task to a copy of the C string `text` without its final zero; null is the empty
// string. As `chi_vector_resize` otherwise. `[any thread]`
chi_status chi_string_set(struct chi_task *task,
                          struct chi_shm_string *string,
                          const char *text);

// Sets a vector of strings to copies of the `count` C strings at `texts`, of which null is the empty one;
// `texts` may be null when `count` is 0. As `chi_vector_resize` otherwise. `[any thread]`
chi_status chi_strings_set(struct chi_task *task,
                           struct chi_shm_vector *vector,
                           const char *const *texts,
                           uint64_t count);

// Sets a vector of vectors to copies of `count` arrays of plain elements: the array at `arrays[i]` has
// `counts[i]` elements of `elem_size` bytes, and may be null when it has none. `arrays` and `counts` may
// be null when `count` is 0. As `chi_vector_resize` otherwise. `[any thread]`
chi_status chi_vectors_set(struct chi_task *task,
                           struct chi_shm_vector *vector,
                           const void *const *arrays,
                           const uint64_t *counts,
                           uint64_t elem_size,
                           uint64_t count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CHIMAERA_ABI_H_ */
