//! A node's own proposals: sent to the leader until they are agreed on.

use std::collections::BTreeMap;

use crate::bounds::{Bounds, Instant};
use crate::effect::Effect;
use crate::ids::Life;
use crate::state::{Agreed, Command, Proposal, TooLarge};

#[derive(Debug)]
struct Open {
    command: Command,
    since: Instant,
    next_send: Instant,
}

#[derive(Debug)]
pub(crate) struct Proposals {
    me: Life,
    open: BTreeMap<u64, Open>,
    last: u64,
}

/// Too many proposals of this node are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many changes of the cluster are under way: wait for some of them to end")]
pub struct TooMany;

/// Why something was not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproposed {
    /// Too much is under way.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// It is too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl Proposals {
    pub(crate) fn new(me: Life) -> Proposals {
        Proposals { me, open: BTreeMap::new(), last: 0 }
    }

    fn floor(&self) -> u64 {
        self.open.keys().next().copied().unwrap_or(self.last + 1)
    }

    pub(crate) fn begin(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        command: Command,
    ) -> Result<u64, TooMany> {
        if self.last + 1 - self.floor() >= u64::from(bounds.proposals) {
            return Err(TooMany);
        }
        self.last += 1;
        self.open.insert(self.last, Open { command, since: now, next_send: now });
        Ok(self.last)
    }

    /// Whether none is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn is_open(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    /// What is to be sent to the leader now.
    pub(crate) fn due(&mut self, bounds: &Bounds, now: Instant) -> Vec<Proposal> {
        let floor = self.floor();
        let mut due = Vec::new();
        for (number, open) in &mut self.open {
            if now >= open.next_send {
                open.next_send = now + bounds.resend;
                let (origin, command) = (self.me, open.command.clone());
                due.push(Proposal { origin, number: *number, floor, command });
            }
        }
        due
    }

    /// Ends those that were agreed on, and those that wait for too long.
    pub(crate) fn poll(
        &mut self,
        bounds: &Bounds,
        now: Instant,
        agreed: &Agreed,
        effects: &mut Vec<Effect>,
    ) {
        self.open.retain(|number, open| {
            let reply = agreed.reply(self.me, *number);
            let ends = reply.is_some() || now - open.since >= bounds.proposal_wait;
            if ends {
                effects.push(Effect::ProposalEnded(*number, reply));
            }
            !ends
        });
    }
}
