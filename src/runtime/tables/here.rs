//! Which container calls.

use crate::pool::Container;
use crate::scheduler::Worker;

/// The container that the running coroutine is constructing.
pub(super) fn building(worker: &Worker) -> Option<&Container> {
    // SAFETY: the pointer is null, or points to a container whose pool is kept by the function that
    // constructs it, which runs on this coroutine.
    unsafe { worker.context().building.get().as_ref() }
}

/// The container that is being created, or else runs the current task.
pub(super) fn current_container(worker: &Worker) -> Option<&Container> {
    let running = || {
        // SAFETY: the pointer is null, or points to the container in which the running task is counted,
        // which keeps it alive.
        unsafe { worker.running()?.container.as_ref() }
    };
    building(worker).or_else(running)
}
