//! Clients: modules ask which one has sent a task, and whether it is still there.

use chimaera_abi::*;

use crate::scheduler::with_current;

pub(super) unsafe extern "C" fn sender(_: *const chi_host) -> u64 {
    with_current(|worker| {
        let Some(worker) = worker else { return 0 };
        worker.running().map_or(0, |task| task.client(&worker.shared.clients))
    })
}

pub(super) unsafe extern "C" fn is_there(_: *const chi_host, client: u64) -> u32 {
    with_current(|worker| match worker.and_then(|worker| worker.shared.clients.is_there(client)) {
        Some(true) => CHI_CLIENT_THERE,
        Some(false) => CHI_CLIENT_GONE,
        None => CHI_CLIENT_UNKNOWN,
    })
}
