//! What a ChiMod exports.

use core::ffi::{c_char, c_void};

use crate::{chi_archive, chi_field_layout, chi_host, chi_lane, chi_pool_id, chi_status, chi_task};

/// The magic number of a `chi_module_descriptor`, `"ChiMod"` and a zero byte twice, little-endian.
pub const CHI_MODULE_MAGIC: u64 = 0x0000_646f_4d69_6843;

/// `chi_module_descriptor.language`: C++.
pub const CHI_LANG_CPP: u32 = 1;
/// `chi_module_descriptor.language`: Rust.
pub const CHI_LANG_RUST: u32 = 2;
/// `chi_module_descriptor.language`: C, or anything else that speaks the contract.
pub const CHI_LANG_C: u32 = 3;

/// The method that the runtime runs once per container, with the creating task, when a pool is created.
pub const CHI_METHOD_CREATE: u32 = 0;
/// The method that the runtime runs once per container before a pool is destroyed.
pub const CHI_METHOD_DESTROY: u32 = 1;
/// Called after a node failed.
pub const CHI_METHOD_NODE_FAILURE: u32 = 2;
/// Called to recover a container's state.
pub const CHI_METHOD_RECOVER: u32 = 3;
/// Called to move a container.
pub const CHI_METHOD_MIGRATE: u32 = 4;
/// Called to hand a container's state to a newer module.
pub const CHI_METHOD_UPGRADE: u32 = 5;
/// The first number for methods of a module's own. Tasks from clients name only such methods.
pub const CHI_METHOD_CUSTOM: u32 = 10;
/// No method's number reaches this.
pub const CHI_METHOD_LIMIT: u32 = 4096;

/// `chi_method.flags_`: the container runs it. Without it, a task that names it ends with
/// `CHI_UNSUPPORTED`.
pub const CHI_METHOD_SUPPORTED: u32 = 1;
/// `chi_method.flags_`: the module has a monitor for it; without one the runtime picks a lane itself.
pub const CHI_METHOD_MONITORED: u32 = 2;
/// `chi_method.flags_`: the module puts the results of a broadcast together itself, with
/// `chi_container_ops.aggregate`. Without it, a broadcast returns what container 0 returned. Since ABI
/// 1.1.
pub const CHI_METHOD_AGGREGATED: u32 = 4;
/// `chi_method.flags_`: `chi_container_ops.serialize` works on its tasks. Since ABI 1.1.
pub const CHI_METHOD_SERIALIZED: u32 = 8;

/// One method of a module.
#[repr(C)]
pub struct chi_method {
    /// Its number, below `CHI_METHOD_LIMIT`.
    pub number_: u32,
    /// `CHI_METHOD_SUPPORTED`, `CHI_METHOD_MONITORED`, `CHI_METHOD_AGGREGATED`, `CHI_METHOD_SERIALIZED`.
    pub flags_: u32,
    /// Its name, `"kCompress"` for example.
    pub name_: *const c_char,
    /// Size of its task in bytes, `chi_task` included. 0 for one that is not supported.
    pub task_size_: u32,
    /// How many strings and vectors lie in the task.
    pub n_fields_: u32,
    /// Where they lie; null when there are none.
    pub fields_: *const chi_field_layout,
}

// SAFETY: the pointers are to tables that the module never changes after `chi_module` returned.
unsafe impl Sync for chi_method {}
// SAFETY: as above.
unsafe impl Send for chi_method {}

/// What a module says of itself. Everything it points to lives as long as the process.
#[repr(C)]
pub struct chi_module_descriptor {
    /// `CHI_MODULE_MAGIC`. First, and never moved.
    pub magic: u64,
    /// `sizeof(chi_module_descriptor)` in the module.
    pub size: u32,
    /// `CHI_ABI_MAJOR` that the module was built against.
    pub abi_major: u32,
    /// `CHI_ABI_MINOR` that the module was built against.
    pub abi_minor: u32,
    /// `CHI_LANG_*`.
    pub language: u32,
    /// Version of the SDK it was built with, `"0.1.0"`.
    pub sdk_version: *const c_char,
    /// The module's name, `"repo:module"`; the same as `get_module_name()` returns.
    pub name: *const c_char,
    /// The module's own version.
    pub version: *const c_char,
    /// How many methods follow.
    pub n_methods: u32,
    /// `sizeof(chi_method)` in the module: the distance from one to the next.
    pub method_stride: u32,
    /// The methods, in any order, no number twice.
    pub methods: *const chi_method,
    /// `sizeof(chi_field_layout)` in the module.
    pub field_stride: u32,
    /// Zero.
    pub reserved: u32,
    /// Writes to `archive` the one form of a pool's parameters, which may also be text, or equal to the
    /// defaults. `CHI_INVALID`, after `chi_host.set_error`, for what are no such parameters. The runtime
    /// calls it before it makes a pool or compares it with one that exists; containers get what it
    /// wrote. Null when all bytes are parameters, as they are. Must not suspend. Since ABI 1.1.
    /// `[worker]`
    pub params: Option<
        unsafe extern "C" fn(
            params: *const c_void,
            len: u64,
            archive: *mut chi_archive,
        ) -> chi_status,
    >,
}

// SAFETY: the pointers are to tables that the module never changes after `chi_module` returned.
unsafe impl Sync for chi_module_descriptor {}
// SAFETY: as above.
unsafe impl Send for chi_module_descriptor {}

