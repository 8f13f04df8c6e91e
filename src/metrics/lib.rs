//! What a runtime counts and measures of tasks, at one moment: a [`Snapshot`]. The runtime writes it as JSON; the
//! program `chimaera` reads that, also from a runtime of another version.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod latency;
mod openmetrics;
mod snapshot;

pub use latency::{Bucket, Latency};
pub use openmetrics::{openmetrics, CONTENT_TYPE};
pub use snapshot::{
    Memory, Method, Pool, Process, Running, Session, Snapshot, Stages, Worker, FORMAT,
};
