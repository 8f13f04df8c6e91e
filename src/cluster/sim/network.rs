//! The network: what happens to a message on its way.

use std::collections::BTreeSet;

use super::clock::{Time, MS};
use super::random::Sequence;
use crate::message::Message;

#[derive(Debug, Default)]
pub(super) struct Network {
    /// Of a thousand messages, how many get lost, come twice, or take long.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) slow: u64,
    /// Links that are cut, each in one direction.
    cut: BTreeSet<(usize, usize)>,
    /// Hosts to which the engine's packets take very long.
    pub(super) slow_log: BTreeSet<usize>,
}

impl Network {
    pub(super) fn heal(&mut self) {
        *self = Network::default();
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(super) fn mend(&mut self) {
        self.cut.clear();
    }

    pub(super) fn carries(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// How long each copy of a message takes.
    pub(super) fn send(
        &self,
        random: &mut Sequence,
        from: usize,
        to: usize,
        message: &Message,
    ) -> Vec<Time> {
        if !self.carries(from, to) || random.below(1000) < self.lost {
            return Vec::new();
        }
        let copies = if random.below(1000) < self.doubled { 2 } else { 1 };
        let mut delays = Vec::new();
        for copy in 0..copies {
            let is_log = matches!(message, Message::Packet(_)) && self.slow_log.contains(&to);
            delays.push(match () {
                () if is_log => 300 * MS + random.below(1500 * MS),
                () if random.below(1000) < self.slow => random.below(700 * MS),
                () if copy > 0 => random.below(1500 * MS),
                () => MS / 10 + random.below(2 * MS),
            });
        }
        delays
    }
}
