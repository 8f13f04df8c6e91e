//! Serves requests with `io_uring`: one ring per worker, to which the worker itself submits and
//! which it reaps.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chimaera::abi::CHI_IO;
use chimaera::module::{Poll, Poller};
use chimaera::{Result, Status};
use io_uring::{opcode, squeue, types, IoUring};
use rustix::event::{eventfd, EventfdFlags};

use crate::disk::{Part, NO_WORKER};
use crate::file::Files;
use crate::request::{Op, Request};

/// The most requests in one submission.
const ENTRIES: u32 = 256;

/// The number of polls without a new request after which queued requests are submitted.
const PATIENCE: u32 = 16;

/// The files of a ring, in this order.
const PARTS: [Part; 2] = [Part::Blocks, Part::Pages];

/// The rings, indexed by worker number.
pub(crate) struct Uring {
    files: Arc<Files>,
    rings: RwLock<Vec<Option<Arc<Poller<Ring>>>>>,
}

/// The ring of one worker.
pub(crate) struct Ring {
    state: Mutex<State>,
    /// The eventfd by which the operating system wakes a sleeping worker. It is never read.
    doorbell: OwnedFd,
}

struct State {
    uring: IoUring,
    /// Requests that have not been submitted yet, in order. The first `entries` of them are in the
    /// submission queue.
    in_line: VecDeque<*const Request>,
    entries: usize,
    /// Submitted requests that are not finished.
    in_flight: usize,
    /// Polls since the last request was queued.
    polls: u32,
    /// How many requests are usually queued and in flight at a submission.
    usual: usize,
    /// Whether the last submission completed everything immediately, as reads from the page cache
    /// do.
    at_once: bool,
    /// The error number with which the ring failed permanently.
    broken: Option<i32>,
}

// SAFETY: a request is `Sync`, and stays valid until it is finished, on whichever thread.
unsafe impl Send for State {}

impl Uring {
    /// Creates the ring of this worker, if it is known. Errors: `CHI_IO` if the operating system refuses.
    pub(crate) fn new(files: Arc<Files>, worker: u32) -> Result<Uring> {
        let uring = Uring { files, rings: RwLock::default() };
        if worker != NO_WORKER {
            uring.ring(worker)?;
        }
        Ok(uring)
    }

    fn ring(&self, worker: u32) -> Result<Arc<Poller<Ring>>> {
        let index = worker as usize;
        let rings = self.rings.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(ring)) = rings.get(index) {
            return Ok(ring.clone());
        }
        drop(rings);
        let ring = Ring::new(&self.files).map_err(|error| {
            Status::new(CHI_IO, format!("the operating system refuses io_uring: {error}"))
        })?;
        let fd = ring.doorbell.as_raw_fd();
        let poller = Arc::new(Poller::new(fd, Arc::new(ring))?);
        let mut rings = self.rings.write().unwrap_or_else(PoisonError::into_inner);
        if rings.len() <= index {
            rings.resize(index + 1, None);
        }
        // Only this worker creates its ring, and it has not been suspended in between.
        rings[index] = Some(poller.clone());
        Ok(poller)
    }

    /// Serves a request of a task on this worker, and waits for it. The outer error means that
    /// there is no ring.
    pub(crate) fn run(&self, worker: u32, request: &Request) -> Result<io::Result<usize>> {
        let poller = self.ring(worker)?;
        poller.arm(true)?;
        poller.target().hand_over(request);
        let result = request.wait(|| _ = poller.target().poll());
        if poller.target().state().is_idle() {
            poller.arm(false)?;
        }
        Ok(result)
    }
}

/// Lets the kernel's io_uring threads, which do what cannot be done immediately, run on all cores
/// of the process except the one that this worker is bound to: a polling worker leaves them no time
/// there. If the affinity cannot be set, they are only slower.
fn spread(uring: &IoUring) {
    // SAFETY: zero is a valid `cpu_set_t`, and both calls get the size of the set they write to.
    unsafe {
        let mut cores: libc::cpu_set_t = mem::zeroed();
        let mut own: libc::cpu_set_t = mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        let process = libc::getpid();
        if libc::sched_getaffinity(process, size, &mut cores) != 0
            || libc::sched_getaffinity(0, size, &mut own) != 0
        {
            return;
        }
        if libc::CPU_COUNT(&own) == 1 && libc::CPU_COUNT(&cores) > 1 {
            (0..libc::CPU_SETSIZE as usize)
                .filter(|core| libc::CPU_ISSET(*core, &own))
                .for_each(|core| libc::CPU_CLR(core, &mut cores));
        }
        let _ = uring.submitter().register_iowq_aff(&cores);
    }
}

