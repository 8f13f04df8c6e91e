//! One socket: what waits to be written, encryption, frames.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use rustix::event::epoll;
use rustix::net::{recv, sendmsg, RecvFlags, SendAncillaryBuffer, SendFlags};
use rustls::Connection;

use crate::key::meaning;
use crate::queue::{Queue, SLICES};

/// Length of a frame's content, then its kind and three bytes that are 0.
pub(crate) const HEADER: usize = 8;
/// How much is encrypted at once.
const PIECE: usize = 64 << 10;
/// How much of a large message is read at once: others have their turn in between.
pub(crate) const READ: usize = 1 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Message,
    Ping,
    Pong,
    /// Nothing will follow. The other side answers with the same after all that it has to say.
    Bye,
}

impl Frame {
    pub(crate) fn header(self, length: usize) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(length as u32).to_le_bytes());
        header[4] = self as u8;
        header
    }

    /// What the header announces, if the other side may announce it.
    pub(crate) fn read(header: [u8; HEADER], longest: usize) -> Result<(Frame, usize), String> {
        let [a, b, c, d, kind, rest @ ..] = header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let (frame, most) = match kind {
            0 => (Frame::Message, longest),
            1 => (Frame::Ping, 8),
            2 => (Frame::Pong, 8),
            3 => (Frame::Bye, 0),
            _ => return Err(format!("it sent a frame of the unknown kind {kind}")),
        };
        if rest != [0; 3] {
            return Err("it sent a garbled frame".to_owned());
        }
        if length > most {
            return Err(format!("it announced {length} bytes, the limit is {most}"));
        }
        Ok((frame, length))
    }
}

/// The content of a frame: parts that are copied if they have to wait, and then bytes that are shared.
pub(crate) struct Content<'c> {
    pub(crate) parts: &'c [&'c [u8]],
    pub(crate) rest: Option<&'c Bytes>,
}

impl<'c> Content<'c> {
    /// Parts alone.
    pub(crate) fn of(parts: &'c [&'c [u8]]) -> Content<'c> {
        Content { parts, rest: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.slices().map(<[u8]>::len).sum()
    }

    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().copied().chain(self.rest.map(|rest| &rest[..]))
    }

    /// Queues a frame, except for its first bytes, which are written.
    pub(crate) fn queue(&self, header: &[u8; HEADER], mut written: usize, to: &mut Queue) {
        for part in std::iter::once(&header[..]).chain(self.parts.iter().copied()) {
            let skip = written.min(part.len());
            written -= skip;
            to.push(&part[skip..]);
        }
        if let Some(rest) = self.rest {
            to.push_shared(rest.slice(written..));
        }
    }
}

/// What reading gave.
pub(crate) enum Fill {
    Bytes(usize),
    /// So many bytes, and there were no more.
    Last(usize),
    Nothing,
    End,
}

/// A connected or connecting socket. Any thread.
pub(crate) struct Sock {
    pub(crate) token: u64,
    stream: TcpStream,
    poll: Arc<OwnedFd>,
    wire: Mutex<Wire>,
}

struct Wire {
    tls: Option<Connection>,
    /// Frames, not encrypted, in order.
    out: Queue,
    /// The I/O thread is told when the socket takes more; nobody else writes until then.
    armed: bool,
    /// When a socket that had been full last took something.
    progress: Option<Instant>,
}

impl Sock {
    /// Registers the socket for reading and, as it may still be connecting, writing.
    pub(crate) fn new(
        token: u64,
        stream: TcpStream,
        tls: Option<Connection>,
        poll: Arc<OwnedFd>,
    ) -> io::Result<Sock> {
        let data = epoll::EventData::new_u64(token);
        epoll::add(&*poll, &stream, data, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
        let wire = Wire { tls, out: Queue::default(), armed: true, progress: None };
        Ok(Sock { token, stream, poll, wire: Mutex::new(wire) })
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn queued(&self) -> usize {
        self.wire().out.len()
    }

    pub(crate) fn progress(&self) -> Option<Instant> {
        self.wire().progress
    }

    /// Whether the certificate of the other side is that of the node; true without TLS.
    pub(crate) fn is_of(&self, node: u64) -> bool {
        self.wire().tls.as_ref().is_none_or(|tls| crate::key::is_of(tls, node))
    }

    /// Writes a frame, or queues what the socket does not take. `Ok(Err(queued))`: it does not fit
    /// into `limit`. An error means that the connection is over.
    pub(crate) fn put(
        &self,
        frame: Frame,
        content: &Content<'_>,
        limit: usize,
    ) -> io::Result<Result<(), usize>> {
        let length = content.len();
        let header = frame.header(length);
        let mut wire = self.wire();
        let queued = wire.out.len();
        if queued != 0 && queued + HEADER + length > limit {
            return Ok(Err(queued));
        }
        let mut done = 0;
        if wire.tls.is_none() && !wire.armed && queued == 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let parts = std::iter::once(&header[..]).chain(content.slices());
            let mut count = 0;
            // What does not fit is queued.
            for (place, part) in slices.iter_mut().zip(parts) {
                *place = IoSlice::new(part);
                count += 1;
            }
            done = write(&self.stream, &slices[..count])?.unwrap_or(0);
            if done == HEADER + length {
                return Ok(Ok(()));
            }
        }
        content.queue(&header, done, &mut wire.out);
        self.go_on(&mut wire)?;
        Ok(Ok(()))
    }

    /// Queues bytes that are frames already, or a hello, and then what has waited.
    pub(crate) fn put_raw(&self, bytes: &[u8], waiting: Queue) -> io::Result<()> {
        let mut wire = self.wire();
        wire.out.push(bytes);
        wire.out.append(waiting);
        self.go_on(&mut wire)
    }

    fn go_on(&self, wire: &mut Wire) -> io::Result<()> {
        if wire.armed {
            return Ok(());
        }
        self.flush_wire(wire)
    }

    /// Writes what waits. By the I/O thread when the socket takes more, or after reading.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut wire = self.wire();
        if wire.armed {
            wire.progress = Some(Instant::now());
        }
        self.flush_wire(&mut wire)
    }

