//! A node: its parts, put together. Each input is handled in full before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agree::{Disk, Engine, Entry};
use crate::bounds::{Bounds, Instant};
use crate::calls::{CallNumber, Caller, Payload, Request, Server, TaskNumber};
use crate::effect::Effect;
use crate::guard::{holds, Guard};
use crate::holding::Holdings;
use crate::ids::{ContainerId, Epoch, Life, NodeId};
use crate::leader::{self, Leader};
use crate::lease::Held;
use crate::message::Message;
use crate::proposals::{Proposals, Unproposed};
use crate::state::{Agreed, Command, Proposal, Standing, MAX_NAME};
use crate::view::View;
use crate::wire::{from_bytes, to_bytes};

/// How often a request to join is passed on.
const HOPS: u8 = 3;
/// How long it counts that a node knew of no cluster.
const STRANGE: Duration = Duration::from_secs(3);
/// How long a node that could found a cluster waits for one that knows of one.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a node starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node, in a life that its disk has never seen.
    pub life: Life,
    /// What people call it.
    pub name: String,
    /// Where others reach it.
    pub address: String,
    /// Nodes to ask about the cluster, while this one knows no members.
    pub seeds: Vec<NodeId>,
    /// Of how many nodes the cluster is to consist, if this one founds it where there is none: once it hears from
    /// more than half of them, itself included, and none knows of a cluster. Only one node may have another number
    /// than 0.
    pub founds_for: usize,
    /// What all nodes of the cluster agree on.
    pub bounds: Bounds,
    /// Different on each node.
    pub seed: u64,
}

/// A disk or a name that no node can start with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

impl Unusable {
    fn log(error: &impl std::fmt::Display) -> Unusable {
        Unusable(format!("the log of agreement on this disk cannot be used: {error}"))
    }
}

/// A node of a cluster, as far as decisions go. Not shared between threads.
pub struct Node {
    setup: Setup,
    now: Instant,
    /// Until when the engine knows of the time.
    ticked: Instant,
    /// How many ticks it need not be told of when they are due.
    rest: u32,
    /// It leads, and has spoken to all since it last had its leadership confirmed.
    has_spoken: bool,
    engine: Engine,
    agreed: Agreed,
    lease: Held,
    /// When to ask for a lease next.
    next_renewal: Instant,
    renewals: usize,
    /// How often it has asked to be a member.
    joins: usize,
    leader: Option<(u64, Leader)>,
    caller: Caller,
    server: Server,
    proposals: Proposals,
    /// Nodes that somebody believes to be dead.
    suspects: BTreeSet<NodeId>,
    /// Those of them whose connection broke.
    broken: BTreeSet<NodeId>,
    holdings: Holdings,
    settling: Option<u64>,
    /// Nodes that know of no cluster, and when they said so.
    strangers: BTreeMap<NodeId, Instant>,
    /// When to found the cluster, if nobody knows of one until then.
    founds_from: Option<Instant>,
    is_removed: bool,
    effects: Vec<Effect>,
}

macro_rules! view {
    ($node:ident) => {
        View {
            me: $node.setup.life,
            agreed: &$node.agreed,
            has_lease: $node.lease.holds($node.now, $node.agreed.applied()),
            holdings: &$node.holdings,
            broken: &$node.broken,
        }
    };
}

impl Node {
    /// A node with what its disk has of the log.
    ///
    /// # Errors
    ///
    /// A disk that is not what this node wrote, or a name or an address of more than 255 bytes.
    pub fn new(setup: Setup, disk: Disk, now: Instant) -> Result<Node, Unusable> {
        let life = setup.life;
        if setup.name.len().max(setup.address.len()) > MAX_NAME {
            return Err(Unusable("a node's name or address has more than 255 bytes".to_owned()));
        }
        let engine = Engine::new(life.node, disk, &setup.bounds, setup.seed)
            .map_err(|error| Unusable::log(&error))?;
        let agreed = match engine.base() {
            Some((_, bytes)) => Agreed::from_bytes(bytes).map_err(|error| Unusable::log(&error))?,
            None => Agreed::default(),
        };
        Ok(Node {
            now,
            ticked: now,
            rest: 0,
            has_spoken: false,
            engine,
            agreed,
            lease: Held::default(),
            next_renewal: now,
            renewals: 0,
            joins: 0,
            leader: None,
            caller: Caller::new(life),
            server: Server::new(life),
            proposals: Proposals::new(life),
            suspects: BTreeSet::new(),
            broken: BTreeSet::new(),
            holdings: Holdings::default(),
            settling: None,
            strangers: BTreeMap::new(),
            founds_from: None,
            is_removed: false,
            effects: Vec::new(),
            setup,
        })
    }

