//! What the callers of an endpoint and its I/O thread share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use crate::lanes::{lock, Backoff, Entry};
use crate::{Config, Error, Handler};

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
            seeds: Mutex::default(),
            peers: RwLock::default(),
        }
    }

    /// Has the I/O thread look at what is due.
    pub(crate) fn wake(&self) {
        // Fails only if it is full of wakes already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
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
