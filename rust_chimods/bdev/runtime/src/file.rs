//! A device whose blocks are in a file.

use std::fs::{File as OsFile, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_BUSY, CHI_INVALID, CHI_IO, CHI_NOT_FOUND, CHI_NO_SPACE, CHI_TIMEOUT};
use chimaera::module::Event;
use chimaera::{log_error, log_info, Result, ShmBytes, Status};
use chimaera_bdev_client::{Engine, Io, Params};
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::bounce::{Bounce, DIRECT_ALIGN};
use crate::disk::{Disk, Part, NO_WORKER};
use crate::posix::Posix;
use crate::request::{Op, Request};
use crate::uring::Uring;

/// The largest request: the operating system transfers no more in one call.
const MAX_REQUEST: usize = 1 << 30;

/// A file, and the engine that reads and writes it.
pub(crate) struct File {
    path: String,
    direct: bool,
    mover: Mover,
    files: Arc<Files>,
    /// The smallest size that the file has been seen with, in bytes. What is behind it has been lost,
    /// also when the file grows again.
    intact: AtomicU64,
}

/// A file, opened once or twice.
pub(crate) struct Files {
    blocks: OsFile,
    /// Not there if the blocks are accessed through the cache, too.
    pages: Option<OsFile>,
}

impl Files {
    /// Leaves the file to others, although it is still open.
    pub(crate) fn unlock(&self) {
        if let Err(error) = rustix::fs::flock(&self.blocks, FlockOperation::NonBlockingUnlock) {
            log_error!("the file of a device stays locked: {error}");
        }
    }

    /// The descriptor to access a part with.
    pub(crate) fn get(&self, part: Part) -> &OsFile {
        match (part, &self.pages) {
            (Part::Pages, Some(pages)) => pages,
            _ => &self.blocks,
        }
    }
}

enum Mover {
    Posix(Posix),
    /// Rings, and threads for requests outside of tasks, and for workers that cannot have a ring, unless
    /// they must.
    Uring {
        uring: Uring,
        posix: Spare,
        only: bool,
    },
}

/// Threads that are started on demand.
struct Spare {
    files: Arc<Files>,
    posix: OnceLock<Posix>,
    starting: Mutex<()>,
}

impl Spare {
    fn posix(&self, why: Option<&Status>) -> Result<&Posix> {
        if let Some(posix) = self.posix.get() {
            return Ok(posix);
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.posix.get().is_none() {
            if let Some(why) = why {
                log_info!("{}; using threads for that worker instead", why.message());
            }
            // The lock makes this the only thread that sets it.
            let _ = self.posix.set(Posix::new(self.files.clone())?);
        }
        self.posix.get().ok_or_else(|| Status::failed("threads that were started are gone"))
    }
}

impl File {
    /// Opens the file of a device, and locks it. Errors: `CHI_NOT_FOUND`; `CHI_INVALID` if it is
    /// not a regular file; `CHI_BUSY` if another device uses it; `CHI_IO`.
    pub(crate) fn open(params: &Params, worker: u32) -> Result<File> {
        let path = params.path.clone();
        let durable = if params.sync { libc::O_DSYNC } else { 0 };
        let direct = if params.direct { libc::O_DIRECT } else { 0 };
        let blocks = open(&path, durable | direct)?;
        let cannot = |error| Status::new(CHI_IO, format!("cannot set up {path}: {error}"));
        let metadata = blocks.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(Status::invalid(format!("{path} is not a regular file")));
        }
        lock(&blocks, &path)?;
        let mut files = Files { blocks, pages: None };
        if params.direct {
            let pages = open(&path, durable)?;
            let found = pages.metadata().map_err(cannot)?;
            if (found.dev(), found.ino()) != (metadata.dev(), metadata.ino()) {
                let text = format!("{path} was replaced while it was opened");
                return Err(Status::new(CHI_BUSY, text));
            }
            files.pages = Some(pages);
        }
        for file in [Some(&files.blocks), files.pages.as_ref()].into_iter().flatten() {
            let cannot = |error: Errno| cannot(error.into());
            let flags = rustix::fs::fcntl_getfl(file).map_err(cannot)?;
            rustix::fs::fcntl_setfl(file, flags - OFlags::NONBLOCK).map_err(cannot)?;
        }
        let files = Arc::new(files);
        let mover = Mover::new(files.clone(), params.io, worker)?;
        let intact = AtomicU64::new(u64::MAX);
        let file = File { path, direct: params.direct, mover, files, intact };
        file.look_at_size()?;
        Ok(file)
    }

    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    pub(crate) fn engine(&self) -> Engine {
        match self.mover {
            Mover::Uring { .. } => Engine::Uring,
            Mover::Posix(_) => Engine::Posix,
        }
    }

