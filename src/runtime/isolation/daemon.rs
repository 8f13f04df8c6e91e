//! A module host's side of its connection to the daemon.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::{CHI_FAILED, CHI_METHOD_NODE_FAILURE};
use chimaera_ipc::wire::{self, Kind, Message, Received};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::foreign;
use super::links::{self, NO_WORKER};
use crate::config::{Config, Error, HostOrders};
use crate::host::Peer;
use crate::scheduler::{with_current, ControlCommand, Shared, Worker, WorkerMessage};
use crate::session::SessionRef;
use crate::sys::last_words;

/// How long the daemon may take to send its orders.
const ORDERS_BOUND: Duration = Duration::from_secs(10);
/// The longest orders, in bytes: parameters have at most a MiB, which takes twice that here.
const MOST_ORDERS: u64 = 16 << 20;
/// How often to look whether completions have to be told that had no room in their ring.
const BACKLOG_LOOK: Duration = Duration::from_millis(1);

/// Makes this process the module host of the daemon that is at the other end of its standard input, with
/// which it dies. Returns the configuration of its runtime and the connection.
pub(crate) fn receive_orders() -> Result<(Config, OwnedFd), Error> {
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
    let (message, mut fds) = match wire::receive(socket.as_fd()).map_err(no_socket)? {
        Received::Message(message, fds) if message.kind == Kind::Orders => (message, fds),
        _ => return Err(failed("it was not told what to run")),
    };
    let length = message.words[0].min(MOST_ORDERS);
    let memfd = fds.pop().ok_or_else(|| failed("it was not told what to run"))?;
    let mut bytes = vec![0; length as usize];
    let file = File::from(memfd);
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).map_err(io)?;
    let orders = String::from_utf8(bytes).ok().and_then(|text| HostOrders::decode(&text));
    let orders = orders.ok_or_else(|| failed("the daemon is of another version"))?;
    Ok((Config::of_orders(orders), socket))
}

/// Tells the daemon that the pool is ready.
pub(crate) fn ready(peer: &Peer) {
    tell(peer, &Message::new(Kind::Ready, &[]));
}

/// Tells the daemon why the pool cannot be created.
pub(crate) fn refuse(peer: &Peer, why: &str) {
    let mut refusal = Message::refused(CHI_FAILED, why);
    refusal.words[1] = NO_WORKER;
    tell(peer, &refusal);
}

fn tell(peer: &Peer, message: &Message) {
    // If it fails, the daemon is gone, and this process is about to end.
    let _ = wire::send(peer.socket.as_fd(), message, &[]);
}

/// Tells a container, by its number, of a loss: the reason, `CHI_REASON_*`, and the same in words.
pub(crate) type TellOfFailure = fn(&Worker, &Message);

/// Listens to the daemon until this process ends.
pub(crate) fn listen(shared: &Arc<Shared>, peer: &Arc<Peer>, tell: TellOfFailure) {
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
            Ok(Received::Message(message, _)) if message.kind == Kind::End => {
                shared.command(ControlCommand::Stop);
            }
            Ok(Received::Message(message, _)) if message.kind == Kind::NodeFailure => {
                let told = move || {
                    with_current(|worker| {
                        let worker = worker.expect("messages are read by workers");
                        tell(worker, &message);
                    });
                };
                let message = WorkerMessage::Run(CHI_METHOD_NODE_FAILURE, Box::new(told));
                shared.mailbox(0).send(message);
            }
            Ok(Received::Message(message, _)) if message.kind == Kind::Pool => {
                foreign::learn(shared, peer, &message);
            }
            Ok(Received::Message(message, fds)) => {
                links::on_message(shared, peer, &message, fds, &mut sessions);
            }
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
