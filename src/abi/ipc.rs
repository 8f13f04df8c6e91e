//! The IPC manager: the table of functions with which applications and modules make and send tasks.

use core::ffi::{c_char, c_void};

use crate::{chi_buffer, chi_pool_id, chi_shm_ptr, chi_status, chi_task, chi_task_node};

/// The maximum number of containers of a pool on one node.
pub const CHI_MAX_CONTAINERS: u32 = 4096;

/// Options for creating a pool. Zero the struct, set `size`, then set the options that you need.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct chi_pool_options {
    /// `sizeof(chi_pool_options)`.
    pub size: u32,
    /// The number of containers, at most `CHI_MAX_CONTAINERS`. 0 means 1.
    pub containers: u32,
}

/// `chi_ipc.wait`: no timeout. The wait still ends, with `CHI_UNAVAILABLE`, when the runtime stops.
pub const CHI_WAIT_FOREVER: u64 = u64::MAX;

/// A completion queue: collects tasks as they complete, so that one thread can wait for the first of many. Made by
/// `chi_ipc.completions_new`. It has no fields that others may use. Since ABI 1.2.
#[repr(C)]
pub struct chi_completions {
    _opaque: [u8; 0],
}

/// A task that a completion queue returns. Since ABI 1.2.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct chi_completed {
    /// The task, which is complete, and the caller's again.
    pub task: *mut chi_task,
    /// What `chi_ipc.completions_add` was given with it.
    pub argument: *mut c_void,
}

