//! The admin pool: creating, destroying and finding pools, describing and stopping the runtime, all as
//! tasks. It imports the tables and every room below them.

pub(crate) mod container;
mod describe;
mod lifecycle;
mod params;
mod pool_manager;
mod status;

pub(crate) use self::describe::{describe, describe_module, obstacles};
pub(crate) use self::pool_manager::destroy_at_stop;
pub use self::status::describe_page;
