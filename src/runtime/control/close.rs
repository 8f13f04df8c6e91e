//! Closing the pools of a runtime that is stopping. The control thread drives this, so that neither
//! a method that never returns nor a `kDestroy` that does not end keeps the other pools from being
//! destroyed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chimaera_abi::{chi_pool_id, CHI_ADMIN_DESTROY_POOL};

use super::grace::Grace;
use crate::admin::{durable, obstacles};
use crate::scheduler::{with_current, ControlCommand, Shared, WorkerMessage};
use crate::task::CancelScope;

/// How often to check whether tasks have ended.
const LOOK: Duration = Duration::from_millis(2);

/// Lets the control thread do its other work for at most this long, and returns the commands that
/// are left for the caller.
pub(super) type Meanwhile<'m> = &'m mut dyn FnMut(Duration) -> Vec<ControlCommand>;

/// Closes all pools within their part of `stop_grace`. Tasks of clients are cancelled first, and may finish their
/// subtasks; then the pools are destroyed, the newest first, because a pool may use those that were
/// created before it. Returns what had to be abandoned, in words.
pub(crate) fn close_pools(shared: &Shared, meanwhile: Meanwhile<'_>) -> Vec<String> {
    shared.set_stopping();
    let grace = Grace::of(shared);
    let until = grace.pools();
    if let Some(cluster) = shared.agreed_pools.get() {
        cluster.end();
    }
    for mailbox in shared.mailboxes() {
        mailbox.send(WorkerMessage::Cancel(CancelScope::Clients));
    }
    let mut abandoned = Vec::new();
    let mut meanwhile = |rest| {
        let commands = meanwhile(rest);
        abandoned.extend(commands.iter().filter_map(|command| match command {
            ControlCommand::PoolAbandoned { pool, why } => Some(format!("pool '{pool}': {why}")),
            ControlCommand::CloseFailed(why) => Some(why.clone()),
            _ => None,
        }));
        commands
    };
    while shared.client_tasks() > 0 && Instant::now() < grace.clients() {
        meanwhile(LOOK);
    }
    let mut tried: HashSet<chi_pool_id> = HashSet::new();
    loop {
        let now = Instant::now();
        let changing = shared.pools.has_changing();
        let all = shared.pools.in_reverse_order();
        if now >= until || all.is_empty() && !changing {
            break;
        }
        match all.iter().find(|id| !tried.contains(*id)) {
            // Each pool but the last has half of the remaining time, so that one that cannot be
            // destroyed leaves time for the others.
            Some(id) => {
                tried.insert(*id);
                let is_last = all.len() == 1 && !changing;
                destroy(
                    shared,
                    *id,
                    if is_last { until } else { now + (until - now) / 2 },
                    &mut meanwhile,
                );
            }
            // Tasks that were in the way may have ended since, and a pool that is being created or
            // destroyed may be ready later.
            None => {
                tried.clear();
                meanwhile(LOOK);
            }
        }
    }
    // A worker that has just destroyed the last pool may still count as busy with it.
    if shared.pools.in_reverse_order().is_empty() && !shared.pools.has_changing() {
        return abandoned;
    }
    let left = obstacles(shared);
    for obstacle in &left {
        tracing::error!("abandoned: {obstacle}");
    }
    abandoned.extend(left);
    abandoned
}

/// Makes a worker destroy a pool, and waits for the destruction to end, but not beyond `until`.
fn destroy(shared: &Shared, id: chi_pool_id, until: Instant, meanwhile: Meanwhile<'_>) {
    let destroy = move || {
        with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            durable::close_at_stop(worker, id, until);
            worker.shared.command(ControlCommand::PoolClosed(id));
        });
    };
    let worker = shared.least_loaded(false, |_, _| ()).unwrap_or(0);
    let message = WorkerMessage::Run(CHI_ADMIN_DESTROY_POOL, Box::new(destroy));
    shared.mailbox(worker).send(message);
    let is_done = |command: &ControlCommand| match command {
        ControlCommand::PoolClosed(of) => *of == id,
        // If another pool was abandoned, this one still counts as changing.
        ControlCommand::PoolAbandoned { .. } => true,
        _ => false,
    };
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() || meanwhile(rest).iter().any(is_done) {
            return;
        }
    }
}
