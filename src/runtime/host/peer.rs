//! A peer: the process at the other end, a daemon or a module host, with a link for each worker.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use chimaera_abi::{chi_pool_id, CHI_FAULT};
use chimaera_ipc::wire::{self, Kind, Message};
use rustix::process::{kill_process, Pid, Signal};

use super::lending::Lending;
use super::link::Link;
use crate::failure::Failure;
use crate::sync::Waiter;
use crate::sys::{lock, open_sealed, write_sealed, Unshared};

enum Opening {
    None,
    /// The peer has been asked for it; these wait for it.
    Asked(Vec<Waiter>),
    Open(Arc<Link>),
    /// Why it cannot be opened.
    Refused(String),
}

/// What `link_of` found.
pub(crate) enum LinkOf {
    Open(Arc<Link>),
    /// It is being opened: the waiter is woken when that is over.
    Wait,
    /// It cannot be opened, or the peer is gone.
    Lost(String),
}

/// A question to a module host.
#[derive(Default)]
struct Asked {
    waiter: Option<Waiter>,
    answer: Option<Answer>,
}

/// The answer: what came with it, or why it could not be done.
pub(crate) type Answer = Result<Option<OwnedFd>, Failure>;

/// The process at the other end.
pub(crate) struct Peer {
    /// Sends and receives messages.
    pub(crate) socket: Unshared,
    /// The process.
    pub(crate) pid: i32,
    /// Which of the two is the module host.
    host: i32,
    links: Box<[Mutex<Opening>]>,
    lost: OnceLock<String>,
    /// In a module host, pools of the daemon that it has asked for, and why it cannot use them.
    pub(crate) known: Mutex<HashMap<chi_pool_id, Result<(), Failure>>>,
    /// Notified when there are more.
    pub(crate) learned: Condvar,
    /// In a daemon, by number, the questions to the host that wait for an answer.
    asked: Mutex<HashMap<u64, Asked>>,
    /// The number of the last question.
    last: AtomicU64,
    /// In a daemon, the segments of clients that the host has mapped.
    pub(super) lending: Lending,
    /// In a module host, the states with which its pool begins.
    states: Mutex<Option<OwnedFd>>,
}

/// The longest text in a memfd, in bytes.
const MOST_TEXT: u64 = 4 << 20;

/// Reads a text in a memfd of the peer, which is not trusted.
pub(crate) fn text_from_memfd(memfd: OwnedFd) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_sealed(memfd)?.take(MOST_TEXT).read_to_end(&mut text)?;
    Ok(text)
}

pub(crate) fn text_in_memfd(text: &[u8]) -> io::Result<OwnedFd> {
    write_sealed("chimaera-text", |file| file.write_all(text))
}

impl Peer {
    /// A daemon's peer: a module host.
    pub(crate) fn of_daemon(socket: OwnedFd, host: i32, workers: usize) -> Peer {
        Peer::new(socket, host, host, workers)
    }

    /// This module host's peer: its daemon.
    pub(crate) fn of_host(socket: OwnedFd, daemon: i32, workers: usize) -> Peer {
        Peer::new(socket, daemon, rustix::process::getpid().as_raw_nonzero().get(), workers)
    }

    fn new(socket: OwnedFd, pid: i32, host: i32, workers: usize) -> Peer {
        let links = (0..workers).map(|_| Mutex::new(Opening::None)).collect();
        Peer {
            socket: Unshared::new(socket),
            pid,
            host,
            links,
            lost: OnceLock::new(),
            known: Mutex::default(),
            learned: Condvar::new(),
            asked: Mutex::default(),
            last: AtomicU64::new(0),
            lending: Lending::default(),
            states: Mutex::default(),
        }
    }

    /// The same with the states that the daemon has sent along with its orders.
    #[must_use]
    pub(crate) fn with_states(self, states: Option<OwnedFd>) -> Peer {
        *lock(&self.states) = states;
        self
    }

    /// Tells the process something that it must not miss. If it cannot be told, because it has left so much unread that
    /// there is no room, the module host is killed, and its supervisor does the rest: one that does not read, or this
    /// one, whose daemon does not.
    pub(crate) fn tell(&self, message: &Message, fds: &[BorrowedFd<'_>]) {
        let Err(error) = wire::send(self.socket.as_fd(), message, fds) else { return };
        use ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        // That the process is gone, whoever reads its socket finds out.
        let is_gone = matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected);
        let Some(host) = Pid::from_raw(self.host).filter(|_| !is_gone) else { return };
        if self.lost().is_none() {
            tracing::error!(
                host = self.host,
                to = self.pid,
                %error,
                "ending a module host: a message between it and its daemon was not taken"
            );
            // It has not been waited for as long as it is not lost. It may have ended by itself.
            let _ = kill_process(host, Signal::KILL);
        }
    }

    /// Takes the states with which the pool of this module host begins, if any.
    pub(crate) fn take_states(&self) -> Option<OwnedFd> {
        lock(&self.states).take()
    }

