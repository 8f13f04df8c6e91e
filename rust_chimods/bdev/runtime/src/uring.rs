//! Requests by `io_uring`: a ring for each worker, which the worker itself submits to and reaps.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chimaera::abi::CHI_IO;
use chimaera::module::{Poll, Poller};
use chimaera::{Result, Status};
use io_uring::{opcode, squeue, types, IoUring};

use crate::request::{Op, Request};

/// Requests that go out in one submission at most.
const ENTRIES: u32 = 256;

/// The rings, by their workers' numbers.
pub(crate) struct Uring {
    file: Arc<File>,
    rings: RwLock<Vec<Option<Arc<Poller<Ring>>>>>,
}

/// The ring of one worker.
pub(crate) struct Ring(Mutex<State>);

struct State {
    uring: IoUring,
    /// Requests that the operating system has not taken yet, in their order. The first `entries` of them
    /// are in the submission queue.
    in_line: VecDeque<*const Request>,
    entries: usize,
    /// Requests that it has taken, and that are not finished.
    in_flight: usize,
    /// The number of the error with which it refused the ring for good.
    broken: Option<i32>,
}

// SAFETY: a request is `Sync`, and lives until it is finished, on whatever thread.
unsafe impl Send for State {}

impl Uring {
    /// Makes the ring of this worker. Errors: `CHI_IO` when the operating system refuses.
    pub(crate) fn new(file: Arc<File>, worker: u32) -> Result<Uring> {
        let uring = Uring { file, rings: RwLock::default() };
        uring.ring(worker)?;
        Ok(uring)
    }

    fn ring(&self, worker: u32) -> Result<Arc<Poller<Ring>>> {
        let index = worker as usize;
        let rings = self.rings.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(ring)) = rings.get(index) {
            return Ok(ring.clone());
        }
        drop(rings);
        let uring = IoUring::new(ENTRIES)
            .and_then(|uring| {
                uring.submitter().register_files(&[self.file.as_raw_fd()])?;
                Ok(uring)
            })
            .map_err(|error| Status::new(CHI_IO, format!("io_uring is refused: {error}")))?;
        let fd = uring.as_raw_fd();
        let ring = Ring(Mutex::new(State::new(uring)));
        let poller = Arc::new(Poller::new(fd, Arc::new(ring))?);
        let mut rings = self.rings.write().unwrap_or_else(PoisonError::into_inner);
        if rings.len() <= index {
            rings.resize(index + 1, None);
        }
        // Only this worker makes its ring, and it has not paused.
        rings[index] = Some(poller.clone());
        Ok(poller)
    }

    /// Has a request of a task of this worker served, and waits for it. Outer error: there is no ring.
    pub(crate) fn run(&self, worker: u32, request: &Request) -> Result<io::Result<usize>> {
        let poller = self.ring(worker)?;
        poller.arm(true)?;
        poller.target().state().push(request);
        let result = request.wait(|| _ = poller.target().poll());
        if poller.target().state().is_idle() {
            poller.arm(false)?;
        }
        Ok(result)
    }
}

impl Ring {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(request: &Request) -> squeue::Entry {
    let (fd, data, at) = (types::Fixed(0), request.data, request.at);
    let entry = match request.op {
        Op::Read => opcode::Read::new(fd, data, request.len).offset(at).build(),
        Op::Write => opcode::Write::new(fd, data, request.len).offset(at).build(),
        Op::Sync => opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build(),
    };
    entry.user_data(std::ptr::from_ref(request).expose_provenance() as u64)
}

impl State {
    fn new(uring: IoUring) -> State {
        State { uring, in_line: VecDeque::new(), entries: 0, in_flight: 0, broken: None }
    }

    fn is_idle(&self) -> bool {
        self.in_line.is_empty() && self.in_flight == 0
    }

    /// Puts a request in line; the next poll submits it.
    fn push(&mut self, request: &Request) {
        self.in_line.push_back(request);
    }

    /// Gives the operating system what it has not taken. What it does not take now, for want of memory,
    /// of room for completions or because a signal came, stays in line for the next time. Any other
    /// error would come each time: it ends what is in line, and what comes later.
    fn submit(&mut self) -> bool {
        let mut queue = self.uring.submission();
        for request in self.in_line.range(self.entries..) {
            // SAFETY: a request and its memory stay until it is finished, which it is not in line.
            if unsafe { queue.push(&entry(&**request)) }.is_err() {
                break;
            }
            self.entries += 1;
        }
        drop(queue);
        let submitted = match self.broken {
            None => self.uring.submit(),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
        };
        match submitted {
            Ok(taken) => {
                self.in_line.drain(..taken);
                self.entries -= taken;
                self.in_flight += taken;
                taken > 0
            }
            Err(error) => match error.raw_os_error().unwrap_or(libc::EIO) {
                libc::EINTR | libc::EAGAIN | libc::EBUSY => false,
                error => {
                    self.broken = Some(error);
                    self.entries = 0;
                    for request in self.in_line.drain(..) {
                        // SAFETY: a request that `push` was given, and the system never takes any more.
                        unsafe { Request::finish(request, -error) };
                    }
                    true
                }
            },
        }
    }

    /// Finishes what has completed.
    fn reap(&mut self) -> bool {
        let mut finished = 0;
        for completion in self.uring.completion() {
            let request = std::ptr::with_exposed_provenance(completion.user_data() as usize);
            // SAFETY: a request that `push` was given, and whose one completion this is.
            unsafe { Request::finish(request, completion.result()) };
            finished += 1;
        }
        self.in_flight -= finished;
        finished > 0
    }
}

impl Poll for Ring {
    fn poll(&self) -> bool {
        let mut state = self.state();
        let submitted = !state.in_line.is_empty() && state.submit();
        state.reap() || submitted
    }
}
