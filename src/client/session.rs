//! A session: its socket, its segment, the client's arena, its rings.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use chimaera_ipc::arena::{Arena, Failed};
use chimaera_ipc::instance::Instance;
use chimaera_ipc::layout::{Layout, SHARES};
use chimaera_ipc::ring::Producer;
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::wire::{self, Kind, Message, Received, WIRE_VERSION};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::options::Options;

/// How long the runtime may take to answer on the socket.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
/// How many tasks must have been deleted in flight before the first sweep.
const SWEEP_AT: usize = 16;

pub(crate) struct Session {
    instance: Instance,
    mapping: Mapping,
    doorbell: OwnedFd,
    /// Requests and answers go through it under the lock; it is polled for the hang-up without the
    /// lock.
    socket: OwnedFd,
    asking: Mutex<()>,
    arena: Mutex<Arena>,
    /// Rings of threads that have ended, for reuse by new threads.
    idle_rings: Mutex<Vec<Producer>>,
    /// Tasks that were deleted in flight.
    pending_frees: Mutex<Vec<u64>>,
    pending_free_count: AtomicUsize,
    /// How many pending frees make the next sweep worthwhile.
    sweep_at: AtomicUsize,
    /// Releases that could not be sent because the ring was full.
    unsent: Mutex<Vec<u32>>,
    unsent_count: AtomicUsize,
    /// For tasks that were submitted again: the number under which the runtime holds the blocks of
    /// the previous run, which are inputs now.
    kept: Mutex<HashMap<u64, u32>>,
    kept_count: AtomicUsize,
    dead: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks panics halfway, so a poisoned lock still protects consistent data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(crate) fn connect(options: &Options) -> Result<Arc<Session>> {
        let instance = Instance::new(options.instance.as_deref())
            .map_err(|error| Failure::new(CHI_INVALID, error.to_string()))?;
        let until = Instant::now() + options.connect_timeout;
        let socket = loop {
            match open(&instance) {
                Err(failure) if failure.status == CHI_UNAVAILABLE && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => break other?,
            }
        };
        Session::handshake(instance, socket, options.segment_size)
    }

    fn handshake(instance: Instance, socket: OwnedFd, segment_size: u64) -> Result<Arc<Session>> {
        let hello = [WIRE_VERSION, CHI_ABI_MAJOR.into(), CHI_ABI_MINOR.into(), segment_size];
        let (welcome, mut fds) =
            ask(&instance, &socket, &Message::new(Kind::Hello, &hello), Kind::Welcome)?;
        let odd = |why: &str| Failure::new(CHI_VERSION, format!("the runtime's handshake {why}"));
        let [_, size, _, share, ..] = welcome.words;
        let layout = Layout::divided(size, share);
        if layout.size != size || !SHARES.contains(&share) || fds.len() != 2 {
            return Err(odd("is not valid for this client; both must have the same version"));
        }
        let doorbell = fds.pop().expect("there are two");
        let segment = fds.pop().expect("there are two");
        let mapping = Mapping::new(segment.as_fd(), layout).map_err(|error| {
            Failure::new(CHI_IO, format!("cannot map a segment of {} bytes: {error}", layout.size))
        })?;
        let mapped = Message::new(Kind::Mapped, &[mapping.base() as u64]);
        wire::send(socket.as_fd(), &mapped, &[])
            .map_err(|error| gone(&instance, &error.to_string()))?;
        let arena = Arena::new(layout.client_arena, layout.runtime_arena - layout.client_arena);
        Ok(Arc::new(Session {
            instance,
            mapping,
            doorbell,
            socket,
            asking: Mutex::new(()),
            arena: Mutex::new(arena),
            idle_rings: Mutex::default(),
            pending_frees: Mutex::default(),
            pending_free_count: AtomicUsize::new(0),
            sweep_at: AtomicUsize::new(SWEEP_AT),
            unsent: Mutex::default(),
            unsent_count: AtomicUsize::new(0),
            kept: Mutex::default(),
            kept_count: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        }))
    }

