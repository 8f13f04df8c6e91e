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
pub struct ParamsForm {
    canonical: fn(&[u8]) -> Result<Vec<u8>>,
    /// The names of the pools that the parameters name, each followed by a zero byte.
    pools: fn(&[u8]) -> Result<Vec<u8>>,
}

impl ParamsForm {
    /// The canonical form of the parameter struct `P`.
    pub const fn of<P: PoolParams>() -> Self {
        ParamsForm {
            canonical: |bytes| params_to_bytes(&P::from_any(bytes)?),
            pools: |bytes| {
                let params = P::from_any(bytes)?;
                let names = params.pools();
                Ok(names.into_iter().flat_map(|name| name.bytes().chain([0])).collect())
            },
        }
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
    // SAFETY: guaranteed by the caller.
    to_status(|| unsafe { write::<C>(|form| form.canonical, params, len, archive) })
}

/// `chi_module_descriptor.pools`.
///
/// # Safety
///
/// As for [`canonicalize`].
pub(crate) unsafe extern "C" fn pools<C: Container>(
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> chi_status {
    // SAFETY: guaranteed by the caller.
    to_status(|| unsafe { write::<C>(|form| form.pools, params, len, archive) })
}

/// Writes what a function makes of the parameters.
///
/// # Safety
///
/// As for [`canonicalize`].
unsafe fn write<C: Container>(
    what: impl FnOnce(ParamsForm) -> fn(&[u8]) -> Result<Vec<u8>>,
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> Result<()> {
    let form = C::PARAMS.ok_or_else(|| Status::invalid("the module has no parameter struct"))?;
    let bytes = match len {
        0 => &[],
        // SAFETY: guaranteed by the caller.
        _ => unsafe { std::slice::from_raw_parts(params.cast::<u8>(), len as usize) },
    };
    let bytes = what(form)(bytes)?;
    // SAFETY: guaranteed by the caller.
    let mut archive = unsafe { SaveArchive::over(archive) }?;
    archive.put(&bytes)?;
    archive.flush()
}