    /// Reads blocks from position `at`, filling `to`.
    pub(crate) fn read_into(&self, worker: u32, at: u64, to: &ShmBytes) -> Result<()> {
        let (data, len) = (to.as_ptr(), to.len());
        if self.fits(data) {
            return self.transfer(worker, (Op::Read, Part::Blocks), at, data, len);
        }
        let mut bounce = Bounce::new(len)?;
        self.read(worker, Part::Blocks, at, bounce.bytes_mut())?;
        to.write_at(0, bounce.bytes())
    }

    /// Writes blocks, all of `from`, at position `at`.
    pub(crate) fn write_from(&self, worker: u32, at: u64, from: &ShmBytes) -> Result<()> {
        let (data, len) = (from.as_ptr(), from.len());
        if self.fits(data) {
            return self.transfer(worker, (Op::Write, Part::Blocks), at, data, len);
        }
        let mut bounce = Bounce::new(len)?;
        from.copy_to(0, bounce.bytes_mut());
        self.write(worker, Part::Blocks, at, bounce.bytes())
    }

    /// Whether the operating system can access memory at this address directly.
    fn fits(&self, data: *mut u8) -> bool {
        !self.direct || data.addr().is_multiple_of(DIRECT_ALIGN)
    }

    /// Transfers `len` bytes between the file at position `at` and memory that stays valid until
    /// this returns.
    fn transfer(
        &self,
        worker: u32,
        (op, part): (Op, Part),
        at: u64,
        data: *mut u8,
        len: usize,
    ) -> Result<()> {
        if op == Op::Write {
            // Writing beyond the end would extend the file, and lost blocks would read as zeros.
            self.look_at_size()?;
        }
        self.check_intact(at + len as u64)?;
        let mut done = 0;
        while done < len {
            let (position, rest) = (at + done as u64, (len - done).min(MAX_REQUEST));
            let request = Request::new(op, part, position, data.wrapping_add(done), rest as u32)?;
            match self.mover.run(worker, &request)? {
                Ok(0) => {
                    self.intact.fetch_min(position, Ordering::Relaxed);
                    return self.check_intact(position + 1);
                }
                Ok(moved) => done += moved,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let what = if op == Op::Read { "read" } else { "written" };
                    let what = format!("cannot be {what} at byte {position}");
                    return Err(self.refused(error, &what));
                }
            }
        }
        Ok(())
    }

    /// Looks whether the file has been truncated.
    fn look_at_size(&self) -> Result<()> {
        let found = rustix::fs::fstat(&self.files.blocks);
        let found = found.map_err(|error| self.refused(error.into(), "cannot be examined"))?;
        self.intact.fetch_min(found.st_size as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Fails if part of the file before byte `end` has been lost.
    fn check_intact(&self, end: u64) -> Result<()> {
        let intact = self.intact.load(Ordering::Relaxed);
        if end <= intact {
            return Ok(());
        }
        let message = format!("{} has been truncated: byte {intact} and later are lost", self.path);
        Err(Status::new(CHI_IO, message))
    }

    fn refused(&self, error: io::Error, what: &str) -> Status {
        let code = match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => CHI_NO_SPACE,
            _ => CHI_IO,
        };
        Status::new(code, format!("{} {what}: {error}", self.path))
    }
}

impl Disk for File {
    fn name(&self) -> &str {
        &self.path
    }

    fn read(&self, worker: u32, part: Part, at: u64, to: &mut [u8]) -> Result<()> {
        self.transfer(worker, (Op::Read, part), at, to.as_mut_ptr(), to.len())
    }