    /// After reading: TLS may have something to say by itself.
    pub(crate) fn flush_tls(&self) -> io::Result<()> {
        let mut wire = self.wire();
        if wire.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
            return self.go_on(&mut wire);
        }
        Ok(())
    }

    fn flush_wire(&self, wire: &mut Wire) -> io::Result<()> {
        let full = wire.write(&self.stream)?;
        if full != wire.armed {
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, full);
            epoll::modify(&*self.poll, &self.stream, epoll::EventData::new_u64(self.token), flags)?;
            wire.armed = full;
        }
        Ok(())
    }

    /// Reads once. An error says why the connection is over.
    pub(crate) fn fill(&self, buffer: &mut [u8]) -> Result<Fill, String> {
        let mut wire = self.wire();
        let Wire { tls: Some(tls), .. } = &mut *wire else {
            drop(wire);
            return match (&self.stream).read(buffer) {
                Ok(0) => Ok(Fill::End),
                Ok(count) if count < buffer.len() => Ok(Fill::Last(count)),
                Ok(count) => Ok(Fill::Bytes(count)),
                Err(e) => nothing(e),
            };
        };
        loop {
            match tls.reader().read(buffer) {
                Ok(0) => return Ok(Fill::End),
                Ok(count) => return Ok(Fill::Bytes(count)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(Fill::End),
                Err(e) => return Err(e.to_string()),
            }
            match tls.read_tls(&mut &self.stream) {
                Ok(0) => return Ok(Fill::End),
                Ok(_) => {}
                Err(e) => return nothing(e),
            }
            if let Err(e) = tls.process_new_packets() {
                // Tells the other side why, if it can be told.
                let _ = tls.write_tls(&mut Quiet(&self.stream));
                return Err(meaning(&e));
            }
        }
    }

    /// Reads once into memory of a message of which `missing` bytes are missing. The buffer is for what has to be
    /// decrypted first.
    pub(crate) fn fill_message(
        &self,
        message: &mut Vec<u8>,
        missing: usize,
        buffer: &mut [u8],
    ) -> Result<Fill, String> {
        if self.wire().tls.is_some() {
            let most = missing.min(buffer.len());
            let filled = self.fill(&mut buffer[..most])?;
            if let Fill::Bytes(count) | Fill::Last(count) = filled {
                message.extend_from_slice(&buffer[..count]);
            }
            return Ok(filled);
        }
        let most = missing.min(READ);
        message.reserve(most);
        let room = &mut message.spare_capacity_mut()[..most];
        match recv(&self.stream, room, RecvFlags::empty()) {
            Ok((([], _), _)) => Ok(Fill::End),
            Ok(((read, _), _)) => {
                let count = read.len();
                // SAFETY: the kernel has written so many bytes behind those that are there.
                unsafe { message.set_len(message.len() + count) };
                Ok(Fill::Bytes(count))
            }
            Err(e) => nothing(e.into()),
        }
    }

    /// Ends the connection; the I/O thread notices by reading.
    pub(crate) fn sever(&self) {
        // Fails if it is over already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn nothing(e: io::Error) -> Result<Fill, String> {
    match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Fill::Nothing),
        _ => Err(e.to_string()),
    }
}

impl Wire {
    /// Writes until all is written or the socket is full; whether it is full.
    fn write(&mut self, stream: &TcpStream) -> io::Result<bool> {
        loop {
            if let Some(tls) = &mut self.tls {
                while tls.wants_write() {
                    match tls.write_tls(&mut Quiet(stream)) {
                        Ok(_) => {}
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                        Err(e) => return Err(e),
                    }
                }
            }
            if self.out.is_empty() {
                return Ok(false);
            }
            let taken = match &mut self.tls {
                // Its own buffer holds one piece; during the handshake, until there are keys.
                Some(tls) => {
                    let front = self.out.front();
                    let taken = tls.writer().write(&front[..front.len().min(PIECE)])?;
                    if taken == 0 {
                        return Ok(false);
                    }
                    taken
                }
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = self.out.slices(&mut slices);
                    match write(stream, &slices[..count])? {
                        Some(taken) => taken,
                        None => return Ok(true),
                    }
                }
            };
            self.out.advance(taken);
        }
    }
}

/// One write, without the signal that a closed pipe would raise; none if the socket is full.
fn write(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    use rustix::io::Errno;
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        return match sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::INTR) => continue,
            Err(e) if e == Errno::AGAIN || e == Errno::WOULDBLOCK => Ok(None),
            Err(e) => Err(e.into()),
        };
    }
}

/// For rustls, which would raise that signal.
struct Quiet<'a>(&'a TcpStream);

impl Write for Quiet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        write(self.0, slices)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