    /// What is to be done, in this order.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What the cluster has agreed on, as far as this node knows.
    #[must_use]
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The term of the engine, and whether this node leads in it.
    #[must_use]
    pub fn term(&self) -> (u64, bool) {
        (self.engine.term(), self.engine.leads())
    }

    /// Of how many nodes the cluster is to consist that this node is to found; 0 if it is not.
    #[must_use]
    pub fn founds_for(&self) -> usize {
        self.setup.founds_for
    }

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.engine.leader()
    }

    /// Those who vote, by what this node has applied.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.engine.voters()
    }

    /// Whether voters are changing, as far as this node knows.
    #[cfg(test)]
    pub(crate) fn is_changing_voters(&self) -> bool {
        self.engine.is_changing()
    }

    /// Whether this node may serve a container at a time, and at which epoch.
    #[must_use]
    pub fn serves(&self, now: Instant, container: ContainerId) -> Option<Epoch> {
        let owned = self.agreed.containers().get(&container)?;
        let may = owned.owner == Some(self.setup.life)
            && self.holdings.is_open(container, owned.epoch)
            && self.lease.holds(now, self.agreed.applied());
        may.then_some(owned.epoch)
    }

    /// Until when this node may serve what it owns, by its clock. It may not if that has passed, or for `None`.
    #[must_use]
    pub fn lease_until(&self) -> Option<Instant> {
        self.lease.until(self.agreed.applied())
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        self.pass_time();
        self.drive();
        self.found();
        self.renew();
        self.lead();
        self.settle();
        self.look_at_holdings();
        let bounds = self.setup.bounds.clone();
        for proposal in self.proposals.due(&bounds, now) {
            self.propose_to_leader(proposal);
        }
        self.drive();
        self.look();
        self.rest = self.rests_for();
    }

    /// When [`Node::tick`] is to be called next. It is later while there is nothing to do: whoever waits for it has to ask
    /// again after every other call.
    #[must_use]
    pub fn tick_at(&self) -> Instant {
        let ticks = if self.rests() { 1 + self.rest } else { 1 };
        self.ticked + self.setup.bounds.tick * ticks
    }

    /// Tells the engine of the time that has passed. Not of more than it was to rest: then this node did not run, and
    /// others may have spoken meanwhile.
    fn pass_time(&mut self) {
        let tick = self.setup.bounds.tick;
        let passed = ((self.now - self.ticked).as_nanos() / tick.as_nanos().max(1)) as u32;
        let told = passed.min(1 + self.rest);
        for _ in 0..told {
            self.engine.tick();
            self.has_spoken |= self.engine.has_spoken();
        }
        self.ticked = if passed > told { self.now } else { self.ticked + tick * told };
        self.rest = self.rest.saturating_sub(told);
    }

    /// Whether this node has nothing to do but to show that it lives.
    fn rests(&self) -> bool {
        self.caller.is_idle()
            && self.server.rests()
            && self.proposals.is_empty()
            && self.holdings.rest()
            && self.suspects.is_empty()
            && self.leader.as_ref().is_none_or(|(_, leader)| leader.rests())
    }

    /// Whether it is a member that may serve, of a cluster in which nobody comes, goes or is lost.
    fn is_well(&self) -> bool {
        let members = self.agreed.members();
        self.rests()
            && self.agreed.is_present(self.setup.life)
            && self.engine.leader().is_some()
            && self.lease.holds(self.now, self.agreed.applied())
            && members.values().all(|member| member.standing == Standing::Member {})
    }

    /// For how many ticks there will be nothing to do, as things are.
    fn rests_for(&self) -> u32 {
        let has_duties = || {
            let me = self.setup.life.node;
            self.leader.is_some() && leader::voters(&self.engine, &self.agreed, me).is_some()
        };
        if !self.is_well() || has_duties() {
            return 0;
        }
        let tick = self.setup.bounds.tick.as_nanos().max(1);
        let renewal = (self.next_renewal - self.ticked).as_nanos().div_ceil(tick);
        self.engine.rests_for().min((renewal as u32).saturating_sub(1))
    }

    /// A message has come.
    pub fn receive(&mut self, now: Instant, from: NodeId, message: Message) {
        self.now = now;
        if matches!(message, Message::Packet(_)) {
            self.pass_time();
        }
        self.handle(from, message);
        self.drive();
    }

    /// A write is on the disk, and all before it.
    pub fn written(&mut self, now: Instant, number: u64) {
        self.now = now;
        self.pass_time();
        for packet in self.engine.written(number) {
            self.send(packet.to(), Message::Packet(packet));
        }
        self.drive();
    }

    /// A node seems dead. `broken`: its connection broke and cannot be made again, so calls to it end.
    pub fn suspect(&mut self, now: Instant, node: NodeId, broken: bool) {
        self.now = now;
        if node == self.setup.life.node {
            return;
        }
        self.suspects.insert(node);
        if broken && self.broken.insert(node) {
            if self.engine.leader() == Some(node) {
                self.pass_time();
                self.engine.miss_leader();
            }
            self.look();
        }
    }

    /// Another node has been met, which may know of the cluster.
    pub fn meet(&mut self, node: NodeId) {
        if node != self.setup.life.node && !self.setup.seeds.contains(&node) {
            self.setup.seeds.push(node);
        }
    }

    /// A node shows signs of life.
    pub fn alive(&mut self, now: Instant, node: NodeId) {
        self.now = now;
        self.suspects.remove(&node);
        if self.broken.remove(&node) {
            self.look();
        }
    }

    /// Wants something agreed on. Ends with [`Effect::ProposalEnded`].
    ///
    /// # Errors
    ///
    /// Too many are under way, or the command is too large.
    pub fn propose(&mut self, now: Instant, command: Command) -> Result<u64, Unproposed> {
        self.now = now;
        command.check()?;
        Ok(self.proposals.begin(&self.setup.bounds, now, command)?)
    }

    /// Calls a container, wherever it is. Ends with [`Effect::CallEnded`].
    pub fn call(&mut self, now: Instant, request: Request) -> CallNumber {
        self.now = now;
        let mut effects = Vec::new();
        let bounds = self.setup.bounds.clone();
        let number = self.caller.begin(&bounds, now, &view!(self), request, &mut effects);
        self.perform(effects);
        number
    }

    /// The caller wants no more of a call.
    pub fn cancel(&mut self, now: Instant, number: CallNumber) {
        self.now = now;
        let mut effects = Vec::new();
        self.caller.cancel(number, &mut effects);
        self.perform(effects);
    }

    /// A task has ended.
    pub fn finished(&mut self, now: Instant, task: TaskNumber, result: Payload) {
        self.now = now;
        let mut effects = Vec::new();
        let bounds = self.setup.bounds.clone();
        self.server.finished(&bounds, now, &view!(self), task, result, &mut effects);
        self.perform(effects);
        self.look_at_holdings();
        self.drive();
    }

    /// A container is there, and can take tasks.
    pub fn opened(&mut self, now: Instant, container: ContainerId, epoch: Epoch) {
        self.now = now;
        self.holdings.opened(container, epoch);
        self.look_at_holdings();
        self.look();
    }

    /// A container cannot be made here: its module is not there, or does not take the parameters. It goes to another
    /// node, and this one gets no more of its pool in this life. `why` is for people, and is cut at 255 bytes; it is empty
    /// if only the state is not here that was handed over.
    pub fn cannot_open(
        &mut self,
        now: Instant,
        container: ContainerId,
        epoch: Epoch,
        mut why: String,
    ) {
        self.now = now;
        let most = MAX_NAME.min(why.len());
        let end = (0..=most).rev().find(|end| why.is_char_boundary(*end));
        why.truncate(end.unwrap_or(0));
        self.holdings.cannot_open(container, epoch, why);
        self.look_at_holdings();
    }

    /// A container's state cannot be given to the next owner: it stays, and is served as before.
    pub fn cannot_close(&mut self, now: Instant, container: ContainerId, epoch: Epoch) {
        self.now = now;
        self.holdings.cannot_close(container, epoch);
        self.look_at_holdings();
        self.drive();
        self.look();
    }

    /// A container's state is with the next owner. It is not to be served again.
    pub fn closed(&mut self, now: Instant, container: ContainerId, epoch: Epoch) {
        self.now = now;
        self.holdings.closed(container, epoch);
        self.look_at_holdings();
        self.drive();
    }

    fn handle(&mut self, from: NodeId, message: Message) {
        let (bounds, now) = (self.setup.bounds.clone(), self.now);
        match message {
            Message::Packet(packet) => self.engine.receive(packet),
            Message::Join { life, name, address, hops } => {
                if hops == 0 && from != self.setup.life.node {
                    // Whoever has heard of a term is being let in by somebody.
                    let of_cluster = !self.agreed.members().is_empty() || self.engine.term() > 0;
                    self.send(from, Message::Known { life, of_cluster });
                }
                // As long as it votes, the others may need it.
                let votes = self.engine.voters().contains(&life.node);
                if self.agreed.is_removed(life.node) && !votes {
                    self.send(life.node, Message::Removed { life });
                } else if self.leader.is_some() && self.agreed.is_taken(&name, life.node) {
                    self.send(life.node, Message::NameTaken { life });
                } else if let Some((_, leader)) = &mut self.leader {
                    if self.agreed.members().get(&life.node).is_none_or(|m| m.life.boot < life.boot)
                    {
                        leader.wants_to_join(life, name, address);
                    } else if !self.agreed.is_present(life) {
                        leader.is_back(life);
                    }
                } else if let Some(to) = self.engine.leader().filter(|_| hops < HOPS) {
                    let hops = hops + 1;
                    self.send(to, Message::Join { life, name, address, hops });
                }
            }
            Message::Propose(proposal) => {
                if self.engine.leads() {
                    self.engine.propose(to_bytes(&proposal));
                }
            }
            Message::Renew { life, number } => self.asked_for_lease(life, number),
            Message::Grant { life, number, needs } => {
                if life == self.setup.life {
                    self.lease.granted(&bounds, now, number, needs);
                    self.look();
                }
            }
            Message::NameTaken { life } => {
                if life == self.setup.life {
                    self.effects.push(Effect::NameTaken);
                }
            }
            Message::Removed { life } => {
                if life == self.setup.life {
                    self.leave();
                }
            }
            Message::Known { life, of_cluster } => {
                if life == self.setup.life && !of_cluster {
                    self.strangers.insert(from, now);
                } else if life == self.setup.life && holds(Guard::AskBeforeFounding) {
                    // It will let this node in, however long that takes.
                    self.setup.founds_for = 0;
                }
            }
            Message::Call(call) => {
                let mut effects = Vec::new();
                self.server.receive(&bounds, now, &view!(self), call, &mut effects);
                self.perform(effects);
            }
            Message::Answer(answer) => {
                let is_from = answer.place.server.node == from;
                if is_from && answer.place.caller == self.setup.life {
                    let mut effects = Vec::new();
                    self.caller.answer(&bounds, now, &view!(self), answer, &mut effects);
                    self.perform(effects);
                }
            }
            Message::Cancel(place) => {
                let mut effects = Vec::new();
                self.server.cancel(place, &mut effects);
                self.perform(effects);
            }
        }
    }

    fn asked_for_lease(&mut self, life: Life, number: u64) {
        let Some((_, leader)) = &mut self.leader else { return };
        self.suspects.remove(&life.node);
        if self.agreed.is_present(life) {
            if holds(Guard::ConfirmedLeader) {
                leader.leases.asked(life, number);
            } else {
                leader.leases.grant(self.now, life.node);
                let needs = self.agreed.members()[&life.node].changed_at;
                self.send(life.node, Message::Grant { life, number, needs });
            }
        } else {
            leader.is_back(life);
        }
    }

    /// Founds the cluster, if that is for this node to do and enough others know of none.
    fn found(&mut self) {
        let nodes = self.setup.founds_for;
        if nodes == 0 || !self.agreed.members().is_empty() || self.engine.term() > 0 {
            return;
        }
        self.strangers.retain(|_, at| self.now < *at + STRANGE);
        if 2 * (self.strangers.len() + 1) <= nodes {
            self.founds_from = None;
        } else if self.founds_from.is_none() {
            self.founds_from = Some(self.now + LAST_WORD);
        }
        // A member that is reached a little later than the others speaks up meanwhile.
        let asked = self.founds_from.is_some_and(|from| self.now >= from);
        if holds(Guard::AskBeforeFounding) && !asked {
            return;
        }
        let Setup { life, name, address, bounds, seed, .. } = &self.setup;
        let disk = Disk::founded_by(*life, name, address);
        let engine = Engine::new(life.node, disk, bounds, *seed).expect("a log just founded");
        let (_, base) = engine.base().expect("it begins with a state");
        let agreed = Agreed::from_bytes(base).expect("a state just written");
        self.effects.push(Effect::Write(Disk::founding(*life, name, address)));
        (self.engine, self.agreed) = (engine, agreed);
        self.setup.founds_for = 0;
        self.has_applied();
    }

    /// Asks for a lease when it is time, and whoever may know the leader to be a member when there is none.
    fn renew(&mut self) {
        if self.now < self.next_renewal || self.is_removed {
            return;
        }
        self.next_renewal = self.ticked + self.setup.bounds.renewal;
        self.renewals += 1;
        let life = self.setup.life;
        if self.agreed.members().get(&life.node).is_some_and(|member| member.life == life) {
            if let Some(leader) = self.engine.leader() {
                let number = self.lease.ask(self.now);
                self.send(leader, Message::Renew { life, number });
            }
        }
        let is_member = self.agreed.is_present(life);
        if !is_member
            || (!self.lease.holds(self.now, self.agreed.applied())
                && self.renewals.is_multiple_of(4))
        {
            let mut others: Vec<NodeId> = self.agreed.members().keys().copied().collect();
            others.extend(&self.setup.seeds);
            others.retain(|node| *node != life.node);
            self.joins += 1;
            if self.setup.founds_for == 0 && !others.is_empty() {
                others = vec![others[self.joins % others.len()]];
            }
            for to in others {
                let (name, address) = (self.setup.name.clone(), self.setup.address.clone());
                self.send(to, Message::Join { life, name, address, hops: 0 });
            }
            if self.leader.is_some() {
                let (name, address) = (self.setup.name.clone(), self.setup.address.clone());
                self.handle(life.node, Message::Join { life, name, address, hops: 0 });
            }
        }
    }

    /// What a leader does with time.
    fn lead(&mut self) {
        let rests = self.is_well();
        let Some((_, leader)) = &mut self.leader else { return };
        let (bounds, now, me) = (&self.setup.bounds, self.now, self.setup.life);
        let duties = leader.duties(bounds, now, me.node, &self.agreed, &self.suspects);
        for command in duties {
            let proposal = Proposal { origin: me, number: 0, floor: 0, command };
            self.engine.propose(to_bytes(&proposal));
        }
        // The others are asked for that together with what they are told anyway, as long as there is nothing else to do.
        if std::mem::take(&mut self.has_spoken) || !rests {
            if let Some(number) = leader.leases.confirm() {
                self.engine.confirm(number);
            }
        }
        if self.engine.can_change() {
            if let Some(change) = leader::voters(&self.engine, &self.agreed, me.node) {
                self.engine.change(change);
            }
        }
        let standing =
            |node: &NodeId| self.agreed.members().get(node).map(|member| member.standing);
        let voters = self.engine.voters();
        if standing(&me.node) != Some(Standing::Member {}) || !voters.contains(&me.node) {
            // Another is to lead.
            let mut near =
                voters.iter().filter(|node| **node != me.node && self.engine.is_near(**node));
            let good = near.clone().find(|node| standing(node) == Some(Standing::Member {}));
            // One that is not better only if this one has no vote: or two that drain would never stop.
            let any = near.next().filter(|_| !voters.contains(&me.node));
            if let Some(to) = good.or(any) {
                self.engine.hand_leadership(*to);
            }
        }
    }

    /// A node that has entered, and sees so, has caught up.
    fn settle(&mut self) {
        let life = self.setup.life;
        let is_joining =
            self.agreed.members().get(&life.node).is_some_and(|member| {
                member.life == life && member.standing == (Standing::Joining {})
            });
        if is_joining && self.settling.is_none_or(|number| !self.proposals.is_open(number)) {
            let command = Command::Settle { life };
            self.settling = self.proposals.begin(&self.setup.bounds, self.now, command).ok();
        }
    }

    /// Follows the engine until it has nothing more to say.
    fn drive(&mut self) {
        loop {
            let output = self.engine.output();
            let is_quiet = output.packets.is_empty()
                && output.writes.is_empty()
                && output.entries.is_empty()
                && output.confirmed.is_empty();
            for write in output.writes {
                self.effects.push(Effect::Write(write));
            }
            for packet in output.packets {
                self.send(packet.to(), Message::Packet(packet));
            }
            let has_applied = !output.entries.is_empty();
            for entry in output.entries {
                self.apply(entry);
            }
            match (self.engine.leads(), self.engine.term()) {
                (true, term) if self.leader.as_ref().is_none_or(|(of, _)| *of != term) => {
                    self.leader = Some((term, Leader::new(self.now)));
                }
                (true, _) => {}
                (false, _) => self.leader = None,
            }
            if let Some((_, leader)) = &mut self.leader {
                for (number, index) in output.confirmed {
                    leader.confirmed(number, index);
                }
                for (life, number, needs) in leader.grants(self.now, &self.agreed) {
                    self.send(life.node, Message::Grant { life, number, needs });
                }
            }
            if has_applied {
                self.has_applied();
            }
            if is_quiet {
                return;
            }
        }
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Proposal(index, bytes) => match from_bytes::<Proposal>(&bytes) {
                Ok(proposal) => {
                    self.agreed.apply(index, &proposal);
                }
                // A later version's: what it means must not depend on who reads it.
                Err(_) => self.agreed.pass(index),
            },
            Entry::Own(index) => self.agreed.pass(index),
            Entry::Voters(index, conf) => {
                self.agreed.pass(index);
                self.engine.offer(index, self.agreed.to_bytes(), conf);
            }
            Entry::Snapshot(bytes) => {
                if let Ok(agreed) = Agreed::from_bytes(&bytes) {
                    self.agreed = agreed;
                }
            }
        }
    }

    /// Follows what was agreed on.
    fn has_applied(&mut self) {
        self.holdings.follow(self.setup.life, &self.agreed, &mut self.effects);
        for task in self.server.outdated(&view!(self)) {
            self.effects.push(Effect::CancelTask(task));
        }
        self.proposals.poll(&self.setup.bounds, self.now, &self.agreed, &mut self.effects);
        if self.engine.log_length() >= self.setup.bounds.log_length {
            let (index, state) = (self.agreed.applied(), self.agreed.to_bytes());
            self.effects.extend(self.engine.compact(index, state).map(Effect::Write));
        }
        self.look_at_holdings();
        self.look();
    }

    /// Moves the containers of this node along.
    fn look_at_holdings(&mut self) {
        let (bounds, now, server) = (&self.setup.bounds, self.now, &self.server);
        self.holdings.look(bounds, now, server, &mut self.proposals, &mut self.effects);
    }

    /// Looks at calls again: time has passed, or something is known that was not.
    fn look(&mut self) {
        let (bounds, now) = (self.setup.bounds.clone(), self.now);
        let mut effects = Vec::new();
        self.server.poll(&bounds, now, &view!(self), &mut effects);
        self.caller.poll(&bounds, now, &view!(self), &mut effects);
        self.proposals.poll(&bounds, now, &self.agreed, &mut effects);
        self.perform(effects);
    }

    fn propose_to_leader(&mut self, proposal: Proposal) {
        if self.engine.leads() {
            self.engine.propose(to_bytes(&proposal));
        } else if let Some(to) = self.engine.leader() {
            self.send(to, Message::Propose(proposal));
        }
    }

    fn leave(&mut self) {
        if !self.is_removed {
            self.is_removed = true;
            self.effects.push(Effect::Removed);
        }
    }

    fn send(&mut self, to: NodeId, message: Message) {
        if to == self.setup.life.node {
            self.handle(to, message);
        } else {
            self.effects.push(Effect::Send { to, message });
        }
    }

    /// Passes effects on; what is for this node itself is handled at once.
    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => self.send(to, message),
                effect => self.effects.push(effect),
            }
        }
    }
}
