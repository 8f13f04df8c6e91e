//! What goes wrong, as long as the storm lasts, and how it ends.

use super::check::Checked;
use super::clock::{Time, MS, SECOND};
use super::host::Crash;
use super::world::{Event, World};
use crate::ids::NodeId;
use std::collections::BTreeSet;

impl World {
    /// One fault, or the end of some.
    pub(super) fn fault(&mut self) -> Checked {
        if !self.stormy {
            return Ok(());
        }
        let next = 50 * MS + self.random.below(900 * MS);
        self.at(next, Event::Fault);
        let count = self.hosts.len() as u64;
        let (host, other) = (self.random.below(count) as usize, self.random.below(count) as usize);
        match self.random.below(20) {
            0..=2 => self.pause(host),
            3..=5 => {
                let kept = self.random.below(4) as usize;
                let crash = [Crash::Clean, Crash::Unsynced { kept }][self.random.below(2) as usize];
                self.crash_if_up(host, crash);
            }
            6 => {
                if self.may_lose_disk(host) {
                    self.crash_if_up(host, Crash::Disk);
                }
            }
            7 => self.network.cut(host, other),
            8 => {
                self.network.cut(host, other);
                self.network.cut(other, host);
            }
            9 => self.isolate(host),
            10 => self.split(),
            11..=12 => self.network.mend(),
            13 => self.network.lost = self.random.below(200),
            14 => self.network.doubled = self.random.below(300),
            15 => self.network.slow = self.random.below(150),
            16 => self.network = super::network::Network::default(),
            17 => {
                self.network.slow_log.insert(host);
            }
            18 => {
                let drift = i64::from(self.bounds.drift_ppm);
                let fast = [-drift, 0, drift][self.random.below(3) as usize];
                let now = self.now;
                self.hosts[host].clock.set_pace(now, fast);
            }
            _ => {
                // The leader, so that leaders change.
                let leads =
                    |host: &super::host::Host| host.node.as_ref().is_some_and(|node| node.term().1);
                if let Some(leader) = self.hosts.iter().position(leads) {
                    match self.random.below(3) {
                        0 => self.pause(leader),
                        1 => self.crash_if_up(leader, Crash::Unsynced { kept: 0 }),
                        _ => self.isolate(leader),
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything works again.
    pub(super) fn calm(&mut self) {
        self.stormy = false;
        self.network.heal();
    }

    fn pause(&mut self, host: usize) {
        let takes: Time = match self.random.below(3) {
            0 => self.random.below(100 * MS),
            1 => self.random.below(SECOND),
            _ => self.random.below(4 * SECOND),
        };
        self.tell(host, || format!("pauses for {} ms", takes / MS));
        let at = &mut self.hosts[host];
        at.paused_until = at.paused_until.max(self.now + takes);
        at.was_paused_until = at.paused_until;
    }

    fn crash_if_up(&mut self, host: usize, crash: Crash) {
        if self.hosts[host].node.is_some() {
            let restart = match self.random.below(2) {
                0 => self.random.below(300 * MS),
                _ => self.random.below(3 * SECOND),
            };
            self.crash(host, crash, restart);
        }
    }

    pub(super) fn isolate(&mut self, host: usize) {
        self.tell(host, || "is cut off".to_owned());
        for other in 0..self.hosts.len() {
            self.network.cut(host, other);
            self.network.cut(other, host);
        }
    }

    fn split(&mut self) {
        let sides = self.random.next();
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                if (sides >> from) & 1 != (sides >> to) & 1 {
                    self.network.cut(from, to);
                }
            }
        }
    }

    /// One disk at a time may be lost, until its node has been replaced wherever it counted, and none while voters
    /// change: without a majority of the voters' disks, no protocol could go on.
    fn may_lose_disk(&self, host: usize) -> bool {
        let alive: BTreeSet<NodeId> =
            self.hosts.iter().filter(|at| !at.wiped).map(|at| at.life.node).collect();
        let node = self.hosts[host].life.node;
        self.hosts.iter().filter(|at| !at.wiped).all(|at| {
            let Some(there) = &at.node else { return false };
            let voters = there.voters();
            let members = there.agreed().members();
            let all_alive = voters.iter().chain(members.keys()).all(|known| alive.contains(known));
            all_alive
                && !there.is_changing_voters()
                && (!voters.contains(&node) || voters.len() >= 3)
        })
    }
}
