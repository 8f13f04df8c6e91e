//! The log that all nodes agree on: a thin layer over the engine (raft).

mod disk;
mod engine;
mod format;
mod packet;
mod records;

pub use disk::{Disk, Write};
pub(crate) use engine::{Change, Engine, Entry};
#[cfg(test)]
pub(crate) use packet::random_packet;
pub use packet::Packet;
pub use records::Record;
