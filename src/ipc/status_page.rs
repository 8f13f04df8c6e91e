//! The status page: the counters that a running instance publishes for programs of the same user,
//! which read them without a request. One named segment, which only the runtime writes.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::Mode;
use rustix::mm::{MapFlags, ProtFlags};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::instance::Instance;

const MAGIC: u64 = u64::from_le_bytes(*b"chi-stat");
const VERSION: u32 = 2;
/// The maximum number of workers of an instance, and of lines on the page.
pub const MAX_WORKERS: usize = 256;

/// A worker's line.
#[repr(C, align(64))]
pub struct WorkerLine {
    /// Tasks that it completed.
    pub tasks: AtomicU64,
    /// Tasks that it completed with a status other than `CHI_OK`.
    pub failed: AtomicU64,
    /// Number of times that it went to sleep.
    pub parks: AtomicU64,
    /// Tasks that are suspended on it now.
    pub suspended: AtomicU64,
    /// 1 for a worker of the high-latency group, else 0.
    pub high_latency: AtomicU32,
}

/// The page.
#[repr(C)]
pub struct Page {
    magic: AtomicU64,
    version: AtomicU32,
    /// The runtime's process id.
    pub pid: AtomicU32,
    /// When it started, in nanoseconds since 1970.
    pub started_ns: AtomicU64,
    /// From start to ready, in nanoseconds. 0 while it is starting.
    pub ready_after_ns: AtomicU64,
    /// Workers.
    pub workers: AtomicU32,
    /// Sessions that are connected.
    pub sessions: AtomicU32,
    /// Sessions since the start.
    pub sessions_total: AtomicU64,
    /// Pools.
    pub pools: AtomicU32,
    /// Modules loaded.
    pub modules: AtomicU32,
    /// Files refused as modules.
    pub refused: AtomicU32,
    /// 1 when the log goes to a file that is the process's standard error; 0 when standard error is
    /// not known to be a file.
    pub log_is_file: AtomicU32,
    /// One line per worker.
    pub lines: [WorkerLine; MAX_WORKERS],
}

/// The runtime's side: the page itself, mapped.
pub struct Writer {
    shmem: Shmem,
}

/// The page's name, which is unlinked on drop. Its owner must still hold the instance's lock then:
/// without the lock, the name may already belong to a successor.
pub struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        // A failure means that the name has already been removed.
        let _ = rustix::shm::unlink(&*self.0);
    }
}

// SAFETY: the page consists of atomics; the handle itself is only dropped.
unsafe impl Send for Writer {}
// SAFETY: as above.
unsafe impl Sync for Writer {}

impl Writer {
    /// Creates the page of an instance. The caller holds the instance's lock, so an existing page
    /// was left by a runtime that died, and is replaced if it belongs to this user.
    pub fn create(instance: &Instance) -> io::Result<(Writer, Name)> {
        let name = instance.status_page();
        let make = || ShmemConf::new().os_id(&name).size(std::mem::size_of::<Page>()).create();
        let shmem = match make() {
            Err(ShmemError::MappingIdExists) => {
                reclaim(&name)?;
                make()
            }
            other => other,
        };
        let mut shmem = shmem.map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        // The mapping may outlive the name: detached threads share it.
        shmem.set_owner(false);
        let writer = Writer { shmem };
        let page = writer.page();
        page.pid.store(std::process::id(), Ordering::Relaxed);
        page.version.store(VERSION, Ordering::Relaxed);
        page.magic.store(MAGIC, Ordering::Release);
        Ok((writer, Name(name)))
    }

    /// The page.
    pub fn page(&self) -> &Page {
        // SAFETY: the mapping is as large as a page, aligned to a memory page, and lives as long as
        // `self`; all fields are atomics.
        unsafe { &*self.shmem.as_ptr().cast::<Page>() }
    }
}

fn reclaim(name: &str) -> io::Result<()> {
    let fd = rustix::shm::open(name, rustix::shm::OFlags::RDONLY, Mode::empty())?;
    let owner = rustix::fs::fstat(&fd)?.st_uid;
    if owner != crate::instance::uid() {
        let why = format!("{name} belongs to user {owner}, who must remove it");
        return Err(io::Error::other(why));
    }
    rustix::shm::unlink(name)?;
    Ok(())
}

/// A reader's side: the page mapped read-only.
pub struct Reader {
    page: *const Page,
}

impl Reader {
    /// Opens the page of an instance. Errors: `NotFound` when there is none, `InvalidData` when it
    /// belongs to another user or has another version.
    pub fn open(instance: &Instance) -> io::Result<Reader> {
        let name = instance.status_page();
        let fd = rustix::shm::open(&name, rustix::shm::OFlags::RDONLY, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        let size = std::mem::size_of::<Page>();
        let refuse =
            |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {why}"));
        if stat.st_uid != crate::instance::uid() {
            return Err(refuse("belongs to another user"));
        }
        if (stat.st_size as u64) < size as u64 {
            return Err(refuse("is too short for a status page"));
        }
        // SAFETY: a new mapping at an address that the kernel chooses aliases nothing.
        let page = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size, ProtFlags::READ, MapFlags::SHARED, &fd, 0)?
        };
        let reader = Reader { page: page.cast() };
        let page = reader.page();
        if page.magic.load(Ordering::Acquire) != MAGIC
            || page.version.load(Ordering::Relaxed) != VERSION
        {
            return Err(refuse("is not a status page of this version"));
        }
        Ok(reader)
    }

    /// The page.
    pub fn page(&self) -> &Page {
        // SAFETY: mapped, at least as large as a page, until drop; all fields are atomics.
        unsafe { &*self.page }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `open` made. It could fail only if it were not mapped.
        unsafe {
            let _ = rustix::mm::munmap(self.page.cast_mut().cast(), std::mem::size_of::<Page>());
        }
    }
}
