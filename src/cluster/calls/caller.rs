//! The caller's side: every call ends once.

use std::collections::{BTreeMap, VecDeque};

use super::{Answer, Call, CallNumber, Outcome, Payload, Place, Request, Verdict};
use crate::bounds::{Bounds, Instant};
use crate::effect::Effect;
use crate::guard::{holds, Guard};
use crate::ids::{ContainerId, Epoch, Life};
use crate::message::Message;

/// Where a call is to go, in the eyes of its caller.
pub(crate) trait Route {
    /// The owner of a container and its epoch. `Err` if there is no such container.
    fn owner(&self, container: ContainerId) -> Result<(Option<Life>, Epoch), NoSuchContainer>;

    /// Whether a node in this life can still be expected to answer.
    fn is_reachable(&self, life: Life) -> bool;

    /// Whether a life is over for ever.
    fn is_over(&self, life: Life) -> bool;
}

/// There is no such container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSuchContainer;

/// Where a call is.
#[derive(Debug)]
enum Stage {
    /// Its container has no owner that answers, or the owner's slots are all taken.
    Waiting { since: Instant },
    /// It was sent, and counts as run until its server says that it did not.
    Sent { place: Place, epoch: Epoch, last_word: Instant, next_send: Instant, is_known: bool },
}

#[derive(Debug)]
struct Open {
    request: Request,
    stage: Stage,
    /// Whether an attempt before this one may have run.
    may_have_run: bool,
    /// How many of its servers were lost with it.
    losses: u32,
    /// In whose queue it waits.
    queued: Option<Life>,
    /// What a server said of the owner, if this node does not know it yet.
    hint: Option<(Life, Epoch)>,
}

/// How often a call that may run twice is sent to another owner after it may have run: it may be what ends them.
const MOST_LOSSES: u32 = 2;

impl Open {
    /// Whether it is sent to the next owner if it may have run.
    fn goes_on(&self) -> bool {
        self.request.idempotent && self.losses < MOST_LOSSES
    }
}

/// The slots of this node at another.
#[derive(Debug, Default)]
struct Peer {
    /// The last turn of each slot.
    turns: Vec<u64>,
    free: Vec<u32>,
    /// Calls that wait for a slot, in their order.
    queue: VecDeque<CallNumber>,
}

#[derive(Debug)]
pub(crate) struct Caller {
    me: Life,
    open: BTreeMap<CallNumber, Open>,
    at: BTreeMap<Place, CallNumber>,
    peers: BTreeMap<Life, Peer>,
    last: u64,
    last_tick: Option<Instant>,
}

