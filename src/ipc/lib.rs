//! Both ends of the wire between a client and the runtime, side by side.
//!
//! A session's segment holds data and rings and nothing that anybody has to trust: the books of its
//! two arenas lie in the private memory of the side that allocates, the runtime keeps its own
//! positions, and a ring's slot is one word.

pub mod admin;
pub mod arena;
pub mod control;
pub mod copy;
pub mod futex;
pub mod instance;
pub mod layout;
pub mod ring;
pub mod segment;
pub mod sleep;
pub mod status_page;
pub mod wire;
pub mod word;

mod sync;
