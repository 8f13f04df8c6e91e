//! The C contract of Chimaera.
//!
//! Everything that crosses the boundaries between applications, the runtime and ChiMods is declared
//! here, once, with C layout. The headers in `include/chimaera/abi` are generated from this crate,
//! one per file, so the names follow C: a type has the same name in Rust, C++ and C.
//!
//! This crate depends on nothing and allocates nothing.
//!
//! Every function documents who owns its arguments and its result (Ownership), which pointers may
//! be null (Null), which statuses it returns besides `CHI_OK` (Errors), and which threads may call
//! it (Thread):
//!
//! * `[any thread]`: any thread of the process that owns the table.
//! * `[worker]`: only a thread of the runtime that is running a method or a monitor.
//! * `[loader]`: only the thread that is loading the module or building the container.
#![allow(non_camel_case_types)]
#![no_std]

mod admin;
mod archive;
mod clients;
mod container;
mod directory;
mod events;
mod host;
mod ipc;
mod life;
mod locks;
mod module;
mod places;
mod pollers;
mod publishing;
mod shm;
mod status;
mod storage;
mod task;
mod version;

pub use admin::*;
pub use archive::*;
pub use clients::*;
pub use container::*;
pub use directory::*;
pub use events::*;
pub use host::*;
pub use ipc::*;
pub use life::*;
pub use locks::*;
pub use module::*;
pub use places::*;
pub use pollers::*;
pub use publishing::*;
pub use shm::*;
pub use status::*;
pub use storage::*;
pub use task::*;
pub use version::*;

/// The sizes that the growing structs had in ABI 1.0. A reader requires only this size, and reads
/// later fields only when [`covers!`] says that the struct has them.
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

/// True when a struct with a `size` member is long enough to have this field.
///
/// Pass the struct as a dereferenced raw pointer: there must be no reference to a struct that may
/// be shorter than its type.
///
/// ```
/// # use chimaera_abi::{covers, chi_run_context};
/// /// # Safety
/// /// The context is as long as its size says.
/// unsafe fn set_estimate(context: *mut chi_run_context, ns: u64) {
///     // SAFETY: by the caller's promise; written only where the context has the field.
///     unsafe {
///         if covers!(*context, chi_run_context, est_ns_) {
///             (*context).est_ns_ = ns;
///         }
///     }
/// }
/// ```
#[macro_export]
macro_rules! covers {
    ($struct:expr, $type:ty, $field:ident) => {
        ($struct).size as usize
            >= const {
                ::core::mem::offset_of!($type, $field)
                    + $crate::size_of_field(|whole: &$type| &whole.$field)
            }
    };
}

/// Reads a field of a struct with a `size` member, through a raw pointer; `None` when the struct is
/// too short to have the field. Unsafe: the struct must be as long as its `size` says.
///
/// ```
/// # use chimaera_abi::{chi_host, read_field};
/// /// # Safety
/// /// The table is as long as its size says.
/// unsafe fn is_cancelled(host: *const chi_host) -> bool {
///     // SAFETY: by the caller's promise.
///     let function = unsafe { read_field!(host, chi_host, is_cancelled) };
///     // SAFETY: as above.
///     function.is_some_and(|is_cancelled| unsafe { is_cancelled(host) })
/// }
/// ```
#[macro_export]
macro_rules! read_field {
    ($pointer:expr, $type:ty, $field:ident) => {{
        let pointer: *const $type = $pointer;
        match $crate::covers!(*pointer, $type, $field) {
            true => Some((&raw const (*pointer).$field).read()),
            false => None,
        }
    }};
}

/// For the macros above: the size of the field that the function returns.
#[doc(hidden)]
pub const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

#[cfg(test)]
mod tests {
    use crate::chi_pool_options;

    #[test]
    fn a_field_is_read_only_where_the_struct_has_all_of_it() {
        let containers = |size| {
            let options = chi_pool_options { size, containers: 7 };
            // SAFETY: the struct is at least as long as its size says.
            unsafe { read_field!(&raw const options, chi_pool_options, containers) }
        };
        assert_eq!([0, 4, 5, 7].map(containers), [None; 4]);
        assert_eq!(containers(8), Some(7));
    }
}