impl Ring {
    /// Creates a ring for the files, owned by this thread.
    fn new(files: &Files) -> io::Result<Ring> {
        // With these flags, completions are processed when the worker enters the kernel for them:
        // they neither interrupt it nor delay the threads that complete requests. Older kernels do
        // not support such rings.
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().setup_submit_all();
        let uring = builder.build(ENTRIES).or_else(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => IoUring::new(ENTRIES),
            _ => Err(error),
        })?;
        uring.submitter().register_files(&PARTS.map(|part| files.get(part).as_raw_fd()))?;
        // The ring's own descriptor does not become readable for completions that wait for the
        // worker to enter the kernel.
        let doorbell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        uring.submitter().register_eventfd(doorbell.as_raw_fd())?;
        spread(&uring);
        Ok(Ring { state: Mutex::new(State::new(uring)), doorbell })
    }

    /// Queues a request, and submits if enough are queued, so that the operating system works on
    /// them while more requests arrive.
    fn hand_over(&self, request: &Request) {
        let mut state = self.state();
        state.in_line.push_back(request);
        state.polls = 0;
        // If a submission would complete at once, more requests are submitted together between two
        // polls of the worker.
        if !state.at_once && state.is_ripe() {
            state.advance();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the state half updated.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(request: &Request) -> squeue::Entry {
    let fd = types::Fixed(u32::from(request.part != PARTS[0]));
    let (data, at) = (request.data, request.at);
    let entry = match request.op {
        Op::Read => opcode::Read::new(fd, data, request.len).offset(at).build(),
        Op::Write => opcode::Write::new(fd, data, request.len).offset(at).build(),
        Op::Sync => opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build(),
    };
    entry.user_data(std::ptr::from_ref(request).expose_provenance() as u64)
}

impl State {
    fn new(uring: IoUring) -> State {
        State {
            uring,
            in_line: VecDeque::new(),
            entries: 0,
            in_flight: 0,
            polls: 0,
            usual: 0,
            at_once: false,
            broken: None,
        }
    }

    fn is_idle(&self) -> bool {
        self.in_line.is_empty() && self.in_flight == 0
    }

    /// Submits queued requests if there are enough, and finishes completed ones. Returns whether
    /// there was anything to do.
    fn advance(&mut self) -> bool {
        let sent = self.submit();
        let reaped = self.reap();
        if sent > 0 {
            self.at_once = self.in_flight == 0;
        }
        sent > 0 || reaped
    }

    /// Whether to submit the queued requests now. Submitting several together costs the operating
    /// system little more than submitting one, so it is worth waiting for more if there usually are
    /// more: for a part of the usual number while nothing is in flight, else for as many as are in
    /// flight, but only as long as new ones keep arriving.
    fn is_ripe(&self) -> bool {
        let n = self.in_line.len();
        n > 0 && (n >= self.in_flight.max(self.usual / 4) || self.polls >= PATIENCE)
    }

    /// Submits the queued requests if there are enough, and lets the kernel process completions.
    /// Requests that it does not accept now, because memory or space for completions is short or a
    /// signal arrived, stay queued for the next call. Any other error would recur each time: it
    /// fails all queued requests and all later ones.
    fn submit(&mut self) -> usize {
        let ripe = self.is_ripe();
        let mut queue = self.uring.submission();
        if !ripe && !queue.taskrun() {
            self.polls += u32::from(!self.in_line.is_empty());
            return 0;
        }
        if ripe {
            for request in self.in_line.range(self.entries..) {
                // SAFETY: a request and its memory stay valid until it is finished, which a queued
                // one is not.
                if unsafe { queue.push(&entry(&**request)) }.is_err() {
                    break;
                }
                self.entries += 1;
            }
            // Rises immediately, and falls slowly.
            let now = self.in_line.len() + self.in_flight;
            self.usual = now.max(self.usual.saturating_sub(1));
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
                taken
            }
            Err(error) => match error.raw_os_error().unwrap_or(libc::EIO) {
                libc::EINTR | libc::EAGAIN | libc::EBUSY => 0,
                error => {
                    self.broken = Some(error);
                    self.entries = 0;
                    for request in self.in_line.drain(..) {
                        // SAFETY: a request from `hand_over`, which the kernel never takes any more.
                        unsafe { Request::finish(request, -error) };
                    }
                    0
                }
            },
        }
    }

    /// Finishes completed requests.
    fn reap(&mut self) -> bool {
        let mut finished = 0;
        for completion in self.uring.completion() {
            let request = std::ptr::with_exposed_provenance(completion.user_data() as usize);
            // SAFETY: a request from `hand_over`, and this is its only completion.
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
        // Queued requests are due soon, so the worker must not sleep.
        state.advance() || !state.in_line.is_empty()
    }
}
