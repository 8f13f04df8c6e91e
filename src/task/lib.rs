//! Tasks: what applications and modules alike use to call a module.
//!
//! A task is a `#[repr(C)]` struct in shared memory, declared with [`macro@task`]. [`ipc`] gives the
//! thread's IPC manager, and a task's life is a chain of types that cannot be misused:
//!
//! ```text
//! Ipc::new_task ─► NewTask ── submit ─► Pending ── wait ─► Done
//!                  (fill in)           (in flight)       (results)
//! ```
//!
//! Dropping any of the three deletes the task; on one in flight that takes effect at its completion.
//!
//! ```no_run
//! use std::cell::Cell;
//! use chimaera::{DomainQuery, Result, ShmString};
//!
//! /// Method 10 of an imagined module: the length of a name.
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
//! A string or vector in a task is bound to its place: its block belongs to the task around it. An
//! exclusive reference would let safe code swap it into another task. So tasks are only ever lent as
//! `&T`, strings and vectors are written through `&self`, and the plain fields that anyone writes are
//! [`Cell`](core::cell::Cell)s, which have the layout of what they hold.

mod api;
pub mod archive;
mod ids;
mod shm;
mod status;

#[doc(hidden)]
pub mod __private;

pub use api::{
    submit_all, wait_all, Buffer, CreateTask, DestroyTask, Done, NewTask, Pending, PoolOptions,
    Task, TaskBase, Unsubmitted, WaitError,
};
pub use archive::{FromText, PoolParams, Serialize};
pub use chimaera_macros::{
    task, FromText, Pod, PoolParams, Serialize, SerializeInPlace, ShmElement,
};
pub use ids::{DomainQuery, PoolId, TaskNode};
pub use shm::{
    ipc, set_resolver, Element, ElementMut, Ipc, Pod, ShmBytes, ShmElement, ShmString, ShmVec,
};
pub use status::{Result, Status};

// Lengths in the contract are 64 bits wide, and are used as `usize` throughout.
const _: () = assert!(usize::BITS == 64, "chimaera needs a 64-bit target");
