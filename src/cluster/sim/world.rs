//! The events of a simulated cluster, in the order of true time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;

use super::check::{stores, Check, Checked};
use super::clock::{Clock, Time, MS, SECOND};
use super::host::{Crash, Host};
use super::network::Network;
use super::random::Sequence;
use crate::agree::Disk;
use crate::bounds::{Bounds, Instant};
use crate::calls::{CallNumber, Outcome, TaskNumber, Verdict};
use crate::effect::Effect;
use crate::ids::{BootId, ContainerId, Epoch, Life, NodeId};
use crate::message::Message;
use crate::node::{Node, Setup};
use crate::state::Command;

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// The one of this number; others are not due any more.
    Tick(u64),
    Deliver {
        from: usize,
        as_node: NodeId,
        to_node: NodeId,
        message: Box<Message>,
    },
    Synced,
    TaskEnds(TaskNumber),
    Opened(ContainerId, Epoch),
    CannotOpen(ContainerId, Epoch),
    Closed(ContainerId, Epoch, NodeId),
    Kept(ContainerId, Epoch),
    Restart,
    Pulse,
    Fault,
    Work,
}

/// An event for a host in one incarnation; those for no host have 0 and 0.
#[derive(Debug)]
struct Due {
    host: usize,
    incarnation: u64,
    event: Event,
}

pub(super) struct World {
    pub(super) now: Time,
    pub(super) random: Sequence,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    pub(super) check: Check,
    pub(super) bounds: Bounds,
    /// Whether there was a cluster from the beginning.
    is_founded: bool,
    /// Whether faults still happen, and work other than calls.
    pub(super) stormy: bool,
    pub(super) works: bool,
    pub(super) next_node: u64,
    pub(super) next_call: u64,
    pub(super) next_name: u64,
    pub(super) open_calls: BTreeMap<(usize, u64, CallNumber), u64>,
    pub(super) open_proposals: BTreeSet<(usize, u64, u64)>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: BTreeMap<(Time, u64), Due>,
    sequence: u64,
    trace: bool,
}

impl World {
    /// A cluster that is there, or is to be founded by the first of its nodes.
    pub(super) fn new(seed: u64, is_founded: bool, trace: bool) -> World {
        let mut random = Sequence::new(seed);
        let count = [3, 3, 3, 4, 4, 5, 5, 6, 7, 9][random.below(10) as usize];
        // The clocks of half of the worlds are far worse than real ones: so the margin shows.
        let drift_ppm = [1_000, 40_000][random.below(2) as usize];
        let bounds = Bounds {
            drift_ppm,
            log_length: [20, 100, 1_000][random.below(3) as usize],
            window: [4, 32][random.below(2) as usize],
            ..Bounds::default()
        };
        let mut hosts = Vec::new();
        for host in 0..count {
            let life = Life { node: NodeId(host as u64 + 1), boot: BootId(1) };
            let disk = match host {
                0 if is_founded => Disk::founded_by(life, "host-0", "0"),
                _ => Disk::default(),
            };
            let mut fast = random.below(2 * u64::from(drift_ppm) + 1) as i64;
            if random.below(2) == 0 {
                fast = fast / i64::from(drift_ppm).max(1) * i64::from(drift_ppm);
            }
            let clock = Clock::new(random.below(1 << 50), fast - i64::from(drift_ppm));
            hosts.push(Host::new(life, disk, clock, count));
        }
        let mut world = World {
            now: 0,
            random,
            hosts,
            network: Network::default(),
            check: Check::default(),
            bounds,
            is_founded,
            stormy: true,
            works: true,
            next_node: 100,
            next_call: 0,
            next_name: 0,
            open_calls: BTreeMap::new(),
            open_proposals: BTreeSet::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            trace,
        };
        for host in 0..count {
            world.start(host);
        }
        world.at(200 * MS, Event::Pulse);
        world.at(1_500 * MS, Event::Work);
        world.at(2_000 * MS, Event::Fault);
        world
    }

