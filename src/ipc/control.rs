//! Control requests: what the command-line program asks of a running instance over its socket. The
//! control thread answers them itself, so they work while every worker is busy, and they need no
//! session and no segment.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use chimaera_abi::chi_status;
use rustix::event::PollFlags;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::connect;
use crate::instance::Instance;
use crate::wire::{self, Kind, Message, Received};

/// What a request asks for: the first word of a message of [`Kind::Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Request {
    /// Describe a subject, `CHI_DESCRIBE_...`, the second word. The answer is JSON.
    Describe = 1,
    /// End the runtime. The answer comes before it has ended. A second word of 1 ends a daemon's process at
    /// once; the answer then lists what is abandoned.
    Stop = 2,
    /// Set what happens when a method of a pool crashes. The words that follow are the
    /// pool's id, its two numbers, and 0 for a quarantine or 1 for an abort.
    SetOnCrash = 3,
    /// Set the log level to the text, unless it is empty. The answer has the `level`.
    LogLevel = 4,
    /// Reopen the log file. The answer has its path, `log`.
    LogReopen = 5,
    /// Return the contents of the status page.
    Status = 6,
    /// End the session whose number is the second word. The answer says to whom it belonged.
    EndSession = 7,
    /// Destroy the pool whose name is the text. The second word bounds that, in milliseconds. Unless the third is
    /// other than 0, it is refused if other pools depend on the pool. The pool takes no tasks from now on; the answer comes when it is destroyed, or open again because its tasks have not ended.
    DestroyPool = 8,
    /// Replace containers of the pool whose name is the text by new ones that load their states. The second word
    /// bounds that, in milliseconds; the third is the container's number, or larger than any for all. The answer
    /// comes when it is done, or when the old containers go on.
    MigratePool = 9,
    /// Replace the containers of all pools of a module by such of another version. The text is the module's name, a
    /// zero byte and the path of the file. The second word bounds that, in milliseconds. The answer comes when it is
    /// done, or when the old version goes on.
    UpgradeModule = 10,
    /// Save a pool to a file. The text is the pool's name, a zero byte and the absolute path of the file; the second
    /// word bounds that, in milliseconds.
    SavePool = 11,
    /// Create a pool with the states in a file. The text is the pool's name, or nothing for the one that was saved, a
    /// zero byte and the absolute path of the file; the second word bounds that, in milliseconds, and the third is
    /// its policy: `CHI_POOL_ABORTS`, `CHI_POOL_ISOLATED`, `CHI_POOL_DURABLE`.
    LoadPool = 12,
    /// Restart the runtime: a new process takes over its pools and clients. The text is the absolute path of its
    /// program, or nothing for the same. The second word bounds that, in milliseconds; a third of 1 makes pools that
    /// cannot be saved anew, without their states. The answer comes when the new process serves, or when this one goes
    /// on.
    Restart = 13,
    /// Say how far the changes of pools have come: an array with what their answers will have, as far as it is
    /// known, the stage (`waiting`, `saving`, `writing`, `reading`, `loading`) and its bytes so far.
    Progress = 15,
    /// Say what the runtime abandons: once its threads have ended, an answer with what it had `abandoned`, and another
    /// if its process does not end properly after that.
    AwaitEnd = 16,
    /// Change the cluster. The text is `drain`, `remove`, or `move`, and what it is about, each behind a zero byte: the
    /// name of a node; or those of a pool, of its container, and of the node that it is to go to. The answer comes when
    /// the cluster has agreed.
    Cluster = 17,
    /// Describe the pool whose name is the text, or whose id, `3.0` for example, with the methods of its module and what
    /// that says of their tasks. The answer is JSON.
    Pool = 18,
    /// Return what is counted and measured: a `chimaera_metrics::Snapshot` as JSON.
    Metrics = 19,
    /// List tasks: the text is a `chimaera_metrics::Wanted` as JSON, and the answer a `chimaera_metrics::Tasks`.
    Tasks = 20,
    /// Return the tasks of late that took long, a `chimaera_metrics::SlowTasks` as JSON. The words are 1 and how long a task
    /// must take from now on to be noted, in nanoseconds, or 0 and 0; then 1 to measure every task from now on, 2 to measure
    /// a sample, or 0.
    Slow = 21,
    /// Record a trace: the text is a `chimaera_metrics::TraceRequest` as JSON, and the answer a `chimaera_metrics::Trace`.
    Trace = 22,
}

impl Request {
    /// The request with this number.
    pub fn of(number: u64) -> Option<Request> {
        let all = [
            Request::Describe,
            Request::Stop,
            Request::SetOnCrash,
            Request::LogLevel,
            Request::LogReopen,
            Request::Status,
            Request::EndSession,
            Request::DestroyPool,
            Request::MigratePool,
            Request::UpgradeModule,
            Request::SavePool,
            Request::LoadPool,
            Request::Restart,
            Request::Progress,
            Request::AwaitEnd,
            Request::Cluster,
            Request::Pool,
            Request::Metrics,
            Request::Tasks,
            Request::Slow,
            Request::Trace,
        ];
        all.into_iter().find(|&request| request as u64 == number)
    }
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime is listening, or none any more; the text is that of [`Instance::not_running`] or
    /// [`Instance::hung_up`].
    #[error("{0}")]
    NotRunning(String),
    /// The runtime refused the request.
    #[error("{text}")]
    Refused {
        /// The status.
        status: chi_status,
        /// Why.
        text: String,
    },
    /// The runtime did not answer in time.
    #[error("instance '{name}' did not answer within {:.1} s", .bound.as_secs_f64())]
    Silent {
        /// The instance.
        name: String,
        /// The time limit that has passed.
        bound: Duration,
    },
    /// The reply is not an answer to this request.
    #[error("instance '{0}' did not answer this request; it may be of another version")]
    Unknown(String),
    /// The instance is another user's.
    #[error("{0}")]
    Denied(String),
    /// A system call failed while connecting.
    #[error("{0}")]
    Io(String),
    /// The socket failed.
    #[error("{path}: {error}")]
    Socket {
        /// The socket's path.
        path: String,
        /// The error.
        error: io::Error,
    },
}

