//! A session without the client library.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::*;
use chimaera_ipc::instance::Instance;
use chimaera_ipc::layout::Layout;
use chimaera_ipc::ring::{Entry, Producer};
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::wire::{self, Kind, Message, Received, WIRE_VERSION};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::random::Random;

/// How long the runtime may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Connects to the socket of the instance named in the environment, and sends nothing.
pub fn dial() -> io::Result<OwnedFd> {
    let instance = Instance::new(None).map_err(io::Error::other)?;
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(instance.socket())?)?;
    for timeout in [rustix::net::sockopt::Timeout::Recv, rustix::net::sockopt::Timeout::Send] {
        rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(ANSWER))?;
    }
    Ok(socket)
}

/// Sends bytes as one message.
pub fn say(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    rustix::net::send(socket, bytes, rustix::net::SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A session whose parts are all accessible.
pub struct Link {
    /// The connection.
    pub socket: OwnedFd,
    /// The segment's memory.
    pub memfd: OwnedFd,
    /// The eventfd that wakes the runtime's worker.
    pub doorbell: OwnedFd,
    /// The segment.
    pub mapping: Mapping,
}

impl Link {
    /// Opens a session with a segment of this many bytes.
    pub fn open(segment: u64) -> io::Result<Link> {
        Link::open_as(CHI_ABI_MINOR, segment)
    }

    /// Opens a session as a client of this minor version of the ABI.
    pub fn open_as(minor: u32, segment: u64) -> io::Result<Link> {
        let socket = dial()?;
        let hello = [WIRE_VERSION, CHI_ABI_MAJOR.into(), minor.into(), segment];
        wire::send(socket.as_fd(), &Message::new(Kind::Hello, &hello), &[])?;
        let (welcome, mut fds) = match wire::receive(socket.as_fd())? {
            Received::Message(message, fds) if message.kind == Kind::Welcome => (message, fds),
            Received::Message(message, _) => return Err(io::Error::other(message.text)),
            _ => return Err(io::Error::other("no welcome")),
        };
        let doorbell = fds.pop().ok_or_else(|| io::Error::other("no doorbell"))?;
        let memfd = fds.pop().ok_or_else(|| io::Error::other("no segment"))?;
        let mapping =
            Mapping::new(memfd.as_fd(), Layout::divided(welcome.words[1], welcome.words[3]))?;
        let mapped = Message::new(Kind::Mapped, &[mapping.base() as u64]);
        wire::send(socket.as_fd(), &mapped, &[])?;
        Ok(Link { socket, memfd, doorbell, mapping })
    }

    /// Requests a ring.
    pub fn ring(&self) -> io::Result<(u64, Producer)> {
        wire::send(self.socket.as_fd(), &Message::new(Kind::Ring, &[]), &[])?;
        match wire::receive(self.socket.as_fd())? {
            Received::Message(message, _) if message.kind == Kind::Ring => {
                let index = message.words[0];
                Ok((index, Producer::new(self.mapping.ring(index))))
            }
            Received::Message(message, _) => Err(io::Error::other(message.text)),
            _ => Err(io::Error::other("no ring")),
        }
    }

    /// The layout of the segment.
    pub fn layout(&self) -> &Layout {
        self.mapping.layout()
    }

    /// False once the runtime has ended the session.
    pub fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        !rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Waits until the runtime has ended the session. Returns false if it does not.
    pub fn is_ended(&self) -> bool {
        let until = Instant::now() + ANSWER;
        while self.is_open() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Rings the doorbell. If its counter is full, which makes the write fail, empties it first.
    pub fn knock(&self) {
        if rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes()).is_err() {
            // These fail only if another thread was faster.
            let _ = rustix::io::read(&self.doorbell, &mut [0_u8; 8]);
            let _ = rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes());
        }
    }

    fn word_at(&self, offset: u64) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.layout().size);
        // SAFETY: aligned and inside, by the check above.
        unsafe { self.mapping.double_word(offset) }
    }

    /// Reads eight bytes.
    pub fn load(&self, offset: u64) -> u64 {
        self.word_at(offset).load(Ordering::Acquire)
    }

    /// Writes eight bytes.
    pub fn store(&self, offset: u64, value: u64) {
        self.word_at(offset).store(value, Ordering::Release);
    }

    /// Writes bytes, whose number is a multiple of eight.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
            self.store(offset + at as u64 * 8, word);
        }
    }

    /// Writes random bytes over a range.
    pub fn scribble(&self, random: &mut Random, offset: u64, len: u64) {
        let mut at = offset.next_multiple_of(8);
        while at + 8 <= (offset + len).min(self.layout().size) {
            self.store(at, random.next());
            at += 8;
        }
    }

    /// Punches a hole into the segment.
    pub fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(&self.memfd, flags, offset, len)?)
    }

    /// The completion word and the status of the task at `offset`.
    pub fn outcome(&self, offset: u64) -> (u32, i32) {
        let word = self.load(offset + std::mem::offset_of!(chi_task, status_) as u64);
        ((word >> 32) as u32, word as u32 as i32)
    }

    /// Submits the task at `offset` and waits for its completion. Returns its status and its
    /// completion word; `None` if the session ends instead.
    pub fn call(&self, ring: &mut Producer, offset: u64) -> Option<(i32, u32)> {
        let at = offset + std::mem::offset_of!(chi_task, status_) as u64;
        self.store(at, u64::from(CHI_TASK_IN_FLIGHT) << 32);
        self.submit(ring, offset)?;
        self.wait(offset)
    }

    /// Pushes a submission into a ring. Returns `None` if the session ends before there is room.
    pub fn submit(&self, ring: &mut Producer, offset: u64) -> Option<()> {
        let until = Instant::now() + ANSWER;
        while ring.push(Entry::Submit { offset }).is_err() {
            assert!(Instant::now() < until, "the ring stays full");
            if !self.is_open() {
                return None;
            }
            self.knock();
            std::thread::yield_now();
        }
        self.knock();
        Some(())
    }

    /// Waits for the completion of the task at `offset`; see [`call`](Self::call).
    pub fn wait(&self, offset: u64) -> Option<(i32, u32)> {
        let until = Instant::now() + ANSWER;
        loop {
            let (word, status) = self.outcome(offset);
            if word & CHI_TASK_COMPLETE != 0 {
                return Some((status, word));
            }
            if !self.is_open() {
                return None;
            }
            assert!(Instant::now() < until, "the task at {offset:#x} does not end");
            std::thread::yield_now();
        }
    }
}
