//! Both ends of the connection between a client and the runtime, side by side.
//!
//! A session's segment contains data and rings, but nothing that either side must trust: the
//! metadata of each arena is in the private memory of the side that allocates from it, the runtime
//! keeps its own ring positions, and a slot of a ring is a single word.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

pub mod account;
pub mod admin;
pub mod arena;
pub mod clock;
pub mod connect;
pub mod control;
pub mod copy;
pub mod futex;
pub mod instance;
pub mod large;
pub mod layout;
pub mod marks;
pub mod peer;
pub mod published;
pub mod ring;
pub mod segment;
pub mod sleep;
pub mod status_page;
pub mod ticks;
pub mod wire;
pub mod word;

mod sync;
