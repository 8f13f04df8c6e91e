//! What a ChiMod exports.

use core::ffi::{c_char, c_void};

use crate::{chi_archive, chi_field_layout, chi_host, chi_pool_id, chi_status};

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

/// The magic number of a `chi_module_descriptor`, `"ChiMod"` and a zero byte twice, little-endian.
pub const CHI_MODULE_MAGIC: u64 = 0x0000_646f_4d69_6843;

/// `chi_module_descriptor.language`: C++.
pub const CHI_LANG_CPP: u32 = 1;
/// `chi_module_descriptor.language`: Rust.
pub const CHI_LANG_RUST: u32 = 2;
/// `chi_module_descriptor.language`: C, or anything else that speaks the contract.
pub const CHI_LANG_C: u32 = 3;

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
    /// defaults. The runtime calls it before it makes a pool or compares it with one that exists;
    /// containers get what it wrote. Null when all bytes are parameters, as they are. Must not suspend.
    /// Since ABI 1.1.
    ///
    /// * Ownership: parameters and archive are the caller's, and not kept.
    /// * Null: `params` may be null when `len` is 0; `archive` is not null.
    /// * Errors: `CHI_INVALID`, after `chi_host.set_error`, for what are no such parameters.
    /// * Thread: `[worker]`.
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

/// `chi_module`, exported by every module, says what the module is. It is called first, once.
///
/// * Ownership: the host and the descriptor live as long as the process.
/// * Null: `host` is not null. The result is null, after `chi_host.set_error`, when the module cannot work
///   in this runtime.
/// * Thread: `[loader]`.
pub type chi_module_fn =
    Option<unsafe extern "C" fn(host: *const chi_host) -> *const chi_module_descriptor>;

/// `get_module_name`, exported by every module: `"repo:module"`.
///
/// * Ownership: the name lives as long as the process.
/// * Null: the result is not null.
/// * Thread: `[any thread]`.
pub type chi_get_module_name_fn = Option<unsafe extern "C" fn() -> *const c_char>;

/// `alloc_state` and `new_state`, exported by every module. Both construct a container, a
/// `chi_container`; `new_state` calls `chi_container_ops.init` too.
///
/// * Ownership: the container is the runtime's until `chi_container_ops.destroy`; the arguments are not
///   kept.
/// * Null: neither argument is null. The result is null, after `chi_host.set_error`, when there is no
///   container.
/// * Thread: `[worker]`.
pub type chi_new_state_fn = Option<
    unsafe extern "C" fn(pool_id: *const chi_pool_id, pool_name: *const c_char) -> *mut c_void,
>;
