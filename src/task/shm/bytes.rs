//! Bytes in a task.

use std::mem::MaybeUninit;

use chimaera_abi::{chi_field_layout, chi_shm_vector, chi_task, CHI_FIELD_VECTOR, CHI_NO_SPACE};

use super::descriptor::{Descriptor, Kind};
use crate::shm::ShmElement;
use crate::status::{Result, Status};

/// How many shared bytes are copied to the stack at a time.
const CHUNK: usize = 1024;

/// A vector of bytes in a task: the C struct `chi_shm_vector`, a C++ `hipc::vector<u8>`.
///
/// It does not own its block: the block belongs to the task and is freed with it. The other side
/// may change the bytes at any time, so there is no `&[u8]` of them, only copies. Check and use the
/// same copy: a second copy may differ.
///
/// Writing allocates through the thread's IPC manager, and fails with its errors: `CHI_NO_SPACE`,
/// `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`, `CHI_NOT_INITIALIZED`; and with `CHI_INVALID`
/// for an element of a vector, which must be written through that vector.
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
    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A private copy. Errors: `CHI_NO_SPACE` when this process is out of memory.
    pub fn copy_to_vec(&self) -> Result<Vec<u8>> {
        copy_to_vec(&self.0)
    }

    /// Copies bytes starting at `offset` into `to`, until either ends. Returns the number of bytes
    /// copied.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and `read` only writes whole bytes.
        let to = unsafe { &mut *(std::ptr::from_mut(to) as *mut [MaybeUninit<u8>]) };
        self.0.read(offset, to)
    }

    /// Calls `f` with private copies of all bytes in order, chunk by chunk, without allocating.
    pub fn for_each_chunk(&self, f: impl FnMut(&[u8])) {
        for_each_chunk(&self.0, f);
    }

    /// Replaces the contents with a copy of `bytes`.
    pub fn set(&self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.set(self.0.owner()?, bytes.as_ref())
    }

    /// Changes the length. Existing bytes are kept, new ones are zero.
    pub fn resize(&self, len: usize) -> Result<()> {
        self.0.resize(self.0.owner()?, len, Kind::Leaf)
    }

    /// Changes the length and leaves the contents unspecified, for a caller that overwrites all
    /// bytes. A block that is large enough, such as an attached buffer, is kept.
    pub fn resize_unfilled(&self, len: usize) -> Result<()> {
        self.0.reserve(self.0.owner()?, len, Kind::Leaf)
    }

    /// Sets `len` bytes, starting at `offset`, to `byte`. Errors: `CHI_INVALID` when the range
    /// exceeds the length.
    pub fn fill(&self, offset: usize, len: usize, byte: u8) -> Result<()> {
        self.0.fill(offset, len, byte)
    }

    /// The address of the bytes, for system calls. It is valid for `len` bytes, until the task is
    /// deleted or the length changes. Other processes may write to the bytes at any time, so a
    /// reference to them is never sound: use raw copies only.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.data()
    }

    /// Overwrites bytes, starting at `offset`. Errors: `CHI_INVALID` when they exceed the length.
    pub fn write_at(&self, offset: usize, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.write(offset, bytes.as_ref())
    }
}

/// The task that contains these bytes, and where in it. Errors: `CHI_INVALID` for an element of a vector.
#[doc(hidden)]
pub fn place_of(bytes: &ShmBytes) -> Result<(*mut chi_task, *mut chi_shm_vector)> {
    Ok((bytes.0.owner()?, bytes.0.as_raw()))
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
