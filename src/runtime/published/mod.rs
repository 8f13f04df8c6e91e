//! Published memory: blocks that containers write, and sessions read where they are.
//!
//! Nothing in it decides anything for the runtime, whose books are in private memory. Clients get descriptors that
//! can only be read; a process of the runtime's own user could still get around that, as with a debugger.

mod area;
mod segment;

pub(crate) use self::area::Area;
pub(crate) use self::segment::{Block, Segment};
