//! The cluster, as the rest of the runtime uses it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chimaera_abi::*;
use chimaera_cluster::{
    CallNumber, Command, ContainerId, Epoch, Instant, Life, Message, NodeId, Outcome, Payload,
    PoolId, Reply, Request, TaskNumber, Write,
};

use chimaera_link::Endpoint;

use super::clock::{now, Lease};
use super::combiner::Combiner;
use super::flat;
use super::jobs::PoolJobs;
use super::places::Places;
use super::questions::Questions;
use super::roots::Roots;
use super::states::{Sent, States};
use super::waiting::Waiting;
use crate::config::{OnCrash, Policy};
use crate::failure::Failure;
use crate::pool::Container;
use crate::scheduler::{AgreedPool, AgreedPools, Answer, Order, Shared, Worker};
use crate::sync::NodeCall;
use crate::sys::lock;

/// How long a description may take.
const DESCRIBE_BOUND: Duration = Duration::from_secs(2);
/// How long a pool that was agreed on may take to be there.
const INSTALL_BOUND: Duration = Duration::from_secs(10);
/// The pause between two looks for it.
const LOOK: Duration = Duration::from_millis(1);

/// What the node is told.
pub(super) enum Input {
    /// A message has come from a node.
    Message(NodeId, Message),
    /// A part of a state has come from a node, or word that one has arrived.
    Heard(NodeId, Payload),
    /// A node can be reached.
    Connected(NodeId),
    /// The connection to a node has broken.
    Broken(NodeId),
    /// A write of the log is on the disk.
    Written(u64),
    /// The log cannot be written any more.
    Unwritten(String),
    /// A task for a container of another node.
    Call(Request, Arc<Waiting<Outcome>>),
    CancelCall(Arc<Waiting<Outcome>>),
    /// Something to agree on. Ends with nothing if it was not heard of in time.
    Propose(Command, Arc<Waiting<Result<Reply, String>>>),
    /// A task of another node has ended here.
    Finished(TaskNumber, Payload),
    /// What served this call was abandoned, for this reason.
    Abandoned(NodeCall, String),
    Opened(ContainerId, Epoch),
    CannotOpen(ContainerId, Epoch, String),
    Closed(ContainerId, Epoch),
    CannotClose(ContainerId, Epoch),
    /// Somebody sends a state, and waits until it has arrived; false if it has not after this time.
    AwaitState(ContainerId, Epoch, Duration, Sent),
    /// What people want of the cluster. The answer is a JSON document.
    Order(Order, Answer),
    Describe(Sender<serde_json::Value>),
    /// Why nodes cannot make containers of a pool.
    Refusals(PoolId, Arc<Waiting<Vec<String>>>),
    /// Those who have calls leave some to the cluster's thread.
    Calls,
    End,
}

impl Input {
    /// Whether whoever says it may make the node go on with it: it is of a call.
    fn is_of_a_call(&self) -> bool {
        match self {
            Input::Call(..) | Input::CancelCall(_) | Input::Finished(..) => true,
            Input::Message(_, message) => {
                matches!(message, Message::Call(_) | Message::Answer(_) | Message::Cancel(_))
            }
            _ => false,
        }
    }
}

/// What the thread of the log does.
pub(super) enum Entry {
    Write(Write),
    /// The node was removed: its log is that of a new one from now on.
    Forget,
}

/// How much of calls one thread tells the node before another one goes on.
const BATCH: usize = 256;

/// The node at work, for whoever has it.
pub(super) trait AtWork: Send {
    /// Goes on with what is of calls, up to `most` of them. Returns with how many.
    fn go_on_with_calls(&mut self, most: usize) -> usize;

    /// Takes `input`, if any, and some of what else is in the inbox.
    fn take_all(&mut self, input: Option<Input>, inbox: &Receiver<Input>);

    /// Learns what time it is; with `looks`, also whether members seem dead.
    fn tick(&mut self, looks: bool);

    /// For how long it need not learn what time it is.
    fn rests_for(&self) -> Duration;

