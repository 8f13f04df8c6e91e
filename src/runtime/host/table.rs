//! The daemon's module hosts, and what a host knows of its daemon.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use chimaera_abi::chi_pool_id;
use rustix::event::EventfdFlags;
use std::os::fd::OwnedFd;

use super::peer::Peer;
use crate::config::{Beginning, HostOrders};
use crate::failure::Failure;
use crate::session::Borrowed;
use crate::sync::Waiter;
use crate::sys::{lock, Charge};

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

/// How the first process of a host begins.
#[derive(Default)]
pub(crate) struct First {
    /// Why its containers are made anew, if they are.
    pub(crate) begins: Option<Beginning>,
    /// The states that they load: a saved pool in a memfd, and the memory that it takes.
    pub(crate) states: Option<(OwnedFd, Charge)>,
}

struct State {
    phase: Phase,
    since: Instant,
    waiters: Vec<Waiter>,
    /// When the last processes were started again.
    restarts: VecDeque<Instant>,
    ending: Option<Instant>,
    /// A successor has the states of its containers.
    succeeded: bool,
    /// A process that is started now recovers the containers: it does not get their states.
    recovers: bool,
    /// The process with this id must end, for this reason.
    killed: Option<(i32, &'static str)>,
    /// Since when its process does not answer, if it has not for long.
    silent: Option<Instant>,
}

/// The module host of a pool, over the processes that it has had.
pub(crate) struct Host {
    pub(crate) id: chi_pool_id,
    pub(crate) orders: HostOrders,
    state: Mutex<State>,
    /// How often a process was started again.
    restarts: AtomicU32,
    first: Mutex<First>,
    /// Whether its containers can save their states.
    saves: AtomicBool,
    /// Odd while the containers have been asked for their states, and have not taken back what they gave up.
    turn: AtomicU64,
    /// Whether the thread that looks after it looks whether its process answers.
    watched: AtomicBool,
    /// Wakes that thread.
    pub(crate) bell: OwnedFd,
    /// How its process ended, if that was told to end and has not done so in order.
    bad_end: OnceLock<String>,
}

impl Host {
    pub(crate) fn new(id: chi_pool_id, orders: HostOrders, first: First) -> std::io::Result<Host> {
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let none =
            Failure::new(chimaera_abi::CHI_UNAVAILABLE, "the module host has not been started");
        let state = State {
            phase: Phase::Failed(none),
            since: Instant::now(),
            waiters: Vec::new(),
            restarts: VecDeque::new(),
            ending: None,
            succeeded: false,
            recovers: false,
            killed: None,
            silent: None,
        };
        Ok(Host {
            id,
            orders,
            state: Mutex::new(state),
            restarts: AtomicU32::new(0),
            first: Mutex::new(first),
            saves: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            bell,
            bad_end: OnceLock::new(),
        })
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
        state.recovers |= matches!(phase, Phase::Running(_));
        state.silent = None;
        (state.phase, state.since) = (phase, Instant::now());
        std::mem::take(&mut state.waiters)
    }

    /// Records that the first process recovers the containers, as all after it do.
    pub(crate) fn set_recovers(&self) {
        lock(&self.state).recovers = true;
    }

    /// Whether a process that is started now recovers the containers.
    pub(crate) fn recovers(&self) -> bool {
        lock(&self.state).recovers
    }

    /// Whether a process is being started that recovers the containers.
    pub(crate) fn is_recovering(&self) -> bool {
        let state = lock(&self.state);
        state.recovers && state.ending.is_none() && matches!(state.phase, Phase::Starting)
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
        self.ring();
    }

    /// As `end`, when a successor has the states of the containers.
    pub(crate) fn end_succeeded(&self, until: Instant) {
        lock(&self.state).succeeded = true;
        self.end(until);
    }

    /// Whether a successor has the states of the containers.
    pub(crate) fn is_succeeded(&self) -> bool {
        lock(&self.state).succeeded
    }

    /// Has the process killed, if it is this one; another one is started.
    pub(crate) fn kill(&self, pid: i32, why: &'static str) {
        lock(&self.state).killed = Some((pid, why));
        self.ring();
    }

    /// Why this process must be killed, if it must.
    pub(crate) fn killed(&self, pid: i32) -> Option<&'static str> {
        lock(&self.state).killed.filter(|(other, _)| *other == pid).map(|(_, why)| why)
    }

    /// Takes how the first process begins.
    pub(crate) fn take_first(&self) -> First {
        std::mem::take(&mut *lock(&self.first))
    }

    /// Whether its containers can save their states.
    pub(crate) fn saves(&self) -> bool {
        self.saves.load(Ordering::Acquire)
    }

    pub(crate) fn set_saves(&self, saves: bool) {
        self.saves.store(saves, Ordering::Release);
    }

    /// The turn of saving: another one after each that has begun or ended.
    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// Whether the states of the containers have been asked for, and have not been taken back.
    pub(crate) fn is_saving(&self) -> bool {
        self.turn() % 2 == 1
    }

