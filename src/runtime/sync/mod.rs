//! What tasks wait for each other with: who waits, completion words, locks, and circles of waits. State
//! and rules only; how a task is suspended is the scheduler's. It imports `sys`.

mod completion;
mod lock;
mod lock_core;
mod wait_graph;
mod waiter;

pub(crate) use self::completion::{Completed, CompletionWord, Parking};
pub(crate) use self::lock::{Held, Holdings, Lock};
pub(crate) use self::lock_core::{Entry, Mode, Standing};
pub(crate) use self::wait_graph::{find_circle, victim, Node, Wait, WaitId, Waits};
pub(crate) use self::waiter::{WaitNumber, Waiter};
