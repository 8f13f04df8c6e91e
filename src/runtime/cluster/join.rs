//! Becoming a node: opens the log, listens, and starts the cluster's threads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_cluster::{Bounds, Disk, Message, Node, NodeId, Setup, Write};
use chimaera_journal::Journal;
use chimaera_link::{Bytes, Class, ClusterKey, Endpoint, Handler, Identity, Peer};

use super::clock::now;
use super::driver::{self, Driver};
use super::flat;
use super::handle::{Cluster, Entry, Input};
use super::losses::Losses;
use super::states::{self, Heard};
use crate::config::{ClusterConfig, Error, Founding};
use crate::scheduler::Shared;
use crate::sys::lock;

/// The largest message between nodes, in bytes: a task with its strings and vectors, and a little more. Twice that
/// may wait for one node.
const MAX_MESSAGE: usize = flat::MOST + (64 << 10);

/// How often a node that says nothing is asked for a sign of life, and after how long without any its connections are
/// broken.
const PING: Duration = Duration::from_millis(700);
const DEAD: Duration = Duration::from_secs(4);
/// How long a node waits for the key that another one makes, and how often it looks.
const KEY: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// After how long without messages a connection is closed.
const IDLE: Duration = Duration::from_secs(600);

/// Passes on what the link hears.
struct Ears {
    cluster: Arc<Cluster>,
    /// The refusals that were told.
    told: Mutex<HashSet<(SocketAddr, String)>>,
}

impl Handler for Ears {
    fn received(&self, from: &Peer, _: Class, message: Bytes) {
        let node = NodeId(from.node);
        match states::read(&message) {
            Some(Heard::Nodes(bytes)) => match Message::decode(&message.slice_ref(bytes)) {
                Ok(message) => self.cluster.tell(Input::Message(node, message)),
                Err(error) => {
                    tracing::warn!(node = node.0, %error, "a message of another node makes no sense");
                }
            },
            Some(Heard::Nothing) => {}
            Some(_) => self.cluster.tell(Input::Heard(node, message.clone())),
            None => tracing::warn!(node = node.0, "a message of another node makes no sense"),
        }
    }

    fn connected(&self, peer: &Peer) {
        lock(&self.told).clear();
        self.cluster.tell(Input::Connected(NodeId(peer.node)));
    }

    fn broken(&self, peer: &Peer, _: Class, why: &str) {
        tracing::info!(node = &*peer.name, why, "a connection to a node has broken");
        self.cluster.tell(Input::Broken(NodeId(peer.node)));
    }

    fn unreached(&self, node: u64, _: Class, why: &str) {
        tracing::debug!(node, why, "a node cannot be reached");
    }

