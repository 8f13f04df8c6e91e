//! The status page: what a running instance publishes about itself, for processes of its user to
//! read without asking it. One named segment, written only by the runtime.
//!
//! Any user may create shared-memory names, so the page's name is random; a link beside the
//! instance's socket, in a directory that only its user can write to, leads to it. The page itself
//! is not in that directory: it may be on a disk, and workers that update a counter would wait for
//! the disk.

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{flock, FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{test_kill_process, Pid};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::instance::Instance;

const MAGIC: u64 = u64::from_le_bytes(*b"chi-stat");
const VERSION: u32 = 4;
/// Where Linux shows the segments that `shm_open` names.
const NAMED_SEGMENTS: &str = "/dev/shm";
/// What the name of each page begins with.
const PREFIX: &str = "/chimaera-";
/// How old a page without a lock must be to be that of a runtime that died.
const YOUNG: Duration = Duration::from_secs(60);
/// The number of workers that the page has lines for, which is the most that an instance may have.
pub const MAX_WORKERS: usize = 256;

/// How many words of eight bytes the page has for what a start does; what is longer is cut.
const STEP_WORDS: usize = 24;

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
    /// Log lines that could not be written.
    pub log_lost: AtomicU64,
    /// The `errno` of the last one.
    pub log_error: AtomicU32,
    /// What it does while it is starting, in words: see [`Page::step`].
    step: [AtomicU64; STEP_WORDS],
    /// One line per worker.
    pub lines: [WorkerLine; MAX_WORKERS],
}

impl Page {
    /// Says what the runtime does while it is starting; empty for nothing that takes long.
    pub fn set_step(&self, step: &str) {
        let end = (0..=size_of_val(&self.step)).rev().find(|end| step.is_char_boundary(*end));
        let mut bytes = step.as_bytes()[..end.unwrap_or(0).min(step.len())].chunks(8);
        for word in &self.step {
            let mut value = [0; 8];
            if let Some(part) = bytes.next() {
                value[..part.len()].copy_from_slice(part);
            }
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
        }
    }

    /// What the runtime does while it is starting; empty if that is not known. If it changes meanwhile, it may be
    /// a mixture.
    pub fn step(&self) -> String {
        let words = self.step.iter().map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        let bytes: Vec<u8> = words.flatten().take_while(|byte| *byte != 0).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }
}

/// The runtime's side: the page itself, mapped.
pub struct Writer {
    memory: Memory,
}

enum Memory {
    /// The descriptor keeps the page locked until this process ends.
    Shared {
        page: Shmem,
        _lock: OwnedFd,
    },
    Private(Box<Page>),
}

/// The page's name and the link to it, both removed on drop, unless the link has become that of a
/// successor.
pub struct Name {
    name: String,
    link: PathBuf,
}

impl Name {
    /// Where the link leads.
    fn target(&self) -> String {
        format!("{NAMED_SEGMENTS}{}", self.name)
    }

    /// Lets the link of the instance lead to this page. The caller holds the instance's lock.
    pub fn link(&self) -> io::Result<()> {
        let mut other = self.link.as_os_str().to_owned();
        other.push(".new");
        let failed = |error| io::Error::other(format!("{}: {error}", self.link.display()));
        match std::fs::remove_file(&other) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::os::unix::fs::symlink(self.target(), &other).map_err(failed)?;
        std::fs::rename(&other, &self.link).map_err(failed)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // A failure means that they have already been removed.
        if std::fs::read_link(&self.link).is_ok_and(|found| found == Path::new(&self.target())) {
            let _ = std::fs::remove_file(&self.link);
        }
        let _ = rustix::shm::unlink(&*self.name);
    }
}

// SAFETY: the page consists of atomics; the handle itself is only dropped.
unsafe impl Send for Writer {}
// SAFETY: as above.
unsafe impl Sync for Writer {}

impl Writer {
    /// Makes the page of an instance. The caller holds the instance's lock, so an existing link was
    /// left by a runtime that died; its page is removed.
    pub fn create(instance: &Instance) -> io::Result<(Writer, Name)> {
        forget(&instance.page_link())?;
        sweep();
        let (writer, name) = Writer::unlinked(instance)?;
        name.link()?;
        Ok((writer, name))
    }

    /// Makes a page for an instance whose link still leads to that of a predecessor.
    pub fn unlinked(instance: &Instance) -> io::Result<(Writer, Name)> {
        let (mut shmem, name, lock) = create_segment()?;
        // The mapping may outlive the name: threads that the program does not wait for share it.
        shmem.set_owner(false);
        let name = Name { name, link: instance.page_link() };
        Ok((Writer::new(Memory::Shared { page: shmem, _lock: lock }), name))
    }

    /// Makes a page that no other process can open, for a system where [`Writer::create`] fails.
    pub fn private() -> Writer {
        // SAFETY: all fields are atomics, for which zero is a valid value.
        let page = unsafe { std::mem::zeroed::<Page>() };
        Writer::new(Memory::Private(Box::new(page)))
    }

