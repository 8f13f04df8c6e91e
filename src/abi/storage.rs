//! The extension "storage": what a container stores is on its node.

use core::ffi::CStr;

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_storage`.
pub const CHI_EXT_STORAGE: &CStr = c"chimaera.storage/1";

/// Storage: a container says that its data are on its node, in a file or on a device.
#[repr(C)]
pub struct chi_storage {
    /// `sizeof(chi_storage)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Says that what the container that is being created stores is on this node, so that it is worth nothing
    /// on another one. In a cluster, no other node makes the container when this one is lost, until a person
    /// gives it up (`chimaera pool recover`), and to move it, a copy of its state is taken. Elsewhere it changes
    /// nothing.
    ///
    /// * Null: `host` is not null.
    /// * Errors: `CHI_INVALID` if no container is being created.
    /// * Thread: `[worker]`.
    pub set_local: unsafe extern "C" fn(host: *const chi_host) -> chi_status,
}
