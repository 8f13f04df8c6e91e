//! The IPC manager: the one table by which any code makes and sends tasks.

use core::ffi::{c_char, c_void};

use crate::{
    chi_buffer, chi_pool_id, chi_pool_options, chi_shm_ptr, chi_status, chi_task, chi_task_node,
};

/// `chi_ipc.wait`: no bound. The wait still ends, with `CHI_UNAVAILABLE`, when the runtime does.
pub const CHI_WAIT_FOREVER: u64 = u64::MAX;

/// The functions by which any code, in an application or inside a module, makes and sends tasks.
///
/// libchimaera_client implements it for applications, the runtime for modules, so a module's client
/// code runs unchanged in both. Get it from `chi_ipc_manager()` or `CHI_IPC_MANAGER`; it lives as
/// long as the process. Every function takes the table itself as its first argument. A function that
/// returns a status other than `CHI_OK` has left a message for `last_error`.
#[repr(C)]
pub struct chi_ipc {
    /// `sizeof(chi_ipc)` on the side that made it. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Makes a task of `size` bytes, zeroed but for a fresh `task_node_`, aligned to
    /// `CHI_TASK_ALIGN`. The caller owns it until `del_task`. Errors: `CHI_NO_SPACE`,
    /// `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`. `[any thread]`
    pub new_task: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        size: u32,
        task: *mut *mut chi_task,
    ) -> chi_status,

    /// Deletes a task and everything that was allocated for it, by either side. On a task in flight
    /// it takes effect at the task's completion. Null is ignored. `[any thread]`
    pub del_task: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task),

    /// Submits a task. When the ring is full, waits for room up to a bound (10 s), then returns
    /// `CHI_RING_FULL`, and the task is not submitted. A task may be submitted again once it is
    /// complete; strings and vectors that its last run wrote are then there for the next one, those of
    /// earlier runs only if the client wrote them. Other errors: `CHI_BUSY` when the task is in flight,
    /// `CHI_UNAVAILABLE`, `CHI_FORKED`. `[any thread]`
    pub enqueue: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Like `enqueue`, but returns `CHI_RING_FULL` at once when the ring is full. `[any thread]`
    pub try_enqueue: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Waits until the task is complete, at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`: no
    /// bound). Inside a method it suspends the task that waits, not the worker. Returns `CHI_OK`
    /// when the task is complete, whatever its own status; `CHI_TIMEOUT` when it is not and goes on;
    /// `CHI_UNAVAILABLE` when the runtime has ended (the task is then over too); `CHI_INVALID` when
    /// it was never submitted, or in a monitor, which cannot wait. In methods one task at a time may
    /// wait for another; the next gets `CHI_BUSY`. `[any thread]`
    pub wait: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        task: *mut chi_task,
        timeout_ns: u64,
    ) -> chi_status,

    /// The message of a complete task, as `*len` bytes of UTF-8 that are not terminated by a zero;
    /// `*len` is 0 when there is none. Valid until the task is deleted or submitted again.
    /// `[any thread]`
    pub task_message: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        task: *const chi_task,
        len: *mut u64,
    ) -> *const c_char,

    /// Allocates `size` bytes, aligned to 64, not zeroed. With an `owner`, the block belongs to that
    /// task and goes with it; in a method, for the method's own task, it lies in the client's
    /// segment, so that the client sees it. With a null `owner`, it is the caller's until `free`.
    /// A size of 0 gives `CHI_SHM_NULL` and null data. Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`,
    /// `CHI_UNAVAILABLE`, `CHI_FORKED`. `[any thread]`
    pub alloc: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        owner: *mut chi_task,
        size: u64,
        buffer: *mut chi_buffer,
    ) -> chi_status,

    /// Gives back a buffer that was allocated without an owner. No task in flight may refer to it.
    /// `[any thread]`
    pub free: unsafe extern "C" fn(ipc: *const chi_ipc, buffer: *const chi_buffer),

    /// The address of a shared pointer in this process, or null when it points nowhere.
    /// `[any thread]`
    pub resolve: unsafe extern "C" fn(ipc: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void,

    /// A fresh node: in an application the root of a new tree; in a method, a child of the task that
    /// is running. `[any thread]`
    pub make_task_node: unsafe extern "C" fn(ipc: *const chi_ipc, node: *mut chi_task_node),

    /// Creates the pool `name` of the module `module` (`"repo:module"`) with `params_len` bytes of
    /// parameters, or finds it when it exists with the same module and parameters. Waits until it is
    /// ready. Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (name, or parameters that are not the
    /// module's), `CHI_BUSY` when another task still creates or destroys a pool of that name after 40
    /// seconds, whatever the container's construction returned, and those of `wait`. `[any thread]`
    pub create_pool: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        module: *const c_char,
        name: *const c_char,
        params: *const c_void,
        params_len: u64,
        id: *mut chi_pool_id,
    ) -> chi_status,

    /// Finds a pool by its name. Errors: `CHI_NO_POOL` and those of `wait`. `[any thread]`
    pub find_pool: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        name: *const c_char,
        id: *mut chi_pool_id,
    ) -> chi_status,

    /// Destroys a pool. Its tasks that have not started end with `CHI_CANCELLED`, running ones end by
    /// themselves first. Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), and those of `wait`.
    /// `[any thread]`
    pub destroy_pool:
        unsafe extern "C" fn(ipc: *const chi_ipc, id: *const chi_pool_id) -> chi_status,

    /// The message of the last call on this thread that failed, terminated by a zero, never null.
    /// Valid until the next call on this thread. `[any thread]`
    pub last_error: unsafe extern "C" fn(ipc: *const chi_ipc) -> *const c_char,

    /// Like `alloc` with an `owner`, for a block that will itself hold strings or vectors: inside a
    /// method it lies in the runtime's private memory, where the client cannot change a descriptor
    /// under the method, and goes into the segment at completion. `[any thread]`
    pub alloc_elements: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        owner: *mut chi_task,
        size: u64,
        buffer: *mut chi_buffer,
    ) -> chi_status,

    /// Like `create_pool`, as `options` say, which are not null. A pool that exists with another number
    /// of containers is `CHI_EXISTS`; more than `CHI_MAX_CONTAINERS` are `CHI_INVALID`. Since ABI 1.1.
    /// `[any thread]`
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
    /// all of them. Stores in `*submitted` how many were submitted: all, unless it fails; the others
    /// are still the caller's. Since ABI 1.1. `[any thread]`
    pub enqueue_batch: unsafe extern "C" fn(
        ipc: *const chi_ipc,
        tasks: *const *mut chi_task,
        count: u64,
        submitted: *mut u64,
    ) -> chi_status,

    /// Like `wait` for each of the `count` tasks at `tasks`, with one bound for all. Since ABI 1.1.
    /// `[any thread]`
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
    /// tells. A task that is complete, or was never submitted, is left as it is. Errors:
    /// `CHI_UNAVAILABLE`, `CHI_FORKED`. Since ABI 1.1. `[any thread]`
    pub cancel: unsafe extern "C" fn(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status,

    /// Sleeps for `duration_ns` nanoseconds; inside a method, suspends the task and not the worker. In a
    /// method it returns `CHI_CANCELLED`, early, when the task is cancelled. Since ABI 1.1.
    /// `[any thread]`
    pub sleep: unsafe extern "C" fn(ipc: *const chi_ipc, duration_ns: u64) -> chi_status,

    /// Lets others run, then goes on: inside a method, other tasks of its worker; elsewhere, other
    /// threads. In a method it returns `CHI_CANCELLED` when the task is cancelled: it should come to its
    /// end. Since ABI 1.1. `[any thread]`
    pub yield_now: unsafe extern "C" fn(ipc: *const chi_ipc) -> chi_status,
}

// SAFETY: the table is immutable once made, and its functions may be called from any thread.
unsafe impl Sync for chi_ipc {}
// SAFETY: as above.
unsafe impl Send for chi_ipc {}
