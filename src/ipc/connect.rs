//! Connecting to an instance: only if the listening process belongs to this user or to root,
//! checked before anything is sent, and only within a time limit.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::instance::{self, Instance};
use crate::peer::Peer;

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No process is listening.
    #[error("{0}")]
    NotRunning(Errno),
    /// The runtime has not accepted the connection in time.
    #[error("it is not responding")]
    Silent,
    /// The listening process belongs, or may belong, to another user.
    #[error("{0}")]
    Denied(String),
    /// A system call failed.
    #[error("{0}")]
    Io(String),
}

/// Connects to the process that serves an instance, until `bound`. The socket does not block.
///
/// # Errors
/// See [`Error`].
pub fn connect(instance: &Instance, bound: Instant) -> Result<OwnedFd, Error> {
    let path = instance.socket();
    let io = |error: Errno| Error::Io(format!("{}: {error}", path.display()));
    let directory = instance.open_directory().map_err(|error| match error {
        instance::Error::Untrusted { .. } => Error::Denied(error.to_string()),
        _ => Error::Io(error.to_string()),
    })?;
    let Some(directory) = directory else { return Err(Error::NotRunning(Errno::NOENT)) };
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| Error::Io(format!("cannot create a socket: {error}")))?;
    let address = SocketAddrUnix::new(directory.path_of(instance.socket_name())).map_err(io)?;
    connect_until(&socket, &address, bound).map_err(|error| match error {
        Errno::NOENT | Errno::CONNREFUSED => Error::NotRunning(error),
        Errno::AGAIN => Error::Silent,
        Errno::ACCESS | Errno::PERM => {
            Error::Denied(format!("{}: {error}; it is another user's", path.display()))
        }
        _ => io(error),
    })?;
    check_peer(&socket, instance)?;
    rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK).map_err(io)?;
    Ok(socket)
}

/// Anyone who can write to a directory above the instance's may have put another one in its place.
fn check_peer(socket: &OwnedFd, instance: &Instance) -> Result<(), Error> {
    let path = instance.socket();
    let peer = Peer::of(socket.as_fd()).map_err(|error: io::Error| {
        Error::Io(format!("cannot tell who listens on {}: {error}", path.display()))
    })?;
    if instance.trusts(peer.uid) {
        return Ok(());
    }
    let own = instance::uid();
    Err(Error::Denied(format!(
        "{}: user {} listens there, and user {own} uses runtimes of its own and of root only; remove \
         it, or set XDG_RUNTIME_DIR to a directory of your own; CHI_OWNER names another user to trust",
        path.display(),
        peer.uid
    )))
}

/// Connects, retrying after signals. `AGAIN` when the runtime has not accepted the connection in
/// time because its backlog is full.
fn connect_until(
    socket: &OwnedFd,
    address: &SocketAddrUnix,
    bound: Instant,
) -> rustix::io::Result<()> {
    loop {
        let rest = bound.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(Errno::AGAIN);
        }
        // Zero would mean no limit at all.
        let rest = rest.max(Duration::from_millis(1));
        rustix::net::sockopt::set_socket_timeout(socket, Timeout::Send, Some(rest))?;
        match rustix::net::connect(socket, address) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
