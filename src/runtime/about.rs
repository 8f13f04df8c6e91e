//! What the log says of a task: its pool, its method, and its place in the tree of tasks.

use std::fmt;

use chimaera_abi::chi_task_node;

use crate::record::Record;

/// What the log says of a task; what is not known is left out.
#[derive(Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) pool: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    /// The session that the task came from; a method's subtasks have that of their root.
    pub(crate) session: Option<u64>,
    /// As whoever made the root task sees it in `task_node_`.
    pub(crate) root: Option<u64>,
    pub(crate) depth: Option<u32>,
}

impl<'a> About<'a> {
    /// What there is to say of a task.
    pub(crate) fn task(record: &'a Record) -> About<'a> {
        // SAFETY: null, or the container in which the task is counted; a method lives with its module.
        let (container, method) = unsafe { (record.container.as_ref(), record.method.as_ref()) };
        About {
            pool: container.map(|container| container.name()),
            method: method.map(|method| method.name.as_str()),
            ..About::default()
        }
        .at(record.session, record.node())
    }

    /// Adds a session, unless it is 0, and a place in the tree of tasks, unless it is that of a task
    /// that nobody made.
    pub(crate) fn at(mut self, session: u64, node: chi_task_node) -> About<'a> {
        self.session = (session != 0).then_some(session);
        if node.root_ != 0 {
            (self.root, self.depth) = (Some(node.root_), Some(node.depth_));
        }
        self
    }
}

/// In a message: `kGet of pool 'store' (session 3, root 4294967301, depth 0)`.
impl fmt::Display for About<'_> {
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
/// `log_about!(warn, About::task(record), status, "it has failed")`.
macro_rules! log_about {
    ($level:ident, target: $target:literal, $about:expr, $($rest:tt)+) => {{
        let $crate::about::About { pool, method, session, root, depth } = $about;
        ::tracing::$level!(target: $target, pool, method, session, root, depth, $($rest)+)
    }};
    ($level:ident, $about:expr, $($rest:tt)+) => {
        log_about!($level, target: "chimaera_runtime::task", $about, $($rest)+)
    };
}
pub(crate) use log_about;