    /// Asks the host something that is in a memfd, and waits for the answer, which is in one, too; for `bound`
    /// at most. Not for workers.
    pub(crate) fn ask_and_wait(
        &self,
        kind: Kind,
        question: &[u8],
        bound: Duration,
    ) -> Option<Vec<u8>> {
        let memfd = text_in_memfd(question).ok()?;
        let number = self.ask();
        let asked = Message::new(kind, &[number]);
        let until = Instant::now() + bound;
        let mut answer = None;
        if wire::send(self.socket.as_fd(), &asked, &[memfd.as_fd()]).is_ok() {
            while answer.is_none() && self.lost().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(200));
                answer = self.take_answer(number);
            }
        }
        self.forget(number);
        text_from_memfd(answer?.ok()??).ok()
    }

    /// Begins a question to the host. Returns its number.
    pub(crate) fn ask(&self) -> u64 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.asked).insert(number, Asked::default());
        number
    }

    /// The answer to a question, if there is one by now; else `waiter` is woken when there is, or when the
    /// process is gone.
    pub(crate) fn answer_or_wait(
        &self,
        number: u64,
        waiter: impl FnOnce() -> Waiter,
    ) -> Option<Answer> {
        let mut asked = lock(&self.asked);
        let question = asked.get_mut(&number)?;
        if let Some(answer) = question.answer.take() {
            return Some(answer);
        }
        // Whoever loses the peer sets this first, and then looks for waiters.
        if let Some(why) = self.lost.get() {
            return Some(Err(Failure::new(CHI_FAULT, why)));
        }
        question.waiter = Some(waiter());
        None
    }

    /// The answer to a question, if there is one by now.
    pub(crate) fn take_answer(&self, number: u64) -> Option<Answer> {
        lock(&self.asked).get_mut(&number)?.answer.take()
    }

    /// Whether a question waits for its answer.
    pub(super) fn is_open(&self, number: u64) -> bool {
        lock(&self.asked).get(&number).is_some_and(|asked| asked.answer.is_none())
    }

    /// Forgets a question.
    pub(crate) fn forget(&self, number: u64) {
        lock(&self.asked).remove(&number);
    }

    /// Records the answer to a question, if it was asked. Returns who waits for it.
    pub(crate) fn answered(&self, number: u64, answer: Answer) -> Option<Waiter> {
        let mut asked = lock(&self.asked);
        let question = asked.get_mut(&number)?;
        question.answer.get_or_insert(answer);
        question.waiter.take()
    }

    /// The link of a worker. If it is not open yet, has it opened, and `waiter` woken then.
    pub(crate) fn link_of(&self, worker: u32, waiter: impl FnOnce() -> Waiter) -> LinkOf {
        let mut opening = lock(&self.links[worker as usize]);
        // Whoever loses the peer sets this first, and then looks for waiters.
        if let Some(why) = self.lost.get() {
            return LinkOf::Lost(why.clone());
        }
        match &mut *opening {
            Opening::Open(link) => return LinkOf::Open(link.clone()),
            Opening::Refused(why) => return LinkOf::Lost(why.clone()),
            Opening::Asked(waiters) => waiters.push(waiter()),
            Opening::None => {
                let message = Message::new(Kind::Link, &[worker.into()]);
                self.tell(&message, &[]);
                *opening = Opening::Asked(vec![waiter()]);
            }
        }
        LinkOf::Wait
    }

    /// The link of a worker, if it is open.
    pub(crate) fn open_link(&self, worker: u32) -> Option<Arc<Link>> {
        match &*lock(&self.links[worker as usize]) {
            Opening::Open(link) if self.lost.get().is_none() => Some(link.clone()),
            _ => None,
        }
    }

    /// How many tasks are with the peer, or wait for a link to it.
    pub(crate) fn in_flight(&self) -> usize {
        let of = |opening: &Mutex<Opening>| match &*lock(opening) {
            Opening::Open(link) => link.in_flight(),
            Opening::Asked(waiters) => waiters.len(),
            Opening::None | Opening::Refused(_) => 0,
        };
        self.links.iter().map(of).sum()
    }

    /// Records that the link of a worker is open, or why it cannot be. Returns who waits for it.
    pub(crate) fn opened(&self, worker: u64, link: Result<Arc<Link>, String>) -> Vec<Waiter> {
        let found = usize::try_from(worker).ok().and_then(|worker| self.links.get(worker));
        let Some(mut opening) = found.map(lock) else { return Vec::new() };
        match &mut *opening {
            Opening::Asked(waiters) => {
                let waiters = std::mem::take(waiters);
                *opening = match link {
                    Ok(link) => Opening::Open(link),
                    Err(why) => Opening::Refused(why),
                };
                waiters
            }
            // It was not asked for.
            _ => Vec::new(),
        }
    }

    /// Why the process is gone, if it is.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Records that the process is gone. Returns who waits for it.
    pub(crate) fn lose(&self, why: &str) -> Vec<Waiter> {
        let _ = self.lost.set(why.to_owned());
        let waiting = |asked: &mut Asked| asked.waiter.take();
        let mut woken: Vec<Waiter> = lock(&self.asked).values_mut().filter_map(waiting).collect();
        for opening in &self.links {
            match &mut *lock(opening) {
                Opening::Asked(waiters) => woken.append(waiters),
                Opening::Open(link) => woken.extend(link.lose()),
                Opening::None | Opening::Refused(_) => {}
            }
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use rustix::net::{socketpair, AddressFamily, SocketFlags, SocketType};

    use super::*;

    /// Whoever needs a link learns why there is none from the end of the host, as everybody else does.
    #[test]
    fn a_host_without_room_for_a_message_is_ended() {
        let mut host = Command::new("sleep").arg("60").spawn().unwrap();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, _theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let peer = Peer::of_daemon(ours, host.id() as i32, 1);
        let message = Message::new(Kind::Pulse, &[1]);
        while wire::send(peer.socket.as_fd(), &message, &[]).is_ok() {}
        let waiter = Waiter { worker: 0, coroutine: 1, tag: 1 };
        assert!(matches!(peer.link_of(0, || waiter), LinkOf::Wait));
        assert_eq!(host.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert_eq!(peer.lose("it was killed"), [waiter]);
        assert!(matches!(peer.link_of(0, || waiter), LinkOf::Lost(why) if why == "it was killed"));
    }
}