    /// Whether there are no workers any more. Then it has ended.
    fn is_over(&mut self) -> bool;
}

/// The cluster that this runtime is a node of.
pub(crate) struct Cluster {
    /// What the cluster's thread has to tell the node.
    inbox: Sender<Input>,
    /// The cluster's thread rests for longer than it may if there are calls.
    rests: AtomicBool,
    /// The node, before the end of the cluster's thread, and what it has still to be told of calls.
    node: Combiner<Option<Box<dyn AtWork>>, Input>,
    pub(super) life: Life,
    pub(super) name: String,
    pub(super) pools: PoolJobs,
    pub(super) states: States,
    pub(super) roots: Roots,
    pub(super) places: Places,
    pub(super) questions: Questions,
    /// How many tasks have gone from here.
    gone: AtomicU64,
    pub(super) lease: Arc<Lease>,
    /// The containers that are here, and whether they are another node's by now.
    served: Mutex<HashMap<ContainerId, Arc<AtomicBool>>>,
    endpoint: OnceLock<Endpoint>,
}

impl Cluster {
    pub(super) fn new(inbox: Sender<Input>, life: Life, name: String) -> Cluster {
        Cluster {
            inbox,
            rests: AtomicBool::new(false),
            node: Combiner::new(None),
            life,
            name,
            pools: PoolJobs::default(),
            states: States::default(),
            roots: Roots::new(life),
            places: Places::default(),
            questions: Questions::default(),
            gone: AtomicU64::new(0),
            lease: Arc::default(),
            served: Mutex::default(),
            endpoint: OnceLock::new(),
        }
    }

    /// Notes that a container is about to be here. The flag tells it when it is another node's.
    pub(super) fn begin_serving(&self, container: ContainerId) -> Arc<AtomicBool> {
        let is_over = Arc::<AtomicBool>::default();
        lock(&self.served).insert(container, is_over.clone());
        is_over
    }

    /// Notes that a container is another node's, or nobody's.
    pub(super) fn end_serving(&self, container: ContainerId) {
        if let Some(is_over) = lock(&self.served).remove(&container) {
            is_over.store(true, Ordering::Release);
        }
    }

    /// What sends to other nodes.
    pub(super) fn endpoint(&self) -> &Endpoint {
        self.endpoint.get().expect("it is set before anything is sent")
    }

    /// Sets what sends to other nodes. Once, before the thread starts.
    pub(super) fn set_endpoint(&self, endpoint: Endpoint) {
        assert!(self.endpoint.set(endpoint).is_ok(), "it is set once");
    }

    /// Tells the node something. What is of a call takes effect at once, on this thread, unless another one has the
    /// node; everything else is for the cluster's thread, which goes on as long as the workers.
    pub(super) fn tell(&self, input: Input) {
        if !input.is_of_a_call() {
            let _ = self.inbox.send(input);
            return;
        }
        self.node.add(input);
        self.go_on_with_calls();
    }

    /// The next of what is of calls.
    pub(super) fn next_of_a_call(&self) -> Option<Input> {
        self.node.next()
    }

    /// Tells the node what is of calls, but not for long.
    fn go_on_with_calls(&self) {
        let mut any = false;
        let work = |place: &mut Option<Box<dyn AtWork>>, most| {
            let taken = place.as_mut().map(|node| node.go_on_with_calls(most));
            any |= taken.is_some_and(|taken| taken > 0);
            taken
        };
        let are_left = self.node.go_on(BATCH, work);
        let rests =
            || self.rests.load(Ordering::Relaxed) && self.rests.swap(false, Ordering::Relaxed);
        if are_left || (any && rests()) {
            self.tell(Input::Calls);
        }
    }

