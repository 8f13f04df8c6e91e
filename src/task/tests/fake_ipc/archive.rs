//! An archive in memory.

use std::ffi::c_void;

use chimaera::abi::*;

/// A C archive over memory.
#[repr(C)]
pub(crate) struct MemoryArchive {
    pub(crate) base: chi_archive,
    pub(crate) bytes: Vec<u8>,
    taken: usize,
}

impl MemoryArchive {
    pub(crate) fn new(bytes: &[u8]) -> Box<Self> {
        let size = size_of::<chi_archive>() as u32;
        let base = chi_archive { size, reserved: 0, write, read, remaining };
        Box::new(MemoryArchive { base, bytes: bytes.to_vec(), taken: 0 })
    }
}

unsafe extern "C" fn write(archive: *mut chi_archive, data: *const c_void, n: u64) -> chi_status {
    // SAFETY: only ever called on a `MemoryArchive`, with `n` bytes.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast(), n as usize);
        (*archive.cast::<MemoryArchive>()).bytes.extend_from_slice(bytes);
    }
    CHI_OK
}

unsafe extern "C" fn read(archive: *mut chi_archive, data: *mut c_void, n: u64) -> chi_status {
    // SAFETY: only ever called on a `MemoryArchive`, with room for `n` bytes.
    unsafe {
        let archive = &mut *archive.cast::<MemoryArchive>();
        let bytes = &archive.bytes[archive.taken..archive.taken + n as usize];
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast(), bytes.len());
        archive.taken += bytes.len();
    }
    CHI_OK
}

unsafe extern "C" fn remaining(archive: *const chi_archive) -> u64 {
    // SAFETY: only ever called on a `MemoryArchive`.
    let archive = unsafe { &*archive.cast::<MemoryArchive>() };
    (archive.bytes.len() - archive.taken) as u64
}
