//! Tasks: how applications and modules call a module.
//!
//! A task is a `#[repr(C)]` struct in shared memory, declared with [`macro@task`]. [`ipc`] returns
//! the thread's IPC manager. Each state of a task has its own type, so that only valid operations
//! compile:
//!
//! ```text
//! Ipc::new_task ─► NewTask ── submit ─► Pending ── wait ─► Done
//!                  (fill in)           (in flight)       (results)
//! ```
//!
//! Dropping any of the three deletes the task; a task in flight is deleted when it completes.
//!
//! ```no_run
//! use std::cell::Cell;
//! use chimaera::{DomainQuery, Result, ShmString};
//!
//! /// Method 10 of an imaginary module: the length of a name.
//! #[chimaera::task]
//! pub struct MeasureTask {
//!     /// In.
//!     pub name: ShmString,
//!     /// Out.
//!     pub length: Cell<u64>,
//! }
//!
//! fn measure(name: &str) -> Result<u64> {
//!     let ipc = chimaera::ipc()?;
//!     let pool = ipc.find_pool("my_pool")?;
//!     let task = ipc.new_task::<MeasureTask>(pool, DomainQuery::dynamic(), 10)?;
//!     task.name.set(name)?;
//!     Ok(task.call()?.length.get())
//! }
//! ```
//!
//! # Why tasks are never `&mut`
//!
//! A string or a vector in a task must not move, because its block belongs to the task that
//! contains it. With an exclusive reference, safe code could swap it into another task. So tasks
//! are only ever lent as `&T`, strings and vectors are written through `&self`, and plain fields
//! that are written are [`Cell`](core::cell::Cell)s, which have the same layout as the values they
//! hold.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod api;
pub mod archive;
mod ids;
mod shm;
mod status;

#[doc(hidden)]
pub mod __private;

pub use api::{
    submit_all, wait_all, wait_any, Buffer, Completions, CreateTask, DestroyTask, Done, Lease,
    NewTask, Outcome, Pending, PoolOptions, Task, TaskBase, Unqueued, Unsubmitted, WaitError,
};
pub use archive::{FromText, PoolName, PoolParams, Serialize};
pub use chimaera_macros::{
    task, FromText, Pod, PoolParams, Serialize, SerializeInPlace, ShmElement,
};
pub use ids::{DomainQuery, PoolId, TaskNode};
pub use shm::{
    ipc, set_resolver, Element, ElementMut, Ipc, Pod, ShmBytes, ShmElement, ShmString, ShmVec,
};
pub use status::{Result, Status};

// Lengths in the contract have 64 bits, and are used as `usize` throughout.
const _: () = assert!(usize::BITS == 64, "chimaera needs a 64-bit target");
