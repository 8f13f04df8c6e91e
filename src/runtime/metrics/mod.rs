//! What is counted and measured of tasks, by method, session and worker.
//!
//! Each worker writes only words of its own, and nobody waits for anybody: other threads read them at any
//! time. Counters count every task. Times are those of a sample, one of 128 tasks, each of which stands for those of
//! its method since the last one; and of tasks that were chosen for what they are, each of which stands for itself: the
//! first after a sleep or after a tick of the watchdog, and those that are expected to take long. By a switch, all are
//! measured.

mod coarse;
mod count;
mod histogram;
mod method;
mod per_worker;
mod scale;
mod session;
mod slow;
mod timing;
mod trace;
mod worker;

pub(crate) use self::coarse::OwnCoarse;
pub(crate) use self::histogram::{bounds, Distribution};
pub(crate) use self::method::MethodMetrics;
pub(crate) use self::session::SessionMetrics;
pub(crate) use self::timing::{Stage, Submitter, Timing, Took};
pub(crate) use self::trace::{Ends, Filter, Starts, Tracer};
pub(crate) use self::worker::{Metrics, OwnMetrics};
