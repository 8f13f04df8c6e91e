//! A module host's side of its connection to the daemon.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::{CHI_ADMIN_RESET_POOL, CHI_FAILED, CHI_IO, CHI_METHOD_NODE_FAILURE, CHI_OK};
use chimaera_ipc::wire::{self, Kind, Message};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::borrowing::borrow_segment;
use super::foreign;
use super::links::{self, NO_WORKER};
use crate::config::{Config, Error, HostOrders};
use crate::failure::Failure;
use crate::host::{text_from_memfd, text_in_memfd, Peer};
use crate::scheduler::{chains, with_current, ControlCommand, Shared, Worker, WorkerMessage};
use crate::session::SessionRef;
use crate::sys::last_words;

/// How long the daemon may take to send its orders.
const ORDERS_BOUND: Duration = Duration::from_secs(10);
/// The longest orders, in bytes: parameters have at most a MiB, which takes twice that here.
const MOST_ORDERS: u64 = 16 << 20;
/// How often to look whether completions have to be told that had no room in their ring.
const BACKLOG_LOOK: Duration = Duration::from_millis(1);

/// What a module host gets from its daemon.
pub(crate) struct Received {
    /// The configuration of its runtime.
    pub(crate) config: Config,
    /// The connection.
    pub(crate) socket: OwnedFd,
    /// The daemon's roll of clients.
    pub(crate) roll: Option<OwnedFd>,
    /// The states with which its pool begins.
    pub(crate) states: Option<OwnedFd>,
}

/// Makes this process the module host of the daemon that is at the other end of its standard input, with
/// which it dies.
pub(crate) fn receive_orders() -> Result<Received, Error> {
    let failed = |what: &str| Error::Config(format!("this process is no module host: {what}"));
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Error::io("asking to die with the daemon", error))?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        .map_err(|error| Error::io("taking the connection to the daemon", error))?;
    let nothing = File::open("/dev/null").map_err(|error| Error::io("/dev/null", error))?;
    rustix::stdio::dup2_stdin(&nothing).map_err(|error| Error::io("/dev/null", error))?;
    let io = |error: std::io::Error| Error::io("receiving what to run", error);
    let no_socket = |_| failed("its standard input is not a connection to a daemon");
    wire::ready(socket.as_fd(), PollFlags::IN, Instant::now() + ORDERS_BOUND).map_err(no_socket)?;
    let (message, fds) = match wire::receive(socket.as_fd()).map_err(no_socket)? {
        wire::Received::Message(message, fds) if message.kind == Kind::Orders => (message, fds),
        _ => return Err(failed("it was not told what to run")),
    };
    let length = message.words[0].min(MOST_ORDERS);
    let mut fds = fds.into_iter();
    let memfd = fds.next().ok_or_else(|| failed("it was not told what to run"))?;
    let mut bytes = vec![0; length as usize];
    let file = File::from(memfd);
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).map_err(io)?;
    let orders = String::from_utf8(bytes).ok().and_then(|text| HostOrders::decode(&text));
    let orders = orders.ok_or_else(|| failed("the daemon is of another version"))?;
    // From now on, this process ends when the daemon does not read what it is told, and does not hang.
    rustix::io::ioctl_fionbio(&socket, true)
        .map_err(|error| Error::io("the connection to the daemon", error))?;
    let roll = if message.words[1] == 0 { None } else { fds.next() };
    Ok(Received { config: Config::of_orders(orders), socket, roll, states: fds.next() })
}

/// Tells the daemon that the pool is ready; `saves` if its containers can save their states.
pub(crate) fn ready(peer: &Peer, saves: bool) {
    peer.tell(&Message::new(Kind::Ready, &[saves.into()]), &[]);
}

/// Tells the daemon why the pool cannot be created.
pub(crate) fn refuse(peer: &Peer, why: &str) {
    let mut refusal = Message::refused(CHI_FAILED, why);
    refusal.words[1] = NO_WORKER;
    peer.tell(&refusal, &[]);
}

/// The pool of a module host. Its functions run on a coroutine of a worker.
pub(crate) trait HostedPool: Send + Sync + 'static {
    /// Runs `kNodeFailure` in a container, as the message says.
    fn tell_of_failure(&self, worker: &Worker, message: &Message);

    /// Holds the pool's tasks, waits for the end of those in it, for `bound` at most, and has the containers
    /// save their states for this purpose, a `CHI_SAVED_*`. The states are a saved pool in a sealed memfd.
    /// `number` is that of the daemon's question.
    fn save(
        &self,
        worker: &Worker,
        number: u64,
        purpose: u32,
        bound: Duration,
    ) -> Result<OwnedFd, Failure>;

    /// Has the containers take back what they gave up for questions before this one, and the pool take tasks.
    /// What is being saved is given up.
    fn resume(&self, worker: &Worker, number: u64) -> Result<(), Failure>;

    /// Destroys the containers, whose states a successor has.
    fn discard(&self, worker: &Worker);
}

