//! What workers give up when the sessions of clients are handed over to another process.

use std::collections::HashMap;

use crate::session::{Ring, SessionRef};
use crate::task::{Origin, Resting};

/// What workers have given up.
#[derive(Default)]
pub(crate) struct GivenUp {
    pub(crate) rings: Vec<Ring>,
    /// Held tasks of clients, in their order, each with the worker that kept it.
    pub(crate) held: Vec<(u32, Resting)>,
    /// Workers that have not given up anything yet keep it.
    is_closed: bool,
}

impl GivenUp {
    /// Adds what a worker gives up, unless it is too late for that.
    pub(super) fn add(&mut self, take: impl FnOnce() -> (Vec<Ring>, Vec<(u32, Resting)>)) {
        if !self.is_closed {
            let (rings, held) = take();
            self.rings.extend(rings);
            self.held.extend(held);
        }
    }

    /// Takes everything, and lets nothing be added any more.
    pub(crate) fn close(this: &mut GivenUp) -> GivenUp {
        let closed = GivenUp { is_closed: true, ..GivenUp::default() };
        std::mem::replace(this, closed)
    }

    /// Whether this is all that these sessions have; the number is that of a session's rings. A ring that
    /// is on its way from one worker to another is not among those given up.
    pub(crate) fn is_all_of<'s>(
        &self,
        mut sessions: impl Iterator<Item = (&'s SessionRef, usize)>,
    ) -> bool {
        let mut rings: HashMap<u64, usize> = HashMap::new();
        for ring in &self.rings {
            *rings.entry(ring.session.number).or_default() += 1;
        }
        let mut tasks: HashMap<u64, usize> = HashMap::new();
        for (_, task) in &self.held {
            *tasks.entry(task.record.session).or_default() += 1;
        }
        let of = |counts: &HashMap<u64, usize>, session: u64| counts.get(&session).copied();
        sessions.all(|(session, count)| {
            of(&rings, session.number).unwrap_or(0) == count
                && of(&tasks, session.number).unwrap_or(0) == session.tasks_in_flight()
        })
    }

    /// The offsets of the held tasks of a session, in their order.
    pub(crate) fn held_of(&self, session: u64) -> Vec<u64> {
        let offset = |(_, task): &(u32, Resting)| match &task.record.origin {
            Origin::Client { offset, .. } if task.record.session == session => Some(*offset),
            _ => None,
        };
        self.held.iter().filter_map(offset).collect()
    }
}
