//! The node at work: it is told what happens, and what it wants is done. By whoever has something of a call to tell, so
//! that no other thread has to wake up for that, and by the cluster's thread for everything else.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_cluster::{
    CallNumber, Command, ContainerId, Effect, Epoch, Message, Node, NodeId, Outcome, PoolId, Reply,
    TaskNumber,
};
use chimaera_link::Class;
use serde_json::json;

use super::clock::now;
use super::flat::{is_question, refusal};
use super::handle::{AtWork, Calls, Cluster, Entry, Input};
use super::jobs::{Definition, Remains, Step};
use super::losses::Losses;
use super::pools::push;
use super::serve::{self, Running};
use super::states::{self, Heard, Sent};
use super::waiting::Waiting;
use crate::config::Policy;
use crate::failure::Failure;
use crate::scheduler::{Answer, Order, Shared};
use crate::sys::caught;

/// After how long without a byte a member seems dead, although its connection stands.
const SILENCE: Duration = Duration::from_millis(1500);
/// How often to look at that, when time is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often a node that takes no part any more looks whether there are workers.
const OVER: Duration = Duration::from_millis(50);
/// Messages with more bytes than this go another way than small ones.
const BULK: usize = 64 << 10;
/// How many inputs are taken before time is looked at.
const BATCH: usize = 256;

pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) node: Node,
    pub(super) journal: Sender<Entry>,
    pub(super) calls: Calls,
    /// The call that the node is just told of.
    pub(super) calling: Option<Arc<Waiting<Outcome>>>,
    pub(super) proposals: HashMap<u64, Arc<Waiting<Result<Reply, String>>>>,
    /// What people want, and whom to tell what came of it, by the numbers of the proposals.
    pub(super) orders: HashMap<u64, (String, Answer)>,
    /// States that are on their way from here, until when, and whoever waits.
    pub(super) states: Vec<(ContainerId, Epoch, Instant, Sent)>,
    /// Where members are, by what was agreed on.
    pub(super) addresses: HashMap<NodeId, String>,
    /// Members to which there is no connection, and since when.
    pub(super) away: HashMap<NodeId, Instant>,
    pub(super) tasks: HashMap<TaskNumber, Arc<Running>>,
    /// The pools that are known here, by what was agreed on.
    pub(super) pools: BTreeMap<PoolId, String>,
    pub(super) losses: Losses,
    pub(super) applied: u64,
    /// Why this node is not let in, as it was told last.
    pub(super) kept_out: Option<String>,
    /// Why this node takes no part any more.
    pub(super) stopped: Option<String>,
}