    fn new(memory: Memory) -> Writer {
        let writer = Writer { memory };
        let page = writer.page();
        page.pid.store(std::process::id(), Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        page.started_ns.store(now, Ordering::Relaxed);
        page.version.store(VERSION, Ordering::Relaxed);
        page.magic.store(MAGIC, Ordering::Release);
        writer
    }

    /// The page.
    pub fn page(&self) -> &Page {
        match &self.memory {
            // SAFETY: the mapping is as large as a page, aligned to a memory page, and lives as
            // long as `self`; all fields are atomics.
            Memory::Shared { page, .. } => unsafe { &*page.as_ptr().cast::<Page>() },
            Memory::Private(page) => page,
        }
    }
}

/// Makes a segment with a unique name that nobody can predict.
fn create_segment() -> io::Result<(Shmem, String, OwnedFd)> {
    let uid = crate::instance::uid();
    loop {
        // The hasher's keys are random.
        let random = std::hash::RandomState::new().build_hasher().finish();
        let name = format!("{PREFIX}{uid}-{random:016x}");
        match ShmemConf::new().os_id(&name).size(std::mem::size_of::<Page>()).create() {
            Ok(shmem) => {
                let lock = allocate(&name)?;
                return Ok((shmem, name, lock));
            }
            Err(ShmemError::MappingIdExists) => {}
            Err(error) => return Err(io::Error::other(format!("{name}: {error}"))),
        }
    }
}

/// Locks the page with this name, and allocates its memory. Otherwise a write could find no memory, which
/// the kernel reports as SIGBUS. If there is not enough, the name is removed.
fn allocate(name: &str) -> io::Result<OwnedFd> {
    let size = std::mem::size_of::<Page>() as u64;
    let allocated =
        rustix::shm::open(name, rustix::shm::OFlags::RDWR, Mode::empty()).and_then(|fd| {
            flock(&fd, FlockOperation::NonBlockingLockShared)?;
            match rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, size) {
                // This file system cannot reserve memory, but does not limit it either.
                Ok(()) | Err(Errno::OPNOTSUPP) => Ok(fd),
                Err(error) => Err(error),
            }
        });
    match allocated {
        Ok(fd) => Ok(fd),
        Err(error) => {
            let _ = rustix::shm::unlink(name);
            let error = io::Error::from(error);
            Err(io::Error::new(error.kind(), format!("{name}: {error}")))
        }
    }
}

/// Removes the pages of this user whose runtimes died, and whose instances nobody starts again.
fn sweep() {
    // A failure leaves pages where they are, for the next runtime that starts.
    let Ok(entries) = std::fs::read_dir(NAMED_SEGMENTS) else { return };
    let prefix = format!("{}{}-", &PREFIX[1..], crate::instance::uid());
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(&prefix)) else { continue };
        if is_dead(&entry.path()).is_ok_and(|dead| dead) {
            let _ = rustix::shm::unlink(name);
        }
    }
}

/// Whether the runtime of this page has died. Nobody locks a page before its runtime has, which is why a
/// young one is left alone; and its process may be in another namespace, where its number says nothing.
fn is_dead(path: &Path) -> io::Result<bool> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.max(0) as u64);
    let is_old = made.elapsed().is_ok_and(|age| age >= YOUNG);
    let is_page = stat.st_size as usize == std::mem::size_of::<Page>();
    if stat.st_uid != crate::instance::uid() || !is_page || !is_old {
        return Ok(false);
    }
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let mut pid = [0; size_of::<u32>()];
    rustix::io::pread(&fd, &mut pid, std::mem::offset_of!(Page, pid) as u64)?;
    let pid = Pid::from_raw(u32::from_ne_bytes(pid) as i32);
    Ok(pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH)))
}

/// Removes a link to a page, and the page.
fn forget(link: &Path) -> io::Result<()> {
    let target = match std::fs::read_link(link) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io::Error::other(format!("{}: {error}", link.display()))),
    };
    let name = target.to_str().and_then(|target| target.strip_prefix(NAMED_SEGMENTS));
    if let Some(name) = name.filter(|name| name.starts_with(PREFIX)) {
        // The page does not survive a reboot of the machine.
        let _ = rustix::shm::unlink(name);
    }
    std::fs::remove_file(link)
}

/// A reader's side: the page mapped read-only.
pub struct Reader {
    page: *const Page,
}

impl Reader {
    /// Opens the page of an instance. Errors: `NotFound` when there is none, `InvalidData` when it
    /// belongs to another user or has another version.
    pub fn open(instance: &Instance) -> io::Result<Reader> {
        let link = instance.page_link();
        // Opening a pipe that somebody has put there would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(&link, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        let size = std::mem::size_of::<Page>();
        let refuse = |why: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", link.display()))
        };
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