/// The functions with which applications and modules make and send tasks.
///
/// libchimaera_client implements the table for applications, and the runtime for modules, so a
/// module's client code runs unchanged in both. Get it from `chi_ipc_manager()` or
/// `CHI_IPC_MANAGER`; it lives as long as the process. Every function takes the table itself as its
/// first argument.
///
/// A function that returns a status other than `CHI_OK` has set the message that `last_error`
/// returns. A null argument where null is not allowed gives `CHI_INVALID`, and so does a size out
/// of range. In addition to the errors listed for it, every function that talks to the runtime may
/// return `CHI_UNAVAILABLE` (no runtime, or it has stopped), `CHI_FORKED` (the process was forked
/// after it connected) or `CHI_NOT_INITIALIZED` (it never connected).
#[repr(C)]
pub struct chi_ipc {
    /// `sizeof(chi_ipc)` in the library that implements it. Read a later function only when it is
    /// covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Makes a task of `size` bytes (64 to `CHI_MAX_TASK_SIZE`), aligned to `CHI_TASK_ALIGN`. It is
    /// zero except for a new `task_node_`.
    ///
    /// * Ownership: the caller owns `*task` until `del_task`.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_INVALID` (the size), `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
    /// * Thread: `[any thread]`.
    pub new_task: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        size: u32,
        task: *mut *mut chi_task,
    ) -> chi_status,

    /// Deletes a task and every block that client or runtime allocated for it. If the task is in
    /// flight, it is deleted when it completes.
    ///
    /// * Ownership: the task is no longer the caller's and must not be used again.
    /// * Null: a null `task` is ignored.
    /// * Thread: `[any thread]`.
    pub del_task: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task),

    /// Submits a task. When the ring is full, waits up to 10 seconds for space. A complete task may
    /// be submitted again: its next run then sees the strings and vectors that its last run wrote.
    /// What earlier runs wrote is freed; what the client wrote stays.
    ///
    /// * Ownership: until its completion the task belongs to the runtime: the caller may only wait
    ///   for it, cancel it or delete it. After an error it is still the caller's.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_RING_FULL`; `CHI_BUSY` when the task is in flight; `CHI_INVALID` when the
    ///   pointer does not refer to a task.
    /// * Thread: `[any thread]`.
    pub enqueue: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Like `enqueue`, but returns `CHI_RING_FULL` at once when the ring is full.
    ///
    /// * Ownership: as `enqueue`.
    /// * Null: `task` must not be null.
    /// * Errors: as `enqueue`.
    /// * Thread: `[any thread]`.
    pub try_enqueue: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Waits until the task is complete, at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`: no
    /// timeout). Inside a method it suspends the waiting task, not the worker. Returns `CHI_OK`
    /// when the task is complete, whatever the task's own status.
    ///
    /// * Ownership: a complete task is the caller's again.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_TIMEOUT` when the task is not complete yet, and continues; `CHI_UNAVAILABLE`
    ///   when the runtime has stopped, which ends the task too; `CHI_INVALID` when the task was
    ///   never submitted, or in a monitor, which cannot wait; `CHI_BUSY` in a method, when another
    ///   method is already waiting for the task.
    /// * Thread: `[any thread]`.
    pub wait: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        task: *mut chi_task,
        timeout_ns: u64,
    ) -> chi_status,

    /// The error message of a complete task: `*len` bytes of UTF-8, not zero-terminated. `*len` is
    /// 0 when there is no message.
    ///
    /// * Ownership: the bytes belong to the task, until it is deleted or submitted again.
    /// * Null: neither `task` nor `len` may be null; if one is, the result is an empty message. The
    ///   result is never null.
    /// * Thread: `[any thread]`.
    pub task_message: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        task: *const chi_task,
        len: *mut u64,
    ) -> *const c_char,

    /// Allocates `size` bytes, aligned to 64 and not zeroed. A size of 0 gives `CHI_SHM_NULL` and
    /// null data.
    ///
    /// * Ownership: with an `owner`, the block belongs to that task and is freed with it; in a
    ///   method, a block for the method's own task is allocated in the client's segment, so that
    ///   the client can read it. Without an `owner`, the block is the caller's until `free`.
    /// * Null: `owner` may be null, `buffer` must not.
    /// * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
    /// * Thread: `[any thread]`.
    pub alloc: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        owner: *mut chi_task,
        size: u64,
        buffer: *mut chi_buffer,
    ) -> chi_status,

    /// Frees a buffer that was allocated without an owner. No task in flight may refer to it.
    ///
    /// * Ownership: the block is freed and must not be used again. `*buffer` itself is only read.
    /// * Null: a null `buffer` is ignored, and so is one without data.
    /// * Thread: `[any thread]`.
    pub free: unsafe extern "C" fn(ipc: *const chi_ipc, buffer: *const chi_buffer),

    /// The address in this process that a shared pointer refers to.
    ///
    /// * Ownership: the block stays with its owner.
    /// * Null: the result is null when the shared pointer is null or invalid.
    /// * Thread: `[any thread]`.
    pub resolve: unsafe extern "C" fn(ipc: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void,

    /// Makes a new task node: in an application, the root of a new tree; in a method, a child of
    /// the running task.
    ///
    /// * Ownership: `*node` is written; the pointer is not kept.
    /// * Null: a null `node` is ignored.
    /// * Thread: `[any thread]`.
    pub make_task_node: unsafe extern "C" fn(ipc: *const chi_ipc, node: *mut chi_task_node),

    /// Creates the pool `name` of the module `module` (`"repo:module"`) with `params_len` bytes of
    /// parameters, or finds it when it exists with the same module and parameters. Waits until it
    /// is ready.
    ///
    /// * Ownership: the arguments are not kept; `*id` is written on success.
    /// * Null: `params` may be null when `params_len` is 0; the others must not be null.
    /// * Errors: `CHI_NO_MODULE`; `CHI_EXISTS`; `CHI_INVALID` for a malformed name, or parameters
    ///   that the module rejects; `CHI_BUSY` when another task has been creating or destroying a
    ///   pool of that name for 40 seconds; the status with which the construction of a container
    ///   failed; and those of `wait`.
    /// * Thread: `[any thread]`.
    pub create_pool: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        module: *const c_char,
        name: *const c_char,
        params: *const c_void,
        params_len: u64,
        id: *mut chi_pool_id,
    ) -> chi_status,

    /// Finds a pool by its name.
    ///
    /// * Ownership: the arguments are not kept; `*id` is written on success.
    /// * Null: neither `name` nor `id` may be null.
    /// * Errors: `CHI_NO_POOL`, `CHI_INVALID` for a malformed name, and those of `wait`.
    /// * Thread: `[any thread]`.
    pub find_pool: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        name: *const c_char,
        id: *mut chi_pool_id,
    ) -> chi_status,

    /// Destroys a pool. Tasks that have not started end with `CHI_CANCELLED`; the call waits until
    /// those that are running have finished.
    ///
    /// * Ownership: `*id` is only read.
    /// * Null: `id` must not be null.
    /// * Errors: `CHI_NO_POOL`; `CHI_DENIED` for the admin pool; `CHI_BUSY` when tasks are still
    ///   running after 30 seconds, which keeps the pool; and those of `wait`.
    /// * Thread: `[any thread]`.
    pub destroy_pool:
        unsafe extern "C" fn(ipc: *const chi_ipc, id: *const chi_pool_id) -> chi_status,

    /// The message of the last call that failed on this thread or in this method, zero-terminated;
    /// or that of a failed task, if `wait` has reported one since.
    ///
    /// * Ownership: the text belongs to the table and is valid until the next call on this thread.
    /// * Null: the result is never null.
    /// * Thread: `[any thread]`.
    pub last_error: unsafe extern "C" fn(ipc: *const chi_ipc) -> *const c_char,

    /// Like `alloc`, for a block that will itself hold strings or vectors. Inside a method the
    /// block is in the runtime's private memory, so that the client cannot change a descriptor
    /// while the method uses it; at completion it is copied into the segment.
    ///
    /// * Ownership: as `alloc`.
    /// * Null: `owner` may be null, `buffer` must not.
    /// * Errors: as `alloc`.
    /// * Thread: `[any thread]`.
    pub alloc_elements: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        owner: *mut chi_task,
        size: u64,
        buffer: *mut chi_buffer,
    ) -> chi_status,

    /// Like `create_pool`, with options. Since ABI 1.1.
    ///
    /// * Ownership: as `create_pool`.
    /// * Null: `params` may be null when `params_len` is 0; the others must not be null.
    /// * Errors: as `create_pool`; also `CHI_EXISTS` for a pool that exists with a different number
    ///   of containers, and `CHI_INVALID` for more than `CHI_MAX_CONTAINERS`.
    /// * Thread: `[any thread]`.
    pub create_pool_with: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        module: *const c_char,
        name: *const c_char,
        params: *const c_void,
        params_len: u64,
        options: *const chi_pool_options,
        id: *mut chi_pool_id,
    ) -> chi_status,

    /// Submits the `count` tasks at `tasks` in order, like `enqueue`, but wakes the runtime only
    /// once. Stores in `*submitted` how many were submitted: all of them, unless it fails. Since
    /// ABI 1.1.
    ///
    /// * Ownership: as `enqueue`, for each task that was submitted; the others are still the
    ///   caller's. The array is only read.
    /// * Null: `tasks` may be null when `count` is 0; `submitted` may be null. A null task fails
    ///   with `CHI_INVALID`.
    /// * Errors: those of `enqueue`, for the first task that cannot be submitted; later ones are
    ///   not tried.
    /// * Thread: `[any thread]`.
    pub enqueue_batch: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        tasks: *const *mut chi_task,
        count: u64,
        submitted: *mut u64,
    ) -> chi_status,

    /// Waits for the `count` tasks at `tasks`, like `wait`, with one timeout for all. Since ABI
    /// 1.1.
    ///
    /// * Ownership: as `wait`. The array is only read.
    /// * Null: `tasks` may be null when `count` is 0. A null task fails with `CHI_INVALID`.
    /// * Errors: those of `wait`, for the first task whose wait fails; later ones are not waited
    ///   for.
    /// * Thread: `[any thread]`.
    pub wait_all: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        tasks: *const *mut chi_task,
        count: u64,
        timeout_ns: u64,
    ) -> chi_status,

    /// Requests the cancellation of a task, and returns at once. A task that has not started never
    /// runs. A suspended task resumes: the wait that suspends it ends; if it waits for other tasks,
    /// those are cancelled too, and its wait ends when they have completed. A running task notices
    /// at its next wait, or when it checks. The task completes exactly once, with `CHI_CANCELLED`
    /// or with the status that its method returns; `wait` reports when. A task that is complete, or
    /// was never submitted, does not change. Since ABI 1.1.
    ///
    /// * Ownership: the task stays with its owner.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_INVALID` when the pointer does not refer to a task; `CHI_RING_FULL` when the
    ///   request cannot be sent for 10 seconds.
    /// * Thread: `[any thread]`.
    pub cancel: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Sleeps for `duration_ns` nanoseconds; inside a method, suspends the task and not the worker.
    /// Since ABI 1.1.
    ///
    /// * Errors: in a method, `CHI_CANCELLED` as soon as the task is cancelled; `CHI_INVALID` in a
    ///   monitor, which cannot wait.
    /// * Thread: `[any thread]`.
    pub sleep: unsafe extern "C" fn(ipc: *const chi_ipc, duration_ns: u64) -> chi_status,

    /// Yields: inside a method, to other tasks of its worker; elsewhere, to other threads. Since
    /// ABI 1.1.
    ///
    /// * Errors: in a method, `CHI_CANCELLED` when the task is cancelled, and the method should
    ///   return soon; `CHI_INVALID` in a monitor, which cannot yield.
    /// * Thread: `[any thread]`.
    pub yield_now: unsafe extern "C" fn(ipc: *const chi_ipc) -> chi_status,

    /// Waits until one of the `count` tasks at `tasks` is complete, at most `timeout_ns` nanoseconds, and stores its index
    /// in `*index`. If several are, the first of them. For many tasks, again and again, a completion queue is cheaper:
    /// this looks at all of them each time. In a method, and where it can have no completion queue of its own, it looks at
    /// them at least once a millisecond. Since ABI 1.2.
    ///
    /// * Ownership: as `wait`. The array is only read.
    /// * Null: neither `tasks` nor `index` may be null, nor any task.
    /// * Errors: those of `wait`; `CHI_INVALID` when `count` is 0; in a method, `CHI_CANCELLED`.
    /// * Thread: `[any thread]`.
    pub wait_any: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        tasks: *const *mut chi_task,
        count: u64,
        timeout_ns: u64,
        index: *mut u64,
    ) -> chi_status,

    /// Makes a completion queue for up to `capacity` tasks (1 to 2^20) at a time. It takes capacity / 7 bytes of the
    /// session's segment, three descriptors here and one in the runtime. Since ABI 1.2.
    ///
    /// * Ownership: the caller owns `*queue` until `completions_del`.
    /// * Null: `queue` must not be null.
    /// * Errors: `CHI_INVALID` for another capacity, or in a method; `CHI_NO_SPACE` for more than
    ///   `CHI_MAX_COMPLETIONS` queues, or when there is no room; `CHI_VERSION` with a runtime of an older version;
    ///   `CHI_IO`.
    /// * Thread: `[any thread]`.
    pub completions_new: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        capacity: u32,
        queue: *mut *mut chi_completions,
    ) -> chi_status,

    /// Deletes a completion queue. Tasks that are in it stay their owner's. Since ABI 1.2.
    ///
    /// * Ownership: the queue must not be used again, nor its descriptor.
    /// * Null: a null `queue` is ignored.
    /// * Thread: `[any thread]`, while no other uses the queue.
    pub completions_del: unsafe extern "C" fn(ipc: *const chi_ipc, queue: *mut chi_completions),

    /// The descriptor of a completion queue, for `poll`, `select` and `epoll`: readable when `completions_next` may
    /// have something to return, until it has returned nothing. It stays the same when the client connects to another
    /// runtime. Since ABI 1.2.
    ///
    /// * Ownership: it is the queue's: do not read, write or close it.
    /// * Null: -1 for a null `queue`.
    /// * Thread: `[any thread]`.
    pub completions_descriptor:
        unsafe extern "C" fn(ipc: *const chi_ipc, queue: *const chi_completions) -> i32,

    /// Has a task collected when it is complete. It must have been submitted. Since ABI 1.2.
    ///
    /// * Ownership: the task must not be deleted, nor submitted again, before `completions_next` has returned it or
    ///   `completions_remove` has taken it out. `argument` is kept until then, and never read.
    /// * Null: neither `queue` nor `task` may be null; `argument` may be.
    /// * Errors: `CHI_INVALID` when the task was never submitted; `CHI_BUSY` when it is in a completion queue already;
    ///   `CHI_NO_SPACE` when the queue is full.
    /// * Thread: `[any thread]`.
    pub completions_add: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        queue: *mut chi_completions,
        task: *mut chi_task,
        argument: *mut c_void,
    ) -> chi_status,

    /// Takes a task out of a completion queue, whether it is complete or not. Since ABI 1.2.
    ///
    /// * Ownership: the task stays its owner's.
    /// * Null: neither may be null.
    /// * Errors: `CHI_INVALID` when the task is not in the queue.
    /// * Thread: `[any thread]`.
    pub completions_remove: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        queue: *mut chi_completions,
        task: *mut chi_task,
    ) -> chi_status,

    /// Takes up to `most` tasks that are complete out of a completion queue, whatever their status, and stores how many
    /// in `*count`. Waits for the first at most `timeout_ns` nanoseconds; 0 only looks. When the runtime stops, its tasks
    /// end with `CHI_UNAVAILABLE`, and are returned. Since ABI 1.2.
    ///
    /// * Ownership: the tasks are the caller's again. `*done` and `*count` are written.
    /// * Null: none may be null.
    /// * Errors: `CHI_INVALID` when `most` is 0; `CHI_IO`. That there are none is no error: `*count` is 0.
    /// * Thread: `[any thread]`; each task is returned to one of them.
    pub completions_next: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        queue: *mut chi_completions,
        done: *mut chi_completed,
        most: u32,
        count: *mut u32,
        timeout_ns: u64,
    ) -> chi_status,
}

// SAFETY: the table is immutable once built, and its functions may be called from any thread.
unsafe impl Sync for chi_ipc {}
// SAFETY: as above.
unsafe impl Send for chi_ipc {}