    #[inline]
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Polls the socket: when the runtime has hung up, the session is dead.
    pub(crate) fn look(&self) -> bool {
        if self.is_dead() {
            return false;
        }
        let mut fds = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        // An interrupted poll counts as no news; the next poll will tell.
        let found = rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0);
        if found {
            self.dead.store(true, Ordering::Relaxed);
        }
        !found
    }

    pub(crate) fn disconnect(&self) {
        self.dead.store(true, Ordering::Relaxed);
        // The runtime notices the hang-up. An error means that the socket is already shut down.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// True while the application holds blocks in the segment.
    pub(crate) fn holds_tasks(&self) -> bool {
        lock(&self.arena).live() > 0
    }

    pub(crate) fn gone(&self) -> Failure {
        gone(&self.instance, "it has stopped, or has ended this session")
    }

    /// A ring for a thread.
    pub(crate) fn ring(&self) -> Result<Producer> {
        if let Some(ring) = lock(&self.idle_rings).pop() {
            return Ok(ring);
        }
        let _asking = lock(&self.asking);
        let asked = ask(&self.instance, &self.socket, &Message::new(Kind::Ring, &[]), Kind::Ring);
        let (answer, _) = asked.inspect_err(|failure| {
            if failure.status == CHI_UNAVAILABLE {
                self.dead.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(Producer::new(self.mapping.ring(answer.words[0])))
    }

    pub(crate) fn give_ring(&self, ring: Producer) {
        lock(&self.idle_rings).push(ring);
    }

    pub(crate) fn ring_doorbell(&self) {
        // The write fails only when the counter is at its maximum: the runtime is then signalled
        // anyway.
        let _ = rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes());
    }

    /// Allocates a block, linked to its owner if there is one.
    pub(crate) fn alloc(&self, size: u64, owner: Option<u64>) -> Result<(u64, u64)> {
        let mut found = self.try_alloc(size, owner);
        if found == Err(Failed::Full) && self.sweep() {
            found = self.try_alloc(size, owner);
        }
        let layout = self.mapping.layout();
        let room = layout.runtime_arena - layout.client_arena;
        found.map_err(|failed| match failed {
            Failed::Full => Failure::new(
                CHI_NO_SPACE,
                format!(
                    "cannot allocate {size} bytes: the segment's {room} bytes for tasks and \
                     buffers are full; delete some, or ask for a larger segment in chi_init"
                ),
            ),
            Failed::TooLarge => Failure::new(
                CHI_TOO_LARGE,
                format!(
                    "cannot allocate {size} bytes: the segment has only {room} bytes for tasks and \
                     buffers; ask for a larger segment in chi_init"
                ),
            ),
        })
    }

    fn try_alloc(&self, size: u64, owner: Option<u64>) -> std::result::Result<(u64, u64), Failed> {
        let mut arena = lock(&self.arena);
        let block = arena.alloc(size)?;
        if let Some(owner) = owner {
            let linked = arena.link(owner, block.0);
            debug_assert!(linked, "the owner is a live task of this session");
        }
        Ok(block)
    }

    /// Frees a block and the blocks linked to it. False when there is no block at this offset.
    pub(crate) fn free(&self, offset: u64) -> bool {
        lock(&self.arena).free(offset)
    }

    /// The completion word of the task at an offset.
    #[inline]
    pub(crate) fn state(&self, task: u64) -> &AtomicU32 {
        // SAFETY: `task` is the offset of a task of this session, which is aligned to 64, and the
        // field lies at a multiple of 4 in it.
        unsafe { self.mapping.word(task + std::mem::offset_of!(chi_task, state_) as u64) }
    }

    /// Deletes a task once it is complete.
    pub(crate) fn defer_free(&self, task: u64) {
        let mut pending = lock(&self.pending_frees);
        pending.push(task);
        self.pending_free_count.store(pending.len(), Ordering::Relaxed);
    }

    /// True when so many tasks were deleted in flight that some are likely to be complete.
    #[inline]
    pub(crate) fn must_sweep(&self) -> bool {
        self.pending_free_count.load(Ordering::Relaxed) >= self.sweep_at.load(Ordering::Relaxed)
    }

    /// Frees the tasks that were deleted in flight and are complete now. True when there were any.
    pub(crate) fn sweep(&self) -> bool {
        let mut done = Vec::new();
        let mut pending = lock(&self.pending_frees);
        pending.retain(|&task| {
            let state = self.state(task).load(Ordering::Acquire);
            let over = state & CHI_TASK_COMPLETE != 0 || self.is_dead();
            if over {
                done.push((task, state));
            }
            !over
        });
        self.pending_free_count.store(pending.len(), Ordering::Relaxed);
        self.sweep_at.store(SWEEP_AT.max(2 * pending.len()), Ordering::Relaxed);
        drop(pending);
        for &(task, state) in &done {
            let kept = self.replace_kept(task, None);
            hold_of(state).into_iter().chain(kept).for_each(|hold| self.release_later(hold));
            let freed = self.free(task);
            debug_assert!(freed, "a task that was deleted in flight is a block in use");
        }
        !done.is_empty()
    }

    /// Remembers the blocks that the runtime holds for a task which is submitted again; `None` when
    /// the task is deleted. Returns those of the run before, which can now be released.
    #[inline]
    pub(crate) fn replace_kept(&self, task: u64, hold: Option<u32>) -> Option<u32> {
        if hold.is_none() && self.kept_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut kept = lock(&self.kept);
        let before = match hold {
            Some(hold) => kept.insert(task, hold),
            None => kept.remove(&task),
        };
        self.kept_count.store(kept.len(), Ordering::Relaxed);
        before
    }

    /// Queues a release for the next thread whose ring has space.
    pub(crate) fn release_later(&self, hold: u32) {
        lock(&self.unsent).push(hold);
        self.unsent_count.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent_count.load(Ordering::Relaxed) != 0
    }

    /// Takes a queued release.
    pub(crate) fn take_unsent(&self) -> Option<u32> {
        let hold = lock(&self.unsent).pop()?;
        self.unsent_count.fetch_sub(1, Ordering::Relaxed);
        Some(hold)
    }
}

/// The number under which the runtime holds blocks for a complete task.
#[inline]
pub(crate) fn hold_of(state: u32) -> Option<u32> {
    (state & CHI_TASK_HAS_BLOCKS != 0).then_some(state >> CHI_TASK_HOLD_SHIFT)
}

fn gone(instance: &Instance, why: &str) -> Failure {
    Failure::new(
        CHI_UNAVAILABLE,
        format!("the runtime '{}' is not available: {why}", instance.name()),
    )
}

fn open(instance: &Instance) -> Result<OwnedFd> {
    let path = instance.socket();
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| Failure::new(CHI_IO, format!("cannot create a socket: {error}")))?;
    let address = SocketAddrUnix::new(&path)
        .map_err(|error| Failure::new(CHI_INVALID, format!("{}: {error}", path.display())))?;
    rustix::net::connect(&socket, &address).map_err(|error| {
        let name = instance.name();
        let path = path.display();
        match error {
            rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED => Failure::new(
                CHI_UNAVAILABLE,
                format!(
                    "no runtime named '{name}' is running ({path}: {error}); start one with \
                     `chimaera start --name {name}`"
                ),
            ),
            rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => {
                Failure::new(CHI_DENIED, format!("{path}: {error}; it belongs to another user"))
            }
            _ => Failure::new(CHI_IO, format!("{path}: {error}")),
        }
    })?;
    for timeout in [rustix::net::sockopt::Timeout::Recv, rustix::net::sockopt::Timeout::Send] {
        rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(ANSWER_BOUND))
            .map_err(|error| Failure::new(CHI_IO, format!("{}: {error}", path.display())))?;
    }
    Ok(socket)
}