    /// Begins to save, unless a turn has begun or ended since `turn`.
    pub(crate) fn begin_saving(&self, turn: u64) -> bool {
        let (before, after) = (Ordering::AcqRel, Ordering::Relaxed);
        let begins = turn.is_multiple_of(2)
            && self.turn.compare_exchange(turn, turn + 1, before, after).is_ok();
        if begins {
            self.watch();
        }
        begins
    }

    /// Ends the turn, or keeps one that has not quite begun from beginning.
    pub(crate) fn end_saving(&self) {
        let next = |turn: u64| Some(turn + 2 - turn % 2);
        // The function always gives a value.
        let _ = self.turn.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
    }

    /// Has it watched whether the process answers, because the process is about to get a task.
    #[inline]
    pub(crate) fn watch(&self) {
        if !self.watched.load(Ordering::Relaxed) {
            self.watch_again();
        }
    }

    #[cold]
    fn watch_again(&self) {
        if !self.watched.swap(true, Ordering::Relaxed) {
            self.ring();
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Watches no more, until the next task.
    pub(crate) fn rest(&self) {
        self.watched.store(false, Ordering::Relaxed);
    }

    /// Records that the process has not answered for long, since then. True for the first time.
    pub(crate) fn set_silent(&self, since: Instant) -> bool {
        lock(&self.state).silent.replace(since).is_none()
    }

    /// Records that the process has answered. Returns since when it had not, if that was long.
    pub(crate) fn end_silence(&self) -> Option<Instant> {
        lock(&self.state).silent.take()
    }

    /// Since when the process has not answered, if that is long.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        lock(&self.state).silent
    }

    fn ring(&self) {
        // It fails only if the counter is full, and then an event is already pending.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// By when the process must have ended, if it has been told to.
    pub(crate) fn ending(&self) -> Option<Instant> {
        lock(&self.state).ending
    }

    /// Notes that its process has not ended in order, as it was told to.
    pub(crate) fn set_bad_end(&self, how: &str) {
        self.bad_end.get_or_init(|| how.to_owned());
    }

    /// How its process ended, if that was not in order.
    pub(crate) fn bad_end(&self) -> Option<&str> {
        self.bad_end.get().map(String::as_str)
    }
}

/// The module hosts of a daemon.
#[derive(Default)]
pub(crate) struct Hosts {
    all: Mutex<HashMap<chi_pool_id, Arc<Host>>>,
    /// Those that are about to take the places of others.
    candidates: Mutex<HashMap<chi_pool_id, Arc<Host>>>,
    /// In a module host: its daemon.
    daemon: OnceLock<Arc<Peer>>,
    /// In a module host: what its daemon has lent it.
    pub(crate) borrowed: Arc<Borrowed>,
    /// In a module host: states are being saved or loaded, which takes memory.
    has_states: AtomicBool,
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

    /// The processes that run containers now.
    pub(crate) fn running(&self) -> Vec<Arc<Peer>> {
        let running = |host: &Arc<Host>| match host.phase() {
            Phase::Running(peer) => Some(peer),
            _ => None,
        };
        self.all().iter().filter_map(running).collect()
    }

    pub(crate) fn add(&self, host: Arc<Host>) {
        lock(&self.all).insert(host.id, host);
    }

    pub(crate) fn remove(&self, id: chi_pool_id) -> Option<Arc<Host>> {
        lock(&self.all).remove(&id)
    }

    /// The host that is about to take the place of the pool's host, if any.
    pub(crate) fn candidate(&self, id: chi_pool_id) -> Option<Arc<Host>> {
        lock(&self.candidates).get(&id).cloned()
    }

    pub(crate) fn propose(&self, host: Arc<Host>) {
        lock(&self.candidates).insert(host.id, host);
    }

    /// Lets the candidate take the place of the pool's host, which is returned.
    pub(crate) fn elect(&self, id: chi_pool_id) -> Option<Arc<Host>> {
        let elected = lock(&self.candidates).remove(&id)?;
        lock(&self.all).insert(id, elected)
    }

    /// Removes this candidate, or any if it is `None`.
    pub(crate) fn withdraw(&self, id: chi_pool_id, which: Option<&Arc<Host>>) -> Option<Arc<Host>> {
        let mut candidates = lock(&self.candidates);
        let found = candidates.get(&id)?;
        match which.is_none_or(|which| Arc::ptr_eq(which, found)) {
            true => candidates.remove(&id),
            false => None,
        }
    }

    /// Whether this module host is saving or loading states.
    pub(crate) fn has_states(&self) -> bool {
        self.has_states.load(Ordering::Relaxed)
    }

    pub(crate) fn set_has_states(&self, has: bool) {
        self.has_states.store(has, Ordering::Relaxed);
    }

    /// The daemon of this module host; `None` in a daemon.
    pub(crate) fn daemon(&self) -> Option<&Arc<Peer>> {
        self.daemon.get()
    }

    pub(crate) fn set_daemon(&self, peer: Arc<Peer>) {
        let _ = self.daemon.set(peer);
    }
}
