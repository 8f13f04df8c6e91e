//! The daemon's module hosts, and what a host knows of its daemon.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use chimaera_abi::chi_pool_id;
use rustix::event::EventfdFlags;
use std::os::fd::OwnedFd;

use super::peer::Peer;
use crate::config::HostOrders;
use crate::failure::Failure;
use crate::sync::Waiter;
use crate::sys::lock;

/// The time in which the restarts of a host are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// What a pool's module host is doing.
#[derive(Clone)]
pub(crate) enum Phase {
    /// A process is being started, or creates the containers.
    Starting,
    /// The containers take tasks.
    Running(Arc<Peer>),
    /// There is no process. It could not be started, or it has ended too often.
    Failed(Failure),
    /// The pool has been destroyed.
    Ended,
}

struct State {
    phase: Phase,
    since: Instant,
    waiters: Vec<Waiter>,
    /// When the last processes were started again.
    restarts: VecDeque<Instant>,
    ending: Option<Instant>,
}

/// The module host of a pool, over the processes that it has had.
pub(crate) struct Host {
    pub(crate) id: chi_pool_id,
    pub(crate) orders: HostOrders,
    state: Mutex<State>,
    /// How often a process was started again.
    restarts: AtomicU32,
    /// Wakes the thread that looks after it.
    pub(crate) bell: OwnedFd,
}

impl Host {
    pub(crate) fn new(id: chi_pool_id, orders: HostOrders) -> std::io::Result<Host> {
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let none =
            Failure::new(chimaera_abi::CHI_UNAVAILABLE, "the module host has not been started");
        let state = State {
            phase: Phase::Failed(none),
            since: Instant::now(),
            waiters: Vec::new(),
            restarts: VecDeque::new(),
            ending: None,
        };
        Ok(Host { id, orders, state: Mutex::new(state), restarts: AtomicU32::new(0), bell })
    }

    /// What it is doing.
    pub(crate) fn phase(&self) -> Phase {
        lock(&self.state).phase.clone()
    }

    /// What it is doing; while it is starting, `waiter` is woken when that is over.
    pub(crate) fn phase_or_wait(&self, waiter: impl FnOnce() -> Waiter) -> Phase {
        let mut state = lock(&self.state);
        if let Phase::Starting = state.phase {
            state.waiters.push(waiter());
        }
        state.phase.clone()
    }

    /// Begins to start a process. False if there is one, or the pool is being destroyed.
    pub(crate) fn begin(&self) -> bool {
        let mut state = lock(&self.state);
        let begins = matches!(state.phase, Phase::Failed(_)) && state.ending.is_none();
        if begins {
            (state.phase, state.since) = (Phase::Starting, Instant::now());
        }
        begins
    }

    /// Enters a phase. Returns who waits for the end of the one before.
    pub(crate) fn enter(&self, phase: Phase) -> Vec<Waiter> {
        let mut state = lock(&self.state);
        (state.phase, state.since) = (phase, Instant::now());
        std::mem::take(&mut state.waiters)
    }

    /// Counts a restart. False if there were `most` in the last minute.
    pub(crate) fn may_restart(&self, most: u32) -> bool {
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.restarts.retain(|at| now.saturating_duration_since(*at) < MINUTE);
        if state.restarts.len() >= most as usize {
            state.restarts.clear();
            return false;
        }
        state.restarts.push_back(now);
        self.restarts.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// How often a process was started again, and since when it is in its phase.
    pub(crate) fn history(&self) -> (u32, Instant) {
        (self.restarts.load(Ordering::Relaxed), lock(&self.state).since)
    }

    /// Has the process destroy its containers and end, until this time.
    pub(crate) fn end(&self, until: Instant) {
        lock(&self.state).ending.get_or_insert(until);
        // It fails only if the counter is full, and then an event is already pending.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// By when the process must have ended, if it has been told to.
    pub(crate) fn ending(&self) -> Option<Instant> {
        lock(&self.state).ending
    }
}

/// The module hosts of a daemon.
#[derive(Default)]
pub(crate) struct Hosts {
    all: Mutex<HashMap<chi_pool_id, Arc<Host>>>,
    /// In a module host: its daemon.
    daemon: OnceLock<Arc<Peer>>,
}

impl Hosts {
    pub(crate) fn get(&self, id: chi_pool_id) -> Option<Arc<Host>> {
        lock(&self.all).get(&id).cloned()
    }

    /// All of them, in the order of their pools' slots.
    pub(crate) fn all(&self) -> Vec<Arc<Host>> {
        let mut all: Vec<Arc<Host>> = lock(&self.all).values().cloned().collect();
        all.sort_by_key(|host| host.id.major_);
        all
    }

    pub(crate) fn add(&self, host: Arc<Host>) {
        lock(&self.all).insert(host.id, host);
    }

    pub(crate) fn remove(&self, id: chi_pool_id) -> Option<Arc<Host>> {
        lock(&self.all).remove(&id)
    }

    /// The daemon of this module host; `None` in a daemon.
    pub(crate) fn daemon(&self) -> Option<&Arc<Peer>> {
        self.daemon.get()
    }

    pub(crate) fn set_daemon(&self, peer: Arc<Peer>) {
        let _ = self.daemon.set(peer);
    }
}
