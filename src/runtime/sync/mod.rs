//! How tasks wait for each other: waiters, completion words, locks, and the detection of deadlocks.
//! State and rules only; suspending a task is up to the scheduler. This room imports `sys`.

mod completion;
mod lock;
mod lock_core;
mod wait_graph;
mod waiter;

pub(crate) use self::completion::{Completed, CompletionWord, Deleted, Parking};
pub(crate) use self::lock::{Held, Holdings, Lock};
pub(crate) use self::lock_core::{Entry, Mode, Standing};
pub(crate) use self::wait_graph::{
    find_circle, for_lock, victim, Far, Graph, Node, NodeCall, Passage, Wait, WaitId, Waits,
};
pub(crate) use self::waiter::{WaitNumber, Waiter};
