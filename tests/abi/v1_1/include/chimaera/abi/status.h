/* Status codes: the outcome of a call or of a task.
 * Generated from src/abi/status.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_STATUS_H_
#define CHIMAERA_ABI_STATUS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The outcome of a call or of a task: `CHI_OK`, an error code of this header, or a status of a
// module.
//
// Numbers from `CHI_MODULE_STATUS` up belong to modules: their methods may return them with any
// meaning, and Chimaera passes them on unchanged.
typedef int32_t chi_status;

// Success.
#define CHI_OK 0

// A method failed: it threw, panicked or returned this status. The message says why.
#define CHI_FAILED 1

// An argument or a task is malformed.
#define CHI_INVALID 2

// No pool has this name or id; it may have been destroyed.
#define CHI_NO_POOL 3

// The module has no method with this number.
#define CHI_NO_METHOD 4

// The module declares this method as unsupported (`-1` in `chimaera_mod.yaml`), or the
// function is not available here.
#define CHI_UNSUPPORTED 5

// No module with this name is loaded.
#define CHI_NO_MODULE 6

// The name is taken by a pool of another module, or by one with other parameters.
#define CHI_EXISTS 7

// The segment is full. Deleting tasks and freeing buffers makes space.
#define CHI_NO_SPACE 8

// Larger than the whole segment, or than another limit.
#define CHI_TOO_LARGE 9

// The submission ring is full. It empties as the runtime accepts tasks: try again.
#define CHI_RING_FULL 10

// The timeout passed first. The task continues.
#define CHI_TIMEOUT 11

// No runtime is running, or it has stopped.
#define CHI_UNAVAILABLE 12

// Not permitted for this user or this caller.
#define CHI_DENIED 13

// Client, runtime or module have incompatible versions.
#define CHI_VERSION 14

// The process was forked after it connected; only the parent may use the session.
#define CHI_FORKED 15

// `chi_init` has not been called, or has failed.
#define CHI_NOT_INITIALIZED 16

// The task never ran, or ended early: it was cancelled, its pool was destroyed, its client has
// gone, or the runtime is stopping.
#define CHI_CANCELLED 17

// The requested item, such as a key, does not exist.
#define CHI_NOT_FOUND 18

// An operating system call failed; the message has the reason.
#define CHI_IO 19

// Still in use: for example, the task is in flight.
#define CHI_BUSY 20

// A bug in Chimaera. Please report it with the message.
#define CHI_INTERNAL 21

// The task's deadline passed before the task was complete.
#define CHI_DEADLINE 22

// Deadlock: tasks wait for each other in a cycle, which the message describes. This one was
// chosen to fail.
#define CHI_DEADLOCK 23

// The method caused a fault that it cannot catch: it overflowed its stack, or caused a signal
// such as SIGSEGV. Or it was not called, because its container has been in quarantine since
// another task caused one.
#define CHI_FAULT 24

// The node that has the container was lost. The message says whether the task may have run.
#define CHI_NODE_LOST 25

// The first number that modules may use for their own statuses.
#define CHI_MODULE_STATUS 1000

// `X(name, text)` for each status, to make tables of them.
#define CHI_STATUSES(X) \
  X(CHI_OK, "success") \
  X(CHI_FAILED, "the method failed") \
  X(CHI_INVALID, "an argument or the task is malformed") \
  X(CHI_NO_POOL, "there is no such pool") \
  X(CHI_NO_METHOD, "the module has no such method") \
  X(CHI_UNSUPPORTED, "the container does not support this method") \
  X(CHI_NO_MODULE, "there is no such module") \
  X(CHI_EXISTS, "the name is already taken") \
  X(CHI_NO_SPACE, "the segment is full") \
  X(CHI_TOO_LARGE, "larger than the segment can hold") \
  X(CHI_RING_FULL, "the submission ring is full") \
  X(CHI_TIMEOUT, "timed out") \
  X(CHI_UNAVAILABLE, "the runtime is not available") \
  X(CHI_DENIED, "permission denied") \
  X(CHI_VERSION, "incompatible versions") \
  X(CHI_FORKED, "the session belongs to the parent process") \
  X(CHI_NOT_INITIALIZED, "chi_init has not been called") \
  X(CHI_CANCELLED, "the task was cancelled") \
  X(CHI_NOT_FOUND, "not found") \
  X(CHI_IO, "an operating system call failed") \
  X(CHI_BUSY, "still in use") \
  X(CHI_INTERNAL, "internal error: this is a bug in Chimaera") \
  X(CHI_DEADLINE, "the task's deadline has passed") \
  X(CHI_DEADLOCK, "deadlock: tasks are waiting for each other") \
  X(CHI_FAULT, "the method crashed or overflowed its stack") \
  X(CHI_NODE_LOST, "the node that has the container was lost")

#endif  // CHIMAERA_ABI_STATUS_H_
