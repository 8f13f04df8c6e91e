//! Requests by `io_uring`: a ring for each worker, which the worker itself submits to and reaps.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chimaera::abi::CHI_IO;
use chimaera::module::{Poll, Poller};
use chimaera::{Result, Status};
use io_uring::{opcode, squeue, types, IoUring};

use crate::request::{Op, Request};

/// Requests that fit between two submissions. More are submitted at once.
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
    /// Entries that the operating system has not taken yet.
    unsubmitted: usize,
    in_flight: usize,
}

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
        let ring = Ring(Mutex::new(State { uring, unsubmitted: 0, in_flight: 0 }));
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
        poller.target().push(request);
        let result = request.wait();
        if poller.target().state().in_flight == 0 {
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

    /// Puts a request in line; the next poll submits it.
    fn push(&self, request: &Request) {
        let entry = entry(request);
        let mut state = self.state();
        // SAFETY: the request and its memory stay until it is finished, which is when it has completed.
        while unsafe { state.uring.submission().push(&entry) }.is_err() {
            state.submit();
        }
        state.unsubmitted += 1;
        state.in_flight += 1;
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
    /// Gives the operating system what it has not taken. What it does not take now, for want of memory or
    /// because a signal came, stays in line for the next time.
    fn submit(&mut self) -> usize {
        let taken = self.uring.submit().unwrap_or(0);
        self.unsubmitted -= taken;
        taken
    }
}

impl Poll for Ring {
    fn poll(&self) -> bool {
        let mut state = self.state();
        let mut busy = state.unsubmitted > 0 && state.submit() > 0;
        let mut finished = 0;
        for completion in state.uring.completion() {
            let request = std::ptr::with_exposed_provenance(completion.user_data() as usize);
            // SAFETY: a request that `push` was given, and whose one completion this is.
            unsafe { Request::finish(request, completion.result()) };
            finished += 1;
        }
        state.in_flight -= finished;
        busy |= finished > 0;
        busy
    }
}
