//! libchimaera_client: the client library for C and C++ programs.
//!
//! The functions here connect the process and give access to its IPC manager, the table with which
//! tasks are made and sent. For programs in C there are shorthands that call the table.

#![allow(non_camel_case_types)]

pub mod fields;

use std::ffi::{c_char, c_void, CStr};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use chimaera_abi::*;
use chimaera_client_rs::{self as client, Failure, Options};

/// Options for connecting. Zero the struct, set `size`, then set the options that you need.
#[repr(C)]
pub struct chi_client_options {
    /// `sizeof(chi_client_options)`.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Name of the runtime's instance. Null means `$CHI_INSTANCE`, or `default` when that is not
    /// set.
    pub instance: *const c_char,
    /// Size of the session's segment in bytes. 0 means the default, 128 MiB. One half is for data
    /// that the client sends, the other for data that methods return. Pages that are never touched
    /// use no memory.
    pub segment_size: u64,
    /// How long to wait for a runtime that is not running yet, in nanoseconds. 0 fails at once.
    pub connect_timeout_ns: u64,
}

/// Returns the calling worker's table.
///
/// * Ownership: the table lives as long as the process.
/// * Null: the result is null on a thread that is not a worker.
/// * Thread: `[any thread]`.
pub type chi_worker_ipc_fn = Option<unsafe extern "C" fn() -> *const chi_ipc>;

static WORKER_IPC: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

fn answer(result: client::Result<()>) -> chi_status {
    match result {
        Ok(()) => CHI_OK,
        Err(failure) => client::keep_error(failure),
    }
}

/// Connects this process to a runtime. Calling it again while connected does nothing. When the
/// runtime stops and another one starts in its place, the next new task reconnects automatically;
/// the pools must then be created again.
///
/// * Ownership: nothing is kept of the options.
/// * Null: a null `options` means the defaults.
/// * Errors: `CHI_UNAVAILABLE` (no runtime, or no answer within 5 s), `CHI_DENIED` (the runtime is
///   another user's, or this process is a runtime), `CHI_VERSION`, `CHI_FORKED`, `CHI_INVALID`,
///   `CHI_IO`; the message is `chi_last_error`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `options` must be null or point to options whose `instance` is null or a C string.
#[no_mangle]
pub unsafe extern "C" fn chi_init(options: *const chi_client_options) -> chi_status {
    let mut given = Options::default();
    if !options.is_null() {
        // SAFETY: every version's options begin with their size.
        if (unsafe { (*options).size } as usize) < size_of::<chi_client_options>() {
            return answer(Err(Failure::new(
                CHI_INVALID,
                "chi_client_options.size must be sizeof(chi_client_options)",
            )));
        }
        // SAFETY: the options are as long as their type.
        let options = unsafe { options.read() };
        if !options.instance.is_null() {
            // SAFETY: by the caller's promise.
            let name = unsafe { CStr::from_ptr(options.instance) };
            given.instance = Some(name.to_string_lossy().into_owned());
        }
        given.segment_size = options.segment_size;
        given.connect_timeout = Duration::from_nanos(options.connect_timeout_ns);
    }
    answer(client::init(given))
}

/// Ends the process's session. Tasks in flight are lost, and no task or buffer of the session may
/// be used afterwards.
///
/// * Thread: `[any thread]`.
#[no_mangle]
pub extern "C" fn chi_shutdown() {
    client::shutdown();
}

/// The IPC manager for the calling thread: the worker's table while a method runs, else the
/// process's table. Before `chi_init`, its functions return `CHI_NOT_INITIALIZED`.
///
/// * Ownership: the table lives as long as the process.
/// * Null: the result is never null.
/// * Thread: `[any thread]`.
#[no_mangle]
pub extern "C" fn chi_ipc_manager() -> *const chi_ipc {
    let hook = WORKER_IPC.load(Ordering::Acquire);
    if !hook.is_null() {
        // SAFETY: only `chi_client_adopt` stores here, and what it stores is such a function.
        let worker = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const chi_ipc>(hook)()
        };
        if !worker.is_null() {
            return worker;
        }
    }
    client::ipc_manager()
}

/// For the runtime only, which calls this when a module that it loads is linked to this library.
/// `worker_ipc` returns a worker's table. `refuse_init` makes `chi_init` fail: the process is a
/// runtime and must not connect to one.
///
/// * Ownership: the function must stay valid as long as the process lives, or until the next call.
/// * Null: a null `worker_ipc` removes the current function.
/// * Thread: `[loader]`.
#[no_mangle]
pub extern "C" fn chi_client_adopt(worker_ipc: chi_worker_ipc_fn, refuse_init: bool) {
    let hook = worker_ipc.map_or(ptr::null_mut(), |hook| hook as *mut c_void);
    WORKER_IPC.store(hook, Ordering::Release);
    if refuse_init {
        client::refuse_init();
    }
}

