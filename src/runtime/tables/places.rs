//! Places: modules ask where the containers of their pool are.

use chimaera_abi::*;

use crate::coroutine::current_task;
use crate::pool::Container;
use crate::scheduler::{with_current, Worker};

/// The container whose code is running, unless it is being constructed: its pool has no places yet.
fn speaking(worker: &Worker) -> Option<&Container> {
    let task = current_task(worker.context()).filter(|_| worker.context().building.get().is_null());
    // SAFETY: the pointer is null, or points to the container in which the task is counted.
    unsafe { task?.container.as_ref() }
}

fn place_of(worker: &Worker, number: u32) -> Result<chi_place, chi_status> {
    let id = speaking(worker).ok_or(CHI_INVALID)?.id;
    let table = worker.shared.table();
    let pool = table.get(id).ok_or(CHI_INVALID)?;
    let container = pool.containers().get(number as usize).ok_or(CHI_NOT_FOUND)?;
    let own = container.admission.in_flight();
    let Some(cluster) = worker.shared.agreed_pools.get() else {
        return Ok(chi_place { tasks_: own, ..chi_place::default() });
    };
    let place = cluster.place(container);
    Ok(chi_place { tasks_: place.tasks_.max(own), ..place })
}

pub(super) unsafe extern "C" fn find(
    _: *const chi_host,
    container: u32,
    place: *mut chi_place,
) -> chi_status {
    with_current(|worker| match worker.ok_or(CHI_INVALID).and_then(|it| place_of(it, container)) {
        Ok(found) => {
            // SAFETY: by the contract, the module passes room for a place.
            unsafe { *place = found };
            CHI_OK
        }
        Err(status) => status,
    })
}
