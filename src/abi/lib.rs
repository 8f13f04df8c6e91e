//! The C contract of Chimaera.
//!
//! Everything that crosses between an application, the runtime and a ChiMod is declared here, once,
//! with C layout. `include/chimaera/abi.h` is generated from this crate, so the names are the C
//! names: a type is called the same in Rust, C++ and C.
//!
//! This crate depends on nothing and allocates nothing.
//!
//! Every function of every table says which thread may call it:
//!
//! * `[any thread]`: any thread of the process that owns the table.
//! * `[worker]`: only a thread of the runtime that is running a method or a monitor.
//! * `[loader]`: only the thread that is loading the module or building the container.
#![allow(non_camel_case_types)]
#![no_std]

mod admin;
mod archive;
mod host;
mod ipc;
mod module;
mod shm;
mod status;
mod task;

pub use admin::*;
pub use archive::*;
pub use host::*;
pub use ipc::*;
pub use module::*;
pub use shm::*;
pub use status::*;
pub use task::*;

/// Major version of the contract. A module loads only into a runtime of the same major version.
pub const CHI_ABI_MAJOR: u32 = 1;

/// Minor version of the contract. It rises when a table or a struct that begins with its size grows;
/// a module and a runtime of different minors use what both know.
pub const CHI_ABI_MINOR: u32 = 1;

/// The sizes that structs which grow had in ABI 1.0. A reader asks for no more, and reads what came
/// later only where [`covers!`] says that it is there.
pub mod since_1_0 {
    use core::mem::offset_of;

    use crate::*;

    /// Of [`chi_ipc`].
    pub const IPC: usize = offset_of!(chi_ipc, alloc_elements) + size_of::<usize>();
    /// Of [`chi_host`].
    pub const HOST: usize = offset_of!(chi_host, extension) + size_of::<usize>();
    /// Of [`chi_run_context`].
    pub const RUN_CONTEXT: usize = offset_of!(chi_run_context, runtime_) + size_of::<usize>();
    /// Of [`chi_container_ops`].
    pub const CONTAINER_OPS: usize = offset_of!(chi_container_ops, destroy) + size_of::<usize>();
    /// Of [`chi_module_descriptor`].
    pub const MODULE_DESCRIPTOR: usize =
        offset_of!(chi_module_descriptor, reserved) + size_of::<u32>();
    /// Of [`chi_method`].
    pub const METHOD: usize = offset_of!(chi_method, fields_) + size_of::<usize>();
    /// Of [`chi_field_layout`].
    pub const FIELD_LAYOUT: usize = offset_of!(chi_field_layout, reserved_) + size_of::<u32>();
}

/// True when a struct that begins with its `size` is long enough to have this field.
///
/// ```
/// # use chimaera_abi::{covers, chi_container_ops};
/// fn lets_go(ops: &chi_container_ops) -> bool {
///     covers!(ops, chi_container_ops, del) && ops.del.is_some()
/// }
/// ```
#[macro_export]
macro_rules! covers {
    ($table:expr, $type:ty, $field:ident) => {
        ($table).size as usize > ::core::mem::offset_of!($type, $field)
    };
}
