//! What clients of a cluster have seen, against what has run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::time::{clock_gettime, ClockId};

use crate::{artefacts, Cluster, Running};

/// The time by the clock of the callers and of `test:witness`, in nanoseconds.
pub fn elapsed_time() -> u64 {
    let at = clock_gettime(ClockId::Boottime);
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// A cluster with a pool `witness` (`test:witness`) and a pool `store` (`chimaera:kv`), and clients that call them all
/// the time.
pub struct Trial {
    /// The cluster.
    pub cluster: Cluster,
    /// What `test:witness` writes.
    file: PathBuf,
    containers: usize,
    callers: Vec<Running>,
}

/// A call, as its caller has seen it.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `witness` or `store`.
    pub pool: String,
    /// The key, which no other call has.
    pub key: String,
    /// The container of `witness`.
    pub container: u32,
    /// `ran`, `perhaps`, `not`, or a status.
    pub outcome: String,
    /// When it was made.
    pub started: u64,
    /// When it ended.
    pub ended: u64,
    /// Why it did not succeed.
    pub message: String,
}

/// That a task has run.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// In which container.
    pub container: u32,
    /// In which process.
    pub process: u32,
    /// When.
    pub at: u64,
}

/// All calls of a trial.
pub struct Record {
    /// The calls.
    pub calls: Vec<Ended>,
    /// What has run, by the keys.
    pub notes: HashMap<String, Vec<Note>>,
}

impl Trial {
    /// The modules that its nodes have.
    pub fn modules() -> [PathBuf; 2] {
        [artefacts::rust_module("chimaera_kv"), artefacts::witness()]
    }

    /// Starts a cluster of so many nodes, which all have a container of each pool.
    #[track_caller]
    pub fn start(count: usize) -> Trial {
        Trial::over(Cluster::start(count, &Trial::modules()))
    }

    /// Creates the pools on a cluster: each node gets a container.
    #[track_caller]
    pub fn over(cluster: Cluster) -> Trial {
        let count = cluster.len();
        let site = cluster.site(0);
        let file = site.path().join("witness");
        let parameters = format!("file={}", file.display());
        site.cli(&[
            "pool",
            "create",
            "witness",
            "--module",
            "test:witness",
            "--params",
            &parameters,
        ])
        .ok();
        site.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
        for pool in ["witness", "store"] {
            let mut owners = cluster.owners(0, pool);
            owners.sort();
            owners.dedup();
            assert_eq!(owners.len(), count, "each node has a container of '{pool}'");
        }
        Trial { cluster, file, containers: count, callers: Vec::new() }
    }

    /// Starts a client at each of these nodes, and waits until each of its threads has called. `program` is
    /// `chi-test-caller`.
    #[track_caller]
    pub fn call_from(&mut self, program: &str, nodes: &[usize]) {
        let first = self.callers.len();
        for node in nodes {
            let mut command: Command = self.cluster.site(*node).command(program);
            command.args([self.callers.len().to_string(), self.containers.to_string()]);
            self.callers.push(Running::start(&mut command));
        }
        for caller in &mut self.callers[first..] {
            assert_eq!(caller.line().as_deref(), Some("ready"));
        }
    }

    /// Lets the clients call for a while.
    pub fn go_on(&self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }

    /// The containers of `witness` that a node owns.
    pub fn containers_of(&self, asked: usize, node: usize) -> Vec<u32> {
        let owners = self.cluster.owners(asked, "witness");
        let name = self.cluster.site(node).name();
        (0..).zip(owners).filter(|(_, owner)| owner == name).map(|(number, _)| number).collect()
    }

    /// Ends the clients: all their calls end.
    #[track_caller]
    pub fn finish(&mut self) -> Record {
        self.callers.iter_mut().for_each(Running::close);
        let mut calls = Vec::new();
        for mut caller in self.callers.drain(..) {
            loop {
                let line = caller.line().expect("it says when it ends");
                if line == "end" {
                    break;
                }
                calls.push(ended(&line).unwrap_or_else(|| panic!("no call: {line}")));
            }
            assert_eq!(caller.end(), 0);
        }
        let text = std::fs::read_to_string(&self.file).expect("it is there");
        let mut notes: HashMap<String, Vec<Note>> = HashMap::new();
        for line in text.lines() {
            let (key, note) = note(line).unwrap_or_else(|| panic!("no note: {line}"));
            notes.entry(key).or_default().push(note);
        }
        Record { calls, notes }
    }
}