/// Has a worker do something for the daemon.
fn on_worker(
    shared: &Shared,
    pool: &Arc<dyn HostedPool>,
    method: u32,
    work: impl FnOnce(&Worker, &dyn HostedPool) + Send + 'static,
) {
    let pool = pool.clone();
    let run = move || {
        with_current(|worker| work(worker.expect("messages are read by workers"), &*pool));
    };
    // One worker gets all of it, in order. If a method keeps it, others take its messages over.
    shared.mailbox(0).send(WorkerMessage::Run(method, Box::new(run)));
}

/// Answers the daemon's question with this number.
fn answer(shared: &Shared, number: u64, result: Result<Option<OwnedFd>, Failure>) {
    let daemon = shared.hosts.daemon().expect("a module host has a daemon");
    let (status, text, states) = match result {
        Ok(states) => (CHI_OK, String::new(), states),
        Err(Failure { status, message }) => (status, message, None),
    };
    let message = Message::new(Kind::Done, &[number, u64::from(status as u32)]).saying(text);
    let sent: Vec<_> = states.iter().map(AsFd::as_fd).collect();
    daemon.tell(&message, &sent);
}

/// The answer to a question about the waits of tasks, both in memfds.
fn answer_about_waits(
    shared: &Shared,
    question: Option<OwnedFd>,
) -> Result<Option<OwnedFd>, Failure> {
    let io = |error: std::io::Error| {
        Failure::new(CHI_IO, format!("a question about the waits of tasks: {error}"))
    };
    let question = question.ok_or_else(|| io(std::io::ErrorKind::InvalidInput.into()))?;
    let question = text_from_memfd(question).map_err(io)?;
    let answer = chains::answer_in_text(shared, &question)?;
    text_in_memfd(&answer).map(Some).map_err(io)
}

/// Ends this process once the containers are destroyed, whose states a successor has.
fn end_succeeded(worker: &Worker, pool: &dyn HostedPool) -> ! {
    pool.discard(worker);
    worker.shared.config.flush_log();
    last_words::give_up();
    // SAFETY: the function ends the process, whatever other threads do.
    unsafe { libc::_exit(0) }
}

/// Listens to the daemon until this process ends.
pub(crate) fn listen(shared: &Arc<Shared>, peer: &Arc<Peer>, pool: &Arc<dyn HostedPool>) {
    let mut sessions: Vec<SessionRef> = Vec::new();
    loop {
        let backlog = sessions.iter().any(|session| {
            session.completions().is_some_and(|completions| completions.tell_rest())
        });
        let pause = Timespec { tv_sec: 0, tv_nsec: BACKLOG_LOOK.as_nanos() as i64 };
        let socket = peer.socket.as_fd();
        let mut fds = [PollFd::new(&socket, PollFlags::IN)];
        // An interrupted wait is repeated.
        let _ = rustix::event::poll(&mut fds, backlog.then_some(&pause));
        match wire::receive(socket) {
            Ok(wire::Received::Message(message, fds)) => match message.kind {
                Kind::End if message.words[0] != 0 => {
                    let end = |worker: &Worker, pool: &dyn HostedPool| end_succeeded(worker, pool);
                    on_worker(shared, pool, CHI_ADMIN_RESET_POOL, end);
                }
                Kind::End => shared.command(ControlCommand::Stop),
                Kind::NodeFailure => {
                    on_worker(shared, pool, CHI_METHOD_NODE_FAILURE, move |worker, pool| {
                        pool.tell_of_failure(worker, &message);
                    });
                }
                Kind::Save => {
                    let [number, purpose, bound, ..] = message.words;
                    on_worker(shared, pool, CHI_ADMIN_RESET_POOL, move |worker, pool| {
                        let bound = Duration::from_millis(bound);
                        let saved = pool.save(worker, number, purpose as u32, bound);
                        answer(&worker.shared, number, saved.map(Some));
                    });
                }
                Kind::Resume => {
                    let number = message.words[0];
                    on_worker(shared, pool, CHI_ADMIN_RESET_POOL, move |worker, pool| {
                        let resumed = pool.resume(worker, number);
                        answer(&worker.shared, number, resumed.map(|()| None));
                    });
                }
                Kind::LogLevel => {
                    let set = shared.config.log.as_ref().map(|log| log.set_level(&message.text));
                    if let Some(Err(why)) = set {
                        tracing::warn!(why, "the log level stays as it is");
                    }
                }
                Kind::Waits => {
                    let memfd = fds.into_iter().next();
                    answer(shared, message.words[0], answer_about_waits(shared, memfd));
                }
                Kind::Lend => {
                    let borrowed = borrow_segment(shared, &message, fds);
                    answer(shared, message.words[0], borrowed.map(|()| None));
                }
                Kind::TakeBack => {
                    let [question, number, ..] = message.words;
                    shared.hosts.borrowed.remove(number);
                    answer(shared, question, Ok(None));
                }
                Kind::Pulse => answer(shared, message.words[0], Ok(None)),
                Kind::Pool => foreign::learn(shared, peer, message, fds.into_iter().next()),
                _ => {
                    links::on_message(shared, peer, &message, fds, &mut sessions);
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    if !shared.is_ending() {
        tracing::error!("the daemon is gone: its module host ends");
        shared.config.flush_log();
    }
    last_words::give_up();
    // SAFETY: the function ends the process, whatever other threads do.
    unsafe { libc::_exit(1) }
}
