//! What the log says of tasks, and how much of it. It knows no task: whoever writes brings its context.
//! It imports `sys`.

mod rate_limit;
mod task_context;

pub(crate) use self::rate_limit::{LineKind, RateLimit, Subject};
pub(crate) use self::task_context::{log_task, TaskContext};
