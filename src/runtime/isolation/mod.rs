//! Pools whose containers run in module hosts. In the daemon, such a pool has proxies for containers,
//! which pass tasks on (`proxy`), and a thread that starts its host and looks after it (`supervisor`).
//! In the host, the pool is an ordinary one; pools of the daemon have proxies there (`foreign`), and a
//! thread listens to the daemon (`daemon`). Each side has sessions in the other (`links`), one for each
//! worker that sends tasks (`forward`), in order (`in_turn`), and the host maps the segments of clients whose tasks
//! it gets (`borrowing`). The states of the containers go from one host to the next
//! (`succession`). It imports the tables and every room below them.

mod borrowing;
mod daemon;
mod foreign;
mod forward;
mod in_turn;
mod links;
mod proxy;
mod pulse;
mod succession;
mod supervisor;

pub(crate) use self::borrowing::tell_of_faults;
pub(crate) use self::daemon::{listen, ready, receive_orders, refuse, HostedPool, Received};
pub(crate) use self::foreign::{
    find as find_foreign, foreign_module, foreign_object, tell_of_version,
};
pub(crate) use self::forward::OwnResults;
pub(crate) use self::links::end_session_of_host;
pub(crate) use self::proxy::{isolate, proxy_of, report};
pub(crate) use self::succession::{
    elect, end_succeeded, first, has_ended, kill, propose, resume, save, saves, states_of, withdraw,
};
pub(crate) use self::supervisor::tell_log_level_to_all;
