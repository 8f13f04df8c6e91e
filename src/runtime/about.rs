//! What the log says of a task: its pool, its method, and its place in the tree of tasks.

use chimaera_abi::chi_task_node;

use crate::record::{Origin, Record};

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
        let session = match &record.origin {
            Origin::Client { session, .. } => Some(session.number),
            Origin::Internal => None,
        };
        About {
            pool: container.map(|container| container.name()),
            method: method.map(|method| method.name.as_str()),
            session,
            ..About::default()
        }
        .at(record.node())
    }

    /// Adds a place in the tree of tasks, unless it is that of a task that nobody made.
    pub(crate) fn at(mut self, node: chi_task_node) -> About<'a> {
        if node.root_ != 0 {
            (self.root, self.depth) = (Some(node.root_), Some(node.depth_));
        }
        self
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
