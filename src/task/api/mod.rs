//! Making, submitting, waiting for and deleting tasks, in applications and methods. Imports `shm`
//! and `archive`.

mod admin;
mod buffer;
mod completions;
pub(crate) mod handle;
mod lease;
mod manager;
mod task;

pub use self::admin::{CreateTask, DestroyTask};
pub use self::buffer::Buffer;
pub use self::completions::{wait_any, Completions, Outcome, Unqueued};
pub use self::handle::{submit_all, wait_all, Done, NewTask, Pending, Unsubmitted, WaitError};
pub use self::lease::Lease;
pub use self::manager::PoolOptions;
pub use self::task::{Task, TaskBase};