/// The message of the last call that failed on this thread, zero-terminated.
///
/// * Ownership: the text belongs to the library and is valid until the next call on this thread.
/// * Null: the result is never null.
/// * Thread: `[any thread]`.
#[no_mangle]
pub extern "C" fn chi_last_error() -> *const c_char {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid.
    unsafe { ((*ipc).last_error)(ipc) }
}

/// The name of a status, for example `"CHI_NO_POOL"`; `"CHI_STATUS"` for a status defined by a
/// module.
///
/// * Ownership: the name lives as long as the process.
/// * Null: the result is never null.
/// * Thread: `[any thread]`.
#[no_mangle]
pub extern "C" fn chi_status_name(status: chi_status) -> *const c_char {
    status_name_c(status).unwrap_or(c"CHI_STATUS").as_ptr()
}

/// Creates the pool `name` of the module `module`, or finds it when it exists with the same module
/// and parameters, and stores its id.
///
/// * Ownership: the arguments are not kept; `*id` is written on success.
/// * Null: `params` may be null when `params_len` is 0; the others must not be null.
/// * Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, `CHI_INVALID` (a malformed name, or parameters that the
///   module rejects), the status with which the construction of a container failed,
///   `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_ipc.create_pool`.
#[no_mangle]
pub unsafe extern "C" fn chi_pool_create(
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    id: *mut chi_pool_id,
) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).create_pool)(ipc, module, name, params, params_len, id) }
}

/// Like `chi_pool_create`, with options. Zero them, set `size`, then set the options that you need.
///
/// * Ownership: as `chi_pool_create`.
/// * Null: `params` may be null when `params_len` is 0; the others must not be null.
/// * Errors: as `chi_pool_create`; also `CHI_EXISTS` for a pool that exists with a different number
///   of containers, `CHI_INVALID` for more than `CHI_MAX_CONTAINERS`, `CHI_VERSION` inside a
///   runtime with ABI 1.0.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_ipc.create_pool_with`.
#[no_mangle]
pub unsafe extern "C" fn chi_pool_create_with(
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    options: *const chi_pool_options,
    id: *mut chi_pool_id,
) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid, and as long as its size says.
    let Some(create) = (unsafe { read_field!(ipc, chi_ipc, create_pool_with) }) else {
        let why = "pools with several containers need a runtime with ABI 1.1 or later";
        return answer(Err(Failure::new(CHI_VERSION, why)));
    };
    // SAFETY: the caller's promise.
    unsafe { create(ipc, module, name, params, params_len, options, id) }
}

/// Finds a pool by its name, and stores its id.
///
/// * Ownership: the arguments are not kept; `*id` is written on success.
/// * Null: neither `name` nor `id` may be null.
/// * Errors: `CHI_NO_POOL`, `CHI_INVALID` (a malformed name), `CHI_UNAVAILABLE`, `CHI_FORKED`,
///   `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_ipc.find_pool`.
#[no_mangle]
pub unsafe extern "C" fn chi_pool_find(name: *const c_char, id: *mut chi_pool_id) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).find_pool)(ipc, name, id) }
}

/// Finds a pool by its name, if it is of the module `module` (`"repo:module"`), and stores its id: a pool of
/// another module would misread the tasks. The generated functions `<repo>_<module>_find_pool` call it.
///
/// * Ownership: the arguments are not kept; `*id` is written on success.
/// * Null: no argument may be null.
/// * Errors: `CHI_NO_POOL`, `CHI_INVALID` (a malformed name, or the pool is of another module), `CHI_NO_METHOD`
///   from a runtime of ABI 1.0, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// Both names are C strings, and `id` can be written.
#[no_mangle]
pub unsafe extern "C" fn chi_pool_find_of(
    module: *const c_char,
    name: *const c_char,
    id: *mut chi_pool_id,
) -> chi_status {
    for (pointer, argument) in [(module, "module"), (name, "name"), (id.cast_const().cast(), "id")]
    {
        if pointer.is_null() {
            return client::keep_error(Failure::null(argument));
        }
    }
    // SAFETY: by the caller's promise; the table is valid.
    unsafe {
        let (module, name) = (CStr::from_ptr(module), CStr::from_ptr(name));
        let found = client::find_pool_of(chi_ipc_manager(), module.to_bytes(), name.to_bytes());
        answer(found.map(|found| id.write(found)))
    }
}

