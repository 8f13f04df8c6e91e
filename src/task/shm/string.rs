//! Text in a task.

use chimaera_abi::{chi_field_layout, chi_shm_string, CHI_FIELD_STRING, CHI_NO_SPACE};

use super::bytes;
use super::descriptor::Descriptor;
use crate::shm::ShmElement;
use crate::status::{Result, Status};

/// A string in a task: the C struct `chi_shm_string`, a C++ `hipc::string`.
///
/// As with [`ShmBytes`](crate::ShmBytes), the bytes may change at any time and are only ever
/// copied. The copy is checked to be UTF-8.
#[repr(transparent)]
pub struct ShmString(pub(crate) Descriptor);

// SAFETY: the C struct, all zeroes of which are an empty string; it has no constructor, `Clone` or
// destructor.
unsafe impl ShmElement for ShmString {
    const FIELDS: &'static [chi_field_layout] = &[chi_field_layout {
        offset_: 0,
        kind_: CHI_FIELD_STRING,
        elem_size_: 1,
        elem_align_: 1,
        elem_fields_: core::ptr::null(),
        n_elem_fields_: 0,
        reserved_: 0,
    }];
    const DEPTH: u32 = 1;
}

const _: () = assert!(size_of::<ShmString>() == size_of::<chi_shm_string>());

impl ShmString {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A private copy of the bytes. Errors: `CHI_NO_SPACE` when this process is out of memory.
    pub fn copy_to_vec(&self) -> Result<Vec<u8>> {
        bytes::copy_to_vec(&self.0)
    }

    /// A private copy as text. Errors: `CHI_INVALID` when it is not UTF-8, `CHI_NO_SPACE`.
    pub fn to_string(&self) -> Result<String> {
        Ok(String::from_utf8(self.copy_to_vec()?)?)
    }

    /// Calls `f` with private copies of all bytes in order, chunk by chunk, without allocating.
    pub fn for_each_chunk(&self, f: impl FnMut(&[u8])) {
        bytes::for_each_chunk(&self.0, f);
    }

    /// Sets the text; any bytes are accepted. Errors as [`ShmBytes`](crate::ShmBytes).
    pub fn set(&self, text: impl AsRef<[u8]>) -> Result<()> {
        self.0.set(self.0.owner()?, text.as_ref())
    }
}

/// The error for a copy that exceeds the caller's limit.
pub(crate) fn too_much(limit: usize) -> Status {
    Status::new(chimaera_abi::CHI_TOO_LARGE, format!("more than {limit} bytes of strings"))
}

/// The error when this process is out of memory for a copy of `n` elements.
pub(crate) fn no_memory(n: usize) -> Status {
    Status::new(CHI_NO_SPACE, format!("out of memory for a private copy of {n} elements"))
}
