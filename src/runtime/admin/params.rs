//! The parameters of pools: in the canonical form that a module gives them, and lent to its containers.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;

use chimaera_abi::*;

use super::pool_manager::Wanted;
use crate::failure::Failure;
use crate::module::Canonicalize;
use crate::task::Texts;

/// The most bytes of a pool's parameters.
pub(super) const MAX_PARAMS: u64 = 1 << 20;

/// Where a module writes the parameters to.
#[repr(C)]
struct Canonical {
    archive: chi_archive,
    bytes: Vec<u8>,
}

unsafe extern "C" fn write(archive: *mut chi_archive, data: *const c_void, len: u64) -> chi_status {
    // SAFETY: the archive is the first field of a `Canonical` that `canonicalize` has lent to the module.
    let bytes = unsafe { &mut (*archive.cast::<Canonical>()).bytes };
    if len > MAX_PARAMS - bytes.len() as u64 {
        return CHI_TOO_LARGE;
    }
    if len > 0 {
        // SAFETY: the module's bytes, `len` of them.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(data.cast(), len as usize) });
    }
    CHI_OK
}

unsafe extern "C" fn read(_: *mut chi_archive, _: *mut c_void, _: u64) -> chi_status {
    CHI_INVALID
}

unsafe extern "C" fn remaining(_: *const chi_archive) -> u64 {
    0
}

/// The parameters of a pool in the canonical form of its module. `texts` are those of the task that runs.
pub(super) fn canonicalize(
    wanted: &Wanted<'_>,
    by: Canonicalize,
    texts: &Texts,
) -> Result<Vec<u8>, Failure> {
    let given = wanted.params;
    let mut canonical = Canonical {
        archive: chi_archive {
            size: size_of::<chi_archive>() as u32,
            reserved: 0,
            write,
            read,
            remaining,
        },
        bytes: Vec::new(),
    };
    texts.take_error();
    // SAFETY: the module's function, called on a worker as the contract says.
    let status =
        unsafe { by(given.as_ptr().cast(), given.len() as u64, (&raw mut canonical).cast()) };
    if status == CHI_OK {
        return Ok(canonical.bytes);
    }
    let why = texts.take_error().unwrap_or_else(|| format!("status {status}"));
    Err(Failure::new(status, format!("pool '{}': {why}", wanted.name)))
}

/// The most bytes of parameters that a message shows.
const MAX_SHOWN: usize = 100;

/// Parameters in a message, as they were given; `None` for those that are long, or no text.
pub(super) fn shown(given: &[u8]) -> Option<String> {
    if given.is_empty() {
        return Some("none".to_owned());
    }
    let text = std::str::from_utf8(given).ok()?.trim_end();
    let fits = text.len() <= MAX_SHOWN && !text.chars().any(char::is_control);
    fits.then(|| format!("`{text}`"))
}

/// What a creating task says itself, while the parameters in it are a pool's.
pub(super) struct Lent(chi_shm_vector);

/// Has a creating task show its containers the parameters that the pool has: the bytes that were
/// checked, not those in the client's segment, which may be others by now.
///
/// # Safety
/// `task` must be a running `chi_create_task`; the parameters must outlive what [`Lent::take_back`] ends.
pub(super) unsafe fn lend(params: &[u8], task: *mut chi_create_task) -> Lent {
    // SAFETY: by the caller's promise.
    unsafe {
        let params_ = &raw mut (*task).params_;
        let given = params_.read();
        let (data_, size_) = match params {
            [] => (ptr::null_mut(), 0),
            params => (params.as_ptr().cast_mut().cast(), params.len() as u64),
        };
        // Without a capacity, nobody writes there.
        params_.write(chi_shm_vector { data_, size_, capacity_: 0, ..given });
        Lent(given)
    }
}

impl Lent {
    /// The task says again what it said.
    ///
    /// # Safety
    /// `task` must be the one that was lent to.
    pub(super) unsafe fn take_back(self, task: *mut chi_create_task) {
        // SAFETY: by the caller's promise.
        unsafe { (*task).params_ = self.0 }
    }
}
