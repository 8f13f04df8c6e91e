//! A device whose blocks are in a file.

use std::alloc::Layout;
use std::fs::{File as OsFile, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_BUSY, CHI_INVALID, CHI_IO, CHI_NOT_FOUND, CHI_NO_SPACE};
use chimaera::module::RunContext;
use chimaera::{log_info, Result, ShmBytes, Status};
use chimaera_bdev_client::{Engine, Io, Params};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::posix::Posix;
use crate::request::{Op, Request};
use crate::uring::Uring;

/// The memory alignment that direct reads and writes require.
const DIRECT_ALIGN: usize = 4096;

/// The largest request: the operating system transfers no more in one call.
const MAX_REQUEST: usize = 1 << 30;

/// A file, and the engine that reads and writes it.
pub(crate) struct File {
    path: String,
    direct: bool,
    mover: Mover,
    file: Arc<OsFile>,
    /// The smallest size that the file has been seen with, in bytes. What is behind it has been lost,
    /// also when the file grows again.
    intact: AtomicU64,
}

enum Mover {
    Uring(Uring),
    Posix(Posix),
    /// Rings, and threads for the workers that cannot have a ring.
    Either {
        uring: Uring,
        posix: Spare,
    },
}

/// Threads that are started on demand.
struct Spare {
    file: Arc<OsFile>,
    posix: OnceLock<Posix>,
    starting: Mutex<()>,
}

impl Spare {
    fn posix(&self, why: &Status) -> Result<&Posix> {
        if let Some(posix) = self.posix.get() {
            return Ok(posix);
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.posix.get().is_none() {
            log_info!("{}; using threads for that worker instead", why.message());
            // The lock makes this the only thread that sets it.
            let _ = self.posix.set(Posix::new(self.file.clone())?);
        }
        self.posix.get().ok_or_else(|| Status::failed("threads that were started are gone"))
    }
}

impl File {
    /// Opens the file of a device. Also returns the number of its blocks.
    pub(crate) fn open(params: &Params, ctx: &RunContext<'_>) -> Result<(File, u64)> {
        let path = params.path.clone();
        let flags = if params.direct { libc::O_DIRECT } else { 0 }
            | if params.sync { libc::O_DSYNC } else { 0 };
        // Do not block on a FIFO, which is refused below.
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags | libc::O_NONBLOCK)
            .open(&path);
        let file = opened.map_err(|error| {
            let code = match error.kind() {
                ErrorKind::NotFound => CHI_NOT_FOUND,
                ErrorKind::IsADirectory => CHI_INVALID,
                _ => CHI_IO,
            };
            Status::new(code, format!("cannot open {path}: {error}"))
        })?;
        let metadata = file
            .metadata()
            .map_err(|error| Status::new(CHI_IO, format!("cannot examine {path}: {error}")))?;
        if !metadata.is_file() {
            return Err(Status::invalid(format!("{path} is not a regular file")));
        }
        let there = metadata.len() / u64::from(params.block_size);
        let blocks = if params.blocks == 0 { there } else { params.blocks };
        if blocks == 0 || blocks > there {
            return Err(Status::invalid(format!(
                "{path} has {} bytes, too few for {} blocks of {}: extend it with `truncate -s`",
                metadata.len(),
                blocks.max(1),
                params.block_size
            )));
        }
        let cannot = |error| Status::new(CHI_IO, format!("cannot set up {path}: {error}"));
        let flags = rustix::fs::fcntl_getfl(&file).map_err(cannot)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(cannot)?;
        lock(&file, &path, ctx)?;
        let file = Arc::new(file);
        let mover = Mover::new(file.clone(), params.io, ctx.worker_id())?;
        let intact = AtomicU64::new(metadata.len());
        Ok((File { path, direct: params.direct, mover, file, intact }, blocks))
    }

    pub(crate) fn engine(&self) -> Engine {
        match self.mover {
            Mover::Uring(_) | Mover::Either { .. } => Engine::Uring,
            Mover::Posix(_) => Engine::Posix,
        }
    }

