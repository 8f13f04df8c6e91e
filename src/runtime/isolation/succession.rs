//! In the daemon, the states of containers that run in module hosts: they are saved there, kept here, and
//! given to the next host, which takes the place of the old one, or is withdrawn.

use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::wire::{Kind, Message};

use super::forward::suspend;
use super::proxy::{not_created, peer_of};
use crate::config::{Beginning, HostOrders};
use crate::failure::Failure;
use crate::host::{Answer, First, Host, Peer, Phase};
use crate::module::Module;
use crate::pool::Pool;
use crate::scheduler::{Shared, Worker};
use crate::state::{Meter, SavedPool, Storage};
use crate::sys::{open_sealed, write_sealed, Charge, Use};

/// How long tasks that a host's own code has sent may take to end before the states are saved. All others
/// have ended by then.
const HOLD_BOUND: Duration = Duration::from_secs(5);
/// How long the containers of a host may take to take back what they gave up.
const RESUME_BOUND: Duration = Duration::from_millis(1500);
/// How long a process that was killed may take to be gone.
const KILL_BOUND: Duration = Duration::from_secs(1);
/// How long a host may take to destroy the containers whose states its successor has.
const END_BOUND: Duration = Duration::from_secs(5);
/// How long a host that was withdrawn may take to be gone.
const WITHDRAW_BOUND: Duration = Duration::from_secs(2);
/// The pause between two looks whether it is.
const LOOK: Duration = Duration::from_millis(1);
/// The buffers for states, in bytes.
const BUFFER: usize = 1 << 20;

fn io(error: impl std::fmt::Display) -> Failure {
    Failure::new(CHI_IO, format!("the states between the runtime and a module host: {error}"))
}

/// Writes a saved pool to a memfd that nobody can change.
pub(crate) fn states_of(saved: &SavedPool) -> Result<OwnedFd, Failure> {
    write_sealed("chimaera-states", |file| saved.write(file)).map_err(io)
}

/// Whether the containers of an isolated pool can save their states.
pub(crate) fn saves(shared: &Shared, id: chi_pool_id) -> bool {
    shared.hosts.get(id).is_some_and(|host| host.saves())
}

fn host_of(shared: &Shared, pool: &Pool) -> Result<Arc<Host>, Failure> {
    let unknown = || Failure::new(CHI_INTERNAL, "its module host is unknown");
    shared.hosts.get(pool.id).ok_or_else(unknown)
}

/// Has the host of a pool save the states of all containers, for this purpose: a `CHI_SAVED_*`. Until
/// `resume`, or until a successor is elected, the host takes no tasks.
pub(crate) fn save(
    worker: &Worker,
    pool: &Pool,
    purpose: u32,
    meter: &Arc<Meter>,
) -> Result<SavedPool, Failure> {
    let host = host_of(&worker.shared, pool)?;
    let turn = host.turn();
    let given_up = || Failure::new(CHI_BUSY, "it was given up, because it took too long");
    let peer = peer_of(worker, &host, || match host.turn() == turn {
        true => Ok(()),
        false => Err(given_up()),
    })?;
    if !host.begin_saving(turn) {
        return Err(given_up());
    }
    let words = [purpose.into(), HOLD_BOUND.as_millis() as u64];
    let answer = ask(worker, &peer, Kind::Save, &words, None);
    let cannot = |failure: Failure| {
        let (name, why) = (pool.name(), failure.message);
        Failure::new(failure.status, format!("pool '{name}' cannot save its state: {why}"))
    };
    let states = answer.map_err(cannot)?;
    read(worker, pool, states, meter).map_err(cannot)
}

/// Reads what a host has saved, which is not trusted.
fn read(
    worker: &Worker,
    pool: &Pool,
    states: Option<OwnedFd>,
    meter: &Arc<Meter>,
) -> Result<SavedPool, Failure> {
    let invalid = |what| Failure::new(CHI_INVALID, format!("its module host {what}"));
    let states = states.ok_or_else(|| invalid("has sent no states"))?;
    let states = open_sealed(states).map_err(|_| invalid("has sent something else than states"))?;
    let mut file = BufReader::with_capacity(BUFFER, states);
    let mut saved = SavedPool::read(&mut file, &Storage::of(&worker.shared), meter)?;
    let module = pool.module();
    if saved.images.len() != pool.count() as usize || saved.version != module.version {
        return Err(invalid("has saved another pool"));
    }
    saved.name = pool.name().to_owned();
    saved.module = module.name.clone();
    saved.params = pool.params.clone();
    Ok(saved)
}

/// Asks a host, and waits for the answer, until `until` at most, or until the process is gone.
fn ask(worker: &Worker, peer: &Peer, kind: Kind, words: &[u64], until: Option<Instant>) -> Answer {
    let number = peer.ask();
    let words: Vec<u64> = [number].iter().chain(words).copied().collect();
    peer.tell(&Message::new(kind, &words), &[]);
    let answer = loop {
        let mut waits = false;
        let waiter = || {
            waits = true;
            worker.prepare_wait()
        };
        if let Some(answer) = peer.answer_or_wait(number, waiter) {
            break answer;
        }
        debug_assert!(waits, "whoever has to wait was asked for its waiter");
        suspend(worker, until);
        if until.is_some_and(|until| Instant::now() >= until) {
            break Err(Failure::new(CHI_BUSY, "it has not answered in time"));
        }
    };
    peer.forget(number);
    answer
}