    fn write(&self, worker: u32, part: Part, at: u64, from: &[u8]) -> Result<()> {
        // The operating system only reads from there.
        self.transfer(worker, (Op::Write, part), at, from.as_ptr().cast_mut(), from.len())
    }

    fn sync(&self, worker: u32) -> Result<()> {
        let request = Request::new(Op::Sync, Part::Pages, 0, std::ptr::null_mut(), 0)?;
        let result = self.mover.run(worker, &request)?;
        result.map(drop).map_err(|error| self.refused(error, "cannot be flushed"))
    }

    fn size(&self) -> Result<u64> {
        self.look_at_size()?;
        Ok(self.intact.load(Ordering::Relaxed))
    }

    fn size_now(&self) -> Result<u64> {
        let found = rustix::fs::fstat(&self.files.blocks);
        let found = found.map_err(|error| self.refused(error.into(), "cannot be examined"))?;
        self.intact.store(found.st_size as u64, Ordering::Relaxed);
        Ok(found.st_size as u64)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        let done = rustix::fs::ftruncate(&self.files.blocks, size);
        done.map_err(|error| self.refused(error.into(), "cannot be resized"))?;
        self.intact.store(size, Ordering::Relaxed);
        Ok(())
    }

    fn reserve(&self, end: u64) -> Result<()> {
        match rustix::fs::fallocate(&self.files.blocks, FallocateFlags::empty(), 0, end) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(self.refused(error.into(), "cannot be allocated")),
        }
    }

    fn has_data(&self, from: u64) -> Result<bool> {
        match rustix::fs::seek(&self.files.blocks, SeekFrom::Data(from)) {
            Ok(_) => Ok(true),
            Err(Errno::NXIO) => Ok(false),
            Err(error) => Err(self.refused(error.into(), "cannot be examined")),
        }
    }
}

/// The operating system closes rings, and the files that they use, later.
impl Drop for File {
    fn drop(&mut self) {
        self.files.unlock();
    }
}

/// Opens a file.
fn open(path: &str, flags: i32) -> Result<OsFile> {
    // Do not block on a FIFO, which is refused later.
    let flags = flags | libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    opened.map_err(|error| {
        let code = match error.kind() {
            ErrorKind::NotFound => CHI_NOT_FOUND,
            ErrorKind::IsADirectory => CHI_INVALID,
            _ => CHI_IO,
        };
        Status::new(code, format!("cannot open {path}: {error}"))
    })
}

/// Locks the file against other devices. Waits a while, in case one is just being destroyed.
fn lock(file: &OsFile, path: &str) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(1);
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < give_up => {
                match Event::new()?.wait_for(Duration::from_millis(10)) {
                    Err(status) if status.code() != CHI_TIMEOUT => return Err(status),
                    _ => {}
                }
            }
            Err(Errno::WOULDBLOCK) => {
                let text = format!("{path} is in use by another device, or locked");
                return Err(Status::new(CHI_BUSY, text));
            }
            Err(error) => return Err(Status::new(CHI_IO, format!("cannot lock {path}: {error}"))),
        }
    }
}

impl Mover {
    fn new(files: Arc<Files>, io: Io, worker: u32) -> Result<Mover> {
        if io != Io::Posix {
            let only = io == Io::Uring;
            match Uring::new(files.clone(), worker) {
                Ok(uring) => {
                    let posix = Spare { files, posix: OnceLock::new(), starting: Mutex::new(()) };
                    return Ok(Mover::Uring { uring, posix, only });
                }
                Err(status) if only => return Err(status),
                Err(status) => log_info!("{}; using threads instead", status.message()),
            }
        }
        Ok(Mover::Posix(Posix::new(files)?))
    }

    /// Serves a request. The outer error means that it could not be started.
    fn run(&self, worker: u32, request: &Request) -> Result<io::Result<usize>> {
        match self {
            Mover::Posix(posix) => Ok(posix.run(request)),
            Mover::Uring { posix, .. } if worker == NO_WORKER => {
                Ok(posix.posix(None)?.run(request))
            }
            Mover::Uring { uring, posix, only } => match uring.run(worker, request) {
                Err(refused) if !only => Ok(posix.posix(Some(&refused))?.run(request)),
                done => done,
            },
        }
    }
}
