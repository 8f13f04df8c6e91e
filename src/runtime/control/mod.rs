//! The control thread: it accepts clients, sets up their sessions, notices their deaths, and stops
//! the runtime. No task passes through it. It imports `sys`, `config`, `session`, `scheduler` and,
//! to destroy pools, `admin`.

mod acceptor;
pub(crate) mod close;
pub(crate) mod descriptors;
mod destroy;
mod log_control;
mod quota;
mod requests;

pub(crate) use self::acceptor::Acceptor;
pub(crate) use self::requests::end_process;
