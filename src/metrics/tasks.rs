//! The tasks that a runtime has, at one moment, and those that took long.

use serde::{Deserialize, Serialize};

use crate::document;

/// The format of the JSON.
pub const TASKS_FORMAT: u32 = 1;

/// What a runtime is asked for: which of its tasks to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// At most so many of them, the oldest.
    pub most: usize,
    /// Only those of this pool.
    pub pool: Option<String>,
    /// Only those of this session.
    pub session: Option<u64>,
}

/// The tasks of a runtime and its module hosts that have begun and have not ended. What waits in the rings of clients is
/// only counted, for each session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tasks {
    /// [`TASKS_FORMAT`].
    pub format: u32,
    /// The version of Chimaera.
    pub version: String,
    /// The oldest first; those of unknown age are last.
    pub tasks: Vec<Task>,
    /// How many there are in all, which is not counted by session: less than are listed if some have ended meanwhile, and more
    /// if not all were asked for.
    pub suspended: Option<u64>,
    /// The same of those that have not started.
    pub queued: Option<u64>,
    /// Who has not said which tasks are suspended or queued there: a worker that a method keeps busy or that has not got to it
    /// in time, or a module host.
    pub silent: Vec<Silent>,
}

/// Who has not answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Silent {
    /// The process.
    pub process: i32,
    /// The worker; `None` for all of the process.
    pub worker: Option<u32>,
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In a lane.
    #[default]
    Queued,
    /// Running, and keeping its worker busy.
    Running,
    /// Waiting in its method.
    Suspended,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Suspended => "suspended",
        }
    }
}

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Names the task as long as it exists: eight hexadecimal digits, or, of one that runs, `worker-1`, behind the process
    /// if that is a module host: `1234/worker-1`.
    pub id: String,
    /// The process in which it is.
    pub process: i32,
    /// The worker that it is on, or that it waits for.
    pub worker: Option<u32>,
    /// Its pool.
    pub pool: String,
    /// Its method.
    pub method: String,
    /// The session that the task or its root task came from. `None` for tasks that the runtime and its modules start by
    /// themselves, and for those in module hosts, and from there.
    pub session: Option<u64>,
    /// The client's process, if it is connected.
    pub pid: Option<i32>,
    /// Its root, and how deep below that it is, as in the log.
    pub root: u64,
    /// How deep it is below its root.
    pub depth: u32,
    /// How far it has come.
    pub state: State,
    /// For how long it exists, in nanoseconds: since it was submitted, where that is known, or else since it was
    /// queued or suspended for the first time, to some milliseconds. Of one that runs: for how long it has kept its
    /// worker busy.
    pub age_ns: Option<u64>,
    /// For how long it has been in this state.
    pub state_ns: Option<u64>,
    /// It has been cancelled, or is late; unknown of one that runs.
    pub cancelled: bool,
    /// What it waits for, if it is suspended.
    pub waits_for: Option<WaitsFor>,
    /// The numbers of the locks that it holds; unknown of one that runs.
    pub holds: Vec<u64>,
    /// Where it came from, if that is another process of this node.
    pub came: Option<Passage>,
}

/// How a task has gone from one process of this node to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The process at the other end.
    pub process: i32,
    /// The worker that sent it.
    pub worker: u32,
    /// Where it is in the memory between them.
    pub task: u64,
}

/// What a suspended task waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WaitsFor {
    /// A time, an event, a poller, or its turn.
    Event,
    /// Another task.
    Task {
        /// Its [`id`](Task::id), unless it runs.
        id: String,
        /// Its pool.
        pool: String,
        /// Its method.
        method: String,
        /// Its root.
        root: u64,
        /// How deep it is below its root.
        depth: u32,
    },
    /// A lock.
    Lock {
        /// Its number in the process.
        number: u64,
        /// The pool that it was made for; empty if that is unknown.
        pool: String,
    },
    /// Its own end in another process of this node.
    Process(Passage),
    /// Its own end on another node.
    Node,
}

impl Tasks {
    /// Reads what a runtime has written.
    ///
    /// # Errors
    /// It was written by a runtime whose version writes something else; the message says which.
    pub fn read(document: &serde_json::Value) -> Result<Tasks, String> {
        document::read(document, "list of tasks", TASKS_FORMAT)
    }
}
