//! The front of the contract: `chi_ipc`, the table by which any code makes and sends tasks, said once.
//!
//! [`table`] makes the table of a [`Backend`]. Its functions check what every caller may get wrong (null
//! pointers, sizes, names), turn a [`Failure`] into a status, and keep the message for `last_error`; what
//! is left is the back end's: the session of an application, a worker of the runtime, or a stand-in for
//! tests. Everything is generic and inlined, so a call through the table costs what a hand-written one
//! would.
//!
//! With the feature `conformance`, [`conformance`] is the suite that every back end has to pass.

mod arguments;
mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
mod failure;
pub mod last_error;
pub mod pool;
mod table;

pub use backend::{Backend, Block, Waited};
pub use failure::{Failure, Result};
pub use table::table;
