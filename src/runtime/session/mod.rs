//! A client's session as the runtime sees it: its segment, its arena, what is held for it, and how many of
//! its tasks are in flight. It imports `sys`.

mod refs;
mod ring;
mod session;

pub(crate) use self::refs::{SessionRef, TaskRef};
pub(crate) use self::ring::Ring;
pub(crate) use self::session::{Session, SuspendedAs, SuspendedAt};