    /// Reads from position `at`, filling `to`.
    pub(crate) fn read(&self, worker: u32, at: u64, to: &ShmBytes) -> Result<()> {
        let (data, len) = (to.as_ptr(), to.len());
        if self.fits(data) {
            return self.transfer(worker, Op::Read, at, data, len);
        }
        let bounce = Bounce::new(len)?;
        self.transfer(worker, Op::Read, at, bounce.data, len)?;
        to.write_at(0, bounce.bytes())
    }

    /// Writes all of `from` at position `at`.
    pub(crate) fn write(&self, worker: u32, at: u64, from: &ShmBytes) -> Result<()> {
        let (data, len) = (from.as_ptr(), from.len());
        if self.fits(data) {
            return self.transfer(worker, Op::Write, at, data, len);
        }
        let mut bounce = Bounce::new(len)?;
        from.copy_to(0, bounce.bytes_mut());
        self.transfer(worker, Op::Write, at, bounce.data, len)
    }

    /// Makes completed writes durable.
    pub(crate) fn flush(&self, worker: u32) -> Result<()> {
        let request = Request::new(Op::Sync, 0, std::ptr::null_mut(), 0)?;
        let result = self.mover.run(worker, &request)?;
        result.map(drop).map_err(|error| self.refused(error, "cannot be flushed"))
    }

    /// Whether the operating system can access memory at this address directly.
    fn fits(&self, data: *mut u8) -> bool {
        !self.direct || data.addr().is_multiple_of(DIRECT_ALIGN)
    }

    /// Transfers `len` bytes between the file at position `at` and memory that stays valid until
    /// this returns.
    fn transfer(&self, worker: u32, op: Op, at: u64, data: *mut u8, len: usize) -> Result<()> {
        if op == Op::Write {
            // Writing beyond the end would extend the file, and lost blocks would read as zeros.
            self.look_at_size()?;
        }
        self.check_intact(at + len as u64)?;
        let mut done = 0;
        while done < len {
            let (position, rest) = (at + done as u64, (len - done).min(MAX_REQUEST));
            let request = Request::new(op, position, data.wrapping_add(done), rest as u32)?;
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
        let found = rustix::fs::fstat(&self.file);
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

/// Locks the file against other devices. Waits a while, in case one is just being destroyed.
fn lock(file: &OsFile, path: &str, ctx: &RunContext<'_>) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(1);
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < give_up => {
                ctx.sleep(Duration::from_millis(10))?;
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
    fn new(file: Arc<OsFile>, io: Io, worker: u32) -> Result<Mover> {
        if io != Io::Posix {
            match Uring::new(file.clone(), worker) {
                Ok(uring) if io == Io::Uring => return Ok(Mover::Uring(uring)),
                Ok(uring) => {
                    let posix = Spare { file, posix: OnceLock::new(), starting: Mutex::new(()) };
                    return Ok(Mover::Either { uring, posix });
                }
                Err(status) if io == Io::Uring => return Err(status),
                Err(status) => log_info!("{}; using threads instead", status.message()),
            }
        }
        Ok(Mover::Posix(Posix::new(file)?))
    }

    /// Serves a request. The outer error means that it could not be started.
    fn run(&self, worker: u32, request: &Request) -> Result<io::Result<usize>> {
        match self {
            Mover::Uring(uring) => uring.run(worker, request),
            Mover::Posix(posix) => Ok(posix.run(request)),
            Mover::Either { uring, posix } => match uring.run(worker, request) {
                Err(refused) => Ok(posix.posix(&refused)?.run(request)),
                done => done,
            },
        }
    }
}

/// Aligned memory for transfers whose own memory direct reads and writes cannot use.
struct Bounce {
    data: *mut u8,
    layout: Layout,
}

impl Bounce {
    /// Allocates `len` bytes, at least one.
    fn new(len: usize) -> Result<Bounce> {
        let none = || Status::new(CHI_NO_SPACE, format!("out of memory for a copy of {len} bytes"));
        let layout = Layout::from_size_align(len, DIRECT_ALIGN).map_err(|_| none())?;
        // SAFETY: the layout's size is not zero, because no request is empty.
        let data = unsafe { std::alloc::alloc_zeroed(layout) };
        match data.is_null() {
            true => Err(none()),
            false => Ok(Bounce { data, layout }),
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation has this size, is private, and is not written to while borrowed.
        unsafe { std::slice::from_raw_parts(self.data, self.layout.size()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
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
