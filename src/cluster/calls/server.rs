//! The server's side: what has been taken, what runs, what was answered.

use std::collections::BTreeMap;

use super::{Answer, Call, Payload, Place, TaskNumber, Verdict};
use crate::bounds::{Bounds, Instant};
use crate::effect::{Effect, Start};
use crate::guard::{holds, Guard};
use crate::ids::{BootId, ContainerId, Epoch, Life, NodeId};
use crate::message::Message;

/// What this node may serve at the moment, in the eyes of the server.
pub(crate) trait Gate {
    /// Whether the call may start now.
    fn admit(&self, container: ContainerId, epoch: Epoch) -> Admit;

    /// Whether an answer of a call that started at this epoch may leave now.
    fn release(&self, container: ContainerId, epoch: Epoch) -> Release;
}

/// Whether a call may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    Now,
    /// Not yet.
    Wait,
    Moved(Option<Life>, Epoch),
    NoSuchContainer,
}

/// Whether an answer may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    Now,
    /// The lease is over, and may go on.
    Wait,
    Never,
}

/// The state of a turn.
#[derive(Debug)]
enum Turn {
    /// It may not start yet.
    Parked {
        call: Call,
        until: Instant,
        deadline: Option<Instant>,
    },
    Running {
        task: TaskNumber,
    },
    /// It ran, and its answer may not leave yet.
    Finished {
        container: ContainerId,
        result: Payload,
        until: Instant,
    },
    Answered {
        verdict: Verdict,
        /// When it left last.
        at: Instant,
    },
}

/// The last turn of a slot.
#[derive(Debug)]
struct Slot {
    turn: u64,
    epoch: Epoch,
    state: Turn,
}

impl Slot {
    /// What is said to a caller that asks again.
    fn word(&mut self, bounds: &Bounds, now: Instant) -> Verdict {
        let Turn::Answered { verdict, at } = &mut self.state else { return Verdict::Working };
        let bytes = match verdict {
            Verdict::Done(result) => result.len(),
            _ => 0,
        };
        // A long answer may still be on its way.
        let takes = bounds.takes(bytes);
        if takes > bounds.tick && now - *at < takes {
            return Verdict::Working;
        }
        *at = now;
        verdict.clone()
    }
}

#[derive(Debug)]
struct Peer {
    boot: BootId,
    slots: BTreeMap<u32, Slot>,
}

/// A task that runs. Its caller may have given up and used the slot again.
#[derive(Clone, Copy, Debug)]
struct Running {
    place: Place,
    container: ContainerId,
    epoch: Epoch,
}

#[derive(Debug)]
pub(crate) struct Server {
    me: Life,
    peers: BTreeMap<NodeId, Peer>,
    tasks: BTreeMap<TaskNumber, Running>,
    next_task: u64,
}

impl Server {
    /// Whether nothing runs or waits here.
    pub(crate) fn rests(&self) -> bool {
        let is_over = |slot: &Slot| matches!(slot.state, Turn::Answered { .. });
        self.tasks.is_empty()
            && self.peers.values().flat_map(|peer| peer.slots.values()).all(is_over)
    }

    pub(crate) fn new(me: Life) -> Server {
        Server { me, peers: BTreeMap::new(), tasks: BTreeMap::new(), next_task: 0 }
    }

    /// A call has come, perhaps again.
    pub(crate) fn receive(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        gate: &impl Gate,
        call: Call,
        effects: &mut Vec<Effect>,
    ) {
        let place = call.place;
        if place.server != self.me {
            // An earlier life knew of it, if any.
            if place.server.node == self.me.node && place.server.boot < self.me.boot {
                effects.push(answer(place, call.epoch, Verdict::MayHaveRun));
            }
            return;
        }
        if place.slot >= bounds.window || !self.is_present(place.caller, effects) {
            return;
        }
        let slots = &mut self.peers.get_mut(&place.caller.node).expect("it is present").slots;
        if let Some(slot) = slots.get_mut(&place.slot).filter(|_| holds(Guard::RememberCalls)) {
            if place.turn < slot.turn && holds(Guard::Turns) {
                return;
            }
            if place.turn == slot.turn {
                effects.push(answer(place, slot.epoch, slot.word(bounds, now)));
                return;
            }
        }
        let (until, epoch) = (now + bounds.patience, call.epoch);
        let deadline = call.remaining.map(|left| now + left);
        let state = Turn::Parked { call, until, deadline };
        if let Some(before) = slots.insert(place.slot, Slot { turn: place.turn, epoch, state }) {
            if let Turn::Running { task } = before.state {
                effects.push(Effect::CancelTask(task));
            }
        }
        // That it is known here, its caller learns when it asks again.
        self.look(bounds, now, gate, place.caller.node, place.slot, effects);
    }

