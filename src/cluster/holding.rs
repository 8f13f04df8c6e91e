//! The containers that a node owns: opened when it gets them, held and closed when they move.

use std::collections::BTreeMap;

use crate::bounds::{Bounds, Instant};
use crate::calls::Server;
use crate::effect::Effect;
use crate::ids::{ContainerId, Epoch, Life, NodeId};
use crate::proposals::Proposals;
use crate::state::{Agreed, Command};

/// Where a container of this node is in its life here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The shell makes it.
    Opening,
    /// The shell could not. The proposal gives it to another node.
    Refused { proposal: Option<u64> },
    /// It takes tasks.
    Serving,
    /// It is to move: what runs ends, what comes waits.
    Draining { since: Instant },
    /// What runs did not end in time: the move is being given up, by this proposal.
    Staying { proposal: u64 },
    /// The shell gives its state to the next owner.
    Closing,
    /// The shell could not give it away, and has the container as before. The proposal ends the move.
    Keeping { proposal: Option<u64> },
    /// That is done, and this node is never to serve it again at this epoch. The proposal hands it over.
    Closed { proposal: Option<u64> },
}

/// A container of this node.
#[derive(Clone, Debug)]
struct Holding {
    epoch: Epoch,
    phase: Phase,
    /// Why it was refused.
    why: String,
    /// Where it moves.
    to: Option<NodeId>,
    /// Others wait for it, and nobody has agreed yet on that it is here: it has moved, or was lost or given up.
    awaited: bool,
    /// The proposal that says so.
    made: Option<u64>,
}

/// The containers of this node, as the state that it has applied says.
#[derive(Debug, Default)]
pub(crate) struct Holdings(BTreeMap<ContainerId, Holding>);

impl Holdings {
    /// Whether all are served, and nothing is to be done about any.
    pub(crate) fn rest(&self) -> bool {
        self.0
            .values()
            .all(|held| held.phase == Phase::Serving && held.to.is_none() && !held.awaited)
    }

    /// Whether tasks of a container may start, if its owner at this epoch holds a lease.
    pub(crate) fn admits(&self, container: ContainerId, epoch: Epoch) -> bool {
        self.phase(container, epoch) == Some(Phase::Serving)
    }

    /// Whether tasks of a container may run and be answered, if its owner at this epoch holds a lease.
    pub(crate) fn is_open(&self, container: ContainerId, epoch: Epoch) -> bool {
        let phase = self.phase(container, epoch);
        phase.is_some_and(|phase| {
            !matches!(phase, Phase::Opening | Phase::Refused { .. } | Phase::Closed { .. })
        })
    }

    /// The shell has made a container.
    pub(crate) fn opened(&mut self, container: ContainerId, epoch: Epoch) {
        self.step(container, epoch, Phase::Opening, Phase::Serving);
    }

    /// The shell cannot make a container.
    pub(crate) fn cannot_open(&mut self, container: ContainerId, epoch: Epoch, why: String) {
        if let Some(held) = self.0.get_mut(&container) {
            if held.epoch == epoch && held.phase == Phase::Opening {
                (held.phase, held.why) = (Phase::Refused { proposal: None }, why);
            }
        }
    }

    /// The shell has given a container's state away.
    pub(crate) fn closed(&mut self, container: ContainerId, epoch: Epoch) {
        self.step(container, epoch, Phase::Closing, Phase::Closed { proposal: None });
    }

    /// The shell cannot give a container's state away, and has the container as before.
    pub(crate) fn cannot_close(&mut self, container: ContainerId, epoch: Epoch) {
        self.step(container, epoch, Phase::Closing, Phase::Keeping { proposal: None });
    }

    /// Follows what was agreed on.
    pub(crate) fn follow(&mut self, me: Life, agreed: &Agreed, effects: &mut Vec<Effect>) {
        self.0.retain(|container, held| {
            let owned = agreed.containers().get(container);
            let stays = owned.is_some_and(|o| o.owner == Some(me) && o.epoch == held.epoch);
            if !stays {
                effects.push(Effect::Drop { container: *container });
            }
            stays
        });
        for (container, owned) in agreed.containers() {
            if owned.owner == Some(me) {
                let held = self.0.entry(*container).or_insert_with(|| {
                    let (container, epoch) = (*container, owned.epoch);
                    effects.push(Effect::Open { container, epoch });
                    let (phase, why) = (Phase::Opening, String::new());
                    Holding { epoch, phase, why, to: None, awaited: false, made: None }
                });
                held.to = owned.moving_to;
                held.awaited = owned.is_awaited();
            }
        }
    }

    /// Moves those along that are to move.
    pub(crate) fn look(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        server: &Server,
        proposals: &mut Proposals,
        effects: &mut Vec<Effect>,
    ) {
        for (container, held) in &mut self.0 {
            let (container, epoch) = (*container, held.epoch);
            let is_made = held.awaited && held.phase == Phase::Serving;
            if is_made && held.made.is_none_or(|number| !proposals.is_open(number)) {
                let command = Command::Made { container, epoch };
                held.made = proposals.begin(bounds, now, command).ok();
            }
            held.phase = match (held.phase, held.to) {
                (Phase::Serving, Some(_)) => Phase::Draining { since: now },
                (Phase::Draining { .. } | Phase::Staying { .. } | Phase::Keeping { .. }, None) => {
                    Phase::Serving
                }
                (Phase::Draining { .. }, Some(to)) if server.is_idle(container) => {
                    effects.push(Effect::Close { container, epoch, to });
                    Phase::Closing
                }
                (Phase::Draining { since }, Some(_)) if now - since >= bounds.drain => {
                    let proposal = proposals.begin(bounds, now, Command::Stay { container, epoch });
                    proposal.map_or(held.phase, |proposal| Phase::Staying { proposal })
                }
                (Phase::Staying { proposal }, Some(_)) if !proposals.is_open(proposal) => {
                    Phase::Draining { since: now }
                }
                (Phase::Keeping { proposal }, Some(_))
                    if proposal.is_none_or(|number| !proposals.is_open(number)) =>
                {
                    let command = Command::Stay { container, epoch };
                    Phase::Keeping { proposal: proposals.begin(bounds, now, command).ok() }
                }
                (Phase::Closed { proposal }, Some(_))
                    if proposal.is_none_or(|number| !proposals.is_open(number)) =>
                {
                    let command = Command::HandOver { container, epoch };
                    Phase::Closed { proposal: proposals.begin(bounds, now, command).ok() }
                }
                (Phase::Refused { proposal }, _)
                    if proposal.is_none_or(|number| !proposals.is_open(number)) =>
                {
                    let command = Command::Refuse { container, epoch, why: held.why.clone() };
                    Phase::Refused { proposal: proposals.begin(bounds, now, command).ok() }
                }
                (phase, _) => phase,
            };
        }
    }

    fn phase(&self, container: ContainerId, epoch: Epoch) -> Option<Phase> {
        self.0.get(&container).filter(|held| held.epoch == epoch).map(|held| held.phase)
    }

    fn step(&mut self, container: ContainerId, epoch: Epoch, from: Phase, to: Phase) {
        if let Some(held) = self.0.get_mut(&container) {
            if held.epoch == epoch && held.phase == from {
                held.phase = to;
            }
        }
    }
}
