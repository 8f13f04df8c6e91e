//! Memory for much at once.

use rustix::mm::{madvise, Advice};

/// From how many bytes on memory is large: two of the pages that x86-64 and most others have besides those of 4 KiB.
const LARGE: usize = 4 << 20;
/// What the kernel wants such addresses to be a multiple of.
const PAGE: usize = 4096;

/// Says that this memory, if it is large, will be filled soon and as a whole: the kernel then gives it in large
/// pages, if it has some, which saves most of the time that the first access to each page takes. It is a wish; what
/// the memory contains stays as it is. The memory must be the caller's own; if it is not, nothing happens to it but
/// this.
pub fn expect(at: *mut u8, size: usize) {
    if size < LARGE {
        return;
    }
    let begin = at.align_offset(PAGE);
    let length = (size - begin) / PAGE * PAGE;
    // SAFETY: this changes how the memory is backed, not what it contains. A kernel without large pages refuses, and
    // the pages are small.
    let _ = unsafe { madvise(at.wrapping_add(begin).cast(), length, Advice::LinuxHugepage) };
}
