//! Blocks of private memory that tasks own.

use std::alloc::Layout;

/// A block of private memory, freed when it is dropped.
pub(crate) struct PrivateBlock {
    data: *mut u8,
    layout: Layout,
}

impl PrivateBlock {
    /// Allocates a zeroed block of `size` bytes, at least one, aligned to 64; `None` if there is no
    /// memory.
    pub(crate) fn new(size: usize) -> Option<PrivateBlock> {
        let layout = Layout::from_size_align(size, 64).ok()?;
        // SAFETY: by this function's contract, the layout's size is not zero.
        let data = unsafe { std::alloc::alloc_zeroed(layout) };
        (!data.is_null()).then_some(PrivateBlock { data, layout })
    }

    pub(crate) fn data(&self) -> *mut u8 {
        self.data
    }

    pub(crate) fn size(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for PrivateBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.data, self.layout) }
    }
}
