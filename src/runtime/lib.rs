//! The runtime: it takes tasks from the rings of its sessions and runs them in the containers of its
//! pools.
//!
//! [`Runtime::start`] starts one inside the calling process; the program `chimaera` is a thin shell
//! around it.

mod about;
mod admin;
mod alarms;
mod aside;
mod broadcast;
mod cancel;
mod config;
mod container;
mod control;
mod deadlock;
mod desk;
mod elf;
mod events;
mod fault;
mod fences;
mod fiber;
mod fibers;
mod finish;
mod flight;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod host;
pub mod inspect;
mod ipc_table;
mod lane;
mod lifecycle;
mod lock_core;
mod locks;
mod marshal;
mod method;
mod module;
mod nap;
mod params;
mod place;
mod pollers;
mod pool;
mod pools;
mod properties;
mod query;
mod record;
mod rings;
mod route;
mod runtime;
mod session;
mod shared;
mod stack;
mod takeover;
mod throttle;
mod wait;
mod watch;
mod worker;

pub use config::{check_cores, Config, Error, PoolConfig};
pub use runtime::Runtime;

/// A status other than `CHI_OK`, and why.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: chimaera_abi::chi_status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: chimaera_abi::chi_status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }
}

/// Locks a mutex; nothing that is done under the runtime's locks panics halfway.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