/// Destroys a pool. Tasks that have not started end with `CHI_CANCELLED`; the call waits until
/// those that are running have finished.
///
/// * Errors: `CHI_NO_POOL`, `CHI_DENIED` (the admin pool), `CHI_BUSY` (tasks are still running
///   after 30 s; the pool stays), `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
#[no_mangle]
pub extern "C" fn chi_pool_destroy(id: chi_pool_id) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid, and so is the id.
    unsafe { ((*ipc).destroy_pool)(ipc, &id) }
}

/// Makes a task for the method `method` of the pool `pool`, and stores it in `*task`. `size` is the
/// `sizeof` of a struct that begins with a `chi_task`; the fields after that header are zero.
///
/// * Ownership: the caller owns the task until `chi_task_delete`.
/// * Null: `task` must not be null.
/// * Errors: `CHI_NO_SPACE`, `CHI_INVALID` (the size), `CHI_UNAVAILABLE`, `CHI_FORKED`,
///   `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must point to a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn chi_task_new(
    size: u64,
    pool: chi_pool_id,
    query: chi_domain_query,
    method: u32,
    task: *mut *mut chi_task,
) -> chi_status {
    let ipc = chi_ipc_manager();
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    // SAFETY: the table is valid, and a new task is the caller's.
    unsafe {
        let status = ((*ipc).new_task)(ipc, size, task);
        if status == CHI_OK {
            (**task).pool_ = pool;
            (**task).dom_query_ = query;
            (**task).method_ = method;
        }
        status
    }
}

/// Deletes a task and every block that client or runtime allocated for it. If the task is in
/// flight, it is deleted when it completes.
///
/// * Ownership: the task is no longer the caller's and must not be used again.
/// * Null: a null `task` is ignored.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must be null or a task that has not been deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_task_delete(task: *mut chi_task) {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).del_task)(ipc, task) }
}

/// Submits a task. When the ring is full, waits up to 10 s for space.
///
/// * Ownership: until the task is complete, the caller may only pass it to `chi_wait`,
///   `chi_is_complete` and `chi_task_delete`. After an error it is still the caller's.
/// * Null: `task` must not be null.
/// * Errors: `CHI_RING_FULL`, `CHI_BUSY` (already in flight), `CHI_INVALID`, `CHI_UNAVAILABLE`,
///   `CHI_FORKED`, `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must be a task that has not been deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_submit(task: *mut chi_task) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).enqueue)(ipc, task) }
}

/// Like `chi_submit`, but returns `CHI_RING_FULL` at once when the ring is full.
///
/// * Ownership: as `chi_submit`.
/// * Null: `task` must not be null.
/// * Errors: as `chi_submit`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must be a task that has not been deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_try_submit(task: *mut chi_task) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).try_enqueue)(ipc, task) }
}

/// Waits until a task is complete, at most `timeout_ns` nanoseconds (`CHI_WAIT_FOREVER`: no
/// timeout), and returns the task's own status; `chi_last_error` then has the task's message.
///
/// * Ownership: a complete task is the caller's again.
/// * Null: `task` must not be null.
/// * Errors: `CHI_TIMEOUT` when the task is not complete yet, and continues; `CHI_UNAVAILABLE` when
///   the runtime has stopped, which ends the task too; `CHI_INVALID` when the task was never
///   submitted; `CHI_FORKED`. The task's own status may be one of these numbers, too:
///   `chi_is_complete` tells the two cases apart.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must be a task that has been submitted and not deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_wait(task: *mut chi_task, timeout_ns: u64) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; after a successful wait the task is complete.
    unsafe {
        let waited = ((*ipc).wait)(ipc, task, timeout_ns);
        if waited != CHI_OK || (*task).status_ == CHI_OK {
            return waited;
        }
        // The table has stored the message.
        (*task).status_
    }
}

/// True when a task is complete. Always false in a child that was forked after `chi_init`.
///
/// * Ownership: the task stays with its owner.
/// * Null: false for a null `task`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must be null or a task that has not been deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_is_complete(task: *const chi_task) -> bool {
    if task.is_null() || client::is_forked() {
        return false;
    }
    // SAFETY: the completion word is only ever accessed atomically.
    let word =
        unsafe { std::sync::atomic::AtomicU32::from_ptr((&raw const (*task).state_).cast_mut()) };
    word.load(Ordering::Acquire) & CHI_TASK_COMPLETE != 0
}

