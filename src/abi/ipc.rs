//! The IPC manager: the one table by which any code makes and sends tasks.

use core::ffi::{c_char, c_void};

use crate::{chi_buffer, chi_pool_id, chi_shm_ptr, chi_status, chi_task, chi_task_node};

/// The most containers of a pool on a node.
pub const CHI_MAX_CONTAINERS: u32 = 4096;

/// How a pool is created. Zero it, then set what matters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct chi_pool_options {
    /// `sizeof(chi_pool_options)`.
    pub size: u32,
    /// How many containers the pool has, at most `CHI_MAX_CONTAINERS`. 0 is 1.
    pub containers: u32,
}

/// `chi_ipc.wait`: no bound. The wait still ends, with `CHI_UNAVAILABLE`, when the runtime does.
pub const CHI_WAIT_FOREVER: u64 = u64::MAX;

/// The functions by which any code, in an application or inside a module, makes and sends tasks.
///
/// libchimaera_client implements it for applications, the runtime for modules, so a module's client
/// code runs unchanged in both. Get it from `chi_ipc_manager()` or `CHI_IPC_MANAGER`; it lives as
/// long as the process. Every function takes the table itself as its first argument.
///
/// A function that returns a status other than `CHI_OK` has left a message for `last_error`. An argument
/// that is null and must not be is `CHI_INVALID`, and so is a size out of range. Beside what a function
/// names, each that speaks to the runtime may return `CHI_UNAVAILABLE` (there is none, or it has ended),
/// `CHI_FORKED` (the process was forked after it connected) or `CHI_NOT_INITIALIZED` (it never did).
#[repr(C)]
pub struct chi_ipc {
    /// `sizeof(chi_ipc)` on the side that made it. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Makes a task of `size` bytes, 64 to `CHI_MAX_TASK_SIZE`, zeroed but for a fresh `task_node_`,
    /// aligned to `CHI_TASK_ALIGN`.
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

