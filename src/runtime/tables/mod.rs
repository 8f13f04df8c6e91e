//! The tables of functions that modules call: `chi_host` and, for code in methods, `chi_ipc`.
//! Modules reach the runtime only through these. This room imports every room below it.

mod clients;
mod directory;
mod events;
mod here;
pub(crate) mod host;
pub(crate) mod ipc;
mod ipc_tasks;
mod locks;
mod memory;
mod places;
mod pollers;
mod publishing;

pub(crate) use self::ipc::worker_ipc;
