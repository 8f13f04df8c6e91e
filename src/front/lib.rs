//! The front of the contract: the single implementation of `chi_ipc`, the table with which tasks
//! are made and sent.
//!
//! [`table`] makes the table of a [`Backend`]. Its functions check the arguments (null pointers,
//! sizes, names), turn a [`Failure`] into a status, and store the message for `last_error`. The
//! rest is up to the back end: an application's session, a worker of the runtime, or a stand-in for
//! tests. Everything is generic and inlined, so a call through the table costs no more than through
//! a hand-written one.
//!
//! With the feature `conformance`, [`conformance`] is the suite that every back end must pass.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

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