    /// Notes whether the cluster's thread rests, and is to be woken for calls. For whoever has the node.
    pub(super) fn set_rests(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    /// Gives the node to `work`, on the cluster's thread, and then goes on with calls.
    pub(super) fn with_node<R>(&self, work: impl FnOnce(&mut Option<Box<dyn AtWork>>) -> R) -> R {
        let done = self.node.with(work);
        self.go_on_with_calls();
        done
    }

    /// A time by the node's clock.
    pub(super) fn instant_in(&self, rest: Duration) -> Instant {
        now() + rest
    }

    /// The name of the next call.
    pub(super) fn next_call(&self) -> NodeCall {
        name_of_call(self.life, self.gone.fetch_add(1, Ordering::Relaxed))
    }

    /// Has something agreed on.
    pub(super) fn propose(&self, worker: &Worker, command: Command) -> Result<Reply, Failure> {
        let waiting = Arc::new(Waiting::new());
        self.tell(Input::Propose(command, waiting.clone()));
        // It may be agreed on whatever becomes of the task, and is bounded.
        waiting.wait(worker, || ()).map_err(|why| Failure::new(CHI_UNAVAILABLE, why))
    }
}

/// The name of a call of a node.
pub(super) fn name_of_call(caller: Life, number: u64) -> NodeCall {
    NodeCall { node: caller.node.0, boot: caller.boot.0, number }
}

/// The id that a pool of the cluster has on all its nodes.
pub(super) fn id_of(shared: &Shared, pool: PoolId) -> chi_pool_id {
    // Slot 0 is the admin pool's.
    let slots = shared.config.max_pools.max(2) - 1;
    chi_pool_id { major_: 1 + pool.0 % slots, minor_: pool.0 }
}

impl AgreedPools for Cluster {
    fn create(
        &self,
        worker: &Worker,
        wanted: &AgreedPool<'_>,
    ) -> Result<(chi_pool_id, bool), Failure> {
        let AgreedPool { name, module, params, containers, nodes, policy } = *wanted;
        if (Policy { on_crash: OnCrash::default(), ..policy }) != Policy::default() {
            let message = format!(
                "pool '{name}': pools of a cluster have no isolation and no durability yet"
            );
            return Err(Failure::new(CHI_UNSUPPORTED, message));
        }
        let command = Command::CreatePool {
            name: name.to_owned(),
            module: module.to_owned(),
            params: params.to_vec(),
            // One is what clients ask for who do not care.
            containers: if containers == 1 { 0 } else { containers },
            nodes,
            flags: policy.flags(),
        };
        let (pool, created) = match self.propose(worker, command)? {
            Reply::Pool { id, created } => (id, created),
            Reply::OtherPool { .. } => {
                let message = format!(
                    "pool '{name}' already exists in the cluster, of another module, with other parameters, or with \
                     another number of containers"
                );
                return Err(Failure::new(CHI_EXISTS, message));
            }
            Reply::Full {} => {
                let message = format!(
                    "pool '{name}' was not created: the cluster has as many pools or containers as it can have"
                );
                return Err(Failure::new(CHI_NO_SPACE, message));
            }
            _ => {
                let message = format!("pool '{name}' was not created: the cluster has refused it");
                return Err(Failure::new(CHI_FAILED, message));
            }
        };
        let id = id_of(&worker.shared, pool);
        self.await_pool(worker, id, name)?;
        if created {
            self.await_containers(worker, pool, id, name)?;
        }
        Ok((id, !created))
    }

    fn destroy(&self, worker: &Worker, id: chi_pool_id) -> Result<(), Failure> {
        let pool = PoolId(id.minor_);
        match self.propose(worker, Command::DestroyPool { pool })? {
            Reply::Done {} => {}
            _ => {
                let message = format!("there is no pool {}.{}", id.major_, id.minor_);
                return Err(Failure::new(CHI_NO_POOL, message));
            }
        }
        let until = std::time::Instant::now() + INSTALL_BOUND;
        while worker.shared.table().get(id).is_some() && std::time::Instant::now() < until {
            worker.sleep(LOOK);
        }
        if worker.shared.table().get(id).is_none() {
            return Ok(());
        }
        let message = format!(
            "the cluster has agreed that pool {}.{} is no more, but its tasks on this node have not ended in {} s",
            id.major_,
            id.minor_,
            INSTALL_BOUND.as_secs()
        );
        Err(Failure::new(CHI_BUSY, message))
    }

