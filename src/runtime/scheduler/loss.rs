//! The loss of a pool, and its return: who depends on the pool has to be told.

use chimaera_abi::{chi_pool_id, CHI_REASON_RECOVERED};

use super::mailbox::ControlCommand;
use super::shared::Shared;
use crate::pool::{Container, Loss};

/// Has the dependants of a pool told that it is lost. Whoever finds that out calls this: a container of
/// it is in quarantine, it was destroyed, or the process that runs its containers has ended. `why` is a
/// sentence. `[any thread]`
pub(crate) fn pool_lost(shared: &Shared, pool: chi_pool_id, name: &str, why: String) {
    tell(shared, loss_of(shared, pool, name, why));
}

/// Has the dependants of a pool that was lost told that it takes tasks again. `[any thread]`
pub(crate) fn pool_recovered(shared: &Shared, pool: chi_pool_id, name: &str, why: String) {
    tell(shared, Loss { reason: CHI_REASON_RECOVERED, ..loss_of(shared, pool, name, why) });
}

/// The loss of a pool, with those that depend on it by now.
pub(crate) fn loss_of(shared: &Shared, pool: chi_pool_id, name: &str, why: String) -> Loss {
    let (_, dependants) = shared.pools.dependencies(name);
    Loss::of_pool(pool, name.to_owned(), why, dependants)
}

/// Has the containers of the dependants told, through their `kNodeFailure`. Does not wait for it.
/// `[any thread]`
pub(crate) fn tell(shared: &Shared, loss: Loss) {
    if !loss.dependants.is_empty() && !shared.is_stopping() {
        shared.command(ControlCommand::Tell(Box::new(loss)));
    }
}

/// Puts a container in quarantine, because code of its object was abandoned or failed where it must not.
/// `why` is a predicate. Returns the way out, as a clause.
pub(crate) fn quarantine(shared: &Shared, container: &Container, why: &str) -> String {
    let name = container.name();
    let reset = format!("`chimaera pool reset {name}` makes a new container");
    if container.quarantine(&format!("{why}; {reset}")) {
        let why = format!("{} is in quarantine: {why}", container.shown());
        pool_lost(shared, container.id, name, why);
    }
    reset
}
