//! What people do with the cluster meanwhile.

use std::time::Duration;

use super::check::{Called, Checked};
use super::clock::{Time, MS};
use super::world::{Event, World};
use crate::calls::Request;
use crate::ids::{ContainerId, NodeId, PoolId};
use crate::state::Command;

/// More containers than a pool has here.
const MOST_CONTAINERS: u32 = 16;

impl World {
    /// One thing that somebody does.
    pub(super) fn work(&mut self) -> Checked {
        if !self.works {
            return Ok(());
        }
        let next = MS + self.random.below(40 * MS);
        self.at(next, Event::Work);
        let host = self.random.below(self.hosts.len() as u64) as usize;
        let at = &self.hosts[host];
        let Some(node) = at.node.as_ref().filter(|_| at.paused_until <= self.now) else {
            return Ok(());
        };
        let containers: Vec<ContainerId> = node.agreed().containers().keys().copied().collect();
        let members: Vec<NodeId> = node.agreed().members().keys().copied().collect();
        let pools: Vec<PoolId> = node.agreed().pools().keys().copied().collect();
        let kind = self.random.below(100);
        match kind {
            _ if containers.is_empty() => self.create(host, "shared-0".to_owned(), 3, 0),
            0 => {
                // Two nodes create one name at once.
                let number = self.random.below(3);
                let name = format!("shared-{number}");
                // Three containers, or one for each of up to two nodes.
                let (containers, nodes) = [(3, 0), (3, 2), (0, 2)][number as usize];
                let other = self.random.below(self.hosts.len() as u64) as usize;
                self.create(other, name.clone(), containers, nodes);
                self.create(host, name, containers, nodes);
            }
            1 if pools.len() < 6 => {
                self.next_name += 1;
                let (containers, nodes) = (self.random.below(5), self.random.below(4));
                let name = format!("once-{}", self.next_name);
                self.create(host, name, containers as u32, nodes as u32);
            }
            2 if pools.len() > 2 => {
                let pool = self.pick(&pools);
                self.propose(host, Command::DestroyPool { pool });
            }
            3..=6 => {
                let (container, to) = (self.pick(&containers), self.pick(&members));
                self.propose(host, Command::Move { container, to });
            }
            7 if self.random.below(6) == 0 && members.len() > 3 => {
                let node = self.pick(&members);
                self.propose(host, Command::Drain { node });
            }
            8 => {
                for node in self.draining(host) {
                    self.propose(host, Command::Remove { node });
                }
            }
            12 if self.random.below(4) == 0 => {
                let container = self.pick(&containers);
                let number = (self.random.below(2) == 0).then_some(container.number);
                self.propose(host, Command::GiveUp { pool: container.pool, number });
            }
            9..=11 => {
                let now = self.hosts[host].clock.at(self.now);
                let incarnation = self.hosts[host].incarnation;
                let mut open =
                    self.open_calls.range((host, incarnation, crate::calls::CallNumber(0))..);
                if let Some(((of, life, number), _)) = open.next().map(|(key, id)| (*key, *id)) {
                    if of == host && life == incarnation {
                        self.hosts[host].node.as_mut().expect("it runs").cancel(now, number);
                    }
                }
            }
            _ => {
                let container = self.pick(&containers);
                for _ in 0..1 + self.random.below(3) {
                    self.call(host, container)?;
                }
            }
        }
        self.follow(host)
    }

    pub(super) fn draining(&self, host: usize) -> Vec<NodeId> {
        let node = self.hosts[host].node.as_ref().expect("it runs");
        let members = node.agreed().members().iter();
        let drains = members.filter(|(_, m)| m.standing == (crate::state::Standing::Draining {}));
        drains.map(|(node, _)| *node).collect()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    fn create(&mut self, host: usize, name: String, containers: u32, nodes: u32) {
        let (module, params) = ("kv".to_owned(), name.clone().into_bytes());
        let command = Command::CreatePool { name, module, params, containers, nodes, flags: 0 };
        self.propose(host, command);
    }

    pub(super) fn propose(&mut self, host: usize, command: Command) {
        if let Command::GiveUp { pool, number } = &command {
            let of_pool = |number| ContainerId { pool: *pool, number };
            let all = number.map_or(0..MOST_CONTAINERS, |number| number..number + 1);
            self.check.unbound.extend(all.map(of_pool));
        }
        self.tell(host, || format!("wants {command:?}"));
        let now = self.hosts[host].clock.at(self.now);
        let at = &mut self.hosts[host];
        // Too many at once is an answer, too.
        if let Some(Ok(number)) = at.node.as_mut().map(|node| node.propose(now, command)) {
            self.open_proposals.insert((host, at.incarnation, number));
        }
    }

    pub(super) fn call(&mut self, host: usize, container: ContainerId) -> Checked {
        let idempotent = self.random.below(3) == 0;
        let deadline: Option<Time> = match self.random.below(3) {
            0 => None,
            1 => Some(self.random.below(200 * MS)),
            _ => Some(self.random.below(3_000 * MS)),
        };
        self.begin(host, container, idempotent, deadline).map(|_| ())
    }

    pub(super) fn begin(
        &mut self,
        host: usize,
        container: ContainerId,
        idempotent: bool,
        deadline: Option<Time>,
    ) -> Result<u64, String> {
        self.next_call += 1;
        let id = self.next_call;
        // By a clock that is slow, a deadline lies later in true time.
        let drift = u64::from(self.bounds.drift_ppm);
        let true_deadline = deadline.map(|after| self.now + after + after * 2 * drift / 1_000_000);
        let called = Called {
            host,
            container,
            idempotent,
            begun: self.now,
            deadline: true_deadline,
            ended: None,
        };
        self.check.calls.insert(id, called);
        self.check.counts.calls += 1;
        let now = self.hosts[host].clock.at(self.now);
        let deadline = deadline.map(|after| self.deadline(host, Duration::from_nanos(after)));
        let payload = id.to_le_bytes().to_vec().into();
        let request = Request { container, idempotent, deadline, payload };
        let number = self.hosts[host].node.as_mut().expect("it runs").call(now, request);
        self.tell(host, || format!("call {id} ({number:?}) of {container} begins"));
        let incarnation = self.hosts[host].incarnation;
        self.open_calls.insert((host, incarnation, number), id);
        self.follow(host)?;
        Ok(id)
    }
}
