//! Pools and what they are made of: containers, their lanes, their methods, who may come in. It owns the
//! table of open pools and the register of names. A task is an opaque handle here. It imports `sys`,
//! `module` and `sync`.

mod admission;
mod container;
mod lane;
mod method;
mod pool;
mod registry;
mod table;

pub(crate) use self::container::Container;
pub(crate) use self::lane::{ContainerLane, Entered, LanePtr, TaskHandle};
pub(crate) use self::method::PoolMethod;
pub(crate) use self::pool::Pool;
pub(crate) use self::registry::{Lookup, Registry};
pub(crate) use self::table::PoolTable;
