//! The tasks that took long.

use serde::{Deserialize, Serialize};

use crate::document;

/// The format of the JSON.
pub const SLOW_FORMAT: u32 = 1;

/// The tasks of late that took long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowTasks {
    /// [`SLOW_FORMAT`].
    pub format: u32,
    /// The version of Chimaera.
    pub version: String,
    /// How long a task must take to be noted, in nanoseconds.
    pub threshold_ns: u64,
    /// Whether every task is measured, and not a sample.
    pub measures_all: bool,
    /// The last ones, the oldest first.
    pub tasks: Vec<SlowTask>,
    /// How many there have been.
    pub noted: u64,
}

/// A task that took long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowTask {
    /// Its pool.
    pub pool: String,
    /// Its method.
    pub method: String,
    /// The session that the task or its root task came from.
    pub session: Option<u64>,
    /// Its root.
    pub root: u64,
    /// How deep it is below its root.
    pub depth: u32,
    /// The status with which it ended; `None` if only its worker was seen to be busy with it.
    pub status: Option<i32>,
    /// How long ago it ended, in nanoseconds.
    pub ago_ns: u64,
    /// How long it took in all, in nanoseconds, as far as that is known: see the stages.
    pub total_ns: u64,
    /// In the ring of its client; `None` if that is unknown.
    pub ring_ns: Option<u64>,
    /// In a lane, before it started.
    pub lane_ns: u64,
    /// Running.
    pub running_ns: u64,
    /// Suspended.
    pub suspended_ns: u64,
    /// It was not measured, but noticed because it kept its worker busy or was suspended: its times are about right, to
    /// some milliseconds.
    pub is_about: bool,
    /// Bytes of its body, strings and vectors that came with it.
    pub bytes_in: u64,
}

impl SlowTasks {
    /// Reads what a runtime has written.
    ///
    /// # Errors
    /// It was written by a runtime whose version writes something else; the message says which.
    pub fn read(document: &serde_json::Value) -> Result<SlowTasks, String> {
        document::read(document, "list of slow tasks", SLOW_FORMAT)
    }
}
