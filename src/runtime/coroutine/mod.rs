//! Coroutines: the pooled stacks on which a worker's loop, its tasks and its callbacks run, what
//! tasks wait for, and what happens when module code overflows a stack or crashes. This room
//! imports `sys`, `module`, `pool`, `sync` and `task`.

mod callback;
mod coroutine;
pub(crate) mod crash;
pub(crate) mod cxx_exceptions;
mod poller;
mod pool;
pub(crate) mod stack;
pub(crate) mod waits;

pub(crate) use self::callback::{
    current_poller, current_task, run_callback, CallbackFrame, CallbackKind,
};
pub(crate) use self::coroutine::{Context, Coroutine, Pause, WaitsFor, LOCALE, SIGNALS};
pub(crate) use self::crash::Crash;
pub(crate) use self::poller::{Around, Poller, PollerOwner, Pollers, Target};
pub(crate) use self::pool::{Coroutines, FEW_COROUTINES};
