//! A peer: the process at the other end, a daemon or a module host, with a link for each worker.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use chimaera_abi::chi_pool_id;
use chimaera_ipc::wire::{self, Kind, Message};
use std::os::fd::AsFd;

use super::link::Link;
use crate::failure::Failure;
use crate::sync::Waiter;
use crate::sys::{lock, Unshared};

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

/// The process at the other end.
pub(crate) struct Peer {
    /// Sends and receives messages.
    pub(crate) socket: Unshared,
    /// The process.
    pub(crate) pid: i32,
    links: Box<[Mutex<Opening>]>,
    lost: OnceLock<String>,
    /// In a module host, pools of the daemon that it has asked for, and why it cannot use them.
    pub(crate) known: Mutex<HashMap<chi_pool_id, Result<(), Failure>>>,
    /// Notified when there are more.
    pub(crate) learned: Condvar,
}

impl Peer {
    pub(crate) fn new(socket: OwnedFd, pid: i32, workers: usize) -> Peer {
        let links = (0..workers).map(|_| Mutex::new(Opening::None)).collect();
        Peer {
            socket: Unshared::new(socket),
            pid,
            links,
            lost: OnceLock::new(),
            known: Mutex::default(),
            learned: Condvar::new(),
        }
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
                *opening = Opening::Asked(vec![waiter()]);
                let message = Message::new(Kind::Link, &[worker.into()]);
                // If it fails, the peer is gone, which whoever reads its socket is about to find out.
                let _ = wire::send(self.socket.as_fd(), &message, &[]);
            }
        }
        LinkOf::Wait
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
        let mut woken = Vec::new();
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
