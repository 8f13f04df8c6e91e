//! The parameters of a module's pools.

use std::ffi::c_void;

use chimaera_abi::{chi_archive, chi_status};
use chimaera_task::archive::{params_to_bytes, SaveArchive};
use chimaera_task::{PoolParams, Result, Status};

use crate::panics::to_status;
use crate::Container;

/// Converts a pool's parameters into their canonical form, in which equal parameters are equal
/// bytes. The runtime requests it before it creates a pool or compares parameters with those of an
/// existing pool.
#[derive(Clone, Copy)]
pub struct ParamsForm(fn(&[u8]) -> Result<Vec<u8>>);

impl ParamsForm {
    /// The canonical form of the parameter struct `P`.
    pub const fn of<P: PoolParams>() -> Self {
        ParamsForm(|bytes| params_to_bytes(&P::from_any(bytes)?))
    }
}

/// `chi_module_descriptor.params`.
///
/// # Safety
///
/// `params` points to `len` bytes, and `archive` to an archive for writing that is as long as its
/// size says.
pub(crate) unsafe extern "C" fn canonicalize<C: Container>(
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> chi_status {
    to_status(|| {
        let ParamsForm(canonical) =
            C::PARAMS.ok_or_else(|| Status::invalid("the module has no parameter struct"))?;
        let bytes = match len {
            0 => &[],
            // SAFETY: guaranteed by the caller.
            _ => unsafe { std::slice::from_raw_parts(params.cast::<u8>(), len as usize) },
        };
        let bytes = canonical(bytes)?;
        // SAFETY: guaranteed by the caller.
        let mut archive = unsafe { SaveArchive::over(archive) }?;
        archive.put(&bytes)?;
        archive.flush()
    })
}
