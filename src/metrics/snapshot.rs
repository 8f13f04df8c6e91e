//! What is counted and measured, at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document;
use crate::latency::Latency;

/// The format of the JSON.
pub const FORMAT: u32 = 1;

/// What a runtime has counted and measured since it started. Counts only grow, until the runtime is started again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of Chimaera.
    pub version: String,
    /// For how long the runtime has been running, in nanoseconds.
    pub uptime_ns: u64,
    /// Its process.
    pub process: Process,
    /// The workers that have been started, by their numbers.
    pub workers: Vec<Worker>,
    /// The pools.
    pub pools: Vec<Pool>,
    /// The sessions that are connected.
    pub sessions: Vec<Session>,
    /// How many sessions there have been.
    pub sessions_total: u64,
    /// The memory budget.
    pub memory: Memory,
    /// Lines of the log that could not be written.
    pub log_lost: u64,
    /// The nodes of its cluster; none if it is not in one, or if the thread of the cluster does not answer.
    #[serde(default)]
    pub nodes: Vec<Node>,
}

/// A node of the cluster, as this one sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// `joining`, `member`, `draining` or `lost`.
    pub standing: String,
    /// Whether it is one of those that agree on what holds in the cluster.
    pub voter: bool,
    /// Whether it leads them.
    pub leads: bool,
    /// Whether it is the one that says this.
    pub own: bool,
    /// How many containers are on it.
    pub containers: u64,
    /// For how long it has been connected, in milliseconds; `None` if it is not, and for the one that says this.
    pub connected_ms: Option<u64>,
    /// When it was last heard, in milliseconds before, if it ever was.
    pub last_byte_ms: Option<u64>,
    /// How long a message to it and back takes, in microseconds.
    pub round_trip_us: Option<u64>,
}

/// The process of a runtime. What the system does not say is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started_s: f64,
    /// The processor time that it has taken, in nanoseconds.
    pub cpu_ns: u64,
    /// Its memory, in bytes.
    pub resident_bytes: u64,
    /// Its open descriptors.
    pub descriptors: u64,
    /// The limit on them.
    pub descriptors_limit: u64,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// `low_latency` or `high_latency`.
    pub group: String,
    /// `resting`, `attending` or `serving` for a stand-by worker.
    pub standby: Option<String>,
    /// Tasks that it has completed.
    pub calls: u64,
    /// Those of them that have failed.
    pub failed: u64,
    /// Tasks that are suspended on it.
    pub suspended: u64,
    /// How often it has gone to sleep.
    pub parks: u64,
    /// About how long it has run tasks, in nanoseconds: of those that have ended, from a sample.
    pub busy_ns: u64,
    /// The method that has kept it busy for longer than a few milliseconds, if any does.
    pub running: Option<Running>,
}

/// A method that keeps a worker busy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The name of its pool, if it is known.
    pub pool: Option<String>,
    /// Its name, if it is known.
    pub method: Option<String>,
    /// The number of the session whose task it is, if that is connected.
    pub session: Option<u64>,
    /// The session's process.
    pub pid: Option<i32>,
    /// The worker's thread has ended in it.
    pub thread_ended: bool,
    /// For how long, in milliseconds.
    pub age_ms: u64,
}

/// A pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its id: `3.0`.
    pub id: String,
    /// The name of its module.
    pub module: String,
    /// The version of its module.
    pub version: String,
    /// How many containers it has.
    pub containers: u32,
    /// Tasks that have been admitted to it, and have not ended; periodic ones between two runs, too.
    pub in_flight: u64,
    /// Its methods that have been called, by their numbers.
    pub methods: Vec<Method>,
}

