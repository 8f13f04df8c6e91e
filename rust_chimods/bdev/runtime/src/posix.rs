//! Serves requests with `pread` and `pwrite`, on the device's own threads.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use chimaera::abi::CHI_IO;
use chimaera::{Result, Status};

use crate::file::Files;
use crate::request::{Op, Request};

/// Number of requests that the operating system works on at once.
const THREADS: usize = 8;

/// The threads, and the queue of requests for them.
pub(crate) struct Posix {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    files: Arc<Files>,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Handed>,
    closed: bool,
}

/// A request whose task is waiting for it.
struct Handed(*const Request);

// SAFETY: a request is `Sync`, and stays valid until it is finished.
unsafe impl Send for Handed {}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while holding the lock.
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
    pub(crate) fn new(files: Arc<Files>) -> Result<Posix> {
        let shared = Arc::new(Shared { files, queue: Mutex::default(), more: Condvar::new() });
        let mut posix = Posix { shared, threads: Vec::new() };
        for _ in 0..THREADS {
            let shared = posix.shared.clone();
            let thread = thread::Builder::new().name("chi-bdev".into()).spawn(move || {
                while let Some(Handed(request)) = shared.next() {
                    // SAFETY: the request's task waits until the request is finished here.
                    unsafe { Request::finish(request, serve(&shared.files, &*request)) };
                }
            });
            let refused = |error| {
                Status::new(CHI_IO, format!("cannot start a thread for the device: {error}"))
            };
            posix.threads.push(thread.map_err(refused)?);
        }
        Ok(posix)
    }

    /// Serves a request on one of the threads, and waits for it.
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
            // The thread does not panic; if it does, the panic has already been reported.
            let _ = thread.join();
        }
    }
}

/// The number of transferred bytes, or a negated error number.
fn serve(files: &Files, request: &Request) -> i32 {
    let (fd, len) = (files.get(request.part).as_raw_fd(), request.len as usize);
    let at = request.at as libc::off_t;
    // SAFETY: the memory stays valid until the request is finished, and the kernel checks that it
    // is mapped; concurrent writes by other processes can only change its bytes.
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
