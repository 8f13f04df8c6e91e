//! A task inside the runtime: its record, its private body, the copying from a segment and back,
//! its properties, and why it may be cancelled. State and rules only; the path of a task is the
//! scheduler's. It imports `sys`, `log`, `module`, `session`, `sync` and `pool`.

mod block;
mod borrowed;
mod cancel_reason;
mod copies;
mod domain_query;
mod lent;
pub(crate) mod marshal;
mod on_lease;
mod period;
mod periodic;
pub(crate) mod properties;
mod record;
mod replicas;
mod spare;
mod texts;

pub(crate) use self::block::{NoMemory, PrivateBlock};
pub(crate) use self::cancel_reason::{CancelReason, CancelScope, IT_SHOULD_END};
pub(crate) use self::copies::NotTaken;
pub(crate) use self::domain_query::destination;
pub(crate) use self::period::Period;
pub(crate) use self::periodic::{PeriodicTasks, Resting};
pub(crate) use self::record::{Origin, Record};
pub(crate) use self::replicas::{adopt, ReplicaBudget, Replicas};
pub(crate) use self::spare::SpareRecords;
pub(crate) use self::texts::Texts;
