//! The runtime: it takes tasks from the rings of its sessions and runs them in the containers of
//! its pools.
//!
//! [`Runtime::start`] starts one inside the calling process; the program `chimaera` is a thin shell
//! around it.
//!
//! Its rooms, bottom up: each imports only rooms listed above it (`tests/rooms.rs` enforces this).
//!
//! | room | owns |
//! |---|---|
//! | `sys` | signals, fences, parking, mutexes, last words |
//! | `log` | where log lines go, log lines about tasks, and their rate limit |
//! | `metrics` | what is counted and measured of tasks |
//! | `access` | callers, their rights, and who the owner is |
//! | `config` | the configuration of a runtime |
//! | `durable` | the definitions of durable pools, in files |
//! | `module` | modules: files, libraries, methods |
//! | `published` | published memory |
//! | `session` | clients' sessions: segments, arenas, tasks in flight |
//! | `sync` | completion words, locks, the wait graph |
//! | `pool` | pools, containers, lanes, names |
//! | `task` | tasks: records, bodies, properties |
//! | `host` | module hosts: links to them, and the tasks in these |
//! | `coroutine` | the stacks that tasks run on |
//! | `scheduler` | workers, and the path of a task through them |
//! | `state` | the states of containers, as their successors read them |
//! | `tables` | the functions that modules call |
//! | `handover` | what a runtime hands over to its successor |
//! | `isolation` | starting module hosts, and passing tasks on to them |
//! | `admin` | the admin pool: creating, destroying, describing |
//! | `cluster` | being a node of a cluster |
//! | `control` | accepting clients, ending sessions and the runtime |

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod access;
mod admin;
mod cluster;
mod config;
mod control;
mod coroutine;
mod durable;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handover;
mod host;
pub mod inspect;
mod isolation;
pub mod log;
mod metrics;
mod module;
mod pool;
mod published;
mod runtime;
mod scheduler;
mod session;
mod state;
mod sync;
mod sys;
mod tables;
mod task;

pub use access::{Accounts, PoolAccess};
pub use admin::describe_page;
pub use config::{
    check_cores, ClusterConfig, Config, Error, Founding, HostLimits, HostOrders, Isolation,
    MemoryLimit, OnCrash, PoolConfig, ProcessLimits, Program, Progress, ServiceManager, UserLimits,
    UserQuota,
};
pub use module::{check_module_directory, check_module_file, library_path_warning};
pub use runtime::{Ending, Runtime};
pub use scheduler::{signal_masks, state_calls, timer_threads};
pub use sys::demangle::demangle;
pub use sys::ends;
