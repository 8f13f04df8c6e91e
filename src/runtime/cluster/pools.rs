//! Pools of the cluster on this node: what was agreed on is followed, one step after the other for each pool, on
//! a worker.

use std::ffi::CString;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_cluster::{Command, ContainerId, Epoch, NodeId, PoolId, Reply};
use chimaera_link::Class;

use super::handle::{id_of, Cluster, Input};
use super::jobs::{Definition, Step};
use super::waiting::Waiting;
use super::{guard, remote, states};
use crate::access::PoolRights;
use crate::admin::agreed::{self, Beginnings, Detached};
use crate::admin::Installed;
use crate::failure::Failure;
use crate::pool::{Container, Pool};
use crate::scheduler::{with_current, Shared, Worker, WorkerMessage};

/// How long a node asks that its storage be agreed on before it gives a container up, and the pause between.
const STORE_BOUND: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Has a step done, after those before it.
pub(super) fn push(shared: &Shared, cluster: &Arc<Cluster>, pool: PoolId, step: Step) {
    if cluster.pools.add(pool, step) {
        return;
    }
    let cluster = cluster.clone();
    let run = move || {
        with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            while let Some(step) = cluster.pools.next(pool) {
                take(worker, &cluster, pool, step);
            }
        });
    };
    shared.mailbox(0).send(WorkerMessage::Run(CHI_ADMIN_CREATE_POOL, Box::new(run)));
}

fn take(worker: &Worker, cluster: &Arc<Cluster>, pool: PoolId, step: Step) {
    match step {
        Step::Install(definition) => {
            if let Err(failure) = install(worker, cluster, pool, &definition) {
                let (name, why) = (&*definition.name, &*failure.message);
                tracing::warn!(
                    pool = name,
                    why,
                    "a pool of the cluster cannot be used on this node"
                );
                cluster.pools.fail(pool, failure);
            }
        }
        Step::Open { container, epoch, remains } => {
            // Where it is stored, that is what counts.
            let state = cluster.states.begin(container, epoch).filter(|_| !remains.is_stored_here);
            let id = id_of(&worker.shared, container.pool);
            let is_over = cluster.begin_serving(container);
            if remains.arriving && state.is_none() && !remains.is_stored_here {
                cluster.end_serving(container);
                return cluster.tell(Input::CannotOpen(container, epoch, String::new()));
            }
            let may_lack = remains.given_up || remains.is_stored_here;
            let begins = Beginnings { lost: remains.lost, may_lack, state };
            let guard = |made: &Container| {
                if made.stores_here.load(Ordering::Relaxed) && !remains.is_stored_here {
                    store(worker, cluster, container, epoch)?;
                }
                guard::guard(made, container, &cluster.lease, &is_over);
                Ok(())
            };
            match agreed::open(worker, id, container.number, begins, guard) {
                Ok(()) => cluster.tell(Input::Opened(container, epoch)),
                Err(failure) => {
                    // Where the pool itself is not, why that is so tells more.
                    let failure = cluster.pools.failure(pool).unwrap_or(failure);
                    let (number, why) = (container.number, &*failure.message);
                    tracing::warn!(
                        pool = pool.0,
                        container = number,
                        why,
                        "a container was not created"
                    );
                    cluster.tell(Input::CannotOpen(container, epoch, failure.message));
                }
            }
        }
        Step::Close { container, epoch, to } => {
            match hand_over(worker, cluster, container, epoch, to) {
                Ok(()) => cluster.tell(Input::Closed(container, epoch)),
                Err(failure) => {
                    let (number, why) = (container.number, &*failure.message);
                    tracing::warn!(
                        pool = pool.0,
                        container = number,
                        why,
                        "a container was not moved"
                    );
                    cluster.tell(Input::CannotClose(container, epoch));
                }
            }
        }
        Step::Drop(container) => drop_container(worker, cluster, container),
        Step::Remove => agreed::remove(worker, id_of(&worker.shared, pool)),
    }
}

/// Has it agreed on that what a container stores is on this node: before it takes tasks, or another node might begin
/// without what they did.
fn store(
    worker: &Worker,
    cluster: &Cluster,
    container: ContainerId,
    epoch: Epoch,
) -> Result<(), Failure> {
    let until = Instant::now() + STORE_BOUND;
    loop {
        match cluster.propose(worker, Command::Store { container, epoch }) {
            Ok(Reply::Done {}) => return Ok(()),
            Ok(_) => return Err(Failure::new(CHI_NODE_LOST, "it is another node's by now")),
            Err(failure) if Instant::now() >= until => return Err(failure),
            Err(_) => worker.sleep(PAUSE),
        }
    }
}