    /// A caller wants no more of a call.
    pub(crate) fn cancel(&mut self, place: Place, effects: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&place.caller.node) else { return };
        if place.server != self.me || peer.boot != place.caller.boot {
            return;
        }
        let Some(slot) = peer.slots.get_mut(&place.slot).filter(|slot| slot.turn == place.turn)
        else {
            return;
        };
        match slot.state {
            Turn::Running { task } => effects.push(Effect::CancelTask(task)),
            Turn::Parked { .. } => {
                slot.state = Turn::Answered { verdict: Verdict::NotRun, at: Instant(0) };
            }
            Turn::Finished { .. } | Turn::Answered { .. } => {}
        }
    }

    /// A task has ended.
    pub(crate) fn finished(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        gate: &impl Gate,
        task: TaskNumber,
        result: Payload,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Running { place, container, .. }) = self.tasks.remove(&task) else { return };
        let Some(peer) = self.peers.get_mut(&place.caller.node) else { return };
        let Some(slot) = peer.slots.get_mut(&place.slot) else { return };
        if peer.boot != place.caller.boot || slot.turn != place.turn {
            return;
        }
        slot.state = Turn::Finished { container, result, until: now + bounds.patience };
        self.look(bounds, now, gate, place.caller.node, place.slot, effects);
    }

    /// Looks at all that waits for a lease or for the log.
    pub(crate) fn poll(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        gate: &impl Gate,
        effects: &mut Vec<Effect>,
    ) {
        let waits = |state: &Turn| matches!(state, Turn::Parked { .. } | Turn::Finished { .. });
        let waiting: Vec<(NodeId, u32)> = self
            .peers
            .iter()
            .flat_map(|(node, peer)| {
                let slots = peer.slots.iter().filter(|(_, slot)| waits(&slot.state));
                slots.map(|(slot, _)| (*node, *slot))
            })
            .collect();
        for (node, slot) in waiting {
            self.look(bounds, now, gate, node, slot, effects);
        }
    }

    /// Whether nothing runs in a container, and no answer of it waits.
    pub(crate) fn is_idle(&self, container: ContainerId) -> bool {
        let waits = |slot: &Slot| matches!(&slot.state, Turn::Finished { container: of, .. } if *of == container);
        !self.tasks.values().any(|task| task.container == container)
            && !self.peers.values().any(|peer| peer.slots.values().any(waits))
    }

    /// The tasks of containers that this node has ceased to own.
    pub(crate) fn outdated(&self, gate: &impl Gate) -> Vec<TaskNumber> {
        let never = |task: &Running| gate.release(task.container, task.epoch) == Release::Never;
        self.tasks.iter().filter(|(_, task)| never(task)).map(|(number, _)| *number).collect()
    }

    /// Whether a message is of a caller's present life. With a new one, the old one's calls are nobody's.
    fn is_present(&mut self, caller: Life, effects: &mut Vec<Effect>) -> bool {
        let new = || Peer { boot: caller.boot, slots: BTreeMap::new() };
        let peer = self.peers.entry(caller.node).or_insert_with(new);
        if caller.boot > peer.boot {
            for slot in peer.slots.values() {
                if let Turn::Running { task } = slot.state {
                    effects.push(Effect::CancelTask(task));
                }
            }
            *peer = new();
        }
        caller.boot == peer.boot
    }

    /// Looks whether a slot's turn can go on.
    fn look(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        gate: &impl Gate,
        node: NodeId,
        number: u32,
        effects: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let caller = Life { node, boot: peer.boot };
        let Some(slot) = peer.slots.get_mut(&number) else { return };
        let place = Place { caller, server: self.me, slot: number, turn: slot.turn };
        let verdict = match &slot.state {
            Turn::Parked { call, until, deadline } => {
                let is_late = now >= *until || deadline.is_some_and(|deadline| now >= deadline);
                match gate.admit(call.container, call.epoch) {
                    _ if is_late => Verdict::NotRun,
                    Admit::Wait => return,
                    Admit::Moved(owner, epoch) => Verdict::Moved { owner, epoch },
                    Admit::NoSuchContainer => Verdict::NoSuchContainer,
                    Admit::Now => {
                        // Tasks that their caller has given up run on, and it may not have many of them.
                        let of_caller = |task: &&Running| task.place.caller.node == node;
                        let running = self.tasks.values().filter(of_caller).count();
                        if running >= 2 * bounds.window as usize {
                            Verdict::Busy
                        } else {
                            self.next_task += 1;
                            let task = TaskNumber(self.next_task);
                            let (container, epoch) = (call.container, call.epoch);
                            self.tasks.insert(task, Running { place, container, epoch });
                            effects.push(Effect::Start(Start {
                                task,
                                place,
                                container,
                                epoch,
                                deadline: *deadline,
                                payload: call.payload.clone(),
                            }));
                            slot.state = Turn::Running { task };
                            return;
                        }
                    }
                }
            }
            Turn::Finished { container, result, until } => {
                let release = match holds(Guard::CheckBeforeAnswer) {
                    true => gate.release(*container, slot.epoch),
                    false => Release::Now,
                };
                match release {
                    Release::Now => Verdict::Done(result.clone()),
                    Release::Wait if now < *until => return,
                    Release::Wait | Release::Never => Verdict::MayHaveRun,
                }
            }
            Turn::Running { .. } | Turn::Answered { .. } => return,
        };
        slot.state = Turn::Answered { verdict: verdict.clone(), at: now };
        effects.push(answer(place, slot.epoch, verdict));
    }
}

fn answer(place: Place, epoch: Epoch, verdict: Verdict) -> Effect {
    let message = Message::Answer(Answer { place, epoch, verdict });
    Effect::Send { to: place.caller.node, message }
}
