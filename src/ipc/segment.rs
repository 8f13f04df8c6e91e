//! A session's segment: a sealed memfd, mapped by both sides.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::layout::{Layout, RING_SLOTS};
use crate::ring::{Header, RingMemory};

/// The environment variable that makes core files of its process contain the segments.
const DUMP_VARIABLE: &str = "CHI_DUMP_SEGMENTS";

/// Makes the memfd of a segment: sized and sealed, so that neither side can shrink it under the
/// other. Its pages are allocated when they are first touched.
pub fn create(layout: &Layout) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(
        "chimaera-segment",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    rustix::fs::ftruncate(&fd, layout.size)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

/// A segment mapped into this process, writable; unmapped on drop.
pub struct Mapping {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a mapping is an address range of the process; access to it goes through raw pointers and
// atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a segment, after checking that it is as large as `layout` says and sealed. A child made
    /// by fork does not get the mapping, and a core file contains it only if `$CHI_DUMP_SEGMENTS`
    /// is set.
    pub fn new(fd: BorrowedFd<'_>, layout: Layout) -> io::Result<Mapping> {
        let seals = rustix::fs::fcntl_get_seals(fd)?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW)
            || rustix::fs::fstat(fd)?.st_size as u64 != layout.size
        {
            return Err(io::Error::other("the segment is not sealed, or has the wrong size"));
        }
        let len = usize::try_from(layout.size).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address that the kernel chooses aliases nothing.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd.as_fd(),
                0,
            )?
        };
        let mapping = Mapping {
            base: NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at null"))?,
            layout,
        };
        // SAFETY: the range is the mapping that was just made.
        unsafe {
            rustix::mm::madvise(base, len, Advice::LinuxDontFork)?;
            if std::env::var_os(DUMP_VARIABLE).is_none_or(|value| value.is_empty()) {
                rustix::mm::madvise(base, len, Advice::LinuxDontDump)?;
            }
        }
        Ok(mapping)
    }

    /// Gives the memory of a part, in whole pages, back to the operating system. Whoever reads it finds
    /// zeros.
    pub fn give_back(&self, offset: u64, len: u64) -> io::Result<()> {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.layout.size));
        let start = self.base.as_ptr().wrapping_add(offset as usize).cast();
        // SAFETY: the range is inside the mapping, and shared memory may change at any time.
        unsafe { rustix::mm::madvise(start, len as usize, Advice::LinuxRemove)? };
        Ok(())
    }

    /// Makes the rings inaccessible in this mapping: whoever needs only the arenas cannot damage them by mistake.
    pub fn hide_rings(&self) -> io::Result<()> {
        let len = self.layout.client_arena as usize;
        // SAFETY: the range is the first part of the mapping, and nothing refers to it: a caller uses only the
        // arenas.
        unsafe {
            rustix::mm::mprotect(self.base.as_ptr().cast(), len, MprotectFlags::empty())?;
        }
        Ok(())
    }

    /// The address of the segment in this process.
    #[inline]
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The segment's parts.
    #[inline]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The address of an offset that is known to be inside the segment.
    ///
    /// # Safety
    /// The offset must be less than the segment's size.
    #[inline]
    pub unsafe fn address(&self, offset: u64) -> NonNull<u8> {
        debug_assert!(offset < self.layout.size);
        // SAFETY: the caller guarantees that the offset is inside the mapping.
        unsafe { self.base.add(offset as usize) }
    }

    /// The address of `len` bytes at an untrusted offset; `None` unless all of them are inside the
    /// segment.
    #[inline]
    pub fn find(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        let room = self.layout.size.checked_sub(offset)?;
        // SAFETY: the offset is inside the mapping, or at its end when `len` is 0.
        (len <= room).then(|| unsafe { self.base.add(offset as usize) })
    }

    /// The offset of an address of this process, if it is inside the segment.
    #[inline]
    pub fn offset_of(&self, address: *const u8) -> Option<u64> {
        let offset = (address as u64).wrapping_sub(self.base.as_ptr() as u64);
        (offset < self.layout.size).then_some(offset)
    }

    /// The memory of a ring. At most one producer and one consumer may be made from it.
    pub fn ring(&self, index: u64) -> RingMemory {
        // SAFETY: the layout places header and slots inside the mapping, aligned; a new memfd is
        // zero.
        unsafe {
            let header = self.address(self.layout.ring(index)).as_ptr();
            let slots = header.add(std::mem::size_of::<Header>());
            RingMemory::new(header.cast::<Header>(), slots.cast(), RING_SLOTS)
        }
    }

    /// A word of the segment.
    ///
    /// # Safety
    /// The offset must be aligned to 4 and inside the segment.
    #[inline]
    pub unsafe fn word(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: inside the mapping and aligned, by the caller's promise; atomics may be shared.
        unsafe { self.address(offset).cast::<AtomicU32>().as_ref() }
    }

    /// A double word of the segment.
    ///
    /// # Safety
    /// The offset must be aligned to 8 and inside the segment.
    #[inline]
    pub unsafe fn double_word(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: inside the mapping and aligned, by the caller's promise; atomics may be shared.
        unsafe { self.address(offset).cast::<AtomicU64>().as_ref() }
    }

    /// Double words of the segment, one after the other.
    ///
    /// # Safety
    /// The offset must be aligned to 8, and all of them inside the segment.
    pub unsafe fn double_words(&self, offset: u64, count: usize) -> &[AtomicU64] {
        // SAFETY: inside the mapping and aligned, by the caller's promise; atomics may be shared.
        unsafe { std::slice::from_raw_parts(self.address(offset).cast().as_ptr(), count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, and nothing refers to it any more. It could fail only
        // if the range were not mapped.
        unsafe {
            let _ = rustix::mm::munmap(self.base.as_ptr().cast(), self.layout.size as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_mappings_see_one_memory_and_its_size_is_fixed() {
        let layout = Layout::of(0);
        let fd = create(&layout).unwrap();
        let (one, two) =
            (Mapping::new(fd.as_fd(), layout).unwrap(), Mapping::new(fd.as_fd(), layout).unwrap());
        // SAFETY: the offset is aligned and inside.
        unsafe {
            one.word(layout.client_arena).store(7, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(two.word(layout.client_arena).load(std::sync::atomic::Ordering::Relaxed), 7);
        }
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
        assert!(rustix::fs::ftruncate(&fd, layout.size * 2).is_err());
        // SAFETY: the offset is inside.
        assert_eq!(one.offset_of(unsafe { one.address(100) }.as_ptr()), Some(100));
        assert_eq!(one.offset_of(one.base().wrapping_sub(1)), None);
    }

    #[test]
    fn only_bytes_inside_the_segment_are_found() {
        let layout = Layout::of(0);
        let fd = create(&layout).unwrap();
        let mapping = Mapping::new(fd.as_fd(), layout).unwrap();
        let size = layout.size;
        assert_eq!(mapping.find(0, size).map(|at| at.as_ptr()), Some(mapping.base()));
        assert!(mapping.find(size - 8, 8).is_some() && mapping.find(size, 0).is_some());
        for (offset, len) in [(0, size + 1), (size - 8, 9), (size, 1), (size + 1, 0), (u64::MAX, 8)]
        {
            assert!(mapping.find(offset, len).is_none(), "{offset} {len}");
        }
    }

    #[test]
    fn an_unsealed_or_short_memfd_is_refused() {
        let layout = Layout::of(0);
        let fd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&fd, layout.size).unwrap();
        assert!(Mapping::new(fd.as_fd(), layout).is_err());
    }
}