/// Has the host of a pool take back what its containers gave up, and take tasks again. One that does not is
/// killed, and another one recovers them.
pub(crate) fn resume(worker: &Worker, id: chi_pool_id) {
    let Some(host) = worker.shared.hosts.get(id) else { return };
    if host.is_saving() {
        if let Phase::Running(peer) = host.phase() {
            let until = Instant::now() + RESUME_BOUND;
            let resumed = ask(worker, &peer, Kind::Resume, &[], Some(until));
            if let Err(failure) = resumed.map(drop) {
                if peer.lost().is_none() {
                    let (pool, why) = (&*host.orders.name, &*failure.message);
                    tracing::error!(pool, why, "a module host does not go on with its states");
                    host.kill(peer.pid, "did not go on with its states, and was killed");
                    // So that tasks that wait go to the next one.
                    let until = Instant::now() + KILL_BOUND;
                    while peer.lost().is_none() && Instant::now() < until {
                        worker.sleep(LOOK);
                    }
                }
            }
        }
    }
    host.end_saving();
}

/// Ends the process of a host whose states have been asked for, and which has not taken back what its
/// containers gave up: another one recovers them.
pub(crate) fn kill(shared: &Shared, id: chi_pool_id) {
    let Some(host) = shared.hosts.get(id) else { return };
    if let (true, Phase::Running(peer)) = (host.is_saving(), host.phase()) {
        host.kill(peer.pid, "did not go on with its states, and was killed");
    }
    host.end_saving();
}

/// Where a host leaves its last words while the one that it succeeds is still there.
fn other_crash(orders: &HostOrders) -> PathBuf {
    match orders.crash.extension().is_some_and(|extension| extension == "next") {
        true => orders.crash.with_extension(""),
        false => {
            let mut path = orders.crash.clone().into_os_string();
            path.push(".next");
            path.into()
        }
    }
}

/// Prepares a host that is to take the place of a pool's host: with this module and these parameters, and
/// with the states of its containers. The first container that is constructed starts it.
pub(crate) fn propose(
    shared: &Shared,
    pool: &Pool,
    module: &Module,
    saved: &SavedPool,
    begins: Beginning,
) -> Result<Arc<Host>, Failure> {
    let host = host_of(shared, pool)?;
    let file = module.path.clone();
    let file = file.ok_or_else(|| Failure::new(CHI_INTERNAL, "its module has no file"))?;
    let crash = other_crash(&host.orders);
    let params = saved.params.clone();
    let orders = HostOrders { file, params, crash, ..host.orders.clone() };
    let first = first(shared, begins, Some(saved))?;
    let proposed = Arc::new(Host::new(pool.id, orders, first).map_err(not_created)?);
    shared.hosts.propose(proposed.clone());
    Ok(proposed)
}

/// How the first process of a host begins, with the states of its containers or without.
pub(crate) fn first(
    shared: &Shared,
    begins: Beginning,
    saved: Option<&SavedPool>,
) -> Result<First, Failure> {
    let states = saved.map(|saved| {
        let charge = charge(shared, saved.bytes())?;
        states_of(saved).map(|states| (states, charge))
    });
    Ok(First { begins: Some(begins), states: states.transpose()? })
}

fn charge(shared: &Shared, bytes: u64) -> Result<Charge, Failure> {
    let charged = shared.budget.charge(Use::Modules, bytes);
    charged
        .map_err(|why| Failure::new(CHI_NO_SPACE, format!("the states for a module host: {why}")))
}

/// Withdraws this candidate for the place of a pool's host, or any, and waits until its process is gone: it
/// may have files and locks that the old one takes back.
pub(crate) fn withdraw(worker: &Worker, id: chi_pool_id, which: Option<&Arc<Host>>) {
    let Some(host) = worker.shared.hosts.withdraw(id, which) else { return };
    host.end(Instant::now());
    let until = Instant::now() + WITHDRAW_BOUND;
    while !is_over(&host) && Instant::now() < until {
        worker.sleep(LOOK);
    }
}

fn is_over(host: &Host) -> bool {
    matches!(host.phase(), Phase::Ended | Phase::Failed(_))
}

/// Lets the candidate take the place of a pool's host, which destroys its containers and ends.
pub(crate) fn elect(shared: &Shared, id: chi_pool_id) {
    if let Some(old) = shared.hosts.elect(id) {
        old.end_succeeded(Instant::now() + END_BOUND);
    }
}

/// Has the host of a pool end, whose states a successor of this process has.
pub(crate) fn end_succeeded(shared: &Shared, id: chi_pool_id) {
    if let Some(host) = shared.hosts.get(id) {
        host.end_succeeded(Instant::now() + END_BOUND);
    }
}

/// Whether no process of the host of a pool is left.
pub(crate) fn has_ended(shared: &Shared, id: chi_pool_id) -> bool {
    shared.hosts.get(id).is_none_or(|host| is_over(&host))
}
