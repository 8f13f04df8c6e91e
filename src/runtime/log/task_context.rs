//! The fields of a log line about a task: its pool, its method, and its position in the tree of
//! tasks.

use std::fmt;

use chimaera_abi::chi_task_node;

/// What a log line says about a task. Unknown fields are left out.
#[derive(Clone, Copy, Default)]
pub(crate) struct TaskContext<'a> {
    pub(crate) pool: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    /// The session that the task came from; subtasks have that of their root task.
    pub(crate) session: Option<u64>,
    /// The root task's identifier, as its creator sees it in `task_node_`.
    pub(crate) root: Option<u64>,
    pub(crate) depth: Option<u32>,
}

impl<'a> TaskContext<'a> {
    /// Adds the session, unless it is 0, and the position in the tree of tasks, unless the node is
    /// empty (its root is 0).
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

/// Logs a line about a task at one of `tracing`'s levels: `log_task!(warn, record.log_context(),
/// status, "the task failed")`.
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