impl Driver {
    /// Whatever this node does after a panic would be worth nothing: then it takes no part any more, and says so.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut Driver) -> R) -> Option<R> {
        let done = caught(|| work(self));
        done.inspect_err(|why| {
            let why = format!("the cluster's node panicked: {why}");
            tracing::error!(why, "this node takes no part in the cluster any more: start it again");
            self.end(&why);
            self.stopped = Some(why);
        })
        .ok()
    }

    fn take(&mut self, input: Input) {
        let at = now();
        if let Some(why) = self.stopped.clone() {
            return self.refuse(input, &why);
        }
        match input {
            Input::Message(from, message) => self.node.receive(at, from, message),
            Input::Heard(from, bytes) => self.hear(from, &bytes),
            Input::Connected(node) => {
                self.node.meet(node);
                self.node.alive(at, node);
            }
            Input::Broken(node) => self.node.suspect(at, node, true),
            Input::Written(number) => self.node.written(at, number),
            Input::Unwritten(why) => {
                let why = format!("the log of the cluster cannot be written: {why}; see to its disk, and start again");
                tracing::error!(why, "this node takes no part in the cluster any more");
                self.end(&why);
                self.stopped = Some(why);
            }
            Input::Call(request, waiting) => {
                self.calling = Some(waiting.clone());
                let number = self.node.call(at, request);
                waiting.set_number(number.0 + 1);
                self.calls.insert(number, waiting);
                self.calling = None;
            }
            Input::CancelCall(waiting) => {
                if let Some(number) = waiting.number.load(Ordering::Relaxed).checked_sub(1) {
                    self.node.cancel(at, CallNumber(number));
                }
            }
            Input::Propose(command, waiting) => self.propose(command, waiting),
            Input::Finished(task, result) => {
                self.tasks.remove(&task);
                self.node.finished(at, task, result);
            }
            Input::Abandoned(call, why) => {
                let is_it = |_: &TaskNumber, running: &mut Arc<Running>| running.serves(call);
                for (task, running) in self.tasks.extract_if(is_it) {
                    running.give_up(&self.cluster);
                    self.node.finished(at, task, refusal(CHI_FAULT, &why).into());
                }
            }
            Input::Opened(container, epoch) => self.node.opened(at, container, epoch),
            Input::CannotOpen(container, epoch, why) => {
                self.node.cannot_open(at, container, epoch, why)
            }
            Input::Closed(container, epoch) => self.node.closed(at, container, epoch),
            Input::CannotClose(container, epoch) => self.node.cannot_close(at, container, epoch),
            Input::AwaitState(container, epoch, bound, sent) => {
                self.states.push((container, epoch, Instant::now() + bound, sent));
            }
            Input::Order(order, answer) => self.order(order, answer),
            Input::Describe(answer) => {
                // Whoever asked may have given up.
                let _ = answer.send(self.describe());
            }
            Input::Refusals(pool, waiting) => {
                let agreed = self.node.agreed();
                let names = |(node, why): (&NodeId, &String)| {
                    format!("node {}: {why}", self.name_of(*node))
                };
                let refused =
                    agreed.pools().get(&pool).map(|pool| pool.refused.iter().map(names).collect());
                waiting.end(&self.shared, refused.unwrap_or_default());
            }
            // Whoever has taken it looks at them next.
            Input::Calls => {}
            Input::End => {
                // Tasks may still call until the pools are closed: they are refused, and none waits for ever.
                let why = "the runtime is stopping";
                self.end(why);
                self.stopped = Some(why.to_owned());
            }
        }
    }

    fn hear(&mut self, from: NodeId, bytes: &[u8]) {
        match states::read(bytes) {
            // These are for the node itself, or nobody.
            Some(Heard::Nodes(_) | Heard::Nothing) => {}
            Some(Heard::Part(part)) => {
                if self.cluster.states.take(from, &part) {
                    let arrived = states::arrived(part.container, part.epoch);
                    // If it is lost, the other node gives the move up, and keeps the container.
                    let _ = self.cluster.endpoint().send(from.0, Class::Control, &[&arrived]);
                }
            }
            Some(Heard::Arrived(container, epoch)) => {
                let is_it = |it: &mut (ContainerId, Epoch, Instant, Sent)| {
                    (it.0, it.1) == (container, epoch)
                };
                for (.., sent) in self.states.extract_if(.., is_it) {
                    sent.end(&self.shared, true);
                }
            }
            Some(Heard::Question(number, question)) => {
                self.cluster.answer(&self.shared, from, number, question);
            }
            Some(Heard::Answer(number, answer)) => {
                self.cluster.questions.answered(from, number, answer);
            }
            None => tracing::warn!(node = from.0, "a message of another node makes no sense"),
        }
    }

    /// Gives up on states that have not arrived in time.
    fn look_at_states(&mut self) {
        let at = Instant::now();
        for (.., sent) in self.states.extract_if(.., |(_, _, until, _)| *until <= at) {
            sent.end(&self.shared, false);
        }
    }

    /// The node with a name.
    fn named(&self, name: &str) -> Result<NodeId, Failure> {
        let members = self.node.agreed().members();
        let found = members.iter().find(|(_, member)| member.name == name);
        found.map(|(node, _)| *node).ok_or_else(|| {
            let names: Vec<_> = members.values().map(|member| &*member.name).collect();
            let names = names.join(", ");
            let message = format!("there is no node '{name}' in the cluster, which has {names}");
            Failure::new(CHI_NOT_FOUND, message)
        })
    }

    /// What a node is called.
    fn name_of(&self, node: NodeId) -> String {
        let member = self.node.agreed().members().get(&node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    }

    /// Does what people want.
    fn order(&mut self, order: Order, answer: Answer) {
        let wanted = match &order {
            Order::Join(address) => {
                let asked = self.cluster.endpoint().connect(*address);
                let failed = |error| Failure::new(CHI_INVALID, format!("{address}: {error}"));
                return answer(asked.map(|()| json!({ "done": true })).map_err(failed));
            }
            Order::Drain(name) => {
                self.named(name).map(|node| (Command::Drain { node }, format!("node '{name}'")))
            }
            Order::Remove(name) => {
                self.named(name).map(|node| (Command::Remove { node }, format!("node '{name}'")))
            }
            Order::Destroy(pool) => match self.node.agreed().pool_named(pool) {
                Some(id) => Ok((Command::DestroyPool { pool: id }, format!("pool '{pool}'"))),
                None => Err(Failure::new(CHI_NO_POOL, format!("there is no pool '{pool}'"))),
            },
            Order::GiveUp(pool, number) => match self.node.agreed().pool_named(pool) {
                Some(id) => {
                    let command = Command::GiveUp { pool: id, number: Some(*number) };
                    Ok((command, format!("container {number} of pool '{pool}'")))
                }
                None => Err(Failure::new(
                    CHI_NO_POOL,
                    format!("there is no pool '{pool}' in the cluster"),
                )),
            },
            Order::Move(pool, number, to) => match self.node.agreed().pool_named(pool) {
                Some(id) => self.named(to).map(|to| {
                    let container = ContainerId { pool: id, number: *number };
                    (
                        Command::Move { container, to },
                        format!("container {number} of pool '{pool}'"),
                    )
                }),
                None => Err(Failure::new(
                    CHI_NO_POOL,
                    format!("there is no pool '{pool}' in the cluster"),
                )),
            },
        };
        let (command, what) = match wanted {
            Ok(wanted) => wanted,
            Err(failure) => return answer(Err(failure)),
        };
        match self.node.propose(now(), command) {
            Ok(number) => drop(self.orders.insert(number, (what, answer))),
            Err(error) => answer(Err(Failure::new(CHI_BUSY, error.to_string()))),
        }
    }

    fn propose(&mut self, command: Command, waiting: Arc<Waiting<Result<Reply, String>>>) {
        match self.node.propose(now(), command) {
            Ok(number) => drop(self.proposals.insert(number, waiting)),
            Err(error) => waiting.end(&self.shared, Err(error.to_string())),
        }
    }

    /// Ends what waits for this node, which takes no part any more. Others see its connections break.
    fn end(&mut self, why: &str) {
        self.cluster.endpoint().stop();
        self.cluster.lease.set(0);
        let calling = self.calling.take();
        for waiting in self.calls.drain().map(|(_, waiting)| waiting).chain(calling) {
            waiting.end(&self.shared, Outcome::NodeLost { may_have_run: true });
        }
        for (_, waiting) in self.proposals.drain() {
            waiting.end(&self.shared, Err(why.to_owned()));
        }
        for (_, (_, answer)) in self.orders.drain() {
            answer(Err(Failure::new(CHI_UNAVAILABLE, why)));
        }
        for (.., sent) in self.states.drain(..) {
            sent.end(&self.shared, false);
        }
    }

    fn refuse(&mut self, input: Input, why: &str) {
        match input {
            Input::Call(_, waiting) => {
                waiting.end(&self.shared, Outcome::NodeLost { may_have_run: false });
            }
            Input::Propose(_, waiting) => waiting.end(&self.shared, Err(why.to_owned())),
            Input::AwaitState(.., sent) => sent.end(&self.shared, false),
            Input::Order(_, answer) => answer(Err(Failure::new(CHI_UNAVAILABLE, why))),
            Input::Describe(answer) => drop(answer.send(json!({ "stopped": why }))),
            Input::Refusals(_, waiting) => waiting.end(&self.shared, vec![why.to_owned()]),
            _ => {}
        }
    }

    /// Does what the node wants done.
    fn follow(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        loop {
            let effects = self.node.effects();
            if effects.is_empty() {
                break self.cluster.lease.set(self.node.lease_until().map_or(0, |until| until.0));
            }
            let mut opens = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Send { to, message } => self.send(to, &message),
                    Effect::Write(write) => {
                        // If its thread has ended, it has said why.
                        let _ = self.journal.send(Entry::Write(write));
                    }
                    Effect::Open { container, epoch } => {
                        let own = self.cluster.life.node;
                        let owned = self.node.agreed().containers().get(&container);
                        let remains = owned.map(|owned| Remains {
                            lost: owned.lost,
                            given_up: owned.given_up,
                            arriving: owned.arriving.is_some(),
                            is_stored_here: owned.stored_on == Some(own),
                        });
                        let remains = remains.unwrap_or_default();
                        opens.push((container.pool, Step::Open { container, epoch, remains }));
                    }
                    Effect::Drop { container } => {
                        // Its answers are worth nothing from now on.
                        self.cluster.end_serving(container);
                        opens.push((container.pool, Step::Drop(container)));
                    }
                    Effect::Close { container, epoch, to } => {
                        opens.push((container.pool, Step::Close { container, epoch, to }));
                    }
                    Effect::Start(start) if is_question(&start.payload) => {
                        self.node.finished(now(), start.task, start.payload);
                    }
                    Effect::Start(start) => {
                        let task = start.task;
                        let running = serve::start(&self.shared, &self.cluster, start);
                        self.tasks.insert(task, running);
                    }
                    Effect::CancelTask(task) => {
                        if let Some(running) = self.tasks.get(&task) {
                            running.cancel(&self.shared);
                        }
                    }
                    Effect::CallEnded(number, outcome) => {
                        if let Some(waiting) = self.calls.remove(&number) {
                            waiting.end(&self.shared, outcome);
                        }
                    }
                    Effect::ProposalEnded(number, reply) => {
                        if let Some((what, answer)) = self.orders.remove(&number) {
                            answer(answered(&what, reply));
                        }
                        if let Some(waiting) = self.proposals.remove(&number) {
                            let none = "the cluster has not agreed in time: is a majority of its voters there?";
                            waiting.end(&self.shared, reply.ok_or_else(|| none.to_owned()));
                        }
                    }
                    Effect::NameTaken => {
                        let why = format!(
                            "another node of the cluster is called '{}': give this one another name (cluster.node), \
                             or remove the other one",
                            self.cluster.name
                        );
                        if self.kept_out.as_ref() != Some(&why) {
                            tracing::error!(why, "this node is not let into the cluster");
                            self.kept_out = Some(why);
                        }
                    }
                    Effect::Removed => {
                        let why = "this node was removed from the cluster; started again, it can join as a new one";
                        // As above.
                        let _ = self.journal.send(Entry::Forget);
                        tracing::error!("{why}");
                        // Whoever has asked for that here gets it: the log itself says no more to this node.
                        let own = format!("node '{}'", self.cluster.name);
                        let asked = |_: &u64, (what, _): &mut (String, Answer)| *what == own;
                        for (_, (_, answer)) in self.orders.extract_if(asked) {
                            answer(Ok(json!({ "done": true })));
                        }
                        self.end(why);
                        self.stopped = Some(why.to_owned());
                    }
                }
            }
            self.follow_agreement();
            for (pool, step) in opens {
                push(&self.shared, &self.cluster, pool, step);
            }
        }
    }

    /// Follows what was agreed on since the last look: members and pools.
    fn follow_agreement(&mut self) {
        let agreed = self.node.agreed();
        if agreed.applied() == self.applied {
            return;
        }
        self.applied = agreed.applied();
        self.losses.follow(&self.shared, agreed);
        self.cluster.places.follow(agreed);
        self.cluster.states.follow(self.cluster.life, agreed);
        for (node, member) in
            agreed.members().iter().filter(|(node, _)| **node != self.cluster.life.node)
        {
            // Not again: a node that has started since may have said where it is now.
            if self.addresses.get(node) == Some(&member.address) {
                continue;
            }
            self.addresses.insert(*node, member.address.clone());
            if let Ok(address) = member.address.parse() {
                if let Err(error) = self.cluster.endpoint().learn(node.0, address) {
                    tracing::warn!(node = &*member.name, %error, "a node cannot be reached");
                }
            }
        }
        let gone: Vec<PoolId> =
            self.pools.keys().filter(|pool| !agreed.pools().contains_key(pool)).copied().collect();
        let mut steps = Vec::new();
        for pool in gone {
            self.pools.remove(&pool);
            steps.push((pool, Step::Remove));
        }
        for (id, pool) in agreed.pools() {
            if self.pools.insert(*id, pool.name.clone()).is_none() {
                let definition = Definition {
                    name: pool.name.clone(),
                    module: pool.module.clone(),
                    params: pool.params.clone(),
                    containers: pool.containers,
                    // A later version's flags mean nothing here.
                    policy: Policy::of_flags(pool.flags & CHI_POOL_ABORTS).unwrap_or_default(),
                };
                steps.push((*id, Step::Install(definition)));
            }
        }
        for (pool, step) in steps {
            push(&self.shared, &self.cluster, pool, step);
        }
    }

    fn send(&self, to: NodeId, message: &Message) {
        let mut head = states::OF_NODES.to_vec();
        let payload = message.encode_head(&mut head).cloned().unwrap_or_default();
        let class = match message {
            Message::Call(_) | Message::Answer(_) if payload.len() > BULK => Class::Bulk,
            Message::Call(_) | Message::Answer(_) | Message::Cancel(_) => Class::Small,
            _ => Class::Control,
        };
        // What cannot be sent is lost, as on the way: it is sent again, or given up.
        let _ = self.cluster.endpoint().send_shared(to.0, class, &head, &payload);
    }

    /// Says which members seem dead.
    fn look_at_members(&mut self) {
        let own = self.cluster.life.node;
        let endpoint = self.cluster.endpoint();
        let peers = endpoint.peers();
        let near = peers.iter().filter(|state| state.connected.is_some());
        let round_trips =
            near.filter_map(|state| Some((NodeId(state.node), state.round_trip?))).collect();
        self.cluster.places.set_round_trips(round_trips);
        let heard: HashMap<u64, Option<Duration>> = peers
            .into_iter()
            .map(|state| (state.node, state.heard.filter(|_| state.connected.is_some())))
            .collect();
        let members: Vec<NodeId> = self.node.agreed().members().keys().copied().collect();
        self.away.retain(|node, _| members.contains(node));
        for node in members.into_iter().filter(|node| *node != own) {
            let seems_dead = match heard.get(&node.0).copied().flatten() {
                Some(age) => {
                    self.away.remove(&node);
                    age >= SILENCE
                }
                None => {
                    // There may have been nothing to say to it for long.
                    let _ = endpoint.send(node.0, Class::Control, &[&states::NOTHING]);
                    self.away.entry(node).or_insert_with(Instant::now).elapsed() >= SILENCE
                }
            };
            match seems_dead {
                true => self.node.suspect(now(), node, false),
                false => self.node.alive(now(), node),
            }
        }
    }

    fn describe(&self) -> serde_json::Value {
        let agreed = self.node.agreed();
        let (term, _) = self.node.term();
        let voters = self.node.voters();
        let leader = self.node.leader();
        let peers: HashMap<u64, _> =
            self.cluster.endpoint().peers().into_iter().map(|state| (state.node, state)).collect();
        let members = agreed.members().iter().map(|(node, member)| {
            let owned = agreed.containers().values();
            let owned = owned.filter(|it| it.owner.is_some_and(|life| life.node == *node)).count();
            let peer = peers.get(&node.0);
            json!({
                "name": member.name,
                "node": node.0.to_string(),
                "boot": member.life.boot.0,
                "address": member.address,
                "standing": standing(&member.standing),
                "voter": voters.contains(node),
                "leads": leader == Some(*node),
                "own": *node == self.cluster.life.node,
                "containers": owned,
                "needed": agreed.is_needed(*node),
                "connected_ms": peer
                    .and_then(|peer| peer.connected)
                    .map(|since| since.elapsed().as_millis() as u64),
                "last_byte_ms": peer
                    .and_then(|peer| peer.heard)
                    .map(|age| age.as_millis() as u64),
                "round_trip_us": peer.and_then(|peer| peer.round_trip).map(|it| it.as_micros() as u64),
            })
        });
        let pools = agreed.pools().iter().map(|(id, pool)| {
            let containers =
                agreed.containers().range(ContainerId::all_of(*id)).map(|(container, owned)| {
                    json!({
                        "container": container.number,
                        "owner": owned.owner.and_then(|life| {
                            agreed.members().get(&life.node).map(|member| member.name.clone())
                        }),
                        "epoch": owned.epoch.0,
                        "moving_to": owned.moving_to.map(|node| {
                            agreed.members().get(&node).map(|member| member.name.clone())
                        }),
                        "lost": owned.lost && owned.owner.is_none(),
                        "made": owned.owner.is_some() && !owned.is_awaited(),
                        "arriving": owned.arriving.is_some(),
                        "stored_on": owned.stored_on.map(|node| self.name_of(node)),
                    })
                });
            json!({
                "name": pool.name,
                "module": pool.module,
                "refused": pool.refused.values().collect::<Vec<_>>(),
                "containers": containers.collect::<Vec<_>>(),
            })
        });
        let is_in = agreed.is_present(self.cluster.life);
        json!({
            "node": self.cluster.name,
            "address": self.cluster.endpoint().local_addr().to_string(),
            "founds_for": Some(self.node.founds_for()).filter(|hosts| *hosts > 0),
            "kept_out": self.kept_out.as_ref().filter(|_| !is_in),
            "term": term,
            "applied": agreed.applied(),
            "members": members.collect::<Vec<_>>(),
            "pools": pools.collect::<Vec<_>>(),
        })
    }
}

