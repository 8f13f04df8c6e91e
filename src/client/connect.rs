//! Establishing a session: from the instance's name to a segment that both sides have mapped.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use chimaera_ipc::instance::Instance;
use chimaera_ipc::layout::{Layout, SHARES};
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::wire::{
    self, Kind, Message, Received, HAS_COMPLETIONS, LAYOUTS_ARE_COMPARED, WIRE_VERSION,
};
use chimaera_ipc::{clock, connect};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::options::Options;

/// How long the runtime may take to answer on the socket.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
/// What errors say about a runtime that took longer.
const SILENT: &str = "no answer within 5 s";

/// The time by which a runtime that is asked now must have answered.
pub(crate) fn answer_bound() -> Instant {
    Instant::now() + ANSWER_BOUND
}

/// A connection that the runtime has accepted.
pub(crate) struct Link {
    pub(crate) instance: Instance,
    pub(crate) socket: OwnedFd,
    pub(crate) mapping: Mapping,
    pub(crate) doorbell: OwnedFd,
    /// Added to a monotonic time of this process, gives the runtime's.
    pub(crate) clock_offset: i64,
    /// Whether the runtime looks for the layouts of tasks in `chi_task.status_`, and clears them.
    pub(crate) compares_layouts: bool,
    /// Whether the runtime knows completion queues.
    pub(crate) has_completions: bool,
}

pub(crate) fn connect(options: &Options) -> Result<Link> {
    let instance = Instance::new(options.instance.as_deref())
        .map_err(|error| Failure::new(CHI_INVALID, error.to_string()))?;
    let patience = Instant::now() + options.connect_timeout;
    loop {
        let bound = answer_bound();
        match open(&instance, bound) {
            Ok(socket) => return handshake(instance, socket, options.segment_size, bound),
            Err(failure) if failure.status != CHI_UNAVAILABLE || Instant::now() >= patience => {
                return Err(failure);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn handshake(
    instance: Instance,
    socket: OwnedFd,
    segment_size: u64,
    bound: Instant,
) -> Result<Link> {
    let hello = [WIRE_VERSION, CHI_ABI_MAJOR.into(), CHI_ABI_MINOR.into(), segment_size];
    let hello = Message::new(Kind::Hello, &hello);
    let ahead = clock::ahead_ns();
    let welcomed = ask(&instance, &socket, Some(&hello), Kind::Welcome, bound)?;
    let (welcome, mut fds) = welcomed.in_time(&instance)?;
    let odd = |why: &str| Failure::new(CHI_VERSION, format!("the runtime's welcome {why}"));
    let [_, size, can, share, runtime_ahead, layouts] = welcome.words;
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
    send(&socket, &mapped, bound).map_err(|error| gone(&instance, &error.to_string()))?;
    // If the system time is being set right now, the runtime's value is no guide.
    let known = runtime_ahead != 0 && clock::offset_ns(ahead, clock::ahead_ns()) == 0;
    let clock_offset = if known { clock::offset_ns(ahead, runtime_ahead as i64) } else { 0 };
    let compares_layouts = layouts == LAYOUTS_ARE_COMPARED;
    let has_completions = can & HAS_COMPLETIONS != 0;
    Ok(Link {
        instance,
        socket,
        mapping,
        doorbell,
        clock_offset,
        compares_layouts,
        has_completions,
    })
}

pub(crate) fn gone(instance: &Instance, why: &str) -> Failure {
    Failure::new(
        CHI_UNAVAILABLE,
        format!("the runtime '{}' is not available: {why}", instance.name()),
    )
}

fn open(instance: &Instance, bound: Instant) -> Result<OwnedFd> {
    connect::connect(instance, bound).map_err(|error| match error {
        connect::Error::NotRunning(_) => Failure::new(CHI_UNAVAILABLE, instance.not_running()),
        connect::Error::Silent => gone(instance, &format!("it is not responding ({SILENT})")),
        connect::Error::Denied(why) => Failure::new(CHI_DENIED, why),
        connect::Error::Io(why) => Failure::new(CHI_IO, why),
    })
}

fn send(socket: &OwnedFd, message: &Message, bound: Instant) -> io::Result<()> {
    wire::ready(socket.as_fd(), PollFlags::OUT, bound)?;
    wire::send(socket.as_fd(), message, &[])
}

fn receive(socket: &OwnedFd, bound: Instant) -> io::Result<Received> {
    wire::ready(socket.as_fd(), PollFlags::IN, bound)?;
    wire::receive(socket.as_fd())
}

fn has_hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// What came of a question.
pub(crate) enum Asked {
    /// The answer.
    Answered(Message, Vec<OwnedFd>),
    /// There was no answer by the time until which it was waited for. With `unsent`, there will be none.
    Late { unsent: bool },
}

impl Asked {
    /// The answer. Fails if there is none.
    pub(crate) fn in_time(self, instance: &Instance) -> Result<(Message, Vec<OwnedFd>)> {
        match self {
            Asked::Answered(message, fds) => Ok((message, fds)),
            Asked::Late { .. } => Err(gone(instance, &format!("it is not responding ({SILENT})"))),
        }
    }
}

/// Sends a message and receives the answer, which must be of kind `wanted`. Without a `question`, it receives the
/// answer to the one before.
pub(crate) fn ask(
    instance: &Instance,
    socket: &OwnedFd,
    question: Option<&Message>,
    wanted: Kind,
    bound: Instant,
) -> Result<Asked> {
    let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    let answer = match question.map_or(Ok(()), |question| send(socket, question, bound)) {
        Ok(()) => receive(socket, bound),
        Err(error) if has_hung_up(&error) => receive(socket, bound),
        Err(error) if is_late(&error) => return Ok(Asked::Late { unsent: true }),
        Err(error) => Err(error),
    };
    // A runtime that refuses a client says so and hangs up without reading. The socket then reports
    // the lost request first, once; the refusal can still be read after it.
    let answer = match answer {
        Err(error) if has_hung_up(&error) => receive(socket, bound),
        other => other,
    };
    let answer = match answer {
        Err(error) if is_late(&error) => return Ok(Asked::Late { unsent: false }),
        other => {
            other.map_err(|error| gone(instance, &format!("it is not responding ({error})")))?
        }
    };
    match answer {
        Received::Message(message, fds) if message.kind == wanted => {
            Ok(Asked::Answered(message, fds))
        }
        Received::Message(message, _) if message.kind == Kind::Refused => {
            Err(Failure::new(message.status(), message.text))
        }
        Received::CutShort(_) => Err(Failure::new(
            CHI_IO,
            format!(
                "too many open files: no descriptors left for the session's ({})",
                Errno::MFILE
            ),
        )),
        Received::Closed => Err(gone(instance, "it closed the connection")),
        Received::Message(..) | Received::Garbage => Err(Failure::new(
            CHI_VERSION,
            format!(
                "the process that listens on {} is not a Chimaera runtime",
                instance.socket().display()
            ),
        )),
    }
}
