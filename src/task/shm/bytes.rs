//! Bytes in a task.

use std::mem::MaybeUninit;

use chimaera_abi::{chi_field_layout, chi_shm_vector, CHI_FIELD_VECTOR, CHI_NO_SPACE};

use super::descriptor::{Descriptor, Kind};
use crate::shm::ShmElement;
use crate::status::{Result, Status};

/// How much of the shared bytes is copied to the stack at a time.
const CHUNK: usize = 1024;

/// A vector of bytes in a task: the C struct `chi_shm_vector`, a C++ `hipc::vector<u8>`.
///
/// It owns nothing: its block belongs to the task and goes with it. The bytes may be changed by the
/// other side at any time, so there is no `&[u8]` of them, only copies: what was copied is what is to
/// be checked and used, and a second copy may differ.
///
/// Writing allocates through the thread's IPC manager; errors are its own: `CHI_NO_SPACE`,
/// `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`, and `CHI_INVALID` for one
/// that lies in a vector, which is written through that vector.
#[repr(transparent)]
pub struct ShmBytes(pub(crate) Descriptor);

// SAFETY: the C struct, all zeroes of which are an empty vector; it has no constructor, `Clone` or
// destructor.
unsafe impl ShmElement for ShmBytes {
    const FIELDS: &'static [chi_field_layout] = &[chi_field_layout {
        offset_: 0,
        kind_: CHI_FIELD_VECTOR,
        elem_size_: 1,
        elem_align_: 1,
        elem_fields_: core::ptr::null(),
        n_elem_fields_: 0,
        reserved_: 0,
    }];
    const DEPTH: u32 = 1;
}

const _: () = assert!(size_of::<ShmBytes>() == size_of::<chi_shm_vector>());

impl ShmBytes {
    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A private copy. Errors: `CHI_NO_SPACE` when this process has no memory for it.
    pub fn copy_to_vec(&self) -> Result<Vec<u8>> {
        copy_to_vec(&self.0)
    }

    /// Copies bytes from `offset` on into `to`, as many as there are and fit. Returns how many.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and `read` only writes whole bytes.
        let to = unsafe { &mut *(std::ptr::from_mut(to) as *mut [MaybeUninit<u8>]) };
        self.0.read(offset, to)
    }

    /// Gives `f` private copies of all bytes in order, a chunk at a time, without allocating.
    pub fn for_each_chunk(&self, f: impl FnMut(&[u8])) {
        for_each_chunk(&self.0, f);
    }

    /// Makes these be the bytes.
    pub fn set(&self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.set(self.0.owner()?, bytes.as_ref())
    }

    /// Changes the length. The first bytes stay, new ones are zero.
    pub fn resize(&self, len: usize) -> Result<()> {
        self.0.resize(self.0.owner()?, len, Kind::Leaf)
    }

    /// Changes the length, for bytes that are all about to be written: what they hold is unspecified.
    /// A block with room, such as a buffer that the caller attached, stays where it is.
    pub fn resize_unfilled(&self, len: usize) -> Result<()> {
        self.0.reserve(self.0.owner()?, len, Kind::Leaf)
    }

    /// Makes `len` bytes from `offset` on be `byte`. Errors: `CHI_INVALID` when there are not so many.
    pub fn fill(&self, offset: usize, len: usize, byte: u8) -> Result<()> {
        self.0.fill(offset, len, byte)
    }

    /// Where the bytes lie, for the operating system: `len` of them, as long as the task lives and its
    /// length is not changed. They may be written by other processes at any time, so no reference to
    /// them is sound, only raw copies.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.data()
    }

    /// Writes bytes in the middle. Errors: `CHI_INVALID` when they do not fit into the length.
    pub fn write_at(&self, offset: usize, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.write(offset, bytes.as_ref())
    }
}

pub(crate) fn copy_to_vec(descriptor: &Descriptor) -> Result<Vec<u8>> {
    let len = descriptor.len();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| {
        Status::new(CHI_NO_SPACE, format!("out of memory for a private copy of {len} bytes"))
    })?;
    let n = descriptor.read(0, &mut bytes.spare_capacity_mut()[..len]);
    // SAFETY: `read` has filled the first `n` bytes, which are within the capacity.
    unsafe { bytes.set_len(n) };
    Ok(bytes)
}

pub(crate) fn for_each_chunk(descriptor: &Descriptor, mut f: impl FnMut(&[u8])) {
    let mut chunk = [MaybeUninit::uninit(); CHUNK];
    let mut at = 0;
    loop {
        let n = descriptor.read(at, &mut chunk);
        if n == 0 {
            return;
        }
        // SAFETY: `read` has filled the first `n` bytes.
        f(unsafe { &*(std::ptr::from_ref(&chunk[..n]) as *const [u8]) });
        at += n;
    }
}