/// What a method or a monitor is told of the circumstances of its run. Valid until it returns.
#[repr(C)]
pub struct chi_run_context {
    /// `sizeof(chi_run_context)` in the runtime.
    pub size: u32,
    /// The worker's number, from 0.
    pub worker_id_: u32,
    /// In a `CHI_MONITOR_LOCAL_SCHEDULE` monitor, set this to the lane that the task shall go to; when
    /// left null, the runtime picks one. In a method, the lane that the task came through.
    pub lane_: *mut chi_lane,
    /// The runtime's own.
    pub runtime_: *mut c_void,
    /// In a `CHI_MONITOR_EST_LOAD` monitor, set this to how long the task will run, in nanoseconds, 0 for no
    /// time at all. It is `UINT64_MAX` before; when left so, the runtime goes by what it has measured, and
    /// asks again only after some tasks. Since ABI 1.1.
    pub est_ns_: u64,
}

/// Mode of a monitor: choose a lane for the task on this node.
pub const CHI_MONITOR_LOCAL_SCHEDULE: u32 = 0;
/// Mode of a monitor: rewrite the task's domain query.
pub const CHI_MONITOR_GLOBAL_SCHEDULE: u32 = 1;
/// Mode of a monitor: estimate how long the task will run.
pub const CHI_MONITOR_EST_LOAD: u32 = 2;

/// The functions of a container, in C. One table for all containers of a module.
///
/// No function lets an exception or a panic out: it becomes a status, and `chi_host.set_error` has
/// its message.
#[repr(C)]
pub struct chi_container_ops {
    /// `sizeof(chi_container_ops)` in the module. The runtime calls a later function only when it is
    /// covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Completes a container that `alloc_state` made. Called once. `[loader]`
    pub init: unsafe extern "C" fn(
        container: *mut chi_container,
        pool_id: *const chi_pool_id,
        pool_name: *const c_char,
    ) -> chi_status,

    /// Runs a method on a task. The task is the runtime's private copy, of the size and layout that
    /// the method's entry declares. Several may run at once, on the lanes of different workers.
    /// `[worker]`
    pub run: unsafe extern "C" fn(
        container: *mut chi_container,
        method: u32,
        task: *mut chi_task,
        rctx: *mut chi_run_context,
    ) -> chi_status,

    /// Gives the module its say in where a task goes (`mode` is `CHI_MONITOR_*`). Must not suspend.
    /// Called only for methods with `CHI_METHOD_MONITORED`. `[worker]`
    pub monitor: unsafe extern "C" fn(
        container: *mut chi_container,
        mode: u32,
        method: u32,
        task: *mut chi_task,
        rctx: *mut chi_run_context,
    ) -> chi_status,

    /// Lets go of what a method attached to the private copy of a task, after the body went back.
    /// May be null when there is never anything. `[worker]`
    pub del: Option<
        unsafe extern "C" fn(container: *mut chi_container, method: u32, task: *mut chi_task),
    >,

    /// Destroys the container and frees it. Called once, last, when no task is in it. `[worker]`
    pub destroy: unsafe extern "C" fn(container: *mut chi_container),

    /// Adds to `task`, a broadcast, what one container made of it: `replica`, a task of the same type
    /// that is complete. Called on one container (the first of the node) for each replica in the order
    /// of the containers, failed ones too, once all are complete; the replicas are freed afterwards, so
    /// what is to stay is copied. Afterwards the first replica whose `status_` is not `CHI_OK` makes the
    /// broadcast fail: to let a failure pass, set it to `CHI_OK`. May suspend. Called only for methods
    /// with `CHI_METHOD_AGGREGATED`; may be null when there are none. Since ABI 1.1. `[worker]`
    pub aggregate: Option<
        unsafe extern "C" fn(
            container: *mut chi_container,
            method: u32,
            task: *mut chi_task,
            replica: *mut chi_task,
            rctx: *mut chi_run_context,
        ) -> chi_status,
    >,

    /// Writes the inputs or the results of a task to an archive, or reads them (`mode` is
    /// `CHI_SERIALIZE_*`). A task to read into is zero but for its header and the `offset_in_task_` of
    /// its strings and vectors; their blocks are allocated for it through `chi_ipc`. Bytes that are
    /// none of such a task are `CHI_INVALID`, and leave it half read. Called only for methods with
    /// `CHI_METHOD_SERIALIZED`; may be null when there are none. Since ABI 1.1. `[worker]`
    pub serialize: Option<
        unsafe extern "C" fn(
            container: *mut chi_container,
            method: u32,
            task: *mut chi_task,
            mode: u32,
            archive: *mut chi_archive,
        ) -> chi_status,
    >,
}

/// A container as the runtime sees it: a pointer to its functions, then whatever the module puts
/// there.
#[repr(C)]
pub struct chi_container {
    /// Its functions; lives as long as the process.
    pub ops: *const chi_container_ops,
}

/// `chi_module`, exported by every module. Called first, once. Returns null after
/// `chi_host.set_error` when the module cannot work in this runtime. `[loader]`
pub type chi_module_fn =
    Option<unsafe extern "C" fn(host: *const chi_host) -> *const chi_module_descriptor>;

/// `get_module_name`, exported by every module: `"repo:module"`, for the process's life.
/// `[any thread]`
pub type chi_get_module_name_fn = Option<unsafe extern "C" fn() -> *const c_char>;

/// `alloc_state` and `new_state`, exported by every module. Both construct a container and return it
/// as a `chi_container *`, or null after `chi_host.set_error`; `new_state` calls `init` too.
/// `[worker]`
pub type chi_new_state_fn = Option<
    unsafe extern "C" fn(pool_id: *const chi_pool_id, pool_name: *const c_char) -> *mut c_void,
>;
