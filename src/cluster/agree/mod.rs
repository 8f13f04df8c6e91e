//! The log that all nodes agree on: a thin layer over the engine (raft).

mod disk;
mod engine;
mod packet;

pub use disk::{Disk, Write};
pub(crate) use engine::{Change, Engine, Entry};
pub use packet::Packet;