    /// Deletes a task and everything that was allocated for it, by either side. On a task in flight
    /// it takes effect at the task's completion.
    ///
    /// * Ownership: the task is the caller's no longer.
    /// * Null: a null `task` is ignored.
    /// * Thread: `[any thread]`.
    pub del_task: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task),

    /// Submits a task. When the ring is full, waits for room, at most 10 seconds. A task may be submitted
    /// again once it is complete; strings and vectors that its last run wrote are then there for the next
    /// one, those of earlier runs only if the client wrote them.
    ///
    /// * Ownership: from now until its completion the task belongs to the runtime: wait for it, cancel it
    ///   or delete it, no more. After an error it is still the caller's.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_RING_FULL`, `CHI_BUSY` when the task is in flight, `CHI_INVALID` when it is no task.
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
    /// bound). Inside a method it suspends the task that waits, not the worker. Returns `CHI_OK`
    /// when the task is complete, whatever its own status.
    ///
    /// * Ownership: a complete task is the caller's again.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_TIMEOUT` when the task is not complete and goes on; `CHI_UNAVAILABLE` when the
    ///   runtime has ended (the task is then over too); `CHI_INVALID` when it was never submitted, or in a
    ///   monitor, which cannot wait; `CHI_BUSY` in a method when another waits for the task already.
    /// * Thread: `[any thread]`.
    pub wait: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        task: *mut chi_task,
        timeout_ns: u64,
    ) -> chi_status,

    /// The message of a complete task, as `*len` bytes of UTF-8 that are not terminated by a zero;
    /// `*len` is 0 when there is none.
    ///
    /// * Ownership: the bytes are the task's, until it is deleted or submitted again.
    /// * Null: neither `task` nor `len` may be null; either gives no bytes. The result is never null.
    /// * Thread: `[any thread]`.
    pub task_message: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        task: *const chi_task,
        len: *mut u64,
    ) -> *const c_char,

    /// Allocates `size` bytes, aligned to 64, not zeroed. A size of 0 gives `CHI_SHM_NULL` and null data.
    ///
    /// * Ownership: with an `owner`, the block belongs to that task and goes with it; in a method, for the
    ///   method's own task, it lies in the client's segment, so that the client sees it. Without one, it
    ///   is the caller's until `free`.
    /// * Null: `owner` may be null, `buffer` must not.
    /// * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`.
    /// * Thread: `[any thread]`.
    pub alloc: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        owner: *mut chi_task,
        size: u64,
        buffer: *mut chi_buffer,
    ) -> chi_status,

    /// Gives back a buffer that was allocated without an owner. No task in flight may refer to it.
    ///
    /// * Ownership: the block is the caller's no longer. `*buffer` itself is only read.
    /// * Null: a null `buffer` is ignored, and so is one without data.
    /// * Thread: `[any thread]`.
    pub free: unsafe extern "C" fn(ipc: *const chi_ipc, buffer: *const chi_buffer),

    /// The address of a shared pointer in this process.
    ///
    /// * Ownership: the block stays whose it is.
    /// * Null: the result is null for a pointer that points nowhere.
    /// * Thread: `[any thread]`.
    pub resolve: unsafe extern "C" fn(ipc: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void,

    /// A fresh node: in an application the root of a new tree; in a method, a child of the task that
    /// is running.
    ///
    /// * Ownership: `*node` is written, and not kept.
    /// * Null: a null `node` is ignored.
    /// * Thread: `[any thread]`.
    pub make_task_node: unsafe extern "C" fn(ipc: *const chi_ipc, node: *mut chi_task_node),

    /// Creates the pool `name` of the module `module` (`"repo:module"`) with `params_len` bytes of
    /// parameters, or finds it when it exists with the same module and parameters. Waits until it is
    /// ready.
    ///
    /// * Ownership: nothing is kept of the arguments; `*id` is written on success.
    /// * Null: `params` may be null when `params_len` is 0, the others must not be null.
    /// * Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (name, or parameters that are not the
    ///   module's), `CHI_BUSY` when another task still creates or destroys a pool of that name after 40
    ///   seconds, whatever the container's construction returned, and those of `wait`.
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
    /// * Ownership: nothing is kept of the arguments; `*id` is written on success.
    /// * Null: neither `name` nor `id` may be null.
    /// * Errors: `CHI_NO_POOL`, `CHI_INVALID` for what cannot be a pool's name, and those of `wait`.
    /// * Thread: `[any thread]`.
    pub find_pool: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        name: *const c_char,
        id: *mut chi_pool_id,
    ) -> chi_status,

    /// Destroys a pool. Its tasks that have not started end with `CHI_CANCELLED`, running ones end by
    /// themselves first.
    ///
    /// * Ownership: `*id` is only read.
    /// * Null: `id` must not be null.
    /// * Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), `CHI_BUSY` when tasks still run after 30
    ///   seconds (the pool stays), and those of `wait`.
    /// * Thread: `[any thread]`.
    pub destroy_pool:
        unsafe extern "C" fn(ipc: *const chi_ipc, id: *const chi_pool_id) -> chi_status,

    /// The message of the last call on this thread, or in this method, that failed; terminated by a zero.
    ///
    /// * Ownership: the text is the table's, until the next call on this thread.
    /// * Null: the result is never null.
    /// * Thread: `[any thread]`.
    pub last_error: unsafe extern "C" fn(ipc: *const chi_ipc) -> *const c_char,

    /// Like `alloc`, for a block that will itself hold strings or vectors: inside a method it lies in the
    /// runtime's private memory, where the client cannot change a descriptor under the method, and goes
    /// into the segment at completion.
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

    /// Like `create_pool`, as `options` say. Since ABI 1.1.
    ///
    /// * Ownership: as `create_pool`.
    /// * Null: `params` may be null when `params_len` is 0, the others must not be null.
    /// * Errors: as `create_pool`; also `CHI_EXISTS` for a pool that exists with another number of
    ///   containers, and `CHI_INVALID` for more than `CHI_MAX_CONTAINERS`.
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

    /// Submits the `count` tasks at `tasks` in order, like `enqueue`, but wakes the runtime once for
    /// all of them. Stores in `*submitted` how many were submitted: all, unless it fails. Since ABI 1.1.
    ///
    /// * Ownership: as `enqueue`, for each that was submitted; the others are still the caller's. The
    ///   array is only read.
    /// * Null: `tasks` may be null when `count` is 0, and `submitted` always; a task that is null ends it.
    /// * Errors: those of `enqueue`, of the first task that cannot be submitted.
    /// * Thread: `[any thread]`.
    pub enqueue_batch: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        tasks: *const *mut chi_task,
        count: u64,
        submitted: *mut u64,
    ) -> chi_status,

    /// Like `wait` for each of the `count` tasks at `tasks`, with one bound for all. Since ABI 1.1.
    ///
    /// * Ownership: as `wait`. The array is only read.
    /// * Null: `tasks` may be null when `count` is 0; a task that is null ends it.
    /// * Errors: those of `wait`, of the first task that gives one.
    /// * Thread: `[any thread]`.
    pub wait_all: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        tasks: *const *mut chi_task,
        count: u64,
        timeout_ns: u64,
    ) -> chi_status,

    /// Asks for a task's cancellation, and returns at once. A task that has not started never does; one
    /// that is suspended goes on, with the wait that suspends it over (a wait for other tasks cancels
    /// these, and is over when they are); one that runs sees it when it next waits, or when it asks.
    /// The task completes exactly once, with `CHI_CANCELLED` or with what its method makes of it; `wait`
    /// tells. A task that is complete, or was never submitted, is left as it is. Since ABI 1.1.
    ///
    /// * Ownership: the task stays whose it is.
    /// * Null: `task` must not be null.
    /// * Errors: `CHI_INVALID` when it is no task; `CHI_RING_FULL` when there is no room to ask for 10
    ///   seconds.
    /// * Thread: `[any thread]`.
    pub cancel: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Sleeps for `duration_ns` nanoseconds; inside a method, suspends the task and not the worker. Since
    /// ABI 1.1.
    ///
    /// * Errors: in a method, `CHI_CANCELLED`, early, when the task is cancelled; `CHI_INVALID` in a
    ///   monitor, which cannot wait.
    /// * Thread: `[any thread]`.
    pub sleep: unsafe extern "C" fn(ipc: *const chi_ipc, duration_ns: u64) -> chi_status,

    /// Lets others run, then goes on: inside a method, other tasks of its worker; elsewhere, other
    /// threads. Since ABI 1.1.
    ///
    /// * Errors: in a method, `CHI_CANCELLED` when the task is cancelled: it should come to its end;
    ///   `CHI_INVALID` in a monitor, which cannot wait.
    /// * Thread: `[any thread]`.
    pub yield_now: unsafe extern "C" fn(ipc: *const chi_ipc) -> chi_status,
}

// SAFETY: the table is immutable once made, and its functions may be called from any thread.
unsafe impl Sync for chi_ipc {}
// SAFETY: as above.
unsafe impl Send for chi_ipc {}
