//! The SDK for ChiMods in Rust.
//!
//! A module is a `cdylib` with one type, its container, of which every pool has one:
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
//! Methods run on the runtime's workers, several at once on different lanes: hence `&self` and `Sync`.
//! They may block only by waiting for a task or with [`RunContext::yield_now`]; both suspend the task
//! and not the worker. So do [`CoMutex`] and [`CoRwLock`], the locks that may be held meanwhile; any other
//! would block the other tasks of that worker for good.
//!
//! A panic in a module ends the task with `CHI_FAILED` and the panic's message, and nothing else. The
//! SDK needs unwinding for that and refuses to be compiled with `panic = "abort"`.
//!
//! # What happens when
//!
//! 1. `new_state` makes an empty shell, so that nothing of the module's can fail there.
//! 2. `kCreate` runs [`Container::create`] with the pool's parameters, which are as they must be: the
//!    runtime has had them checked by then. Its error or panic is the status that whoever creates the pool gets.
//! 3. Methods run.
//! 4. `kDestroy` runs [`Container::destroy`]; then the container is dropped.

#[cfg(panic = "abort")]
compile_error!(
    "a ChiMod cannot be built with panic = \"abort\": a panic in a method would take the runtime down"
);

mod container;
mod context;
mod declared;
mod dispatch;
mod event;
mod export;
mod host;
mod lane;
mod lock;
mod method;
mod panics;
mod params;
mod replica;
mod shell;

#[doc(hidden)]
pub mod __private;

pub use chimaera_macros::container;
pub use container::Container;
pub use context::{Init, MonitorContext, MonitorMode, RunContext};
pub use declared::Declared;
pub use event::{Event, Poll, Poller};
pub use host::{extension, log, LogLevel};
pub use lane::{Lane, Queue};
pub use lock::{CoMutex, CoMutexGuard, CoRwGuard, CoRwLock};
pub use method::{MethodEntry, Outcome};
pub use params::ParamsForm;
pub use replica::Replica;
