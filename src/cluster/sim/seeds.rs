//! Whole runs: a storm, then calm, in which the cluster has to heal.

use std::collections::BTreeSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

use super::check::{Checked, Counts};
use super::clock::{MS, SECOND};
use super::host::Crash;
use super::world::World;
use crate::calls::Outcome;
use crate::ids::{ContainerId, Index, NodeId, PoolId};
use crate::state::{Command, Standing};

/// When the storm ends.
const STORM: u64 = 10 * SECOND;
/// Within which time a cluster is whole again.
const HEALS: u64 = 25 * SECOND;

/// Seeds that found a fault once.
const FOUND: &[u64] = &[
    39, 84, 108, 156, 222, 1_173, 1_216, 100_337, 101_829, 102_200, 103_897, 104_666, 108_760,
    109_513, 310_802, 311_812, 480, 1_703, 501_093,
];

impl World {
    fn seed(&mut self, seed: u64) -> Checked {
        self.run_until(STORM)?;
        self.calm();
        self.works = false;
        let end = self.now + HEALS;
        // Whole, and with nothing on the way that would change it.
        let mut before = None;
        loop {
            let whole = self.is_whole();
            match &whole {
                Ok(_) if before.as_ref() == Some(&whole) => break,
                Err(lacks) if self.now >= end => {
                    return Err(format!("the cluster does not heal: {lacks}"));
                }
                _ => before = Some(whole),
            }
            self.run_until(self.now + 250 * MS)?;
            self.clear_up();
        }
        self.calls_succeed()?;
        if seed.is_multiple_of(8) {
            self.return_quietly()?;
        }
        self.check.at_the_end()
    }

    /// Those that drain are emptied and go.
    fn clear_up(&mut self) {
        if let Some(host) = self.leader() {
            for node in self.draining(host) {
                self.propose(host, Command::Remove { node });
            }
            // Their nodes have lost their disks, or do not let them in.
            let agreed = self.hosts[host].node.as_ref().expect("it leads").agreed();
            let orphans = agreed.containers().iter().filter(|(_, owned)| owned.owner.is_none());
            let pools: BTreeSet<PoolId> = orphans.map(|(container, _)| container.pool).collect();
            for pool in pools {
                self.propose(host, Command::GiveUp { pool, number: None });
            }
        }
    }

    pub(super) fn leader(&self) -> Option<usize> {
        let term = |host: &super::host::Host| {
            host.node.as_ref().map(|node| node.term()).filter(|(_, leads)| *leads)
        };
        (0..self.hosts.len())
            .filter(|host| term(&self.hosts[*host]).is_some())
            .max_by_key(|host| term(&self.hosts[*host]))
    }

    /// Whether all nodes are members, all containers are served, and all calls have ended: how much is agreed on
    /// then, or what it lacks.
    fn is_whole(&self) -> Result<Index, String> {
        let Some(leader) = self.leader() else { return Err("nobody leads".to_owned()) };
        let agreed = self.hosts[leader].node.as_ref().expect("it leads").agreed();
        for host in &self.hosts {
            let Some(node) = &host.node else { return Err(format!("{} is down", host.life)) };
            if host.paused_until > self.now {
                return Err(format!("{} pauses", host.life));
            }
            let member = agreed.members().get(&host.life.node);
            if !member.is_some_and(|m| m.life == host.life && m.standing == (Standing::Member {})) {
                return Err(format!("{} is {member:?}", host.life));
            }
            if node.agreed().applied() != agreed.applied() {
                return Err(format!("{} lags behind", host.life));
            }
            if node.agreed() != agreed {
                return Err(format!("{} differs", host.life));
            }
        }
        let all_refused = |container: &ContainerId| {
            let refused = &agreed.pools()[&container.pool].refused;
            agreed.members().keys().all(|node| refused.contains_key(node))
        };
        for (container, owned) in agreed.containers() {
            if owned.owner.is_none() && all_refused(container) {
                continue;
            }
            let owner = self.hosts.iter().find(|host| Some(host.life) == owned.owner);
            let serves = owner.is_some_and(|host| {
                let node = host.node.as_ref().expect("it is up");
                node.serves(host.clock.at(self.now), *container) == Some(owned.epoch)
            });
            if !serves || owned.moving_to.is_some() || owned.lost {
                return Err(format!("{container} is {owned:?}, and not served"));
            }
        }
        if let Some((host, _, number)) = self.open_proposals.first() {
            return Err(format!("proposal {number} of {} is open", self.hosts[*host].life));
        }
        match self.open_calls.first_key_value() {
            Some((_, id)) => Err(format!("call {id} is open")),
            None => Ok(agreed.applied()),
        }
    }

    /// Every node can call every container.
    fn calls_succeed(&mut self) -> Checked {
        let leader = self.leader().ok_or("nobody leads")?;
        let agreed = self.hosts[leader].node.as_ref().expect("it leads").agreed();
        let owned = agreed.containers().iter().filter(|(_, owned)| owned.owner.is_some());
        let containers: Vec<ContainerId> = owned.map(|(container, _)| *container).collect();
        let mut ids = Vec::new();
        for host in 0..self.hosts.len() {
            for container in containers.iter().take(4) {
                ids.push(self.begin(host, *container, false, None)?);
            }
        }
        self.run_until(self.now + 1_500 * MS)?;
        for id in ids {
            let ended = &self.check.calls[&id].ended;
            if !matches!(ended, Some(Outcome::Done(_))) {
                return Err(format!("in calm, call {id} ends with {ended:?}"));
            }
        }
        Ok(())
    }

