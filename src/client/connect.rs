//! How a session comes about: from the instance's name to a segment that both sides have mapped.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use chimaera_ipc::instance::Instance;
use chimaera_ipc::layout::{Layout, SHARES};
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::wire::{self, Kind, Message, Received, WIRE_VERSION};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::options::Options;

/// How long the runtime may take to answer on the socket.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// When the runtime must have answered that is asked now.
pub(crate) fn answer_bound() -> Instant {
    Instant::now() + ANSWER_BOUND
}

/// A runtime that has let this process in.
pub(crate) struct Link {
    pub(crate) instance: Instance,
    pub(crate) socket: OwnedFd,
    pub(crate) mapping: Mapping,
    pub(crate) doorbell: OwnedFd,
}

pub(crate) fn connect(options: &Options) -> Result<Link> {
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
    handshake(instance, socket, options.segment_size)
}

fn handshake(instance: Instance, socket: OwnedFd, segment_size: u64) -> Result<Link> {
    let hello = [WIRE_VERSION, CHI_ABI_MAJOR.into(), CHI_ABI_MINOR.into(), segment_size];
    let hello = Message::new(Kind::Hello, &hello);
    let (welcome, mut fds) = ask(&instance, &socket, &hello, Kind::Welcome, answer_bound())?;
    let odd = |why: &str| Failure::new(CHI_VERSION, format!("the runtime's welcome {why}"));
    let [_, size, _, share, ..] = welcome.words;
    let layout = Layout::divided(size, share);
    if layout.size != size || !SHARES.contains(&share) || fds.len() != 2 {
        return Err(odd("makes no sense to this client; both must be of the same version"));
    }
    let doorbell = fds.pop().expect("there are two");
    let segment = fds.pop().expect("there are two");
    let mapping = Mapping::new(segment.as_fd(), layout).map_err(|error| {
        Failure::new(CHI_IO, format!("cannot map a segment of {} bytes: {error}", layout.size))
    })?;
    let mapped = Message::new(Kind::Mapped, &[mapping.base() as u64]);
    wire::send(socket.as_fd(), &mapped, &[])
        .map_err(|error| gone(&instance, &error.to_string()))?;
    Ok(Link { instance, socket, mapping, doorbell })
}

pub(crate) fn gone(instance: &Instance, why: &str) -> Failure {
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
                Failure::new(CHI_DENIED, format!("{path}: {error}; it is another user's"))
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
pub(crate) fn ask(
    instance: &Instance,
    socket: &OwnedFd,
    question: &Message,
    wanted: Kind,
    _: Instant,
) -> Result<(Message, Vec<OwnedFd>)> {
    let answer = match wire::send(socket.as_fd(), question, &[]) {
        Ok(()) => wire::receive(socket.as_fd()),
        Err(error) if has_hung_up(&error) => wire::receive(socket.as_fd()),
        Err(error) => Err(error),
    };
    // A runtime that refuses somebody says so and hangs up, without listening. The loss of the question
    // is then reported first, and once; the refusal is there behind it.
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
                "whatever listens at {} is not a Chimaera runtime",
                instance.socket().display()
            ),
        )),
    }
}