fn ended(line: &str) -> Option<Ended> {
    let mut words = line.splitn(7, ' ');
    let mut word = || words.next().map(str::to_owned);
    Some(Ended {
        pool: word()?,
        key: word()?,
        container: word()?.parse().ok()?,
        outcome: word()?,
        started: word()?.parse().ok()?,
        ended: word()?.parse().ok()?,
        message: word()?,
    })
}

fn note(line: &str) -> Option<(String, Note)> {
    let mut words = line.split(' ');
    let key = words.next()?.to_owned();
    let container = words.next()?.parse().ok()?;
    let process = words.next()?.parse().ok()?;
    Some((key, Note { container, process, at: words.next()?.parse().ok()? }))
}

impl Record {
    /// Checks that each call of `witness` ran as often as its caller was told, and that no call ended in another way than
    /// a lost node explains.
    #[track_caller]
    pub fn check(&self) {
        let mut wrong = Vec::new();
        for call in &self.calls {
            let may = match &*call.outcome {
                "ran" => 1..=1,
                "perhaps" => 0..=1,
                "not" => 0..=0,
                _ => {
                    wrong.push(format!("{call:?}"));
                    continue;
                }
            };
            let runs = self.notes.get(&call.key).map_or(0, Vec::len);
            if call.pool == "witness" && !may.contains(&runs) {
                wrong
                    .push(format!("it ran {runs} times: {call:?} {:?}", self.notes.get(&call.key)));
            }
        }
        let count = wrong.len();
        wrong.truncate(20);
        assert_eq!(count, 0, "{}", wrong.join("\n"));
    }

    /// How many calls have ended how.
    pub fn counts(&self) -> String {
        let count = |outcome: &str| self.calls.iter().filter(|it| it.outcome == outcome).count();
        format!(
            "{} calls: {} ran, {} may have run, {} did not run",
            self.calls.len(),
            count("ran"),
            count("perhaps"),
            count("not")
        )
    }

    /// How long after `since` the last of the calls ended that were under way to these containers of `witness` then, and how
    /// long after it the first one ran that was made later.
    pub fn times(&self, since: u64, containers: &[u32]) -> (Duration, Option<Duration>) {
        let to = |call: &&Ended| call.pool == "witness" && containers.contains(&call.container);
        let under_way = self.calls.iter().filter(to).filter(|it| it.started < since);
        let last = under_way.map(|call| call.ended.saturating_sub(since)).max().unwrap_or(0);
        let later = self.calls.iter().filter(to);
        let later = later.filter(|it| it.started >= since && it.outcome == "ran");
        let first = later.map(|call| call.ended - since).min();
        (Duration::from_nanos(last), first.map(Duration::from_nanos))
    }

    /// How long the longest call took.
    pub fn longest(&self) -> Duration {
        Record::longest_of(self.calls.iter())
    }

    /// How long the longest call took of those that clients other than `but` made to these containers of `witness`.
    pub fn longest_to(&self, containers: &[u32], but: &[usize]) -> Duration {
        let by_other = |call: &&Ended| {
            !but.iter().any(|client| call.key.starts_with(&format!("witness/{client}/")))
        };
        let to = |call: &&Ended| call.pool == "witness" && containers.contains(&call.container);
        Record::longest_of(self.calls.iter().filter(to).filter(by_other))
    }

    fn longest_of<'c>(calls: impl Iterator<Item = &'c Ended>) -> Duration {
        Duration::from_nanos(calls.map(|call| call.ended - call.started).max().unwrap_or(0))
    }

    /// Checks that no two processes have served a container at once: those whose answers count did so one after the other.
    /// A process may be stopped just when it has let a task start, which then runs late, but its answer does not leave.
    #[track_caller]
    pub fn check_one_at_a_time(&self) {
        let answered = self.calls.iter().filter(|call| call.outcome == "ran");
        let notes = answered.filter_map(|call| self.notes.get(&call.key)).flatten();
        let mut all: Vec<(u32, u64, u32)> =
            notes.map(|it| (it.container, it.at, it.process)).collect();
        all.sort_unstable();
        let mut seen: HashMap<u32, Vec<u32>> = HashMap::new();
        for (container, at, process) in all {
            let owners = seen.entry(container).or_default();
            if owners.last() != Some(&process) {
                assert!(
                    !owners.contains(&process),
                    "container {container}: process {process} serves it again at {at}, after {owners:?}"
                );
                owners.push(process);
            }
        }
    }
}
