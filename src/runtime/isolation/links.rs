//! The sessions that two runtimes open in each other, one for each worker that sends tasks.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use chimaera_abi::{CHI_INVALID, CHI_IO, CHI_NO_SPACE};
use chimaera_ipc::layout::{Layout, SHARES};
use chimaera_ipc::ring::{Consumer, Producer};
use chimaera_ipc::segment::{self, Mapping};
use chimaera_ipc::wire::{Kind, Message};
use rustix::event::{eventfd, EventfdFlags};
use rustix::process::{kill_process, Pid, Signal};

use crate::access::Caller;
use crate::config::Config;
use crate::failure::Failure;
use crate::host::{Link, Peer};
use crate::scheduler::{Shared, WorkerMessage};
use crate::session::{Completions, Parts, Ring, Session, SessionRef};
use crate::sync::Waiter;
use crate::sys::Guard;

/// The size of a link's segment, in bytes, unless the runtime allows only smaller ones. A page has memory
/// once it is used.
const SEGMENT: u64 = 1 << 30;
/// In a refusal, instead of a worker: it is not about a link.
pub(super) const NO_WORKER: u64 = u64::MAX;

pub(super) fn wake_all(shared: &Shared, waiters: Vec<Waiter>) {
    waiters.into_iter().for_each(|waiter| shared.wake(waiter));
}

/// Handles a message about a link: opens the session that the peer asks for and keeps it in `sessions`,
/// or takes the link that this side has asked for. False if the message is none.
pub(super) fn on_message(
    shared: &Shared,
    peer: &Peer,
    message: &Message,
    fds: Vec<OwnedFd>,
    sessions: &mut Vec<SessionRef>,
) -> bool {
    let worker = message.words[0];
    match message.kind {
        Kind::Link if fds.is_empty() => {
            let opened = open(shared, peer, worker, sessions);
            if let Err(failure) = opened {
                let mut refusal = Message::refused(failure.status, failure.message);
                refusal.words[1] = worker;
                peer.tell(&refusal, &[]);
            }
        }
        Kind::Link => {
            let link = take(shared, message, fds).map(Arc::new).map_err(|failure| failure.message);
            wake_all(shared, peer.opened(worker, link));
        }
        Kind::Refused if message.words[1] != NO_WORKER => {
            wake_all(shared, peer.opened(message.words[1], Err(message.text.clone())));
        }
        _ => return false,
    }
    true
}

fn io(error: impl std::fmt::Display) -> Failure {
    Failure::new(CHI_IO, format!("opening a link between a runtime and its module host: {error}"))
}

pub(super) fn no_guard() -> Failure {
    Failure::new(CHI_NO_SPACE, "segment limit (4096 per process) reached: close some sessions")
}

/// How many workers the peer may have: as many as this side, which has the same configuration.
fn sessions_of(config: &Config) -> u64 {
    config.all_workers() as u64
}

/// Opens a session for a worker of the peer.
fn open(
    shared: &Shared,
    peer: &Peer,
    worker: u64,
    sessions: &mut Vec<SessionRef>,
) -> Result<(), Failure> {
    let config = &shared.config;
    if worker >= sessions_of(config) || sessions.len() as u64 >= sessions_of(config) {
        return Err(Failure::new(CHI_INVALID, "there is no such worker"));
    }
    let layout = Layout::divided(SEGMENT.min(config.max_segment), config.runtime_share);
    let charge = Session::charge(shared.budget, &layout)
        .map_err(|why| Failure::new(CHI_NO_SPACE, why.to_string()))?;
    let fd = segment::create(&layout).map_err(io)?;
    let mapping = Mapping::new(fd.as_fd(), layout).map_err(io)?;
    let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io);
    let (doorbell, bell) = (bell()?, bell()?);
    let guard = Guard::new(&mapping, shared.control.as_fd()).ok_or_else(no_guard)?;
    let caller = Caller::of(peer.socket.as_fd()).map_err(io)?.into_process(peer.pid);
    let answer = Message::new(Kind::Link, &[worker, layout.size, config.runtime_share]);
    let sent = [fd.as_fd(), doorbell.as_fd(), bell.as_fd()];
    peer.tell(&answer, &sent);
    let completions = Producer::new(mapping.ring(layout.rings - 1));
    let number = shared.next_link.fetch_add(1, Ordering::Relaxed);
    let borrowed = shared.hosts.daemon().map(|_| shared.hosts.borrowed.clone());
    let parts = Parts { guard, mapping, segment: fd, doorbell, charge };
    let session = Session::new(shared.clients.enter(number), caller, 0, parts);
    session.tell_completions(Completions::new(completions, bell, borrowed, worker as u32));
    let session = SessionRef::new(session);
    sessions.push(session.clone());
    shared.add_session(session.clone());
    let consumer = Consumer::new(session.mapping.ring(0));
    let serves = shared.started() as u64;
    let message = WorkerMessage::AddRing(Box::new(Ring::new(session, consumer)));
    shared.mailbox((worker % serves) as u32).send(message);
    Ok(())
}

/// Takes a link that the peer has opened.
fn take(shared: &Shared, message: &Message, fds: Vec<OwnedFd>) -> Result<Link, Failure> {
    let [_, size, share, ..] = message.words;
    let layout = Layout::divided(size, share);
    let fds: [OwnedFd; 3] = fds.try_into().map_err(|_| io("it has the wrong descriptors"))?;
    if layout.size != size || size > SEGMENT || !SHARES.contains(&share) {
        return Err(io("its segment makes no sense"));
    }
    let [segment, doorbell, bell] = fds;
    for fd in [&doorbell, &bell] {
        rustix::io::ioctl_fionbio(fd, true).map_err(io)?;
    }
    let mapping = Mapping::new(segment.as_fd(), layout).map_err(io)?;
    let guard = Guard::new(&mapping, shared.control.as_fd()).ok_or_else(no_guard)?;
    Ok(Link::new(mapping, guard, doorbell, bell))
}

/// Ends a session of a peer.
pub(super) fn end(shared: &Shared, session: &SessionRef) {
    session.set_dead();
    shared.remove_session(session.number);
    for mailbox in shared.mailboxes() {
        mailbox.send(WorkerMessage::DropSession { session: session.number });
    }
}

/// Ends the module host that has this session, because it broke the rules or had no memory for it. Its
/// supervisor does the rest.
pub(crate) fn end_session_of_host(shared: &Shared, number: u64, reason: &str) {
    let sessions = shared.sessions();
    let Some(session) = sessions.iter().find(|session| session.number == number) else { return };
    if !session.is_of_modules() {
        return;
    }
    if let Some(pid) = Pid::from_raw(session.caller.pid) {
        tracing::error!(pid = session.caller.pid, reason, "ending a module host");
        // The process is a child that has not been waited for, as long as its session is open. It may have
        // ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}