    /// Starts a host's node.
    pub(super) fn start(&mut self, host: usize) {
        let seed = self.random.next();
        let at = &self.hosts[host];
        let setup = Setup {
            life: at.life,
            name: format!("host-{host}"),
            address: host.to_string(),
            seeds: Vec::new(),
            founds_for: if host == 0 && !self.is_founded { self.hosts.len() } else { 0 },
            bounds: self.bounds.clone(),
            seed,
        };
        let now = at.clock.at(self.now);
        let mut setup = setup;
        setup.seeds = self.hosts.iter().map(|other| other.life.node).collect();
        let at = &mut self.hosts[host];
        let node = Node::new(setup, at.disk.clone(), now).expect("its own disk");
        at.node = Some(node);
        self.tell(host, || "starts".to_owned());
        let phase = self.random.below(50) * MS;
        self.plan_tick(host, phase, now);
    }

    /// Lets time pass for a host, after a time; not at another time that was planned.
    fn plan_tick(&mut self, host: usize, after: Time, at: Instant) {
        let number = self.hosts[host].tick.0 + 1;
        self.hosts[host].tick = (number, at);
        self.on(host, after, Event::Tick(number));
    }

    /// Lets an event happen to a host, after a time.
    pub(super) fn on(&mut self, host: usize, after: Time, event: Event) {
        let incarnation = self.hosts[host].incarnation;
        self.push(self.now + after, Due { host, incarnation, event });
    }

    /// Lets an event happen to all, after a time.
    pub(super) fn at(&mut self, after: Time, event: Event) {
        self.push(self.now + after, Due { host: 0, incarnation: 0, event });
    }