impl Caller {
    pub(crate) fn new(me: Life) -> Caller {
        let (open, at, peers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Caller { me, open, at, peers, last: 0, last_tick: None }
    }

    /// Whether no call is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins a call. It ends by an effect, perhaps at once.
    pub(crate) fn begin(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        route: &impl Route,
        request: Request,
        effects: &mut Vec<Effect>,
    ) -> CallNumber {
        self.last += 1;
        let number = CallNumber(self.last);
        let stage = Stage::Waiting { since: now };
        let open =
            Open { request, stage, may_have_run: false, losses: 0, queued: None, hint: None };
        self.open.insert(number, open);
        self.try_send(bounds, now, route, number, effects);
        number
    }

    /// Ends a call whose caller wants no more of it.
    pub(crate) fn cancel(&mut self, number: CallNumber, effects: &mut Vec<Effect>) {
        if let Some(may_have_run) = self.give_up(number, effects) {
            self.end(number, Outcome::Cancelled { may_have_run }, effects);
        }
    }

    /// A server has spoken.
    pub(crate) fn answer(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        route: &impl Route,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        let Some(number) = self.at.get(&answer.place).copied() else { return };
        let Some(open) = self.open.get_mut(&number) else { return };
        let Stage::Sent { epoch, last_word, is_known, .. } = &mut open.stage else { return };
        if answer.epoch != *epoch && holds(Guard::EpochCheck) {
            return;
        }
        let may_have_run = open.may_have_run;
        let outcome = match answer.verdict {
            Verdict::Working => {
                (*last_word, *is_known) = (now, true);
                return;
            }
            Verdict::Done(result) => Outcome::Done(result),
            Verdict::Moved { owner, epoch: since } => {
                open.hint = owner.map(|owner| (owner, since)).filter(|_| since > *epoch);
                self.free(number);
                self.wait(now, number);
                self.try_send(bounds, now, route, number, effects);
                return;
            }
            Verdict::Busy if !may_have_run => Outcome::Busy,
            Verdict::NoSuchContainer if !may_have_run => Outcome::NoSuchContainer,
            // Not at once: who owns the container now may not be known here yet.
            Verdict::MayHaveRun if open.goes_on() => {
                self.lose(number, now);
                return;
            }
            Verdict::MayHaveRun => Outcome::NodeLost { may_have_run: true },
            Verdict::Busy | Verdict::NoSuchContainer | Verdict::NotRun => {
                match open.request.deadline.is_some_and(|deadline| now >= deadline) {
                    true => Outcome::TimedOut { may_have_run },
                    false => Outcome::NodeLost { may_have_run },
                }
            }
        };
        self.free(number);
        self.end(number, outcome, effects);
        self.send_queued(bounds, now, route, answer.place.server, effects);
    }

    /// Time has passed, or what the node knows has changed.
    pub(crate) fn poll(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        route: &impl Route,
        effects: &mut Vec<Effect>,
    ) {
        self.forgive(bounds, now);
        let numbers: Vec<CallNumber> = self.open.keys().copied().collect();
        for number in numbers {
            self.look(bounds, now, route, number, effects);
        }
        // Not before: the turns of a life go on where they were.
        self.peers.retain(|life, peer| {
            peer.turns.len() > peer.free.len() || !peer.queue.is_empty() || !route.is_over(*life)
        });
    }

    /// Time for which this node did not run says nothing about its servers, whose words may lie unread.
    fn forgive(&mut self, bounds: &Bounds, now: Instant) {
        let slept = self.last_tick.map_or_else(Default::default, |last| now - last);
        self.last_tick = Some(now);
        if slept > 4 * bounds.tick {
            for open in self.open.values_mut() {
                let (Stage::Sent { last_word: since, .. } | Stage::Waiting { since }) =
                    &mut open.stage;
                // What has begun since then has slept for less.
                *since = (*since + slept).min(now);
            }
        }
    }

    fn look(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        route: &impl Route,
        number: CallNumber,
        effects: &mut Vec<Effect>,
    ) {
        let Some(open) = self.open.get_mut(&number) else { return };
        if open.request.deadline.is_some_and(|deadline| now >= deadline) {
            if let Some(may_have_run) = self.give_up(number, effects) {
                self.end(number, Outcome::TimedOut { may_have_run }, effects);
            }
            return;
        }
        match &mut open.stage {
            Stage::Waiting { since } => {
                if now - *since >= bounds.patience {
                    let may_have_run = open.may_have_run;
                    self.end(number, Outcome::NodeLost { may_have_run }, effects);
                } else {
                    self.try_send(bounds, now, route, number, effects);
                }
            }
            Stage::Sent { place, epoch, last_word, next_send, is_known } => {
                // Of what the server knows, it needs to be told no more.
                let payload = match *is_known {
                    true => Payload::default(),
                    false => open.request.payload.clone(),
                };
                let takes = bounds.takes(payload.len());
                let is_silent = now - *last_word >= bounds.silence + takes;
                if is_silent || !route.is_reachable(place.server) {
                    if open.goes_on() {
                        self.lose(number, now);
                        self.try_send(bounds, now, route, number, effects);
                    } else {
                        self.free(number);
                        self.end(number, Outcome::NodeLost { may_have_run: true }, effects);
                    }
                } else if now >= *next_send {
                    *next_send = now + bounds.resend + takes;
                    let remaining = open.request.deadline.map(|deadline| deadline - now);
                    let (place, epoch) = (*place, *epoch);
                    let container = open.request.container;
                    let call = Call { place, container, epoch, remaining, payload };
                    effects
                        .push(Effect::Send { to: place.server.node, message: Message::Call(call) });
                }
            }
        }
    }

    /// Sends a call that waits, if its container has an owner that answers and has a slot for it.
    fn try_send(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        route: &impl Route,
        number: CallNumber,
        effects: &mut Vec<Effect>,
    ) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let container = open.request.container;
        let known = route.owner(container);
        let hint = open.hint.filter(|(_, since)| match known {
            Ok((_, epoch)) => *since > epoch,
            Err(NoSuchContainer) => false,
        });
        let (server, epoch) = match (hint, known) {
            (Some(hint), _) => hint,
            (None, Ok((Some(owner), epoch))) => (owner, epoch),
            (None, Ok((None, _))) => return,
            (None, Err(NoSuchContainer)) => {
                let outcome = match open.may_have_run {
                    true => Outcome::NodeLost { may_have_run: true },
                    false => Outcome::NoSuchContainer,
                };
                self.end(number, outcome, effects);
                return;
            }
        };
        if open.queued.is_some_and(|at| at != server) {
            self.unqueue(number);
        }
        let Some(open) = self.open.get_mut(&number).filter(|_| route.is_reachable(server)) else {
            return;
        };
        let peer = self.peers.entry(server).or_default();
        let is_queued = open.queued.is_some();
        let is_next = peer.queue.front().is_none_or(|first| *first == number);
        let slot = match peer.free.pop() {
            Some(slot) if is_next => slot,
            taken => {
                peer.free.extend(taken);
                let may_grow = (peer.turns.len() as u64) < u64::from(bounds.window);
                if !(is_next && may_grow) {
                    if !is_queued && peer.queue.len() >= bounds.queue as usize {
                        let outcome = match open.may_have_run {
                            true => Outcome::NodeLost { may_have_run: true },
                            false => Outcome::Busy,
                        };
                        self.end(number, outcome, effects);
                    } else if !is_queued {
                        open.queued = Some(server);
                        peer.queue.push_back(number);
                    }
                    return;
                }
                peer.turns.push(0);
                peer.turns.len() as u32 - 1
            }
        };
        if open.queued.take().is_some() {
            peer.queue.pop_front();
        }
        let turn = &mut peer.turns[slot as usize];
        *turn += 1;
        let place = Place { caller: self.me, server, slot, turn: *turn };
        let (last_word, next_send) = (now, now);
        open.stage = Stage::Sent { place, epoch, last_word, next_send, is_known: false };
        self.at.insert(place, number);
        self.look(bounds, now, route, number, effects);
    }

