//! Directories: containers of durable pools ask where they keep their files.

use std::ffi::c_char;
use std::os::unix::ffi::OsStrExt;

use chimaera_abi::*;

use super::here::current_container;
use crate::scheduler::with_current;

pub(super) unsafe extern "C" fn path(
    _: *const chi_host,
    path: *mut c_char,
    capacity: u64,
    length: *mut u64,
) -> chi_status {
    with_current(|worker| {
        let Some(worker) = worker else { return CHI_INVALID };
        let Some(container) = current_container(worker) else { return CHI_INVALID };
        let found = worker.shared.durable.files_of(container.id, container.number);
        let found = found.unwrap_or_default();
        let bytes = found.as_os_str().as_bytes();
        // SAFETY: by the contract, `length` may be written.
        unsafe { *length = bytes.len() as u64 };
        if capacity <= bytes.len() as u64 {
            return CHI_NO_SPACE;
        }
        // SAFETY: by the contract, `path` has room for `capacity` bytes, which is more than there are.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), path, bytes.len());
            *path.add(bytes.len()) = 0;
        }
        CHI_OK
    })
}
