//! The SDK for ChiMods in Rust.
//!
//! A module is a `cdylib` with one container type. Each pool has one or more containers of that
//! type:
//!
//! ```
//! use std::cell::Cell;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use chimaera::module::{Init, RunContext};
//! use chimaera::{Result, Status};
//!
//! /// Adds to the pool's counter. (Task structs live in the module's client crate.)
//! #[chimaera::task]
//! pub struct AddTask {
//!     /// In.
//!     pub amount: Cell<u64>,
//!     /// Out: the sum so far.
//!     pub sum: Cell<u64>,
//! }
//!
//! /// The container.
//! pub struct Runtime {
//!     sum: AtomicU64,
//! }
//!
//! #[chimaera::container(name = "example:counter")]
//! impl Runtime {
//!     #[create]
//!     fn create(init: &Init<'_>) -> Result<Self> {
//!         chimaera::log_info!("counter {} starts", init.pool_name());
//!         Ok(Runtime { sum: AtomicU64::new(0) })
//!     }
//!
//!     #[method(10, name = "kAdd")]
//!     fn add(&self, task: &AddTask, _ctx: &RunContext<'_>) -> Result<()> {
//!         let amount = task.amount.get();
//!         if amount == 0 {
//!             return Err(Status::invalid("nothing to add"));
//!         }
//!         task.sum.set(self.sum.fetch_add(amount, Ordering::Relaxed) + amount);
//!         Ok(())
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Methods run on the runtime's workers, several at once on different lanes: hence `&self` and
//! `Sync`. A method may block only in calls that suspend the task and not the worker: waiting for a
//! task, [`RunContext::yield_now`], and locking a [`CoMutex`] or a [`CoRwLock`]. Only these two
//! locks may be held across such a call; any other lock could block the worker's other tasks
//! forever.
//!
//! A panic in a method ends its task with `CHI_FAILED` and the panic's message, and affects nothing
//! else. This needs unwinding: the SDK does not compile with `panic = "abort"`.
//!
//! # The life of a container
//!
//! 1. `new_state` makes an empty shell, so that none of the module's own code can fail there.
//! 2. `kCreate` runs [`Container::create`] with the pool's parameters, which the module has
//!    validated before. If it fails or panics, creating the pool fails with that status.
//! 3. Methods run.
//! 4. `kDestroy` runs [`Container::destroy`]; then the container is dropped.
//!
//! A container with a [`State`] can also have a successor. Once no task is in it, its state is saved,
//! and [`Container::release`] gives up what a successor could not have at the same time. The
//! successor begins as above; then it loads the state, and `kMigrate`, `kUpgrade` or `kRecover` runs.
//! The old container is then dropped without `kDestroy`; or, when something failed,
//! [`Container::resume`] takes back what it gave up, and it goes on.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

#[cfg(panic = "abort")]
compile_error!(
    "a ChiMod cannot be built with panic = \"abort\": a panic in a method would take the runtime down"
);

mod adapter;
mod client;
mod container;
mod context;
mod declared;
mod directory;
mod dispatch;
mod event;
mod export;
mod host;
mod lane;
mod life;
mod lock;
mod method;
mod panics;
mod params;
mod place;
mod published;
mod replica;
mod state;
mod storage;

#[doc(hidden)]
pub mod __private;

pub use chimaera_macros::{container, State};
pub use client::Client;
pub use container::Container;
pub use context::{Init, MonitorContext, MonitorMode, RunContext};
pub use declared::Declared;
pub use directory::directory;
pub use event::{Event, Poll, Poller};
pub use host::{extension, log, LogLevel};
pub use lane::{Lane, Queue};
pub use life::{LifeReason, LifeTask};
pub use lock::{CoMutex, CoMutexGuard, CoRwGuard, CoRwLock};
pub use method::{MethodEntry, Outcome};
pub use params::ParamsForm;
pub use place::Place;
pub use published::Published;
pub use replica::Replica;
pub use state::{State, StateForm, StateReader, StateWriter};
pub use storage::set_storage_local;
