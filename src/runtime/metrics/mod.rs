//! What is counted and measured of tasks, by method, session and worker.
//!
//! Each worker writes only words of its own, and nobody waits for anybody: other threads read them at any
//! time. Counters count every task. Of the time that tasks take, each worker measures a sample: one of
//! 64 tasks of each ring, one after each tick of the watchdog and after each sleep, and every task of a
//! method that takes long. A measured task stands for those of its method since the last measured one,
//! so that the histograms are about all tasks.

mod count;
mod histogram;
mod method;
mod per_worker;
mod scale;
mod session;
mod timing;
mod worker;

pub(crate) use self::histogram::{bounds, Distribution};
pub(crate) use self::method::MethodMetrics;
pub(crate) use self::session::SessionMetrics;
pub(crate) use self::timing::{Stage, Timing};
pub(crate) use self::worker::{Metrics, OwnMetrics};