    /// Sends what waits for a server, as far as it has slots.
    fn send_queued(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        route: &impl Route,
        server: Life,
        effects: &mut Vec<Effect>,
    ) {
        let first = |caller: &Caller| caller.peers.get(&server)?.queue.front().copied();
        while let Some(number) = first(self) {
            self.try_send(bounds, now, route, number, effects);
            if first(self) == Some(number) {
                break;
            }
        }
    }

    fn unqueue(&mut self, number: CallNumber) {
        let Some(at) = self.open.get_mut(&number).and_then(|open| open.queued.take()) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&at) {
            peer.queue.retain(|queued| *queued != number);
        }
    }

    /// A call's attempt may have run, and nothing more is expected of it: the call waits for another.
    fn lose(&mut self, number: CallNumber, now: Instant) {
        self.free(number);
        self.wait(now, number);
        if let Some(open) = self.open.get_mut(&number) {
            open.may_have_run = true;
            open.losses += 1;
        }
    }

    fn wait(&mut self, now: Instant, number: CallNumber) {
        if let Some(open) = self.open.get_mut(&number) {
            open.stage = Stage::Waiting { since: now };
        }
    }

    /// Takes back a call's slot. The next turn makes its server refuse this one.
    fn free(&mut self, number: CallNumber) {
        let Some(Stage::Sent { place, .. }) = self.open.get(&number).map(|open| &open.stage) else {
            return;
        };
        self.at.remove(place);
        if let Some(peer) = self.peers.get_mut(&place.server) {
            peer.free.push(place.slot);
        }
    }

    /// Gives a call up. Returns whether it may have run.
    fn give_up(&mut self, number: CallNumber, effects: &mut Vec<Effect>) -> Option<bool> {
        let open = self.open.get(&number)?;
        let Stage::Sent { place, .. } = open.stage else { return Some(open.may_have_run) };
        let to = place.server.node;
        effects.push(Effect::Send { to, message: Message::Cancel(place) });
        self.free(number);
        Some(true)
    }

    fn end(&mut self, number: CallNumber, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.unqueue(number);
        self.open.remove(&number);
        effects.push(Effect::CallEnded(number, outcome));
    }
}
