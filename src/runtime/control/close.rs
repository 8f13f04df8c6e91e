//! Closing the pools of a runtime that is stopping.

use chimaera_abi::CHI_ADMIN_DESTROY_POOL;

use crate::admin::close_all;
use crate::scheduler::{with_current, ControlCommand, Shared, WorkerMessage};
use std::time::Duration;

/// How long destroying all pools may take when the runtime stops.
pub(crate) const CLOSE_BOUND: Duration = Duration::from_secs(10);

/// Makes a worker destroy all pools and then send `ControlCommand::PoolsClosed`. Tasks that have
/// not started are not started any more.
pub(crate) fn begin(shared: &Shared) {
    shared.set_stopping();
    let close = || {
        with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            close_all(worker);
            worker.shared.command(ControlCommand::PoolsClosed);
        });
    };
    let method = CHI_ADMIN_DESTROY_POOL;
    shared.mailbox(0).send(WorkerMessage::Run(method, Box::new(close)));
}