/// A method of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// Tasks that have ended: those of clients, those that methods sent, and each run of a periodic one. A broadcast
    /// counts once for itself, and once for each container.
    pub calls: u64,
    /// Those of them that have failed.
    pub failed: u64,
    /// How many of them, by status: its name, or its number if a module has defined it. Beyond the first 32 of a
    /// worker, statuses are not told apart.
    pub statuses: BTreeMap<String, u64>,
    /// Tasks in lanes that have not started.
    pub queued: u64,
    /// Tasks that workers are running at this moment.
    pub running: u64,
    /// Tasks that are suspended.
    pub suspended: u64,
    /// Bytes of bodies, strings and vectors that came from clients, without what only methods fill in.
    pub bytes_in: u64,
    /// Bytes that went back to them, without what only callers fill in.
    pub bytes_out: u64,
    /// How long tasks have taken.
    pub latency: Stages,
}

/// How long tasks have taken, by stage: from a sample, in which each task stands for those before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// In a client's ring, until the task was accepted. Without tasks of methods.
    pub ring: Latency,
    /// In a lane, until it started.
    pub lane: Latency,
    /// Running, until its results had been delivered, without the time in which it was suspended.
    pub running: Latency,
    /// Suspended, if it ever was.
    pub suspended: Latency,
    /// From the first of these to the last.
    pub total: Latency,
}

impl Stages {
    /// All of them, with their names.
    pub fn each(&self) -> [(&'static str, &Latency); 5] {
        [
            ("ring", &self.ring),
            ("lane", &self.lane),
            ("running", &self.running),
            ("suspended", &self.suspended),
            ("total", &self.total),
        ]
    }
}

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its number.
    pub session: u64,
    /// The client's process; 0 if that is in another PID namespace.
    pub pid: i32,
    /// The client's user.
    pub uid: u32,
    /// For how long it has been connected, in milliseconds.
    pub age_ms: u64,
    /// Whether the client is a module host of this runtime.
    pub module_host: bool,
    /// Its tasks that have been accepted and have not ended.
    pub in_flight: u64,
    /// Whether it waits because of a limit.
    pub throttled: bool,
    /// Its tasks that have ended.
    pub calls: u64,
    /// Those of them that have failed.
    pub failed: u64,
    /// Bytes of bodies, strings and vectors that came from it, without what only methods fill in.
    pub bytes_in: u64,
    /// Bytes that went back to it, without what only callers fill in.
    pub bytes_out: u64,
    /// The size of its segment.
    pub segment_bytes: u64,
    /// Bytes of results in it.
    pub results_bytes: u64,
}

/// The memory budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Its size.
    pub budget_bytes: u64,
    /// How much of it is in use.
    pub used_bytes: u64,
    /// For what.
    pub uses: BTreeMap<String, u64>,
}

impl Snapshot {
    /// Reads what a runtime has written.
    ///
    /// # Errors
    /// It was written by a runtime whose version writes something else; the message says which.
    pub fn read(document: &serde_json::Value) -> Result<Snapshot, String> {
        document::read(document, "snapshot of metrics", FORMAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_writes_is_refused_by_name() {
        let own = Snapshot { format: FORMAT, version: "9.1.0".to_owned(), ..Snapshot::default() };
        let mut document = serde_json::to_value(&own).expect("it is plain data");
        assert_eq!(Snapshot::read(&document), Ok(own));
        document["calls_of_tomorrow"] = 3.into();
        assert!(Snapshot::read(&document).is_ok(), "what is added is left aside");
        document["workers"] = serde_json::json!([{ "group": 7 }]);
        let why = Snapshot::read(&document).expect_err("that is no worker");
        assert!(why.contains("Chimaera 9.1.0") && why.contains("cannot be read"), "{why}");
        document["format"] = 2.into();
        let why = Snapshot::read(&document).expect_err("nobody knows that format");
        assert!(why.contains("9.1.0, writes its snapshot of metrics in format 2"), "{why}");
        for no_metrics in ["null", "[]", "{}", "{\"format\":-1}", "{\"format\":\"1\"}"] {
            let document = serde_json::from_str(no_metrics).expect("it is JSON");
            assert!(Snapshot::read(&document).is_err(), "{no_metrics}");
        }
    }
}