fn has_hung_up(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset)
}

/// Sends a message and receives the answer, which must be of kind `wanted`.
fn ask(
    instance: &Instance,
    socket: &OwnedFd,
    question: &Message,
    wanted: Kind,
) -> Result<(Message, Vec<OwnedFd>)> {
    let answer = match wire::send(socket.as_fd(), question, &[]) {
        Ok(()) => wire::receive(socket.as_fd()),
        Err(error) if has_hung_up(&error) => wire::receive(socket.as_fd()),
        Err(error) => Err(error),
    };
    // A runtime that refuses a client sends the refusal and hangs up without reading the request.
    // The socket then first reports the lost request as an error, once; the refusal can be received
    // after that.
    let answer = match answer {
        Err(error) if has_hung_up(&error) => wire::receive(socket.as_fd()),
        other => other,
    };
    match answer.map_err(|error| gone(instance, &format!("it is not responding ({error})")))? {
        Received::Message(message, fds) if message.kind == wanted => Ok((message, fds)),
        Received::Message(message, _) if message.kind == Kind::Refused => {
            Err(Failure::new(message.status(), message.text))
        }
        Received::Closed => Err(gone(instance, "it closed the connection")),
        Received::Message(..) | Received::Garbage => Err(Failure::new(
            CHI_VERSION,
            format!(
                "the process that listens at {} is not a Chimaera runtime",
                instance.socket().display()
            ),
        )),
    }
}
