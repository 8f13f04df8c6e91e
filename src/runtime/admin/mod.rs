//! The admin pool: creating, destroying and finding pools, describing and stopping the runtime, all
//! as tasks. It imports the tables and every room below them.

pub(crate) mod agreed;
pub(crate) mod container;
pub(crate) mod definition;
mod describe;
pub(crate) mod destruction;
pub(crate) mod durable;
mod hosted;
mod hosted_state;
mod lifecycle;
pub(crate) mod notice;
mod params;
mod pool_manager;
pub(crate) mod replacement;
pub(crate) mod restart;
mod snapshot;
mod status;
mod tasks;
mod trace;
mod workers;

pub(crate) use self::agreed::Installed;
pub(crate) use self::describe::{describe, describe_module, describe_one, obstacles};
pub(crate) use self::hosted::create_hosted;
pub(crate) use self::hosted_state::{saves as hosted_saves, Hosted};
pub(crate) use self::snapshot::snapshot;
pub use self::status::describe_page;
pub(crate) use self::tasks::{measure_all, slow_tasks, tasks};
pub(crate) use self::trace::trace;
pub(crate) use self::workers::busy_with;
