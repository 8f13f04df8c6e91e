//! Pools and their parts: containers, lanes, methods, admission. It owns the table of open pools,
//! the registry of names, and the counts of pools and containers per user. Here, a task is an
//! opaque handle. It imports `access`, `sys`, `config`, `module` and `sync`.

mod admission;
mod claims;
mod container;
mod dependencies;
mod hold;
mod lane;
mod loss;
mod method;
mod pool;
mod registry;
mod table;

pub(crate) use self::admission::Life;
pub(crate) use self::claims::Claim;
pub(crate) use self::container::{Container, CrashPolicy, Del, Ops};
pub(crate) use self::hold::{Hold, Release};
pub(crate) use self::lane::{ContainerLane, Entered, LanePtr, TaskHandle};
pub(crate) use self::loss::{Loss, Notices};
pub(crate) use self::method::PoolMethod;
pub(crate) use self::pool::Pool;
pub(crate) use self::registry::{BeingChanged, Lookup, Registry, RemovedPool};
pub(crate) use self::table::PoolTable;