impl AtWork for Driver {
    fn go_on_with_calls(&mut self, most: usize) -> usize {
        let mut taken = 0;
        self.guarded(|driver| {
            while taken < most {
                let Some(input) = driver.cluster.next_of_a_call() else { break };
                taken += 1;
                driver.take(input);
                driver.follow();
            }
        });
        taken
    }

    fn take_all(&mut self, mut input: Option<Input>, inbox: &Receiver<Input>) {
        self.guarded(|driver| {
            for _ in 0..BATCH {
                let Some(one) = input.take().or_else(|| inbox.try_recv().ok()) else { break };
                driver.take(one);
                driver.follow();
            }
        });
    }

    fn tick(&mut self, looks: bool) {
        self.guarded(|driver| {
            if driver.stopped.is_none() {
                let founds = driver.node.founds_for() > 0;
                driver.node.tick(now());
                // It still may if it has started again: a node that has a cluster founds none.
                if founds && driver.node.founds_for() == 0 {
                    let node = &*driver.cluster.name;
                    tracing::info!(
                        node,
                        "this node has founded the cluster: no other host knew of one"
                    );
                }
                if looks {
                    driver.look_at_members();
                    driver.look_at_states();
                }
            }
            driver.follow();
        });
    }

    fn rests_for(&self) -> Duration {
        match self.stopped {
            None => self.node.tick_at() - now(),
            Some(_) => OVER,
        }
    }

