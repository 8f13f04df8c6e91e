//! What the callers of an endpoint and its I/O thread share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::lanes::{lock, Backoff, Entry};
use crate::{Config, Error, Handler};

/// How long the I/O thread stays aside without a sign of those who look in its place.
const ASIDE: Duration = Duration::from_millis(1);

/// An address whose node is not known yet.
pub(crate) struct Seed {
    pub(crate) addr: SocketAddr,
    pub(crate) backoff: Backoff,
    pub(crate) asking: bool,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) port: u16,
    pub(crate) wake: OwnedFd,
    pub(crate) stop: AtomicBool,
    pub(crate) started: Instant,
    /// How many threads look for messages in place of the I/O thread.
    attending: AtomicU32,
    /// How often they have.
    looks: AtomicU64,
    /// The count of looks at which it was found that they do not look, or one of them stopped.
    idle: AtomicU64,
    /// The I/O thread leaves sockets to them.
    is_aside: AtomicBool,
    pub(crate) seeds: Mutex<Vec<Seed>>,
    peers: RwLock<HashMap<u64, Arc<Entry>>>,
}

impl Shared {
    pub(crate) fn new(config: Config, handler: Arc<dyn Handler>, port: u16, wake: OwnedFd) -> Self {
        Shared {
            config,
            handler,
            port,
            wake,
            stop: AtomicBool::new(false),
            started: Instant::now(),
            attending: AtomicU32::new(0),
            looks: AtomicU64::new(0),
            idle: AtomicU64::new(u64::MAX),
            is_aside: AtomicBool::new(false),
            seeds: Mutex::default(),
            peers: RwLock::default(),
        }
    }

    /// Has the I/O thread look at what is due.
    pub(crate) fn wake(&self) {
        // Fails only if it is full of wakes already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Notes that a thread begins to look.
    pub(crate) fn attend(&self) {
        self.attending.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes a look.
    pub(crate) fn count_look(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a thread that looked does so no more. The I/O thread comes back, and stays until one of the others has
    /// looked: a method may keep them.
    pub(crate) fn leave(&self) {
        self.idle.store(self.looks.load(Ordering::Relaxed), Ordering::Relaxed);
        // Both sides write first and then read, in one order: one of them sees the other.
        self.attending.fetch_sub(1, Ordering::SeqCst);
        if self.is_aside.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// By the I/O thread, which has seen that there is something to do: leaves it to those who look, as long as they do,
    /// but not beyond `until`.
    pub(crate) fn stay_aside(&self, until: Instant) {
        self.is_aside.store(true, Ordering::SeqCst);
        while self.attending.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            let looks = self.looks.load(Ordering::Relaxed);
            if self.idle.load(Ordering::Relaxed) == looks {
                break;
            }
            let time = Timespec { tv_sec: 0, tv_nsec: ASIDE.subsec_nanos().into() };
            let mut fds = [PollFd::new(&self.wake, PollFlags::IN)];
            // Whatever it is, it is time to look.
            if rustix::event::poll(&mut fds, Some(&time)) != Ok(0) {
                break;
            }
            if self.looks.load(Ordering::Relaxed) == looks {
                self.idle.store(looks, Ordering::Relaxed);
            }
        }
        self.is_aside.store(false, Ordering::SeqCst);
    }

    pub(crate) fn peer(&self, node: u64) -> Option<Arc<Entry>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The node's entry, made if it is new.
    pub(crate) fn know(&self, node: u64, addr: SocketAddr) -> Result<Arc<Entry>, Error> {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        let most = self.config.max_peers;
        if !peers.contains_key(&node) && peers.len() >= most {
            return Err(Error::Peers(most));
        }
        let entry = peers.entry(node).or_insert_with(|| Arc::new(Entry::new(node)));
        *lock(&entry.addr) = Some(addr);
        Ok(entry.clone())
    }
}
