//! The harness of the whole-system tests: real daemons, real client processes, real modules.
//!
//! * [`Daemon`] starts the program `chimaera` in a [`Site`], a private temporary directory, and ends
//!   it again. A daemon that does not end in order fails its test.
//! * [`in_client!`] runs the body of a test in a process of its own, because a process has one session
//!   with one instance and the tests of a file share a process.
//! * [`process`] runs other programs, always with a bound, so that a hang is a failure.
//! * [`device`] is for devices of blocks in files.
//! * [`tasks`] and [`Call`] are for clients in Rust, [`raw`] for those that need the bare wire.
//!
//! The artefacts under test are made by the build, which tells where in the environment; `make test`
//! does all of it. See [`artefacts`].

pub mod artefacts;
mod call;
#[doc(hidden)]
pub mod child;
mod daemon;
pub mod device;
pub mod process;
pub mod raw;
mod sandbox;
mod site;
pub mod tasks;
mod vitals;

pub use call::{connect, connect_with, text_of, Call, ValuePool};
pub use daemon::{Daemon, Options};
pub use process::{Output, Running};
pub use site::Site;
pub use vitals::{rounds, Vitals};

/// Bytes that compress, but not to nothing; the clients in C and C++ make the same.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(i) >> 9) as u8).collect()
}
