//! Traces: what happened to single tasks, as a program records it.

use serde::{Deserialize, Serialize};

use crate::document;

/// The format of the JSON.
pub const TRACE_FORMAT: u32 = 1;

/// What a program asks of a runtime that records a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceRequest {
    /// Begin to record. At the same time, there is one recording.
    Begin(TraceWanted),
    /// Return what has been recorded since the last time. Whoever does not ask for some seconds is taken for gone.
    Read {
        /// The recording, [`Trace::recording`].
        recording: u64,
        /// At most so many tasks; the runtime has a bound, too.
        most: usize,
    },
    /// End the recording, and return the rest.
    End {
        /// The recording.
        recording: u64,
        /// At most so many tasks; others are lost.
        most: usize,
    },
}

/// Which tasks are traced: those of which all of this is true, and the subtasks of those.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceWanted {
    /// They are for the pool with this name or id.
    pub pool: Option<String>,
    /// They are for this method, by its name or number, of that pool.
    pub method: Option<String>,
    /// They come from this session.
    pub session: Option<u64>,
    /// They are one of so many; 0 and 1 mean all.
    pub every: u64,
}

/// What was recorded of a trace since it was read the last time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// [`TRACE_FORMAT`].
    pub format: u32,
    /// The version of Chimaera.
    pub version: String,
    /// The number of the recording.
    pub recording: u64,
    /// When it began, in nanoseconds since 1970. All times below are in nanoseconds since then.
    pub began_unix_ns: u64,
    /// Until when it has been read.
    pub until_ns: u64,
    /// The pools and methods of the tasks.
    pub methods: Vec<TracedMethod>,
    /// The tasks that have ended since the last time.
    pub tasks: Vec<TracedTask>,
    /// The waits that are over since the last time.
    pub waits: Vec<TracedWait>,
    /// How many tasks and waits were lost since the last time, because there were too many.
    pub lost: u64,
    /// How many tasks have started, and not ended.
    pub open: u64,
    /// There is more than was to be returned.
    pub is_cut: bool,
}

/// A method of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TracedMethod {
    /// The name of the pool.
    pub pool: String,
    /// The name of the method.
    pub method: String,
}

/// A task that has ended. Its stages follow each other: in the ring, in a lane, running and suspended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TracedTask {
    /// Its number in this recording, which is not 0.
    pub id: u64,
    /// The task that submitted it, if that is traced; otherwise 0.
    pub parent: u64,
    /// Its method, in [`Trace::methods`] of this document.
    pub method: u32,
    /// The session that it or its root came from; 0 if it came from none.
    pub session: u64,
    /// Its root.
    pub root: u64,
    /// How deep it is below its root.
    pub depth: u32,
    /// The worker on which it ended.
    pub worker: u32,
    /// The status with which it ended.
    pub status: i32,
    /// Bytes of its body, strings and vectors that came with it.
    pub bytes_in: u64,
    /// When its client submitted it; `None` if that is unknown, or was before the recording.
    pub submitted_ns: Option<u64>,
    /// When the runtime accepted it.
    pub accepted_ns: u64,
    /// When it started.
    pub started_ns: u64,
    /// When its results had been delivered.
    pub ended_ns: u64,
}

/// A wait of a task, that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TracedWait {
    /// The task.
    pub task: u64,
    /// Since when.
    pub since_ns: u64,
    /// Until when.
    pub until_ns: u64,
    /// What for.
    pub what: TracedFor,
}

/// What a task waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TracedFor {
    /// A time.
    Time,
    /// An event: a device, or whatever else its module has it woken by.
    #[default]
    Event,
    /// A lock.
    Lock,
    /// A subtask; 0 if it is not traced.
    Task(u64),
    /// The same task in another process of the node.
    Process(i32),
    /// The same task on another node.
    Node,
}

impl Trace {
    /// Reads what a runtime has written.
    ///
    /// # Errors
    /// It was written by a runtime whose version writes something else; the message says which. Or its parts do not
    /// fit together.
    pub fn read(document: &serde_json::Value) -> Result<Trace, String> {
        let trace: Trace = document::read(document, "trace", TRACE_FORMAT)?;
        let methods = trace.methods.len();
        match trace.tasks.iter().find(|task| task.method as usize >= methods) {
            Some(task) => Err(format!(
                "the trace has no method {}, of which task {} is",
                task.method, task.id
            )),
            None => Ok(trace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_of_another_version_or_with_holes_is_refused() {
        let task = TracedTask { id: 7, method: 1, ..TracedTask::default() };
        let mut trace = Trace {
            format: TRACE_FORMAT,
            version: "9.9".to_owned(),
            methods: vec![TracedMethod::default(), TracedMethod::default()],
            tasks: vec![task],
            ..Trace::default()
        };
        let read = |trace: &Trace| Trace::read(&serde_json::to_value(trace).unwrap());
        assert_eq!(read(&trace).unwrap(), trace);
        trace.methods.pop();
        assert_eq!(read(&trace).unwrap_err(), "the trace has no method 1, of which task 7 is");
        trace.format += 1;
        assert!(read(&trace).unwrap_err().contains("Chimaera 9.9, writes its trace in format 2"));
    }
}
