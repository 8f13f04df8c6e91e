//! The control thread: it accepts clients, sets their sessions up, notices their deaths, and ends the
//! runtime. No task goes this way. It imports `sys`, `config`, `session`, `scheduler` and, to close the
//! pools, `admin`.

mod acceptor;
pub(crate) mod close;
mod requests;

pub(crate) use self::acceptor::Acceptor;
pub(crate) use self::close::CLOSE_BOUND;
