//! What a ChiMod exports.

use core::ffi::{c_char, c_void};

use crate::{chi_archive, chi_field_layout, chi_host, chi_pool_id, chi_status};

/// The method that the runtime runs once per container, with the creating task, when a pool is
/// created.
pub const CHI_METHOD_CREATE: u32 = 0;
/// The method that the runtime runs once per container before a pool is destroyed.
pub const CHI_METHOD_DESTROY: u32 = 1;
/// The method for a container when something that it depends on was lost (`chi_life_task`). This version
/// never calls it.
pub const CHI_METHOD_NODE_FAILURE: u32 = 2;
/// The method that the runtime runs on a container that was made without the help of its predecessor
/// (`chi_life_task`).
pub const CHI_METHOD_RECOVER: u32 = 3;
/// The method that the runtime runs on a container that has loaded the state of its predecessor, of the
/// same version of the module (`chi_life_task`).
pub const CHI_METHOD_MIGRATE: u32 = 4;
/// The method that the runtime runs on a container that has loaded the state of its predecessor, of
/// another version of the module (`chi_life_task`).
pub const CHI_METHOD_UPGRADE: u32 = 5;
/// The first number for a module's own methods. Clients may submit tasks only for these.
pub const CHI_METHOD_CUSTOM: u32 = 10;
/// Method numbers are below this.
pub const CHI_METHOD_LIMIT: u32 = 4096;

/// `chi_method.flags_`: the container implements the method. Without this flag, its tasks end with
/// `CHI_UNSUPPORTED`.
pub const CHI_METHOD_SUPPORTED: u32 = 1;
/// `chi_method.flags_`: the module has a monitor for the method. Without one, the runtime picks the
/// lane itself.
pub const CHI_METHOD_MONITORED: u32 = 2;
/// `chi_method.flags_`: the module merges the results of a broadcast, in
/// `chi_container_ops.aggregate`. Without this flag, a broadcast returns the result of container 0.
/// Since ABI 1.1.
pub const CHI_METHOD_AGGREGATED: u32 = 4;
/// `chi_method.flags_`: `chi_container_ops.serialize` supports the method's tasks. Since ABI 1.1.
pub const CHI_METHOD_SERIALIZED: u32 = 8;
/// `chi_method.flags_`: the method's tasks may run twice, also after later ones, and that changes nothing: if a
/// node of the cluster is lost while it has one, the runtime sends it to the container's next owner instead of
/// ending it with `CHI_NODE_LOST`. Since ABI 1.1.
pub const CHI_METHOD_IDEMPOTENT: u32 = 16;
/// `chi_method.flags_`: the method's task is not described in `chimaera_mod.yaml`, and its fingerprint is that of
/// its declaration: `CHI_DECLARED_IN_CPP` or `CHI_DECLARED_IN_RUST` in the two low bits, and above them a hash of
/// what the language can tell of the task's fields. Fingerprints of different languages are not compared. Since
/// ABI 1.2.
pub const CHI_METHOD_DECLARED: u32 = 32;
/// The two low bits of the fingerprint of a task that is declared in C++.
pub const CHI_DECLARED_IN_CPP: u32 = 1;
/// The two low bits of the fingerprint of a task that is declared in Rust.
pub const CHI_DECLARED_IN_RUST: u32 = 2;
/// `chi_method.flags_`: the bits from this one up are the fingerprint of the task's description in
/// `chimaera_mod.yaml`, or of its declaration, or 0. See `CHI_TASK_LAYOUT`.
pub const CHI_METHOD_DESCRIPTION_SHIFT: u32 = 13;

/// One method of a module.
#[repr(C)]
pub struct chi_method {
    /// Its number, below `CHI_METHOD_LIMIT`.
    pub number_: u32,
    /// `CHI_METHOD_SUPPORTED`, `CHI_METHOD_MONITORED`, `CHI_METHOD_AGGREGATED`,
    /// `CHI_METHOD_SERIALIZED`, `CHI_METHOD_IDEMPOTENT`, `CHI_METHOD_DECLARED`, and above them
    /// `CHI_METHOD_DESCRIPTION_SHIFT`.
    pub flags_: u32,
    /// Its name, for example `"kCompress"`.
    pub name_: *const c_char,
    /// Size of its task in bytes, including `chi_task`. 0 for a method that is not supported.
    pub task_size_: u32,
    /// The number of strings and vectors directly in the task.
    pub n_fields_: u32,
    /// Their layouts, `n_fields_` of them; null when there are none.
    pub fields_: *const chi_field_layout,
}

// SAFETY: the pointers are to tables that the module never changes after `chi_module` returned.
unsafe impl Sync for chi_method {}
// SAFETY: as above.
unsafe impl Send for chi_method {}

/// The magic number of a `chi_module_descriptor`: `"ChiMod"` and two zero bytes, little-endian.
pub const CHI_MODULE_MAGIC: u64 = 0x0000_646f_4d69_6843;

