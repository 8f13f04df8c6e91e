//! The parameters of pools: converted to the canonical form that the module defines, and lent to
//! the pool's containers.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;

use chimaera_abi::*;

use crate::failure::Failure;
use crate::module::{Canonicalize, Module};
use crate::task::Texts;

/// The limit on the size of a pool's parameters, in bytes.
pub(super) const MAX_PARAMS: u64 = 1 << 20;

/// The archive into which a module writes the canonical parameters.
#[repr(C)]
struct Canonical {
    archive: chi_archive,
    bytes: Vec<u8>,
}

unsafe extern "C" fn write(archive: *mut chi_archive, data: *const c_void, len: u64) -> chi_status {
    // SAFETY: the archive is the first field of the `Canonical` that `canonicalize` lends to the
    // module, and nothing else uses it during the call.
    let bytes = unsafe { &mut (*archive.cast::<Canonical>()).bytes };
    if len > MAX_PARAMS - bytes.len() as u64 {
        return CHI_TOO_LARGE;
    }
    if len > 0 {
        // SAFETY: by the contract, the module passes `len` readable bytes.
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

/// Converts the parameters of a pool to the canonical form of its module. `texts` are those of the
/// running task.
pub(super) fn canonicalize(
    pool: &str,
    given: &[u8],
    by: Canonicalize,
    texts: &Texts,
) -> Result<Vec<u8>, Failure> {
    let written = call(by, given, texts);
    written.map_err(|why| Failure::new(why.status, format!("pool '{pool}': {}", why.message)))
}

/// The names of the pools that parameters in their canonical form name, each once. `texts` are those of
/// the running task.
pub(super) fn pools(
    pool: &str,
    module: &Module,
    params: &[u8],
    texts: &Texts,
) -> Result<Vec<String>, Failure> {
    let Some(by) = module.pools else { return Ok(Vec::new()) };
    let refuse = |status, why: &str| {
        let message = format!("pool '{pool}': the pools that its parameters name: {why}");
        Failure::new(status, message)
    };
    let written = call(by, params, texts).map_err(|why| refuse(why.status, &why.message))?;
    let mut names: Vec<String> = Vec::new();
    for name in written.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = std::str::from_utf8(name).ok().filter(|name| is_pool_name(name));
        let Some(name) = name else {
            let why = "each has 1 to 255 bytes of UTF-8 without control characters";
            return Err(refuse(CHI_INVALID, why));
        };
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Whether a pool may have this name.
pub(super) fn is_pool_name(name: &str) -> bool {
    name.len() <= 255 && !name.trim().is_empty() && !name.chars().any(char::is_control)
}

/// What a function of the module makes of the parameters.
fn call(by: Canonicalize, given: &[u8], texts: &Texts) -> Result<Vec<u8>, Failure> {
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
    // SAFETY: the function belongs to a loaded module and is called on a worker, as the contract
    // requires; parameters and archive outlive the call.
    let status =
        unsafe { by(given.as_ptr().cast(), given.len() as u64, (&raw mut canonical).cast()) };
    if status == CHI_OK {
        return Ok(canonical.bytes);
    }
    let why = texts.take_error().unwrap_or_else(|| format!("status {status}"));
    Err(Failure::new(status, why))
}

/// The longest parameters that a message shows, in bytes.
const MAX_SHOWN: usize = 100;

/// Parameters as a message shows them; `None` if they are too long or not text.
pub(super) fn shown(given: &[u8]) -> Option<String> {
    if given.is_empty() {
        return Some("none".to_owned());
    }
    let text = std::str::from_utf8(given).ok()?.trim_end();
    let fits = text.len() <= MAX_SHOWN && !text.chars().any(char::is_control);
    fits.then(|| format!("`{text}`"))
}

/// The creating task's own parameters, kept while the task refers to the pool's.
pub(super) struct Lent(chi_shm_vector);

/// Makes a creating task refer to the pool's parameters, for its containers: the bytes that were
/// checked, not those in the client's segment, which may have changed since.
///
/// # Safety
/// `task` must be a running `chi_create_task`; `params` must stay alive until [`Lent::take_back`]
/// is called.
pub(super) unsafe fn lend(params: &[u8], task: *mut chi_create_task) -> Lent {
    // SAFETY: by the caller's promise.
    unsafe {
        let params_ = &raw mut (*task).params_;
        let given = params_.read();
        let (data_, size_) = match params {
            [] => (ptr::null_mut(), 0),
            params => (params.as_ptr().cast_mut().cast(), params.len() as u64),
        };
        // With a capacity of 0, nothing writes into the lent bytes.
        params_.write(chi_shm_vector { data_, size_, capacity_: 0, ..given });
        Lent(given)
    }
}

impl Lent {
    /// Restores the task's own parameters.
    ///
    /// # Safety
    /// `task` must be the one that was passed to [`lend`].
    pub(super) unsafe fn take_back(self, task: *mut chi_create_task) {
        // SAFETY: by the caller's promise.
        unsafe { (*task).params_ = self.0 }
    }
}
