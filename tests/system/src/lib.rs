//! The harness of the whole-system tests: real daemons, real client processes, real modules.
//!
//! * [`Daemon`] starts the program `chimaera` in a [`Site`], a private temporary directory, and
//!   stops it again. A daemon that does not shut down cleanly fails its test.
//! * [`in_client!`] runs the body of a test in its own process, because a process has one session
//!   with one instance, and the tests of a file share a process.
//! * [`process`] runs other programs, always with a time limit, so that a hang is a failure.
//! * [`device`] is for block devices in files, [`other_user`] for clients of other users.
//! * [`Cluster`] starts several daemons that are one cluster, [`Trial`] one with clients that count, and [`Proxy`]
//!   stands between two nodes.
//! * [`ControlGroup`] limits the memory of a daemon.
//! * [`syscalls`] makes system calls of a daemon fail.
//! * [`history`] checks what concurrent clients have seen of registers.
//! * [`tasks`] and [`Call`] are for Rust clients, [`raw`] for those that speak the wire protocol.
//!
//! The build creates the artefacts under test and gives their locations in the environment; `make
//! test` does all of it. See [`artefacts`].

pub mod artefacts;
pub mod browser;
mod call;
#[doc(hidden)]
pub mod child;
mod cluster;
mod control_group;
mod daemon;
pub mod device;
pub mod history;
pub mod http;
mod life;
pub mod other_user;
pub mod process;
mod proxy;
pub mod raw;
mod sandbox;
mod site;
pub mod syscalls;
mod tally;
pub mod tasks;
mod trial;
mod vitals;
mod wires;

pub use call::{connect, connect_with, text_of, Call, ValuePool};
pub use cluster::Cluster;
pub use control_group::ControlGroup;
pub use daemon::{Daemon, Options, SharedMemory};
pub use life::LifePool;
pub use process::{Output, Running};
pub use proxy::Proxy;
pub use site::Site;
pub use tally::tally;
pub use trial::{elapsed_time, Ended, Note, Record, Trial};
pub use vitals::{rounds, Vitals};
pub use wires::Wires;

/// Bytes that compress, but not to almost nothing; the C and C++ clients generate the same.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(i) >> 9) as u8).collect()
}
