//! What the log says of a task: its pool, its method, and its place in the tree of tasks.

use std::fmt;

use chimaera_abi::chi_task_node;

/// What the log says of a task; what is not known is left out.
#[derive(Clone, Copy, Default)]
pub(crate) struct TaskContext<'a> {
    pub(crate) pool: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    /// The session that the task came from; a method's subtasks have that of their root.
    pub(crate) session: Option<u64>,
    /// As whoever made the root task sees it in `task_node_`.
    pub(crate) root: Option<u64>,
    pub(crate) depth: Option<u32>,
}

impl<'a> TaskContext<'a> {
    /// Adds a session, unless it is 0, and a place in the tree of tasks, unless it is that of a task
    /// that nobody made.
    pub(crate) fn at(mut self, session: u64, node: chi_task_node) -> TaskContext<'a> {
        self.session = (session != 0).then_some(session);
        if node.root_ != 0 {
            (self.root, self.depth) = (Some(node.root_), Some(node.depth_));
        }
        self
    }
}

/// In a message: `kGet of pool 'store' (session 3, root 4294967301, depth 0)`.
impl fmt::Display for TaskContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pool, method) = (self.pool.unwrap_or_default(), self.method.unwrap_or_default());
        let (root, depth) = (self.root.unwrap_or_default(), self.depth.unwrap_or_default());
        write!(f, "{method} of pool '{pool}' (")?;
        if let Some(session) = self.session {
            write!(f, "session {session}, ")?;
        }
        write!(f, "root {root}, depth {depth})")
    }
}

/// Writes to the log, at a level of `tracing`'s, something about a task:
/// `log_task!(warn, record.log_context(), status, "the task failed")`.
macro_rules! log_task {
    ($level:ident, target: $target:literal, $context:expr, $($rest:tt)+) => {{
        let $crate::log::TaskContext { pool, method, session, root, depth } = $context;
        ::tracing::$level!(target: $target, pool, method, session, root, depth, $($rest)+)
    }};
    ($level:ident, $context:expr, $($rest:tt)+) => {
        log_task!($level, target: "chimaera_runtime::task", $context, $($rest)+)
    };
}
pub(crate) use log_task;
