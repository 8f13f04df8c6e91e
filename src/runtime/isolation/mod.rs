//! Pools whose containers run in module hosts. In the daemon, such a pool has proxies for containers,
//! which pass tasks on (`proxy`), and a thread that starts its host and looks after it (`supervisor`).
//! In the host, the pool is an ordinary one; pools of the daemon have proxies there (`foreign`), and a
//! thread listens to the daemon (`daemon`). Each side has sessions in the other (`links`), one for each
//! worker that sends tasks (`forward`). It imports the tables and every room below them.

mod daemon;
mod foreign;
mod forward;
mod links;
mod proxy;
mod supervisor;

pub(crate) use self::daemon::{listen, ready, receive_orders, refuse};
pub(crate) use self::foreign::{find as find_foreign, foreign_module, foreign_object};
pub(crate) use self::links::end_session_of_host;
pub(crate) use self::proxy::{isolate, proxy_of};
