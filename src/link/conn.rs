//! A connection as the I/O thread sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_ipc::large;

use crate::lanes::Entry;
use crate::wire::Sock;
use crate::{Class, Peer};

/// For making a TCP connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
/// For the handshake, TLS included.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(3);
/// For the other side to read why it was refused.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);
/// For the other side to write what it has before an idle connection is closed.
pub(crate) const CLOSING: Duration = Duration::from_secs(3);

/// Why this side connects.
pub(crate) enum Aim {
    /// To have a connection of a class.
    Open(Arc<Entry>, Class),
    /// To learn who is there.
    Probe,
}

pub(crate) enum Phase {
    /// TCP is being connected, by this side.
    Dialing(Aim),
    /// This side waits for the answer to its hello.
    Asking(Aim),
    /// Somebody has connected; nothing is known of him.
    Incoming,
    /// Everything is said; the other side is to close.
    Farewell,
    /// In use.
    Up(Up),
}

/// What belongs to a connection in use.
pub(crate) struct Up {
    pub(crate) entry: Arc<Entry>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) class: Class,
    /// This side has said goodbye.
    pub(crate) closing: bool,
    /// When a message last came.
    pub(crate) used: Instant,
    pub(crate) pinged: Instant,
}

pub(crate) struct Conn {
    pub(crate) sock: Arc<Sock>,
    /// Of the other side of the socket.
    pub(crate) addr: SocketAddr,
    pub(crate) phase: Phase,
    /// What has come of a hello or a frame.
    pub(crate) got: Vec<u8>,
    /// A large message of which more is to come.
    pub(crate) large: Option<Large>,
    /// When a phase that must end is over.
    pub(crate) deadline: Instant,
    /// When a byte last came.
    pub(crate) heard: Instant,
}

/// A message that comes into memory of its own.
pub(crate) struct Large {
    pub(crate) bytes: Vec<u8>,
    length: usize,
    is_expected: bool,
}

/// How much of a large message has to have come before memory is taken for what is missing.
const BELIEVED: usize = 1 << 20;

impl Large {
    /// Begins a message of so many bytes. What is announced need not come: until then, the memory is only addresses.
    pub(crate) fn begin(length: usize, first: &[u8]) -> Result<Large, End> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| {
            End::Why(format!("there is no memory for its message of {length} bytes"))
        })?;
        bytes.extend_from_slice(first);
        Ok(Large { bytes, length, is_expected: false })
    }

    /// Some of it has come. Once that is much, the rest is believed to come, too.
    pub(crate) fn grown(&mut self) {
        if !self.is_expected && self.bytes.len() >= BELIEVED {
            self.is_expected = true;
            let rest = self.missing();
            large::expect(self.bytes.spare_capacity_mut().as_mut_ptr().cast(), rest);
        }
    }

    /// How many bytes have not come.
    pub(crate) fn missing(&self) -> usize {
        self.length - self.bytes.len()
    }
}

/// How a connection ends.
pub(crate) enum End {
    /// As it should.
    Done,
    /// The other side does not want it at the moment.
    Later,
    /// For a reason that a person may want to know.
    Why(String),
}

impl End {
    pub(crate) fn why(text: impl ToString) -> End {
        End::Why(text.to_string())
    }
}
