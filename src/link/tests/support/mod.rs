//! What the tests of transports have in common.

pub(crate) mod conformance;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_link::{
    Bytes, Class, ClusterKey, Config, Endpoint, Handler, Peer, PeerState, Refused,
};

/// A way to carry messages between nodes that the conformance suite can drive.
pub(crate) trait Transport: Sync {
    type Node: Send + Sync;
    fn start(&self, node: u64, boot: u64) -> (Self::Node, Arc<Seen>);
    /// Tells a node where another is.
    fn learn(&self, node: &Self::Node, id: u64, other: &Self::Node);
    fn send(&self, node: &Self::Node, to: u64, class: Class, bytes: &[u8]) -> Result<(), Refused>;
    fn peers(&self, node: &Self::Node) -> Vec<PeerState>;
    fn longest(&self) -> usize;
}

pub(crate) struct Tcp {
    pub(crate) key: Option<ClusterKey>,
}

pub(crate) const QUEUE: usize = 4 << 20;

impl Transport for Tcp {
    type Node = Endpoint;

    fn start(&self, node: u64, boot: u64) -> (Endpoint, Arc<Seen>) {
        let mut config = Config::new("a", node, boot);
        config.queue_bytes = QUEUE;
        config.max_message = 1 << 20;
        // The suite keeps a node from reading, on a machine that may have other work.
        config.dead_after = Duration::from_secs(60);
        config.tls = self.key.as_ref().map(|key| key.identity(node, "node").unwrap());
        let seen = Seen::new();
        (Endpoint::start(config, seen.clone()).unwrap(), seen)
    }

    fn learn(&self, node: &Endpoint, id: u64, other: &Endpoint) {
        node.learn(id, other.local_addr()).unwrap();
    }

    fn send(&self, node: &Endpoint, to: u64, class: Class, bytes: &[u8]) -> Result<(), Refused> {
        let (front, back) = bytes.split_at(bytes.len() / 3);
        match bytes.len() > 1000 {
            true => node.send_shared(to, class, front, &Bytes::copy_from_slice(back)),
            false => node.send(to, class, &[front, back]),
        }
    }

    fn peers(&self, node: &Endpoint) -> Vec<PeerState> {
        node.peers()
    }

    fn longest(&self) -> usize {
        1 << 20
    }
}

/// Writes down all that an endpoint calls.
#[derive(Default)]
pub(crate) struct Seen {
    messages: Mutex<Vec<(u64, Class, Vec<u8>)>>,
    texts: Mutex<Vec<(&'static str, String)>>,
    pub(crate) connected: Mutex<Vec<Peer>>,
    /// While held, `received` does not return: a node that does not read.
    pub(crate) gate: Mutex<()>,
}

impl Seen {
    pub(crate) fn new() -> Arc<Seen> {
        Arc::default()
    }

    pub(crate) fn messages(&self) -> Vec<(u64, Class, Vec<u8>)> {
        self.messages.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    pub(crate) fn has_refused(&self, text: &str) -> bool {
        self.has("refused", text)
    }

    pub(crate) fn any_refused(&self) -> bool {
        self.has("refused", "")
    }

    pub(crate) fn has_broken(&self, text: &str) -> bool {
        self.has("broken", text)
    }

    pub(crate) fn has_unreached(&self, text: &str) -> bool {
        self.has("unreached", text)
    }

    pub(crate) fn texts(&self) -> Vec<(&'static str, String)> {
        self.texts.lock().unwrap().clone()
    }

    fn has(&self, kind: &str, text: &str) -> bool {
        self.texts().iter().any(|(k, t)| *k == kind && t.contains(text))
    }

    fn note(&self, kind: &'static str, text: &str) {
        self.texts.lock().unwrap().push((kind, text.to_owned()));
    }
}

impl Handler for Seen {
    fn received(&self, from: &Peer, class: Class, message: Bytes) {
        drop(self.gate.lock().unwrap());
        self.messages.lock().unwrap().push((from.node, class, message.to_vec()));
    }

    fn connected(&self, peer: &Peer) {
        self.connected.lock().unwrap().push(peer.clone());
    }

    fn broken(&self, _: &Peer, _: Class, why: &str) {
        self.note("broken", why);
    }

    fn unreached(&self, _: u64, _: Class, why: &str) {
        self.note("unreached", why);
    }

    fn refused(&self, _: SocketAddr, why: &str) {
        self.note("refused", why);
    }
}

/// Waits until something is so; a minute at most.
#[track_caller]
pub(crate) fn wait(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An empty directory of the test.
pub(crate) fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("chi-link-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Numbers that follow from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 24
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.next() as usize % most + 1).map(|_| self.next() as u8).collect()
    }
}