/// Allocates a buffer of `size` bytes in the session's segment, aligned to 64 and not zeroed.
///
/// * Ownership: the caller owns the block until `chi_free`; `*buffer` is written on success.
/// * Null: `buffer` must not be null.
/// * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
///   `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `buffer` must point to a writable `chi_buffer`.
#[no_mangle]
pub unsafe extern "C" fn chi_alloc(size: u64, buffer: *mut chi_buffer) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).alloc)(ipc, ptr::null_mut(), size, buffer) }
}

/// Frees a buffer from `chi_alloc`. No task in flight may refer to it.
///
/// * Ownership: the block is freed and must not be used again. `*buffer` itself is only read.
/// * Null: a null `buffer` is ignored, and so is a buffer of size 0.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `buffer` must be null or come from `chi_alloc`.
#[no_mangle]
pub unsafe extern "C" fn chi_free(buffer: *const chi_buffer) {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { ((*ipc).free)(ipc, buffer) }
}

/// Calls a function of the table that came with ABI 1.2. The function that uses this has the same contract.
macro_rules! since_1_2 {
    ($function:ident($($argument:expr),*)) => {{
        let ipc = chi_ipc_manager();
        // SAFETY: the table is valid; the rest is the caller's promise.
        unsafe {
            match read_field!(ipc, chi_ipc, $function) {
                Some(function) => function(ipc, $($argument),*),
                None => answer(Err(Failure::new(
                    CHI_VERSION,
                    "this call needs a runtime with ABI 1.2 or later",
                ))),
            }
        }
    }};
}

/// Waits until one of the `count` tasks at `tasks` is complete, at most `timeout_ns` nanoseconds, and stores its index in
/// `*index`. `chi_wait` then returns its status at once. For many tasks, again and again, a completion queue is cheaper.
///
/// * Ownership: the complete task is the caller's again. The array is only read.
/// * Null: neither `tasks` nor `index` may be null, nor any task.
/// * Errors: those of `chi_wait`; `CHI_INVALID` when `count` is 0.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `tasks` must point to `count` tasks that have been submitted and not deleted, and `index` to a writable number.
#[no_mangle]
pub unsafe extern "C" fn chi_wait_any(
    tasks: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
    index: *mut u64,
) -> chi_status {
    since_1_2!(wait_any(tasks, count, timeout_ns, index))
}

/// Makes a completion queue for up to `capacity` tasks (1 to 2^20) at a time.
///
///     chi_completions *queue;
///     chi_status status = chi_completions_new(1024, &queue);
///     ...
///     status = chi_completions_add(queue, task, argument);
///     chi_completed done[16];
///     uint32_t count;
///     status = chi_completions_next(queue, done, 16, &count, CHI_WAIT_FOREVER);
///
/// * Ownership: the caller owns `*queue` until `chi_completions_delete`.
/// * Null: `queue` must not be null.
/// * Errors: `CHI_INVALID` for another capacity; `CHI_NO_SPACE` for more than `CHI_MAX_COMPLETIONS` queues, or when there
///   is no room; `CHI_VERSION` with a runtime of an older version; `CHI_IO`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
///   `CHI_NOT_INITIALIZED`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `queue` must point to a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_new(
    capacity: u32,
    queue: *mut *mut chi_completions,
) -> chi_status {
    since_1_2!(completions_new(capacity, queue))
}

/// Deletes a completion queue. Tasks that are in it stay their owner's.
///
/// * Ownership: the queue must not be used again, nor its descriptor.
/// * Null: a null `queue` is ignored.
/// * Thread: `[any thread]`, while no other uses the queue.
///
/// # Safety
/// `queue` must be null or come from `chi_completions_new`, and not have been deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_delete(queue: *mut chi_completions) {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe {
        if let Some(delete) = read_field!(ipc, chi_ipc, completions_del) {
            delete(ipc, queue);
        }
    }
}

/// The descriptor of a completion queue, for `poll`, `select` and `epoll`: readable when `chi_completions_next` may have
/// something to return, until that has returned nothing. It stays the same when the client connects to another runtime.
///
/// * Ownership: it is the queue's: do not read, write or close it.
/// * Null: -1 for a null `queue`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_completions_delete`.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_descriptor(queue: *const chi_completions) -> i32 {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { read_field!(ipc, chi_ipc, completions_descriptor).map_or(-1, |of| of(ipc, queue)) }
}

