//! The session handshake: messages over the runtime's Unix socket (`SOCK_SEQPACKET`, so a message
//! arrives whole or not at all). The socket is only for set-up; tasks never use it.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The version of this handshake, and of everything in a segment that the C contract does not
/// cover.
pub const WIRE_VERSION: u64 = 3;

/// In a welcome: the runtime compares the layouts of tasks with those of modules. Older ones say 0.
pub const LAYOUTS_ARE_COMPARED: u64 = 1;

/// In the upper half of a welcome's third word: the runtime knows completion queues.
pub const HAS_COMPLETIONS: u64 = 1 << 32;

const MAGIC: u32 = 0x4348_494d;
const WORDS: usize = 6;
const HEAD: usize = 8 + WORDS * 8;
/// The maximum length of a message's text, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// The kind of a message, with the meaning of its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Client: wire version, ABI major, ABI minor, requested segment size (0: the default).
    Hello = 1,
    /// Runtime: session number, segment size, the runtime's process id in the lower half and what it can do
    /// ([`HAS_COMPLETIONS`]) in the upper, its share of the arenas in percent, how far real time is ahead of its
    /// monotonic time in nanoseconds (0: unknown), [`LAYOUTS_ARE_COMPARED`]; with the descriptors of the segment and of
    /// the doorbell.
    Welcome = 2,
    /// Client: the address at which it mapped the segment.
    Mapped = 3,
    /// Client: asks for a ring. Runtime: the ring's index.
    Ring = 4,
    /// Runtime: a status; the text says why.
    Refused = 5,
    /// The command-line program, instead of `Hello`: the request (`control::Request`), and up to
    /// five more words.
    Request = 6,
    /// Runtime: the size of its answer in bytes; with the descriptor of a memfd that holds it.
    Answer = 7,
    /// Between a runtime and its module host. To the host: its orders, in a memfd; if the pool begins with
    /// states, with the descriptor of a second one that holds a saved pool.
    Orders = 8,
    /// The host: its pool is ready.
    Ready = 9,
    /// Either side: asks for a session for this worker, so that the worker can send tasks. The answer: the
    /// worker, the size of the segment, the runtime's share of the arenas; with the descriptors of the
    /// segment, of the doorbell, and of the bell that rings for completions.
    Link = 10,
    /// To the host: destroy the pool, and end; if the word is not 0, a successor has the states of the
    /// containers.
    End = 11,
    /// The host: what is the pool with this slot and generation? The answer: the same, and how many
    /// containers it has, 0 if there is no such pool; the text is its module and its name, with a zero
    /// between them.
    Pool = 12,
    /// To the host: run `kNodeFailure` in a container: its number, the reason (`CHI_REASON_*`), the two halves
    /// of the id of the pool that was lost; the text is its name, a zero byte and the reason in words. Pools of a
    /// cluster have no hosts, so it was lost on this node.
    NodeFailure = 13,
    /// To the host: hold the tasks of its pool, and have the containers save their states. The number of the
    /// question, the purpose (`CHI_SAVED_*`), and how long tasks have to end, in milliseconds.
    Save = 14,
    /// To the host: the containers take back what they gave up, and the pool takes tasks. The number of the
    /// question.
    Resume = 15,
    /// The host has done that: the number of the question and a status; the text says why not. After `Save`,
    /// with the descriptor of a sealed memfd that holds a saved pool.
    Done = 16,
    /// To the host: the text is the level of its log from now on.
    LogLevel = 17,
    /// To the host: a question about its waiting tasks, with its number; in a memfd. The answer is `Done`, with
    /// the descriptor of a memfd that holds it.
    Waits = 18,
    /// To the host: answer with `Done` at once. The number of the question.
    Pulse = 19,
    /// To the host: map the segment of a client whose tasks it gets. The number of the question, the number by
    /// which tasks refer to the segment, its size, the runtime's share of its arenas; with its descriptor. The
    /// answer is `Done`.
    Lend = 20,
    /// To the host: unmap a segment, once no task refers to it. The number of the question, and that of the segment.
    /// The answer is `Done`.
    TakeBack = 21,
    /// The host: there was no memory for a page of the segment with this number.
    Faulted = 22,
    /// Client: has a completion queue: its number, the offset of its marks in the segment, and how many places they are
    /// for. The answer: the number; with the descriptor of a socket that becomes readable when the client rests and a
    /// place is marked.
    Completions = 23,
    /// Client: asks for published memory to map. First 0; after each answer with a segment 1 and the address at which it
    /// has mapped that, 0 if it could not. The answer: the number of a segment and its bytes, with a descriptor for reading
    /// it; 0 bytes, and no descriptor, if there is no more.
    Published = 24,
}

impl Kind {
    const ALL: [Kind; 24] = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Mapped,
        Kind::Ring,
        Kind::Refused,
        Kind::Request,
        Kind::Answer,
        Kind::Orders,
        Kind::Ready,
        Kind::Link,
        Kind::End,
        Kind::Pool,
        Kind::NodeFailure,
        Kind::Save,
        Kind::Resume,
        Kind::Done,
        Kind::LogLevel,
        Kind::Waits,
        Kind::Pulse,
        Kind::Lend,
        Kind::TakeBack,
        Kind::Faulted,
        Kind::Completions,
        Kind::Published,
    ];
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The kind.
    pub kind: Kind,
    /// Numbers; see `Kind`.
    pub words: [u64; WORDS],
    /// Text for people to read.
    pub text: String,
}

