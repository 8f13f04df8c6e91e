//! What a runtime counts and measures of tasks, at one moment: a [`Snapshot`]; which [`Tasks`] it has, and which
//! took long, [`SlowTasks`]; and what happened to single ones, a [`Trace`]. The runtime writes it as JSON; the program `chimaera` reads that, also from a runtime
//! of another version.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod document;
mod latency;
mod openmetrics;
mod slow;
mod snapshot;
mod tasks;
mod trace;

pub use latency::{Bucket, Latency};
pub use openmetrics::{openmetrics, CONTENT_TYPE};
pub use slow::{SlowTask, SlowTasks, SLOW_FORMAT};
pub use snapshot::{
    Memory, Method, Node, Pool, Process, Running, Session, Snapshot, Stages, Worker, FORMAT,
};
pub use tasks::{Passage, Silent, State, Task, Tasks, WaitsFor, Wanted, TASKS_FORMAT};
pub use trace::{
    Trace, TraceRequest, TraceWanted, TracedFor, TracedMethod, TracedTask, TracedWait, TRACE_FORMAT,
};
