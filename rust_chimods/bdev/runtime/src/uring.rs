//! Requests by `io_uring`: a ring for each worker, which the worker itself submits to and reaps.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chimaera::abi::CHI_IO;
use chimaera::module::{Poll, Poller};
use chimaera::{Result, Status};
use io_uring::{opcode, squeue, types, IoUring};
use rustix::event::{eventfd, EventfdFlags};

use crate::request::{Op, Request};

/// Requests that go out in one submission at most.
const ENTRIES: u32 = 256;

/// Polls without another request, for which those in line wait for one, to go out together.
const PATIENCE: u32 = 16;

/// The rings, by their workers' numbers.
pub(crate) struct Uring {
    file: Arc<File>,
    rings: RwLock<Vec<Option<Arc<Poller<Ring>>>>>,
}

/// The ring of one worker.
pub(crate) struct Ring {
    state: Mutex<State>,
    /// What the operating system tells a worker that sleeps with. It is never read.
    doorbell: OwnedFd,
}

struct State {
    uring: IoUring,
    /// Requests that the operating system has not taken yet, in their order. The first `entries` of them
    /// are in the submission queue.
    in_line: VecDeque<*const Request>,
    entries: usize,
    /// Requests that it has taken, and that are not finished.
    in_flight: usize,
    /// Polls since a request came.
    polls: u32,
    /// How many requests there are in line and in flight when some go out.
    usual: usize,
    /// Whether what went out last was finished by that, as what is in the cache is.
    at_once: bool,
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
        let ring = Ring::new(&self.file).map_err(|error| {
            Status::new(CHI_IO, format!("the operating system refuses io_uring: {error}"))
        })?;
        let fd = ring.doorbell.as_raw_fd();
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
        poller.target().hand_over(request);
        let result = request.wait(|| _ = poller.target().poll());
        if poller.target().state().is_idle() {
            poller.arm(false)?;
        }
        Ok(result)
    }
}

/// Has the operating system's threads, which do what cannot be done at once, run where the process may
/// and not on the core that this worker is bound to: a worker that looks for work leaves them no time
/// there. Where they cannot be told, they are slower.
fn spread(uring: &IoUring) {
    // SAFETY: both sets are plain bits, and as long as their type says.
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
    /// A ring of this thread for the file.
    fn new(file: &File) -> io::Result<Ring> {
        // Completions come when the worker enters the kernel for them, as the ring's flag says: they
        // neither interrupt it nor keep those who complete. Older systems know no such rings.
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().setup_submit_all();
        let uring = builder.build(ENTRIES).or_else(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => IoUring::new(ENTRIES),
            _ => Err(error),
        })?;
        uring.submitter().register_files(&[file.as_raw_fd()])?;
        // The ring's own descriptor does not become readable by what waits for the worker to enter.
        let doorbell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        uring.submitter().register_eventfd(doorbell.as_raw_fd())?;
        spread(&uring);
        Ok(Ring { state: Mutex::new(State::new(uring)), doorbell })
    }

    /// Puts a request in line, and has what is ripe go out, so that the operating system works on it while
    /// more requests come.
    fn hand_over(&self, request: &Request) {
        let mut state = self.state();
        state.in_line.push_back(request);
        state.polls = 0;
        // Of what would be finished by it, more go out together between two rounds of the worker.
        if !state.at_once && state.is_ripe() {
            state.advance();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Has go out what is ripe, and finishes what has completed. True when there was something.
    fn advance(&mut self) -> bool {
        let sent = self.submit();
        let reaped = self.reap();
        if sent > 0 {
            self.at_once = self.in_flight == 0;
        }
        sent > 0 || reaped
    }

    /// Whether what is in line goes out now. What goes out together costs the operating system little more
    /// than one alone, so others are waited for, where there have been others: a part of them when it has
    /// nothing to do, else as many as it has, but no longer than for a moment in which none comes.
    fn is_ripe(&self) -> bool {
        let n = self.in_line.len();
        n > 0 && (n >= self.in_flight.max(self.usual / 4) || self.polls >= PATIENCE)
    }

    /// Gives the operating system what is ripe, and has it complete what is done. What it does not take
    /// now, for want of memory, of room for completions or because a signal came, stays in line for the
    /// next time. Any other error would come each time: it ends what is in line, and what comes later.
    fn submit(&mut self) -> usize {
        let ripe = self.is_ripe();
        let mut queue = self.uring.submission();
        if !ripe && !queue.taskrun() {
            self.polls += u32::from(!self.in_line.is_empty());
            return 0;
        }
        if ripe {
            for request in self.in_line.range(self.entries..) {
                // SAFETY: a request and its memory stay until it is finished, which it is not in line.
                if unsafe { queue.push(&entry(&**request)) }.is_err() {
                    break;
                }
                self.entries += 1;
            }
            // It follows at once to more, and slowly to fewer.
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
                        // SAFETY: a request that `hand_over` was given, and the system never takes any more.
                        unsafe { Request::finish(request, -error) };
                    }
                    0
                }
            },
        }
    }

    /// Finishes what has completed.
    fn reap(&mut self) -> bool {
        let mut finished = 0;
        for completion in self.uring.completion() {
            let request = std::ptr::with_exposed_provenance(completion.user_data() as usize);
            // SAFETY: a request that `hand_over` was given, and whose one completion this is.
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
        // With something in line there is something to do, soon: the worker must not sleep.
        state.advance() || !state.in_line.is_empty()
    }
}