impl Message {
    /// Makes a message without text; omitted words are 0.
    pub fn new(kind: Kind, words: &[u64]) -> Message {
        let mut all = [0; WORDS];
        all[..words.len()].copy_from_slice(words);
        Message { kind, words: all, text: String::new() }
    }

    /// The message with a text, which is cut off where it is too long.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Message {
        self.text = text.into();
        let most = MAX_TEXT.min(self.text.len());
        let end = (0..=most).rev().find(|&at| self.text.is_char_boundary(at));
        self.text.truncate(end.unwrap_or(0));
        self
    }

    /// A refusal.
    pub fn refused(status: i32, text: impl Into<String>) -> Message {
        Message::new(Kind::Refused, &[status as u32 as u64]).saying(text)
    }

    /// The status of a refusal.
    pub fn status(&self) -> i32 {
        self.words[0] as u32 as i32
    }

    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.text.len());
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend((self.kind as u32).to_le_bytes());
        self.words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(self.text.as_bytes());
        bytes
    }

    /// Decodes a message from a peer. `None` for anything that is not a valid message.
    pub fn decode(bytes: &[u8]) -> Option<Message> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if number(0)? != MAGIC || bytes.len() > HEAD + MAX_TEXT {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|kind| Some(*kind as u32) == number(4))?;
        let mut words = [0; WORDS];
        for (i, word) in words.iter_mut().enumerate() {
            let at = 8 + i * 8;
            *word = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
        }
        let text = std::str::from_utf8(&bytes[HEAD..]).ok()?.to_owned();
        Some(Message { kind, words, text })
    }
}

/// Sends a message; the peer gets duplicates of the descriptors. If the peer has gone, this returns
/// an error and raises no signal.
pub fn send(socket: BorrowedFd<'_>, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = message.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)
    })?;
    if sent != bytes.len() {
        return Err(io::Error::other("a message was cut short"));
    }
    Ok(())
}

/// Waits until a call on a non-blocking socket would not block, and resumes after signals.
/// `TimedOut` when `until` comes first.
pub fn ready(socket: BorrowedFd<'_>, flags: PollFlags, until: Instant) -> io::Result<()> {
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        let rest = Timespec { tv_sec: rest.as_secs() as i64, tv_nsec: rest.subsec_nanos().into() };
        match rustix::event::poll(&mut [PollFd::new(&socket, flags)], Some(&rest)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What `receive` found.
pub enum Received {
    /// A message and the descriptors that came with it.
    Message(Message, Vec<OwnedFd>),
    /// A message some of whose descriptors were lost: this process has no room for all of them.
    CutShort(Message),
    /// The peer has closed its end.
    Closed,
    /// Something that is not a message.
    Garbage,
}

/// The maximum number of descriptors in one message: the kernel's `SCM_MAX_FD`.
const MOST_DESCRIPTORS: usize = 253;

/// Receives the next message. On a non-blocking socket, `WouldBlock` when there is none.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Received> {
    let mut fds = Vec::new();
    Ok(match receive_apart(socket, &mut fds)? {
        Received::Message(message, _) => Received::Message(message, fds),
        other => other,
    })
}

/// Like `receive`, but puts the descriptors that came with the message into `fds`, whatever the
/// outcome: closing a descriptor from another process may block.
pub fn receive_apart(socket: BorrowedFd<'_>, fds: &mut Vec<OwnedFd>) -> io::Result<Received> {
    let mut bytes = [0; HEAD + MAX_TEXT + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let result = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if result.bytes == 0 {
        return Ok(Received::Closed);
    }
    if result.flags.contains(ReturnFlags::TRUNC) {
        return Ok(Received::Garbage);
    }
    Ok(match Message::decode(&bytes[..result.bytes]) {
        Some(message) if result.flags.contains(ReturnFlags::CTRUNC) => Received::CutShort(message),
        Some(message) => Received::Message(message, Vec::new()),
        None => Received::Garbage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way() {
        let message = Message { text: "Grüße".into(), ..Message::new(Kind::Hello, &[1, 2, 3]) };
        assert_eq!(Message::decode(&message.encode()), Some(message));
        let refused = Message::refused(-3, "ü".repeat(2000));
        assert_eq!(Message::decode(&refused.encode()), Some(refused.clone()));
        assert_eq!((refused.status(), refused.text.len()), (-3, MAX_TEXT));
    }

    #[test]
    fn garbage_is_no_message() {
        let good = Message::new(Kind::Ring, &[]).encode();
        for len in 0..good.len() {
            assert_eq!(Message::decode(&good[..len]), None);
        }
        let mut text = good.clone();
        text.push(0xff);
        assert_eq!(Message::decode(&text), None);
        assert_eq!(Message::decode(&[good, vec![b'a'; MAX_TEXT + 1]].concat()), None);
    }
}