/// Asks a running instance and returns its answer, within `bound`. `words` follow the request's number.
///
/// # Errors
/// See [`Error`].
pub fn ask(
    instance: &Instance,
    request: Request,
    words: &[u64],
    text: &str,
    bound: Duration,
) -> Result<String, Error> {
    let until = Instant::now() + bound;
    Asked::send(instance, request, words, text, until)?.answer(until)
}

/// A request that was sent to an instance.
pub struct Asked<'i> {
    instance: &'i Instance,
    socket: OwnedFd,
    at: Instant,
}

impl<'i> Asked<'i> {
    /// Sends a request, until `until` at most. `words` follow its number.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send(
        instance: &'i Instance,
        request: Request,
        words: &[u64],
        text: &str,
        until: Instant,
    ) -> Result<Asked<'i>, Error> {
        let at = Instant::now();
        let silent = || Error::Silent {
            name: instance.name().to_owned(),
            bound: until.saturating_duration_since(at),
        };
        let asked = Asked { instance, socket: connect(instance, until, silent)?, at };
        let all: Vec<u64> = std::iter::once(request as u64).chain(words.iter().copied()).collect();
        let question = Message { text: text.to_owned(), ..Message::new(Kind::Request, &all) };
        // A runtime that refuses the connection has hung up already; its refusal can still be read.
        match wire::send(asked.socket.as_fd(), &question, &[]) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(asked.failed(error, until))
            }
            _ => Ok(asked),
        }
    }

    /// Waits for the answer, until `until` at most. There may be several, which come one after another.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn answer(&self, until: Instant) -> Result<String, Error> {
        let failed = |error| self.failed(error, until);
        match receive(&self.socket, until).map_err(failed)? {
            Received::Message(answer, fds) if answer.kind == Kind::Answer => {
                read(&answer, fds).map_err(failed)
            }
            Received::Message(answer, _) if answer.kind == Kind::Refused => {
                Err(Error::Refused { status: answer.status(), text: answer.text })
            }
            Received::CutShort(_) => Err(failed(Errno::MFILE.into())),
            Received::Closed => Err(Error::NotRunning(self.instance.hung_up())),
            Received::Message(..) | Received::Garbage => {
                Err(Error::Unknown(self.instance.name().to_owned()))
            }
        }
    }

    fn failed(&self, error: io::Error, until: Instant) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut => Error::Silent {
                name: self.instance.name().to_owned(),
                bound: until.saturating_duration_since(self.at),
            },
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Error::NotRunning(self.instance.not_running()),
            _ => Error::Socket { path: self.instance.socket().display().to_string(), error },
        }
    }
}

/// Answers a request, on the runtime's side: the document is sent as a sealed memfd, whatever its
/// size. If no descriptor is left for one, a short document is sent as the message's text.
pub fn answer(socket: &OwnedFd, document: &str) -> io::Result<()> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create("chimaera-answer", flags) {
        Err(Errno::MFILE | Errno::NFILE) if document.len() <= wire::MAX_TEXT => {
            let head = Message::new(Kind::Answer, &[document.len() as u64]);
            let message = Message { text: document.to_owned(), ..head };
            return wire::send(socket.as_fd(), &message, &[]);
        }
        file => file?,
    };
    let mut left = document.as_bytes();
    while !left.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, left))?;
        left = &left[written..];
    }
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    let message = Message::new(Kind::Answer, &[document.len() as u64]);
    wire::send(socket.as_fd(), &message, &[file.as_fd()])
}

/// The document that an answer refers to.
fn read(answer: &Message, fds: Vec<OwnedFd>) -> io::Result<String> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "the answer has no document");
    if fds.is_empty() && answer.words[0] > 0 && answer.text.len() as u64 == answer.words[0] {
        return Ok(answer.text.clone());
    }
    let file = fds.first().ok_or_else(odd)?;
    if rustix::fs::fstat(file)?.st_size as u64 != answer.words[0] {
        return Err(odd());
    }
    let mut bytes = vec![0; answer.words[0] as usize];
    let mut done = 0;
    while done < bytes.len() {
        let at = done as u64;
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut bytes[done..], at))?;
        if read == 0 {
            return Err(odd());
        }
        done += read;
    }
    String::from_utf8(bytes).map_err(|_| odd())
}

fn connect(
    instance: &Instance,
    until: Instant,
    silent: impl Fn() -> Error,
) -> Result<OwnedFd, Error> {
    connect::connect(instance, until).map_err(|error| match error {
        connect::Error::NotRunning(_) => Error::NotRunning(instance.not_running()),
        connect::Error::Silent => silent(),
        connect::Error::Denied(why) => Error::Denied(why),
        connect::Error::Io(why) => Error::Io(why),
    })
}

/// The next message; retries when a signal interrupts the wait.
fn receive(socket: &OwnedFd, until: Instant) -> io::Result<Received> {
    wire::ready(socket.as_fd(), PollFlags::IN, until)?;
    match wire::receive(socket.as_fd()) {
        // A runtime that refuses a connection hangs up without having read the request, which the kernel tells before
        // the refusal.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            wire::receive(socket.as_fd())
        }
        received => received,
    }
}
