//! A node's end of all its connections.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rustix::event::{eventfd, EventfdFlags};

use crate::io::{self, Io, Place};
use crate::lanes::{lock, Backoff};
use crate::shared::{Seed, Shared};
use crate::wire::{Content, HEADER};
use crate::{Class, Config, Error, Handler, PeerState, Refused};

/// How many addresses may be asked at once who is there.
const SEEDS: usize = 1024;

/// A node's end of its connections to all others. Any thread; dropping it stops it.
pub struct Endpoint {
    shared: Arc<Shared>,
    io: Arc<Place>,
    thread: Mutex<Option<JoinHandle<()>>>,
    addr: SocketAddr,
}

impl Endpoint {
    /// Listens, and starts the I/O thread.
    pub fn start(config: Config, handler: Arc<dyn Handler>) -> Result<Endpoint, Error> {
        check(&config)?;
        let wrong = |e| Error::Listen(config.listen, e);
        let listener = TcpListener::bind(config.listen).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let addr = listener.local_addr().map_err(wrong)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::System("make an eventfd", e.into()))?;
        let shared = Arc::new(Shared::new(config, handler, addr.port(), wake));
        let io = Arc::new(Mutex::new(Some(Io::new(shared.clone(), listener)?)));
        let (own, place) = (shared.clone(), io.clone());
        let thread = thread::Builder::new()
            .name("chi-link".to_owned())
            .spawn(move || io::run(&place, &own))
            .map_err(|e| Error::System("start a thread", e))?;
        Ok(Endpoint { shared, io, thread: Mutex::new(Some(thread)), addr })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Says where a node is reached. Nothing is opened before something is to be sent.
    pub fn learn(&self, node: u64, addr: SocketAddr) -> Result<(), Error> {
        self.may_reach(addr)?;
        if node == 0 || node == self.shared.config.node {
            return Err(Error::Config(format!("node {node} is no other node")));
        }
        let entry = self.shared.know(node, addr)?;
        for class in Class::ALL {
            entry.lane(class).backoff = Backoff::default();
        }
        self.shared.wake();
        Ok(())
    }

    /// Opens a control connection to whoever is at an address, and tries until it answers.
    /// [`Handler::connected`] tells who it is, [`Handler::refused`] why it failed.
    pub fn connect(&self, addr: SocketAddr) -> Result<(), Error> {
        self.may_reach(addr)?;
        let mut seeds = lock(&self.shared.seeds);
        if seeds.iter().any(|seed| seed.addr == addr) {
            return Ok(());
        }
        if seeds.len() >= SEEDS {
            return Err(Error::Config(format!("{SEEDS} addresses are being tried already")));
        }
        seeds.push(Seed { addr, backoff: Backoff::default(), asking: false });
        drop(seeds);
        self.shared.wake();
        Ok(())
    }

    /// Sends a message, which consists of the parts. Never blocks. `Ok` means that it is on its way,
    /// not that it has arrived.
    pub fn send(&self, node: u64, class: Class, parts: &[&[u8]]) -> Result<(), Refused> {
        self.send_content(node, class, &Content::of(parts))
    }

    /// Sends a message, which consists of the head and the rest. As [`Endpoint::send`], but if the rest has to wait, it
    /// is not copied for that.
    pub fn send_shared(
        &self,
        node: u64,
        class: Class,
        head: &[u8],
        rest: &Bytes,
    ) -> Result<(), Refused> {
        self.send_content(node, class, &Content { parts: &[head], rest: Some(rest) })
    }

    fn send_content(&self, node: u64, class: Class, content: &Content<'_>) -> Result<(), Refused> {
        let config = &self.shared.config;
        let length = content.len();
        if length > config.max_message {
            return Err(Refused::TooLong { length, limit: config.max_message });
        }
        if self.shared.stop.load(Acquire) {
            return Err(Refused::Stopped);
        }
        let entry = self.shared.peer(node).ok_or(Refused::Unknown(node))?;
        if entry.send(class, content, length, config.queue_bytes)? {
            self.shared.wake();
        }
        Ok(())
    }

    /// Says that this thread looks for messages from now on, by [`Endpoint::look`] and at least every millisecond: the I/O
    /// thread leaves them to it, so that none of them has to wait until that one is awake. If the looks fail to come, the
    /// I/O thread goes on after that time.
    pub fn attend(&self) {
        self.shared.attend();
    }

    /// Looks for messages once, without waiting, and has the handler called; whether anything came. Not from a call of
    /// the handler.
    pub fn look(&self) -> bool {
        io::look(&self.io, &self.shared)
    }

    /// Says that this thread, which has said [`Endpoint::attend`], looks no more.
    pub fn leave(&self) {
        self.shared.leave();
    }

    /// What is known of the other nodes, by their ids.
    pub fn peers(&self) -> Vec<PeerState> {
        let mut peers: Vec<_> = self.shared.all().iter().map(|entry| entry.state()).collect();
        peers.sort_by_key(|peer| peer.node);
        peers
    }

    /// Closes all connections and ends the I/O thread; what waits to be written is lost. Returns when
    /// a call of the handler that is under way has returned, or at once if it is called from one.
    pub fn stop(&self) {
        self.shared.stop.store(true, Release);
        self.shared.wake();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Whoever looks has what the thread may wait for.
            if thread.thread().id() != thread::current().id() && !io::is_looking() {
                // It says so itself if it panicked.
                let _ = thread.join();
            }
        }
    }

    fn may_reach(&self, addr: SocketAddr) -> Result<(), Error> {
        if self.shared.config.tls.is_none() && !addr.ip().is_loopback() {
            return Err(Error::Plain(addr));
        }
        Ok(())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

fn check(config: &Config) -> Result<(), Error> {
    let wrong = |what: String| Err(Error::Config(what));
    if config.node == 0 {
        return wrong("node 0 is no node: give it an id from 1 on".to_owned());
    }
    if config.cluster.len() > 255 || config.name.len() > 255 {
        return wrong("the names of cluster and node have 255 bytes at most".to_owned());
    }
    if config.max_message > u32::MAX as usize {
        return wrong(format!("max_message is {}, at most {}", config.max_message, u32::MAX));
    }
    if config.queue_bytes < config.max_message.saturating_add(HEADER) {
        return wrong(format!(
            "queue_bytes is {}, and must hold a message of {} bytes and {HEADER} more",
            config.queue_bytes, config.max_message
        ));
    }
    if config.ping_every.saturating_mul(2) > config.dead_after {
        return wrong("dead_after must be twice ping_every at least".to_owned());
    }
    match &config.tls {
        None if !config.listen.ip().is_loopback() => Err(Error::Plain(config.listen)),
        Some(identity) if identity.node() != config.node => {
            wrong(format!("the identity is of node {}, this is {}", identity.node(), config.node))
        }
        _ => Ok(()),
    }
}
