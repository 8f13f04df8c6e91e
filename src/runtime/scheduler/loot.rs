//! Work on its way from one worker to another.

use super::doorbells::Doorbells;
use crate::pool::LanePtr;
use crate::session::Ring;
use crate::task::Resting;

/// Work that goes from one worker to another. Held tasks go together with the rings that they came from,
/// so that what comes later from there does not overtake them.
#[derive(Default)]
pub(crate) struct Loot {
    pub(super) rings: Vec<Ring>,
    /// Lanes with tasks in them, which the receiver now owns.
    pub(super) lanes: Vec<LanePtr>,
    /// Rings at rest.
    pub(super) doorbells: Vec<Doorbells>,
    /// Periodic and held tasks, in the order in which they came, each with the worker that kept it.
    pub(super) periodic: Vec<(u32, Resting)>,
    /// Tasks of the runtime's own.
    pub(super) runs: Vec<(u32, Box<dyn FnOnce() + Send>)>,
}

impl Loot {
    pub(super) fn append(&mut self, mut other: Loot) {
        self.rings.append(&mut other.rings);
        self.lanes.append(&mut other.lanes);
        self.doorbells.append(&mut other.doorbells);
        self.periodic.append(&mut other.periodic);
        self.runs.append(&mut other.runs);
    }
}