    fn refused(&self, addr: SocketAddr, why: &str) {
        // It is tried again and again.
        if lock(&self.told).insert((addr, why.to_owned())) {
            tracing::warn!(%addr, why, "a connection between nodes was refused, and is tried again");
        }
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Cluster { message: format!("{what}: {error}") }
}

/// What proves to other nodes that this one is of the cluster. The node that founds it makes the key.
fn identity(
    path: &Path,
    config: &ClusterConfig,
    node: u64,
) -> Result<Identity, Box<dyn std::error::Error>> {
    let key = match config.founding {
        Founding::Never => ClusterKey::load(path)?,
        Founding::ByFirst => wait_for_key(path)?,
        _ if path.exists() => ClusterKey::load(path)?,
        _ => {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            ClusterKey::create(path)?
        }
    };
    Ok(key.identity(node, &config.name)?)
}

/// Reads the key. Another node may be just making it, in a directory that they share.
fn wait_for_key(path: &Path) -> Result<ClusterKey, chimaera_link::Error> {
    let until = Instant::now() + KEY;
    loop {
        match ClusterKey::load(path) {
            // It is not there, or not all of it.
            Err(_) if Instant::now() < until && is_young(path) => std::thread::sleep(LOOK),
            loaded => return loaded,
        }
    }
}

/// Whether a file is not there yet, or was made just now.
fn is_young(path: &Path) -> bool {
    let changed = std::fs::metadata(path).and_then(|meta| meta.modified());
    // The clock of a file server may be ahead of this one.
    changed.map_or(true, |at| at.elapsed().map_or(true, |age| age < KEY))
}

/// Makes this runtime a node of its cluster. Returns at once; it is a member once the others agree.
///
/// # Errors
/// The log cannot be opened, the address not be listened at, or the key not be used.
pub(crate) fn join(shared: &Arc<Shared>, config: &ClusterConfig) -> Result<(), Error> {
    let unusable = |error: &dyn std::fmt::Display| failed("its log", error);
    if let Some(above) = config.directory.parent() {
        std::fs::create_dir_all(above)
            .map_err(|error| failed(&above.display().to_string(), error))?;
    }
    let (mut journal, found) =
        Journal::open(&config.directory).map_err(|error| unusable(&error))?;
    let (life, mut disk) = (found.life(), found.disk);
    let (node, boot) = (life.node.0, life.boot.0);
    let tls = match &config.key {
        Some(path) => {
            shared.page().set_step("waiting for the key of the cluster");
            Some(identity(path, config, node).map_err(|error| failed("its key", error))?)
        }
        None => {
            tracing::warn!(
                "any process of this machine can be a node of the cluster, because it has no key: set cluster.key"
            );
            None
        }
    };
    let (inbox, told) = channel();
    let cluster = Arc::new(Cluster::new(inbox, life, config.name.clone()));
    let link = chimaera_link::Config {
        listen: config.listen,
        name: config.name.clone(),
        tls,
        idle_close: IDLE,
        queue_bytes: MAX_MESSAGE + (64 << 20),
        max_message: MAX_MESSAGE,
        ping_every: PING,
        dead_after: DEAD,
        ..chimaera_link::Config::new(&config.cluster, node, boot)
    };
    let endpoint =
        Endpoint::start(link, Arc::new(Ears { cluster: cluster.clone(), told: Mutex::default() }))
            .map_err(|error| failed("the cluster's address", error))?;
    let address = endpoint.local_addr().to_string();
    if disk.is_empty() && config.founding == Founding::AtOnce {
        disk = Disk::founded_by(life, &config.name, &address);
        journal.found(&config.cluster, &disk).map_err(|error| unusable(&error))?;
        tracing::info!(cluster = &*config.cluster, node = &*config.name, %address, "a new cluster");
    } else {
        journal.set_cluster(&config.cluster).map_err(|error| unusable(&error))?;
    }
    let bounds = Bounds::default();
    let setup = Setup {
        life,
        name: config.name.clone(),
        address,
        seeds: Vec::new(),
        founds_for: match config.founding {
            Founding::IfNoneOf(nodes) => nodes,
            _ => 0,
        },
        bounds: bounds.clone(),
        seed: node ^ boot,
    };
    let node = Node::new(setup, disk, now()).map_err(|error| unusable(&error))?;
    for seed in &config.seeds {
        endpoint.connect(*seed).map_err(|error| failed(&seed.to_string(), error))?;
    }
    cluster.set_endpoint(endpoint);
    let (writes, written) = channel::<Entry>();
    let own = cluster.clone();
    let write = move || {
        while let Ok(entry) = written.recv() {
            let done = match &entry {
                Entry::Write(write) => journal.write(write),
                Entry::Forget => journal.forget().map(drop),
            };
            match (done, entry) {
                (Ok(()), Entry::Write(Write { number: number @ 1.., .. })) => {
                    own.tell(Input::Written(number))
                }
                (Ok(()), _) => {}
                (Err(error), _) => return own.tell(Input::Unwritten(error.to_string())),
            }
        }
    };
    spawn("chi-journal", write)?;
    let driver = Driver {
        shared: shared.clone(),
        cluster: cluster.clone(),
        node,
        journal: writes,
        calls: HashMap::new(),
        calling: None,
        proposals: HashMap::new(),
        orders: HashMap::new(),
        states: Vec::new(),
        addresses: HashMap::new(),
        away: HashMap::new(),
        tasks: HashMap::new(),
        pools: BTreeMap::new(),
        losses: Losses::new(life.node),
        applied: 0,
        kept_out: None,
        stopped: None,
    };
    cluster.with_node(|place| *place = Some(Box::new(driver)));
    let own = cluster.clone();
    spawn("chi-cluster", move || driver::run(&own, &told, bounds.tick))?;
    // It is set once, by the only caller.
    let _ = shared.agreed_pools.set(cluster);
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(drop).map_err(|error| Error::io("starting a thread", error))
}
