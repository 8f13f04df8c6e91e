//! Segments of published memory: a runtime writes them, and clients map them read-only.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// A segment that this process writes. It is unmapped on drop; whoever has mapped it keeps what is in it.
pub struct PublishedSegment {
    fd: OwnedFd,
    map: Map,
}

/// A segment of another process, mapped read-only. It is unmapped on drop.
pub struct PublishedView(Map);

struct Map {
    base: NonNull<u8>,
    size: u64,
}

// SAFETY: a mapping is an address range of the process; access to it goes through raw pointers.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    fn new(fd: BorrowedFd<'_>, size: u64, prot: ProtFlags) -> io::Result<Map> {
        let len = usize::try_from(size).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address that the kernel chooses aliases nothing.
        let base =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, 0)? };
        let none = || io::Error::other("mapped at null");
        let map = Map { base: NonNull::new(base.cast()).ok_or_else(none)?, size };
        // SAFETY: the range is the mapping that was just made.
        unsafe {
            rustix::mm::madvise(base, len, Advice::LinuxDontFork)?;
            rustix::mm::madvise(base, len, Advice::LinuxDontDump)?;
        }
        Ok(map)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, and nothing refers to it any more. It could fail only if the
        // range were not mapped.
        unsafe {
            let _ = rustix::mm::munmap(self.base.as_ptr().cast(), self.size as usize);
        }
    }
}

impl PublishedSegment {
    /// Makes a segment of `size` bytes, a multiple of the size of a page. It has no memory yet: see
    /// [`commit`](Self::commit).
    pub fn create(size: u64) -> io::Result<PublishedSegment> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("chimaera-published", flags)?;
        rustix::fs::ftruncate(&fd, size)?;
        // Clients of other users get a descriptor for reading, and cannot make one for writing of it.
        rustix::fs::fchmod(&fd, Mode::RUSR)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let map = Map::new(fd.as_fd(), size, ProtFlags::READ | ProtFlags::WRITE)?;
        Ok(PublishedSegment { fd, map })
    }

    /// A descriptor of the segment that can only be read, for a client.
    pub fn reader(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The address of the segment in this process.
    pub fn base(&self) -> NonNull<u8> {
        self.map.base
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.map.size
    }

    /// The descriptor that the segment takes in this process.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The bytes of memory that it takes.
    pub fn resident(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.fd)?.st_blocks as u64 * 512)
    }

    /// Gives a part memory, of zeros where it had none, so that writing there cannot fault.
    pub fn commit(&self, offset: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.fd, FallocateFlags::empty(), offset, len)?)
    }

    /// Gives the memory of a part, in whole pages, back to the operating system. Whoever reads it finds zeros.
    pub fn give_back(&self, offset: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(&self.fd, flags, offset, len)?)
    }
}

impl PublishedView {
    /// Maps a segment, after checking that it is as large as it should be and sealed. A child made by fork does
    /// not get the mapping, nor does a core file.
    pub fn new(fd: BorrowedFd<'_>, size: u64) -> io::Result<PublishedView> {
        let seals = rustix::fs::fcntl_get_seals(fd)?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW)
            || rustix::fs::fstat(fd)?.st_size as u64 != size
        {
            return Err(io::Error::other("published memory is not sealed, or has the wrong size"));
        }
        Map::new(fd, size, ProtFlags::READ).map(PublishedView)
    }

    /// The address of the segment in this process.
    pub fn base(&self) -> u64 {
        self.0.base.as_ptr() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    /// What a client gets can be read, and nothing else.
    #[test]
    fn a_reader_can_only_read() {
        let segment = PublishedSegment::create(SIZE).unwrap();
        segment.commit(0, 8192).unwrap();
        // SAFETY: the first page is mapped, and nobody else uses it.
        unsafe { segment.base().as_ptr().write(7) };
        let reader = segment.reader().unwrap();
        let view = PublishedView::new(reader.as_fd(), SIZE).unwrap();
        // SAFETY: the page is mapped.
        assert_eq!(unsafe { (view.base() as *const u8).read() }, 7);
        assert!(Map::new(reader.as_fd(), SIZE, ProtFlags::READ | ProtFlags::WRITE).is_err());
        assert!(rustix::io::write(&reader, b"x").is_err());
        assert!(rustix::fs::ftruncate(&reader, 0).is_err());
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert!(rustix::fs::fallocate(&reader, hole, 0, 4096).is_err());
        // What is given back is gone for both, and takes no memory.
        let blocks = || rustix::fs::fstat(segment.descriptor()).unwrap().st_blocks;
        let before = blocks();
        segment.give_back(0, 8192).unwrap();
        assert!(blocks() < before);
        // SAFETY: the page is mapped.
        assert_eq!(unsafe { (view.base() as *const u8).read() }, 0);
        // It outlives the segment of the writer.
        drop(segment);
        // SAFETY: as above.
        assert_eq!(unsafe { (view.base() as *const u8).read() }, 0);
    }

    #[test]
    fn what_is_not_sealed_or_of_another_size_is_refused() {
        let segment = PublishedSegment::create(SIZE).unwrap();
        assert!(PublishedView::new(segment.reader().unwrap().as_fd(), 2 * SIZE).is_err());
        let fd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&fd, SIZE).unwrap();
        assert!(PublishedView::new(fd.as_fd(), SIZE).is_err());
    }
}