/// `chi_module_descriptor.language`: C++.
pub const CHI_LANG_CPP: u32 = 1;
/// `chi_module_descriptor.language`: Rust.
pub const CHI_LANG_RUST: u32 = 2;
/// `chi_module_descriptor.language`: C, or any other language that can implement the C contract.
pub const CHI_LANG_C: u32 = 3;

/// A module's description of itself. Everything that it points to must live as long as the process.
#[repr(C)]
pub struct chi_module_descriptor {
    /// `CHI_MODULE_MAGIC`. The first member in every version of the contract.
    pub magic: u64,
    /// `sizeof(chi_module_descriptor)` in the module.
    pub size: u32,
    /// The `CHI_ABI_MAJOR` that the module was built against.
    pub abi_major: u32,
    /// The `CHI_ABI_MINOR` that the module was built against.
    pub abi_minor: u32,
    /// `CHI_LANG_*`.
    pub language: u32,
    /// The version of the SDK that the module was built with, for example `"0.1.0"`.
    pub sdk_version: *const c_char,
    /// The module's name, `"repo:module"`; the same name that `get_module_name()` returns.
    pub name: *const c_char,
    /// The module's own version.
    pub version: *const c_char,
    /// The number of entries in `methods`.
    pub n_methods: u32,
    /// `sizeof(chi_method)` in the module: the distance from one entry to the next.
    pub method_stride: u32,
    /// The methods, in any order; no number may occur twice.
    pub methods: *const chi_method,
    /// `sizeof(chi_field_layout)` in the module: the distance from one layout to the next.
    pub field_stride: u32,
    /// Zero.
    pub reserved: u32,
    /// Writes the canonical form of a pool's parameters to `archive`: equal parameters may be given
    /// as bytes or as text, and with or without their defaults. The runtime calls it before it
    /// creates a pool or compares parameters with those of an existing pool; containers receive the
    /// canonical form. Null when the module accepts any bytes, and they need no conversion. Must
    /// not suspend. Since ABI 1.1.
    ///
    /// * Ownership: parameters and archive stay the caller's; pointers to them are not kept.
    /// * Null: `params` may be null when `len` is 0; `archive` is not null.
    /// * Errors: `CHI_INVALID`, after `chi_host.set_error`, when the parameters are invalid.
    /// * Thread: `[worker]`.
    pub params: Option<
        unsafe extern "C" fn(
            params: *const c_void,
            len: u64,
            archive: *mut chi_archive,
        ) -> chi_status,
    >,
    /// Writes to `archive` the names of the pools that a pool's parameters, in their canonical form,
    /// name: each followed by a zero byte. The pool depends on them. Null when parameters name none.
    /// Must not suspend. Since ABI 1.1.
    ///
    /// * Ownership: parameters and archive stay the caller's; pointers to them are not kept.
    /// * Null: `params` may be null when `len` is 0; `archive` is not null.
    /// * Errors: `CHI_INVALID`, after `chi_host.set_error`, when the parameters are invalid.
    /// * Thread: `[worker]`.
    pub pools: Option<
        unsafe extern "C" fn(
            params: *const c_void,
            len: u64,
            archive: *mut chi_archive,
        ) -> chi_status,
    >,
    /// What the module says of its tasks: JSON with the names, types and documentation of their fields, as
    /// `chimaera_mod.yaml` has them, at most 1 MiB. With it, programs can call methods without the module's client.
    /// Null when the module says nothing. A module is refused whose tasks have another size than it says, or whose
    /// strings and vectors are elsewhere; what a runtime cannot read, because it is of a later version, it leaves aside.
    /// Since ABI 1.2.
    pub description: *const c_char,
}

// SAFETY: the pointers are to tables that the module never changes after `chi_module` returned.
unsafe impl Sync for chi_module_descriptor {}
// SAFETY: as above.
unsafe impl Send for chi_module_descriptor {}

/// `chi_module`, exported by every module: returns the module's description. The runtime calls it
/// once, before every other function of the module.
///
/// * Ownership: the host and the descriptor live as long as the process.
/// * Null: `host` is not null. The result is null, after `chi_host.set_error`, when the module
///   cannot work in this runtime.
/// * Thread: `[loader]`.
pub type chi_module_fn =
    Option<unsafe extern "C" fn(host: *const chi_host) -> *const chi_module_descriptor>;

/// `get_module_name`, exported by every module: returns its name, `"repo:module"`.
///
/// * Ownership: the name lives as long as the process.
/// * Null: the result is not null.
/// * Thread: `[any thread]`.
pub type chi_get_module_name_fn = Option<unsafe extern "C" fn() -> *const c_char>;

/// `alloc_state` and `new_state`, exported by every module. Both construct a container, a
/// `chi_container`; `new_state` calls `chi_container_ops.init` too.
///
/// * Ownership: the container is the runtime's until `chi_container_ops.destroy`; the arguments are
///   not kept.
/// * Null: neither argument is null. The result is null, after `chi_host.set_error`, when
///   construction failed.
/// * Thread: `[loader]`.
pub type chi_new_state_fn = Option<
    unsafe extern "C" fn(pool_id: *const chi_pool_id, pool_name: *const c_char) -> *mut c_void,
>;
