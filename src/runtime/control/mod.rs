//! The control thread: it accepts clients, sets up their sessions, notices their deaths, and stops
//! the runtime. No task passes through it. It imports most of the rooms below it, among them
//! `admin` to destroy pools.

mod acceptor;
mod address;
mod client;
pub(crate) mod close;
pub(crate) mod descriptors;
mod destroy;
mod grace;
mod log_control;
mod orders;
mod questions;
mod quota;
mod replace;
mod requests;
mod restart;
mod restore;
mod take_over;
mod work;

pub(crate) use self::acceptor::Acceptor;
pub(crate) use self::grace::Grace;
pub(crate) use self::requests::end_process;
pub(crate) use self::restore::restore_durable;
pub(crate) use self::take_over::Predecessor;
