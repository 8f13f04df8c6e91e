//! Requests by `pread` and `pwrite`, on threads of the device's own.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use chimaera::abi::CHI_IO;
use chimaera::{Result, Status};

use crate::request::{Op, Request};

/// How many requests are at the operating system at once.
const THREADS: usize = 8;

/// Threads, and what waits for them.
pub(crate) struct Posix {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    file: Arc<File>,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Handed>,
    closed: bool,
}

/// A request whose task waits for it.
struct Handed(*const Request);

// SAFETY: a request is `Sync`, and lives until it is finished.
unsafe impl Send for Handed {}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that holds it panics.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Handed> {
        let mut queue = self.queue();
        loop {
            if let Some(request) = queue.requests.pop_front() {
                return Some(request);
            }
            if queue.closed {
                return None;
            }
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Posix {
    pub(crate) fn new(file: Arc<File>) -> Result<Posix> {
        let shared = Arc::new(Shared { file, queue: Mutex::default(), more: Condvar::new() });
        let mut posix = Posix { shared, threads: Vec::new() };
        for _ in 0..THREADS {
            let shared = posix.shared.clone();
            let thread = thread::Builder::new().name("chi-bdev".into()).spawn(move || {
                while let Some(Handed(request)) = shared.next() {
                    // SAFETY: the request's task waits until it is finished, which is here.
                    unsafe { Request::finish(request, serve(&shared.file, &*request)) };
                }
            });
            let refused = |error| {
                Status::new(CHI_IO, format!("cannot start a thread for the device: {error}"))
            };
            posix.threads.push(thread.map_err(refused)?);
        }
        Ok(posix)
    }

    /// Has a request served, and waits for it.
    pub(crate) fn run(&self, request: &Request) -> io::Result<usize> {
        self.shared.queue().requests.push_back(Handed(request));
        self.shared.more.notify_one();
        request.wait(|| ())
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            // It does not panic; if it has, the panic has been told.
            let _ = thread.join();
        }
    }
}

/// Bytes that were moved, or the negative number of an error.
fn serve(file: &File, request: &Request) -> i32 {
    let (fd, len, at) = (file.as_raw_fd(), request.len as usize, request.at as libc::off_t);
    // SAFETY: the memory is there until the request is finished, and the kernel checks that it is
    // mapped; what other processes do to it meanwhile changes bytes only.
    let moved = unsafe {
        match request.op {
            Op::Read => libc::pread(fd, request.data.cast(), len, at),
            Op::Write => libc::pwrite(fd, request.data.cast(), len, at),
            Op::Sync => libc::fdatasync(fd) as isize,
        }
    };
    match moved {
        -1 => -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO),
        moved => moved as i32,
    }
}
