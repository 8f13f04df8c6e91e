//! What is known of a task after its record is gone.

use chimaera_abi::{chi_pool_id, chi_status, chi_task_node};
use chimaera_metrics::SlowTask;

use crate::pool::PoolMethod;
use crate::task::Record;

/// The numbers of sessions whose clients are other runtimes, beyond those of the acceptor.
pub(super) const FIRST_LINK: u64 = 1 << 40;

/// What is known of a task until its record is gone.
pub(super) struct About {
    pub(super) session: u64,
    pub(super) node: chi_task_node,
    /// What it was for.
    pub(super) pool: chi_pool_id,
    pub(super) method: u32,
    moved: u64,
}

impl About {
    /// One of which nothing else is known.
    pub(super) fn new(session: u64, node: chi_task_node) -> About {
        let pool = chi_pool_id { major_: 0, minor_: 0 };
        About { session, node, pool, method: 0, moved: 0 }
    }

    pub(super) fn of(record: &Record) -> About {
        // SAFETY: the body is private and has at least a header.
        let (pool, method) = unsafe { ((*record.body()).pool_, (*record.body()).method_) };
        About { session: record.session, node: record.node(), pool, method, moved: record.moved }
    }

    /// How many bytes came with the task, if it is of this method.
    pub(super) fn bytes_in(&self, method: &PoolMethod) -> u64 {
        self.moved.saturating_add(method.bytes_in.into())
    }

    /// A task of which only this is known.
    pub(super) fn task(&self, pool: &str, method: &str, status: Option<chi_status>) -> SlowTask {
        SlowTask {
            pool: pool.to_owned(),
            method: method.to_owned(),
            session: (self.session != 0).then_some(self.session),
            root: self.node.root_,
            depth: self.node.depth_,
            status,
            ..SlowTask::default()
        }
    }
}
