/* Status codes: the outcome of a call or of a task.
 * Generated from src/abi/status.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_STATUS_H_
#define CHIMAERA_ABI_STATUS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The outcome of a call or of a task: `CHI_OK`, another of the codes of this header, or a module's own.
//
// Numbers from `CHI_MODULE_STATUS` up belong to modules, which may return them from their methods
// as they like; Chimaera passes them on unchanged.
typedef int32_t chi_status;

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
  X(CHI_TIMEOUT, "the time ran out") \
  X(CHI_UNAVAILABLE, "the runtime is not available") \
  X(CHI_DENIED, "permission denied") \
  X(CHI_VERSION, "the two sides speak different versions") \
  X(CHI_FORKED, "the session belongs to the parent process") \
  X(CHI_NOT_INITIALIZED, "chi_init has not been called") \
  X(CHI_CANCELLED, "the task was cancelled") \
  X(CHI_NOT_FOUND, "not found") \
  X(CHI_IO, "the operating system refused") \
  X(CHI_BUSY, "still in use") \
  X(CHI_INTERNAL, "a defect in Chimaera") \
  X(CHI_DEADLINE, "the task's deadline has passed") \
  X(CHI_DEADLOCK, "tasks wait for each other in a circle") \
  X(CHI_FAULT, "the method overflowed its stack")

#endif  // CHIMAERA_ABI_STATUS_H_
