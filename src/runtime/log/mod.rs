//! Where log lines go, log lines about tasks, and a limit on their rate. The room knows no task
//! type: the caller passes a [`TaskContext`]. It imports `sys`.

mod control;
mod ending;
mod escape;
mod output;
mod queue;
mod rate_limit;
mod sink;
mod task_context;

pub(crate) use self::control::shows_tasks;
pub use self::control::LogControl;
pub(crate) use self::ending::{can_log, log_anyway};
pub use self::escape::displayed;
pub(crate) use self::escape::{is_odd, shortened};
pub use self::output::LogFile;
pub(crate) use self::rate_limit::{LeftOut, LineKind, RateLimit, Subject};
pub use self::sink::{why, OnLoss, OwnLine, Sink};
pub(crate) use self::task_context::{log_task, TaskContext};