    /// A voter that was cut off for a while comes back, and nobody has to be elected for that.
    fn return_quietly(&mut self) -> Checked {
        self.run_until(self.now + 2 * SECOND)?;
        let leader = self.leader().ok_or("nobody leads")?;
        let node = self.hosts[leader].node.as_ref().expect("it leads");
        let (before, voters) = (node.term(), node.voters());
        let votes = |host: &usize| *host != leader && voters.contains(&self.node_of(*host));
        let Some(away) = (0..self.hosts.len()).find(votes).filter(|_| voters.len() > 2) else {
            return Ok(());
        };
        self.isolate(away);
        self.run_until(self.now + 4 * SECOND)?;
        self.network.heal();
        self.run_until(self.now + 2 * SECOND)?;
        let after = self.hosts[leader].node.as_ref().expect("it leads").term();
        if before != after {
            return Err(format!("a node that returns unseats the leader: {before:?}, {after:?}"));
        }
        Ok(())
    }

    fn node_of(&self, host: usize) -> NodeId {
        self.hosts[host].life.node
    }
}

/// Runs one seed. What it counted, or what went wrong.
fn run(seed: u64, trace: bool) -> Result<Counts, String> {
    run_with(seed, true, trace)
}

/// The same, of a cluster that may have to be founded first.
pub(super) fn run_with(seed: u64, is_founded: bool, trace: bool) -> Result<Counts, String> {
    let run = || {
        let mut world = World::new(seed, is_founded, trace);
        let checked = world.seed(seed);
        if trace {
            eprintln!("seed {seed} at {} us: {checked:?}", world.now / 1000);
        }
        checked.map(|()| world.check.counts)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        Err(said.unwrap_or_else(|| "a panic".to_owned()))
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// `CHI_SEED=n` runs one seed and traces it. Otherwise those that have failed once, then `CHI_SEEDS` of them, or
/// as many as there is time for in `CHI_MINUTES`, from `CHI_FIRST_SEED` on.
#[test]
fn a_cluster_keeps_its_promises_whatever_happens() {
    if let Some(seed) = number("CHI_SEED") {
        run(seed, true).unwrap();
        return;
    }
    let first = number("CHI_FIRST_SEED").unwrap_or(1);
    let end =
        number("CHI_MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let count = number("CHI_SEEDS").unwrap_or(if end.is_some() { u64::MAX / 2 } else { 200 });
    let (mut ran, mut counts, mut failed) = (0, Counts::default(), Vec::new());
    for seed in FOUND.iter().copied().chain(first..first + count) {
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        match run(seed, false) {
            Ok(counted) => counts.add(&counted),
            Err(what) => failed.push(format!("CHI_SEED={seed}: {what}")),
        }
        ran += 1;
    }
    eprintln!("{ran} seeds: {counts:?}");
    assert!(failed.is_empty(), "{} of {ran} seeds fail:\n{}", failed.len(), failed.join("\n"));
    assert!(counts.done > counts.calls / 4, "the storm is too hard: {counts:?}");
    let is_wild = counts.lost > 0 && counts.takeovers > ran && counts.refused > 0;
    assert!(is_wild, "the storm is too mild: {counts:?}");
}

/// One node founds the cluster where there is none, and no second one when it comes back without its disk.
/// `CHI_SEED` and `CHI_SEEDS` are as above.
#[test]
fn a_cluster_is_founded_once_whatever_happens() {
    if let Some(seed) = number("CHI_SEED") {
        run_with(seed, false, true).unwrap();
        return;
    }
    let seeds = 1..=number("CHI_SEEDS").unwrap_or(200);
    let run = |seed| run_with(seed, false, false).err().map(|what| (seed, what));
    let failed: Vec<String> =
        seeds.filter_map(run).map(|(seed, what)| format!("CHI_SEED={seed}: {what}")).collect();
    assert!(failed.is_empty(), "{} seeds fail:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn a_seed_is_a_run() {
    let (one, two) = (run(7, false).unwrap(), run(7, false).unwrap());
    assert_eq!(format!("{one:?}"), format!("{two:?}"));
}

/// A cluster in which nothing goes wrong and nobody wants anything, some time after its beginning.
fn at_rest(seed: u64) -> World {
    let mut world = World::new(seed, true, false);
    world.calm();
    world.works = false;
    world.run_until(10 * SECOND).unwrap();
    world.is_whole().unwrap();
    world
}

#[test]
fn a_cluster_at_rest_does_little() {
    for seed in 1..20 {
        let mut world = at_rest(seed);
        let (begin, before) = (world.now, world.check.counts.events);
        world.run_until(begin + 20 * SECOND).unwrap();
        let hosts = world.hosts.len() as u64;
        let each = (world.check.counts.events - before) / 20 / hosts;
        // In each round, of which there are two or three a second, a node hears three messages of the leader, renews its
        // lease at a tick, and the leader hears three messages of it.
        assert!(each <= 25, "seed {seed}: {each} events of each of {hosts} nodes in a second");
    }
}

#[test]
fn a_leader_whose_connections_break_is_replaced_before_others_miss_it() {
    for seed in 1..40 {
        let mut world = at_rest(seed);
        // Any time after a heartbeat.
        world.run_until(world.now + seed * 37 * MS).unwrap();
        let leader = world.leader().unwrap();
        let former = world.node_of(leader);
        world.crash(leader, Crash::Clean, 60 * SECOND);
        for host in (0..world.hosts.len()).filter(|host| *host != leader) {
            let now = world.hosts[host].clock.at(world.now);
            world.hosts[host].node.as_mut().unwrap().suspect(now, former, true);
            world.follow(host).unwrap();
        }
        let least = world.bounds.tick * world.bounds.election_ticks;
        let soon = world.now + u64::try_from(least.as_nanos()).unwrap();
        world.run_until(soon).unwrap();
        assert!(world.leader().is_some(), "seed {seed}");
    }
}
