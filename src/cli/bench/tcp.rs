//! The machine's floor of a task that runs on another node: an entry of a ring for which a second process sends the
//! bytes of a task to a third one, by bare TCP, and gets those of its results; and bare TCP by itself, for large ones.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::Child;

use chimaera_ipc::layout::Layout;
use chimaera_ipc::ring::Entry;
use chimaera_ipc::segment;

use super::relay::{self, until_found, End, BACK, THERE};
use crate::context::{Failed, Outcome};

/// The call of an empty task and its answer, as they are on the wire, in bytes: each with the link's frame.
pub(super) const EMPTY: Exchange = Exchange { there: 105, back: 85 };

/// The size of the head of an exchange.
const HEAD: usize = 16;

/// Bytes that go to the other process, and bytes that it then sends back.
#[derive(Clone, Copy)]
pub(super) struct Exchange {
    pub(super) there: u64,
    pub(super) back: u64,
}

#[derive(clap::Args)]
pub(crate) struct TcpArgs {
    /// The file descriptor of a connection
    stream: RawFd,
    /// That of a segment; for each entry that comes from it, bytes are exchanged over the connection
    segment: Option<RawFd>,
}

/// An end of a connection.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    fn new(stream: TcpStream) -> Result<Wire, Failed> {
        stream.set_nodelay(true)?;
        Ok(Wire { stream, buffer: Vec::new() })
    }

    /// The end of a connection that the parent process left open for this process alone.
    fn inherited(fd: RawFd) -> Result<Wire, Failed> {
        // SAFETY: the parent process left the descriptor open for this process alone.
        Wire::new(unsafe { OwnedFd::from_raw_fd(fd) }.into())
    }

    fn room(&mut self, bytes: u64) {
        let bytes = bytes as usize;
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 7);
        }
    }

    /// Sends bytes and waits for those that come back. Both include the head, if they are that many.
    #[inline]
    fn exchange(&mut self, exchange: Exchange) -> Outcome {
        let there = (exchange.there as usize).max(HEAD);
        self.room(exchange.back.max(there as u64));
        self.buffer[..8].copy_from_slice(&(there as u64).to_le_bytes());
        self.buffer[8..HEAD].copy_from_slice(&exchange.back.to_le_bytes());
        self.stream.write_all(&self.buffer[..there])?;
        self.stream.read_exact(&mut self.buffer[..exchange.back as usize])?;
        Ok(())
    }

    /// Answers exchanges until the other end closes the connection.
    fn serve(&mut self) -> Outcome {
        loop {
            self.room(HEAD as u64);
            match self.stream.read_exact(&mut self.buffer[..HEAD]) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
            let word = |at: usize| {
                let bytes = self.buffer[at..at + 8].try_into().expect("there are eight");
                u64::from_le_bytes(bytes)
            };
            let (there, back) = (word(0), word(8));
            self.room(there.max(back));
            self.stream.read_exact(&mut self.buffer[HEAD..there as usize])?;
            self.stream.write_all(&self.buffer[..back as usize])?;
        }
    }
}

/// A connection on loopback.
fn connection() -> Result<[TcpStream; 2], Failed> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    loop {
        let (far, from) = listener.accept()?;
        // Another process may have connected before.
        if from == near.local_addr()? {
            return Ok([near, far]);
        }
    }
}

/// Two processes: one that sends bytes for each entry, and one that sends bytes back. Between rounds they sleep.
pub(super) struct TcpRelay {
    end: End,
    near: Child,
    far: Child,
    position: u64,
}

impl TcpRelay {
    pub(super) fn start() -> Result<TcpRelay, Failed> {
        let segment = segment::create(&Layout::of(0))?;
        let [near, far] = connection()?;
        let near_fds = [near.as_raw_fd(), segment.as_raw_fd()];
        let near = relay::start("tcp", &near_fds)?;
        let far = relay::start("tcp", &[far.as_raw_fd()])?;
        Ok(TcpRelay { end: End::new(segment.as_fd(), (THERE, BACK))?, near, far, position: 0 })
    }

    /// Prepares a round of `count` entries.
    pub(super) fn start_round(&mut self, count: u32) -> Outcome {
        relay::order(&mut self.near, count)
    }

    /// Sends one entry, and waits until it has come back.
    #[inline]
    pub(super) fn exchange(&mut self) {
        self.position += 1;
        self.end.send(Entry::Submit { offset: self.position % 1024 * 64 });
        until_found(|| self.end.look());
    }
}

impl Drop for TcpRelay {
    fn drop(&mut self) {
        // The end of its input ends the first, which has the other end of the second's connection.
        for child in [&mut self.near, &mut self.far] {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// This process and another one with a connection.
pub(super) struct Tcp {
    wire: Option<Wire>,
    peer: Child,
}

impl Tcp {
    pub(super) fn start() -> Result<Tcp, Failed> {
        let [near, far] = connection()?;
        let peer = relay::start("tcp", &[far.as_raw_fd()])?;
        Ok(Tcp { wire: Some(Wire::new(near)?), peer })
    }

    /// Exchanges bytes.
    pub(super) fn exchange(&mut self, exchange: Exchange) -> Outcome {
        self.wire.as_mut().expect("it is there until the drop").exchange(exchange)
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // The end of the connection ends the other process.
        drop(self.wire.take());
        let _ = self.peer.wait();
    }
}

/// Runs one of the processes.
pub(super) fn serve(args: &TcpArgs) -> Outcome {
    let mut wire = Wire::inherited(args.stream)?;
    let Some(segment) = args.segment else { return wire.serve() };
    let mut from = End::inherited(segment, (BACK, THERE))?;
    let mut count = [0; 4];
    let mut input = std::io::stdin().lock();
    while input.read_exact(&mut count).is_ok() {
        for _ in 0..u32::from_le_bytes(count) {
            let entry = until_found(|| from.look());
            wire.exchange(EMPTY)?;
            from.send(entry);
        }
    }
    Ok(())
}
