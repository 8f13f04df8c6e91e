//! How the pools of a runtime that ends are closed.

use crate::admin::close_all;
use crate::scheduler::{with_current, ControlCommand, Shared, WorkerMessage};
use std::time::Duration;

/// How long pools may take to end when the runtime does.
pub(crate) const CLOSE_BOUND: Duration = Duration::from_secs(10);

/// Has a worker destroy all pools, and then say `ControlCommand::PoolsClosed`. What does not run yet does
/// not start any more.
pub(crate) fn begin(shared: &Shared) {
    shared.set_stopping();
    let close = || {
        with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            close_all(worker);
            worker.shared.command(ControlCommand::PoolsClosed);
        });
    };
    shared.mailboxes[0].send(WorkerMessage::Run(Box::new(close)));
}
