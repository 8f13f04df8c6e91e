//! The parameters of a module's pools.

use std::ffi::c_void;

use chimaera_abi::{chi_archive, chi_status};
use chimaera_task::archive::{params_to_bytes, SaveArchive};
use chimaera_task::{PoolParams, Result, Status};

use crate::panics::to_status;
use crate::Container;

/// How parameters get their one form, in which equal ones are equal bytes: the runtime asks before it
/// makes a pool, or compares it with one that exists.
#[derive(Clone, Copy)]
pub struct ParamsForm(fn(&[u8]) -> Result<Vec<u8>>);

impl ParamsForm {
    /// That of a struct.
    pub const fn of<P: PoolParams>() -> Self {
        ParamsForm(|bytes| params_to_bytes(&P::from_any(bytes)?))
    }
}

/// `chi_module_descriptor.params`.
///
/// # Safety
///
/// `params` points to `len` bytes, `archive` to one for writing that is as long as its size says.
pub(crate) unsafe extern "C" fn one_form<C: Container>(
    params: *const c_void,
    len: u64,
    archive: *mut chi_archive,
) -> chi_status {
    to_status(|| {
        let ParamsForm(one_form) =
            C::PARAMS.ok_or_else(|| Status::invalid("the module takes any parameters"))?;
        let bytes = match len {
            0 => &[],
            // SAFETY: says the caller.
            _ => unsafe { std::slice::from_raw_parts(params.cast::<u8>(), len as usize) },
        };
        let bytes = one_form(bytes)?;
        // SAFETY: says the caller.
        let mut archive = unsafe { SaveArchive::over(archive) }?;
        archive.put(&bytes)?;
        archive.flush()
    })
}