    fn is_over(&mut self) -> bool {
        let is_over = self.shared.is_ending();
        if is_over && self.stopped.is_none() {
            self.end("the runtime is stopping");
        }
        is_over
    }
}

/// Runs the cluster's thread: it tells the node what is in the inbox, and what time it is, as long as there are workers.
pub(super) fn run(cluster: &Cluster, inbox: &Receiver<Input>, tick: Duration) {
    let mut next_look = Instant::now() + LOOK;
    let mut wait = Duration::ZERO;
    loop {
        let input = match inbox.recv_timeout(wait) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let rests = cluster.with_node(|place| {
            let node = place.as_mut()?;
            node.take_all(input, inbox);
            if node.rests_for().is_zero() {
                let at = Instant::now();
                let looks = at >= next_look;
                if looks {
                    next_look = at + LOOK;
                }
                node.tick(looks);
            }
            if node.is_over() {
                *place = None;
                return None;
            }
            let rests = node.rests_for();
            cluster.set_rests(rests > tick);
            Some(rests)
        });
        let Some(rests) = rests else { return };
        wait = rests;
    }
}

/// What came of something that people wanted.
fn answered(what: &str, reply: Option<Reply>) -> Result<serde_json::Value, Failure> {
    let (status, why) = match reply {
        Some(Reply::Done {}) => return Ok(json!({ "done": true })),
        Some(Reply::NoSuchContainer {}) => (CHI_NOT_FOUND, "there is no such container"),
        Some(Reply::NoSuchNode {}) => {
            (CHI_INVALID, "the node is no member that can own containers")
        }
        Some(Reply::Outdated {}) => (
            CHI_BUSY,
            "not now: the node still has containers or what they store, or the container is on its way, or on a node",
        ),
        Some(Reply::Refused {}) => {
            (CHI_UNSUPPORTED, "the node has said that it cannot make containers of the pool")
        }
        None => (
            CHI_UNAVAILABLE,
            "the cluster has not agreed in time: is a majority of its voters there?",
        ),
        Some(_) => (CHI_FAILED, "the cluster has refused it"),
    };
    Err(Failure::new(status, format!("{what}: {why}")))
}

fn standing(standing: &chimaera_cluster::Standing) -> &'static str {
    use chimaera_cluster::Standing;
    match standing {
        Standing::Joining {} => "joining",
        Standing::Member {} => "member",
        Standing::Draining {} => "draining",
        Standing::Lost { .. } => "lost",
    }
}
