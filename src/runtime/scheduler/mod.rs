//! Workers and the path of a task through them. Bottom up: what workers share (`shared`, `mailbox`,
//! `run_queue` with its `entries`, `gate` and `role`, `running`, `steal`), a worker and what it owns (`worker`,
//! `timers`), the path of a task (`path`, with `admission`, `placement`, `call`, `broadcast`,
//! `deliver` below it and `cancel`, `queued`, `abandon` above), and the loop that drives it (`event_loop`, with `rings` below
//! it); beside them, the watchdog, with `worker_time`. This room imports every room below it but
//! knows nothing of the tables, the admin pool or the acceptor.

mod abandon;
mod about;
mod admission;
mod agreed_pools;
pub(crate) mod between_nodes;
mod broadcast;
mod call;
pub(crate) mod cancel;
pub(crate) mod chains;
mod counting;
mod crash;
mod deadlock;
mod deliver;
mod doorbells;
mod entries;
pub(crate) mod event_loop;
mod gate;
mod given_up;
pub(crate) mod hand_over;
pub(crate) mod hold;
pub(crate) mod life;
mod listed;
mod looks;
mod loot;
pub(crate) mod loss;
mod mailbox;
mod naming;
pub(crate) mod path;
mod placement;
mod questions;
mod queued;
mod rings;
mod role;
mod run_queue;
mod running;
mod shared;
pub mod signal_masks;
mod slow;
pub(crate) mod standby;
pub mod state_calls;
mod steal;
pub(crate) mod task_list;
pub mod timer_threads;
mod timers;
mod traced;
mod user_share;
pub(crate) mod watchdog;
mod watchdog_state;
pub(crate) mod worker;
mod worker_time;

pub(crate) use self::agreed_pools::{AgreedPool, AgreedPools, Answer, Order};
pub(crate) use self::crash::{describe_circumstances, may_give_up};
pub(crate) use self::given_up::GivenUp;
pub(crate) use self::mailbox::{ControlCommand, Question, WorkerMessage};
pub(crate) use self::naming::Naming;
pub(crate) use self::role::Role;
pub(crate) use self::run_queue::RunQueue;
pub(crate) use self::running::{Running, CONSTRUCTOR, DESTRUCTOR, LOADING, RESUMING, SAVING};
pub(crate) use self::shared::Shared;
pub(crate) use self::watchdog::end_host;
pub(crate) use self::worker::{is_current, no_wait, with_current, Worker};