/// Puts a pool into the table, all of whose containers are elsewhere for the moment.
fn install(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    id: PoolId,
    definition: &Definition,
) -> Result<(), Failure> {
    let shared = &worker.shared;
    let Some(module) = shared.modules.find(&definition.module) else {
        let message = format!(
            "node {}: the module {} is not loaded; put it into a directory of modules, and start the runtime again",
            cluster.name, definition.module
        );
        return Err(Failure::new(CHI_NO_MODULE, message));
    };
    let name = CString::new(definition.name.as_str())
        .map_err(|_| Failure::new(CHI_INVALID, "a pool's name has no zero"))?;
    let stand_in = Arc::new(remote::module(&module));
    let id_here = id_of(shared, id);
    let (params, count) = (definition.params.clone(), definition.containers);
    let rights = PoolRights::default();
    let pool = Pool::new(id_here, rights, name.into(), params, None, &stand_in, count);
    pool.on_crash().set(definition.policy.on_crash);
    for container in pool.containers() {
        let object = remote::object(cluster, ContainerId { pool: id, number: container.number });
        // SAFETY: the object is never freed, and nothing uses the container yet.
        let sound = unsafe { container.set_object(object) };
        assert!(sound, "its own table is valid");
    }
    agreed::install(worker, Installed { pool: Arc::new(pool), module: &module })
}

/// Lets what stands for another node's container take the place of one that is here.
fn detach(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    container: ContainerId,
) -> Result<Option<Detached>, Failure> {
    let id = id_of(&worker.shared, container.pool);
    let stand_in = |module: &_| Arc::new(remote::module(module));
    agreed::detach(worker, id, container.number, stand_in, || remote::object(cluster, container))
}

/// Gives the state of a container to another node.
fn hand_over(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    container: ContainerId,
    epoch: Epoch,
    to: NodeId,
) -> Result<(), Failure> {
    let gone = || Failure::new(CHI_NO_POOL, "it is not here");
    let detached = detach(worker, cluster, container)?.ok_or_else(gone)?;
    let bytes = match agreed::save(worker, &detached) {
        Ok(bytes) => bytes,
        Err(failure) => {
            agreed::attach(worker, detached, false);
            return Err(failure);
        }
    };
    if let Err(failure) = send(worker, cluster, (container, epoch, to), &bytes) {
        agreed::attach(worker, detached, true);
        return Err(failure);
    }
    agreed::release(worker, detached);
    // If the other cannot have it after all, it comes back.
    cluster.states.keep(cluster.life.node, container, epoch, bytes);
    Ok(())
}

/// Sends a state, and waits until the other node has it.
fn send(
    worker: &Worker,
    cluster: &Cluster,
    (container, epoch, to): (ContainerId, Epoch, NodeId),
    bytes: &[u8],
) -> Result<(), Failure> {
    let size = bytes.len() as u64;
    if size > states::MOST {
        let most = states::MOST >> 30;
        let message = format!(
            "its state has {size} bytes; what goes from node to node has at most {most} GiB"
        );
        return Err(Failure::new(CHI_TOO_LARGE, message));
    }
    let arrived = Arc::new(Waiting::new());
    let bound = states::BOUND + Duration::from_secs(size / states::SLOWEST);
    cluster.tell(Input::AwaitState(container, epoch, bound, arrived.clone()));
    let mut sent = 0;
    let mut progress = Instant::now();
    while sent < bytes.len() || (bytes.is_empty() && sent == 0) {
        let part = &bytes[sent..(sent + states::PART).min(bytes.len())];
        let head = states::part(container, epoch, size, sent as u64);
        match cluster.endpoint().send(to.0, Class::Bulk, &[&head, part]) {
            Ok(()) => (sent, progress) = (sent + part.len().max(1), Instant::now()),
            Err(why) if progress.elapsed() >= states::BOUND => {
                return Err(Failure::new(
                    CHI_NODE_LOST,
                    format!("its state cannot be sent: {why}"),
                ));
            }
            Err(_) => worker.sleep(Duration::from_millis(2)),
        }
    }
    match arrived.wait(worker, || ()) {
        true => Ok(()),
        false => Err(Failure::new(CHI_NODE_LOST, "the other node has not taken its state in time")),
    }
}

/// Destroys a container that is another node's, or nobody's.
fn drop_container(worker: &Worker, cluster: &Arc<Cluster>, container: ContainerId) {
    cluster.end_serving(container);
    match detach(worker, cluster, container) {
        Ok(Some(detached)) => agreed::destroy(worker, detached),
        Ok(None) => {}
        Err(failure) => {
            let (number, why) = (container.number, &*failure.message);
            tracing::error!(
                container = number,
                why,
                "a container that is another node's is still here"
            );
        }
    }
}
