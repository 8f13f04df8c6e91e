//! Aligned memory.

use std::alloc::Layout;

use chimaera::abi::CHI_NO_SPACE;
use chimaera::{Result, Status};

/// The memory alignment that direct reads and writes require.
pub(crate) const DIRECT_ALIGN: usize = 4096;

/// Aligned memory for transfers whose own memory cannot be used: because direct reads and writes
/// cannot use it, or because nobody else may change it meanwhile.
pub(crate) struct Bounce {
    data: *mut u8,
    layout: Layout,
}

impl Bounce {
    /// Allocates `len` bytes, at least one.
    pub(crate) fn new(len: usize) -> Result<Bounce> {
        let none = || Status::new(CHI_NO_SPACE, format!("out of memory for a copy of {len} bytes"));
        let layout = Layout::from_size_align(len, DIRECT_ALIGN).map_err(|_| none())?;
        // SAFETY: the layout's size is not zero, because no request is empty.
        let data = unsafe { std::alloc::alloc_zeroed(layout) };
        match data.is_null() {
            true => Err(none()),
            false => Ok(Bounce { data, layout }),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation has this size, is private, and is not written to while borrowed.
        unsafe { std::slice::from_raw_parts(self.data, self.layout.size()) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.layout.size()) }
    }
}

impl Drop for Bounce {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.data, self.layout) }
    }
}