    fn describe(&self) -> Option<serde_json::Value> {
        let (answer, told) = channel();
        self.tell(Input::Describe(answer));
        told.recv_timeout(DESCRIBE_BOUND).ok()
    }

    fn order(&self, order: Order, answer: Answer) {
        self.tell(Input::Order(order, answer));
    }

    fn place(&self, container: &Container) -> chi_place {
        let id = ContainerId { pool: PoolId(container.id.minor_), number: container.number };
        let place = self.places.of(self.life.node, id);
        // A pool that is this node's alone has no container elsewhere.
        if place.node_ == 0 && !container.module.is_proxy {
            return chi_place { node_: self.life.node.0, round_trip_ns_: 0, ..place };
        }
        place
    }

    fn give_up_serving(&self, call: NodeCall, why: &str) {
        self.tell(Input::Abandoned(call, why.to_owned()));
    }

    fn node(&self) -> u64 {
        self.life.node.0
    }

    fn ask_about_waits(
        &self,
        node: Option<u64>,
        question: &[u8],
        bound: Duration,
    ) -> Vec<(u64, String, Vec<u8>)> {
        self.ask(node, question, bound)
    }

    fn end(&self) {
        self.tell(Input::End);
    }
}

impl Cluster {
    /// Waits until a pool that was agreed on is there.
    fn await_pool(&self, worker: &Worker, id: chi_pool_id, name: &str) -> Result<(), Failure> {
        let until = std::time::Instant::now() + INSTALL_BOUND;
        loop {
            if worker.shared.table().get(id).is_some() {
                return Ok(());
            }
            if let Some(why) = self.pools.failure(PoolId(id.minor_)) {
                return Err(why);
            }
            if worker.is_cancelled() || std::time::Instant::now() >= until {
                let message = format!("pool '{name}' was agreed on, but is not there yet");
                return Err(Failure::new(CHI_TIMEOUT, message));
            }
            worker.sleep(LOOK);
        }
    }
}

impl Cluster {
    /// Waits until all containers of a new pool are there. If they cannot be, the pool is destroyed again.
    fn await_containers(
        &self,
        worker: &Worker,
        pool: PoolId,
        id: chi_pool_id,
        name: &str,
    ) -> Result<(), Failure> {
        let count = worker.shared.table().get(id).map_or(0, crate::pool::Pool::count);
        let asked: Vec<_> = (0..count)
            .map(|number| {
                let request = Request {
                    container: ContainerId { pool, number },
                    idempotent: true,
                    deadline: None,
                    payload: flat::question().into(),
                };
                let waiting = Arc::new(Waiting::new());
                self.tell(Input::Call(request, waiting.clone()));
                waiting
            })
            .collect();
        let mut missing = None;
        for (number, waiting) in asked.into_iter().enumerate() {
            let outcome = waiting.wait(worker, || self.tell(Input::CancelCall(waiting.clone())));
            if !matches!(outcome, Outcome::Done(_)) {
                missing.get_or_insert(number);
            }
        }
        let Some(number) = missing else { return Ok(()) };
        let refused = self.refusals(worker, pool);
        // What comes of it changes nothing here.
        let _ = self.propose(worker, Command::DestroyPool { pool });
        let why = match refused.is_empty() {
            true => {
                "no node has it after several seconds: see `chimaera cluster status`".to_owned()
            }
            false => refused.join("; "),
        };
        Err(Failure::new(
            CHI_FAILED,
            format!("pool '{name}' was not created: container {number}: {why}"),
        ))
    }

    /// Why nodes cannot make containers of a pool.
    fn refusals(&self, worker: &Worker, pool: PoolId) -> Vec<String> {
        let waiting = Arc::new(Waiting::new());
        self.tell(Input::Refusals(pool, waiting.clone()));
        waiting.wait(worker, || ())
    }
}

/// What is known of calls, by their numbers.
pub(super) type Calls = HashMap<CallNumber, Arc<Waiting<Outcome>>>;
