//! Log lines about tasks, and a limit on their rate. The room knows no task type: the caller passes
//! a [`TaskContext`]. It imports `sys`.

mod rate_limit;
mod task_context;

pub(crate) use self::rate_limit::{LineKind, RateLimit, Subject};
pub(crate) use self::task_context::{log_task, TaskContext};