    fn push(&mut self, time: Time, due: Due) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence)));
        self.events.insert((time, self.sequence), due);
    }

    /// Lets everything happen up to a time.
    pub(super) fn run_until(&mut self, end: Time) -> Checked {
        while let Some(Reverse((time, sequence))) = self.queue.peek().copied() {
            if time > end {
                break;
            }
            self.queue.pop();
            let due = self.events.remove(&(time, sequence)).expect("it is queued");
            self.now = time;
            self.happen(due)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, due: Due) -> Checked {
        let Due { host, incarnation, event } = due;
        match event {
            Event::Pulse => return self.pulse(),
            Event::Fault => return self.fault(),
            Event::Work => return self.work(),
            Event::Restart if self.hosts[host].incarnation == incarnation => {
                let fresh = NodeId(self.next_node);
                self.next_node += 1;
                self.hosts[host].next_life(fresh);
                self.start(host);
                return Ok(());
            }
            _ => {}
        }
        let at = &mut self.hosts[host];
        if at.incarnation != incarnation || at.node.is_none() {
            return Ok(());
        }
        if at.paused_until > self.now {
            // What comes meanwhile waits, in its order.
            let until = at.paused_until;
            self.push(until, Due { host, incarnation, event });
            return Ok(());
        }
        self.check.counts.events += 1;
        let now = at.clock.at(self.now);
        let node = at.node.as_mut().expect("it runs");
        let before = node.agreed().applied();
        let mut looks = true;
        match event {
            Event::Tick(number) if number != at.tick.0 => return Ok(()),
            Event::Tick(_) => {
                node.tick(now);
                at.tick.1 = Instant(u64::MAX);
            }
            Event::Deliver { from, as_node, to_node, message } => {
                if to_node != at.life.node {
                    return Ok(());
                }
                if self.trace {
                    eprintln!("{:>9} us  {} <- {from}: {message:?}", self.now / 1000, at.life);
                }
                looks = matches!(*message, Message::Packet(_) | Message::Grant { .. });
                node.receive(now, as_node, *message);
            }
            Event::Synced => {
                if let Some(write) = at.unsynced.pop_front() {
                    at.disk.write(&write);
                    if write.number != 0 {
                        node.written(now, write.number);
                    }
                }
            }
            Event::TaskEnds(task) => {
                if let Some(start) = at.tasks.remove(&task) {
                    node.finished(now, task, start.payload);
                }
            }
            Event::Opened(container, epoch) => {
                let owned = node.agreed().containers().get(&container).copied();
                let own = owned.filter(|it| it.owner == Some(at.life) && it.epoch == epoch);
                if let Some(owned) = own {
                    let is_stored = owned.stored_on == Some(at.life.node);
                    let state = at.states.get(&container).filter(|saved| **saved < epoch);
                    if owned.arriving.is_some() && state.is_none() && !is_stored {
                        // It has started again since the state came.
                        node.cannot_open(now, container, epoch, String::new());
                    } else if stores(container) && !is_stored {
                        // Not before that is agreed on.
                        self.propose(host, Command::Store { container, epoch });
                        self.on(host, 30 * MS, Event::Opened(container, epoch));
                    } else {
                        let has_state = is_stored || state.is_some();
                        at.states.remove(&container);
                        self.check.makes(container, &owned, at.life, has_state)?;
                        node.opened(now, container, epoch);
                    }
                }
            }
            Event::CannotOpen(container, epoch) => {
                self.check.counts.refused += 1;
                node.cannot_open(now, container, epoch, "no module".to_owned());
            }
            Event::Closed(container, epoch, to) => {
                at.states.insert(container, epoch);
                node.closed(now, container, epoch);
                let next = self.hosts.iter_mut().find(|other| other.life.node == to);
                if let Some(next) = next.filter(|other| other.node.is_some()) {
                    next.states.insert(container, epoch);
                }
            }
            Event::Kept(container, epoch) => node.cannot_close(now, container, epoch),
            Event::Restart | Event::Pulse | Event::Fault | Event::Work => {}
        }
        self.follow(host)?;
        if looks {
            self.check.host(&self.hosts, host, self.now, before)?;
        }
        Ok(())
    }

    /// Does what a node wants done.
    pub(super) fn follow(&mut self, host: usize) -> Checked {
        let Some(node) = &mut self.hosts[host].node else { return Ok(()) };
        for effect in node.effects() {
            match effect {
                Effect::Send { to, message } => self.send(host, to, message)?,
                Effect::Write(write) => {
                    self.hosts[host].unsynced.push_back(write);
                    let slow = self.stormy && self.random.below(50) == 0;
                    let takes = if slow { 40 * MS } else { MS };
                    let after = MS / 10 + self.random.below(takes);
                    self.on(host, after, Event::Synced);
                }
                Effect::Open { container, epoch } => {
                    let after = self.random.below(MS);
                    let refuses = self.stormy && self.random.below(20) == 0;
                    self.on(
                        host,
                        after,
                        match refuses {
                            true => Event::CannotOpen(container, epoch),
                            false => Event::Opened(container, epoch),
                        },
                    );
                }
                Effect::Close { container, epoch, to } => {
                    let after = self.random.below(30 * MS);
                    let fails = self.stormy && self.random.below(8) == 0;
                    let event = match fails {
                        true => Event::Kept(container, epoch),
                        false => Event::Closed(container, epoch, to),
                    };
                    self.on(host, after, event);
                }
                Effect::Drop { .. } => {}
                Effect::Start(start) => {
                    let id = u64::from_le_bytes(start.payload[..].try_into().expect("a number"));
                    self.tell(host, || format!("starts call {id} in {}", start.container));
                    self.check.starts(&self.hosts[host], self.now, &start, id)?;
                    let takes = match self.random.below(100) {
                        0 if self.stormy => 3 * SECOND,
                        1..=8 => 600 * MS,
                        _ => 20 * MS,
                    };
                    let after = self.random.below(takes);
                    self.on(host, after, Event::TaskEnds(start.task));
                    self.hosts[host].tasks.insert(start.task, start);
                }
                Effect::CancelTask(task) => {
                    if self.random.below(2) == 0 {
                        self.on(host, MS, Event::TaskEnds(task));
                    }
                }
                Effect::CallEnded(number, outcome) => self.call_ended(host, number, outcome)?,
                Effect::ProposalEnded(number, _) => {
                    let incarnation = self.hosts[host].incarnation;
                    self.open_proposals.remove(&(host, incarnation, number));
                }
                Effect::NameTaken => {}
                Effect::Removed => {
                    self.tell(host, || "was removed".to_owned());
                    self.crash(host, Crash::Disk, SECOND);
                    return Ok(());
                }
            }
        }
        let at = &self.hosts[host];
        if let Some(tick_at) = at.node.as_ref().map(Node::tick_at).filter(|due| *due < at.tick.1) {
            let after = tick_at - at.clock.at(self.now);
            self.plan_tick(host, u64::try_from(after.as_nanos()).expect("short"), tick_at);
        }
        Ok(())
    }

    fn call_ended(&mut self, host: usize, number: CallNumber, outcome: Outcome) -> Checked {
        let key = (host, self.hosts[host].incarnation, number);
        let id = self.open_calls.remove(&key).expect("it was begun, and has not ended");
        self.tell(host, || format!("call {id} ends: {outcome:?}"));
        self.check.ended(&self.hosts, self.now, id, outcome)
    }

    fn send(&mut self, host: usize, to: NodeId, message: Message) -> Checked {
        if let Message::Answer(answer) = &message {
            if let Verdict::Done(result) = &answer.verdict {
                let id = u64::from_le_bytes(result[..].try_into().expect("a number"));
                let container = self.check.container_of(id);
                let at = &self.hosts[host];
                self.check.answers(at, self.now, answer.place, container, answer.epoch)?;
            }
        }
        let Some(target) = self.hosts.iter().position(|other| other.life.node == to) else {
            return Ok(());
        };
        let as_node = self.hosts[host].life.node;
        let spite = self.stormy && message_is_vote(&message) && self.random.below(10) == 0;
        let delays = self.network.send(&mut self.random, host, target, &message);
        let sent = if delays.is_empty() { Bytes::new() } else { message.encode().into() };
        for delay in delays {
            let message =
                Box::new(Message::decode(&sent).map_err(|e| format!("{e}: {message:?}"))?);
            self.on(target, delay, Event::Deliver { from: host, as_node, to_node: to, message });
        }
        if spite && self.hosts[host].node.is_some() {
            // Power fails just after a vote was given.
            self.crash(host, Crash::Unsynced { kept: 0 }, 20 * MS);
        }
        Ok(())
    }

    /// A host's node dies, and starts again after a time.
    pub(super) fn crash(&mut self, host: usize, crash: Crash, restart: Time) {
        self.tell(host, || format!("dies: {crash:?}"));
        let incarnation = self.hosts[host].incarnation;
        let of_it = |key: &(usize, u64, CallNumber)| key.0 == host && key.1 == incarnation;
        let died: Vec<_> = self.open_calls.keys().copied().filter(of_it).collect();
        for key in died {
            let id = self.open_calls.remove(&key).expect("it is there");
            let call = self.check.calls.get_mut(&id).expect("it was begun");
            call.ended = Some(Outcome::Cancelled { may_have_run: true });
        }
        self.open_proposals.retain(|key| key.0 != host);
        self.hosts[host].crash(crash);
        self.on(host, restart, Event::Restart);
    }

    /// Everybody's failure detector: it is right in the long run.
    fn pulse(&mut self) -> Checked {
        self.at(200 * MS, Event::Pulse);
        for here in 0..self.hosts.len() {
            let at = &self.hosts[here];
            if at.node.is_none() || at.paused_until > self.now {
                continue;
            }
            for there in 0..self.hosts.len() {
                if here == there {
                    continue;
                }
                let other = &self.hosts[there];
                let (node, is_up) = (other.life.node, other.node.is_some());
                let answers = is_up && other.paused_until <= self.now;
                let heard = answers && self.network.carries(there, here);
                let wrong = self.stormy && self.random.below(400) == 0;
                let broken = (!is_up || wrong) && self.random.below(2) == 0;
                let now = self.hosts[here].clock.at(self.now);
                let at = &mut self.hosts[here];
                let misses = if heard { 0 } else { at.misses[there] + 1 };
                at.misses[there] = misses;
                let node_here = at.node.as_mut().expect("it runs");
                if wrong || misses == 3 || (misses > 0 && broken) {
                    node_here.suspect(now, node, broken);
                } else if heard {
                    node_here.alive(now, node);
                }
            }
            self.suspect_former(here);
            self.follow(here)?;
        }
        Ok(())
    }

    /// Nobody answers under the id of a disk that is lost.
    fn suspect_former(&mut self, here: usize) {
        let present: Vec<NodeId> = self.hosts.iter().map(|host| host.life.node).collect();
        let now = self.hosts[here].clock.at(self.now);
        let Some(node) = &mut self.hosts[here].node else { return };
        let members: Vec<NodeId> = node.agreed().members().keys().copied().collect();
        for former in members.into_iter().filter(|member| !present.contains(member)) {
            node.suspect(now, former, false);
        }
    }

    pub(super) fn tell(&self, host: usize, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>9} us  {} {}", self.now / 1000, self.hosts[host].life, what());
        }
    }

    /// A deadline by a host's clock.
    pub(super) fn deadline(&self, host: usize, after: Duration) -> crate::bounds::Instant {
        self.hosts[host].clock.at(self.now) + after
    }
}

fn message_is_vote(message: &Message) -> bool {
    matches!(message, Message::Packet(packet) if packet.kind().starts_with("MsgRequestVoteResponse"))
}