/// Has a task collected when it is complete. It must have been submitted.
///
/// * Ownership: the task must not be deleted, nor submitted again, before `chi_completions_next` or `chi_completions_run`
///   has returned it, or `chi_completions_remove` has taken it out. `argument` is kept until then.
/// * Null: neither `queue` nor `task` may be null; `argument` may be.
/// * Errors: `CHI_INVALID` when the task was never submitted; `CHI_BUSY` when it is in a completion queue already;
///   `CHI_NO_SPACE` when the queue is full.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `queue` must come from `chi_completions_new`, and `task` be a task; neither has been deleted.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_add(
    queue: *mut chi_completions,
    task: *mut chi_task,
    argument: *mut c_void,
) -> chi_status {
    since_1_2!(completions_add(queue, task, argument))
}

/// Takes a task out of a completion queue, whether it is complete or not.
///
/// * Ownership: the task stays its owner's.
/// * Null: neither may be null.
/// * Errors: `CHI_INVALID` when the task is not in the queue.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_completions_add`.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_remove(
    queue: *mut chi_completions,
    task: *mut chi_task,
) -> chi_status {
    since_1_2!(completions_remove(queue, task))
}

/// Takes up to `most` tasks that are complete out of a completion queue, whatever their status, and stores how many in
/// `*count`. Waits for the first at most `timeout_ns` nanoseconds; 0 only looks. When the runtime stops, its tasks end with
/// `CHI_UNAVAILABLE`, and are returned.
///
/// * Ownership: the tasks are the caller's again. `*done` and `*count` are written.
/// * Null: none may be null.
/// * Errors: `CHI_INVALID` when `most` is 0; `CHI_IO`; `CHI_FORKED`. That there are none is no error: `*count` is 0.
/// * Thread: `[any thread]`; each task is returned to one of them.
///
/// # Safety
/// `queue` must come from `chi_completions_new` and not have been deleted; `done` must have room for `most`.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_next(
    queue: *mut chi_completions,
    done: *mut chi_completed,
    most: u32,
    count: *mut u32,
    timeout_ns: u64,
) -> chi_status {
    since_1_2!(completions_next(queue, done, most, count, timeout_ns))
}

/// What `chi_completions_run` calls for a task: give the address of one to `chi_completions_add`, as the argument.
#[repr(C)]
pub struct chi_completion {
    /// Called when the task is complete.
    ///
    /// * Ownership: the task is the function's, to use, delete or submit again; `argument` is what is beside it here.
    /// * Null: nothing is called if it is null. `task` is not null.
    /// * Thread: `[any thread]`, that of `chi_completions_run`. It may use the queue.
    pub done: Option<unsafe extern "C" fn(task: *mut chi_task, argument: *mut c_void)>,
    /// For `done`.
    pub argument: *mut c_void,
}

/// Takes tasks that are complete out of a completion queue, at most 1024, and calls what was given with them. Waits for the
/// first at most `timeout_ns` nanoseconds. Stores in `*count` how many there were.
///
/// * Ownership: the tasks are the caller's again. Each `chi_completion` is read before it is called.
/// * Null: `count` may be null.
/// * Errors: those of `chi_completions_next`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `queue` must come from `chi_completions_new` and not have been deleted. Each task in it was added with the address of a
/// `chi_completion`, or with null.
#[no_mangle]
pub unsafe extern "C" fn chi_completions_run(
    queue: *mut chi_completions,
    timeout_ns: u64,
    count: *mut u64,
) -> chi_status {
    /// Then it returns, even if what is called submits tasks that end at once.
    const MOST: u64 = 1024;
    let (mut all, mut bound) = (0, timeout_ns);
    let status = loop {
        if all == MOST {
            break CHI_OK;
        }
        let mut done = chi_completed { task: ptr::null_mut(), argument: ptr::null_mut() };
        let mut taken = 0;
        // One at a time: what is called may take others out, and free what was given with them.
        // SAFETY: by the caller's promise; there is room for one.
        let status = unsafe { chi_completions_next(queue, &mut done, 1, &mut taken, bound) };
        if status != CHI_OK || taken == 0 {
            break status;
        }
        // SAFETY: by the caller's promise.
        unsafe {
            let completion = done.argument.cast::<chi_completion>();
            if !completion.is_null() {
                let chi_completion { done: call, argument } = completion.read();
                if let Some(call) = call {
                    call(done.task, argument);
                }
            }
        }
        all += 1;
        bound = 0;
    };
    if !count.is_null() {
        // SAFETY: by the caller's promise.
        unsafe { count.write(all) };
    }
    status
}
