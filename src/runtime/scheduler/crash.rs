//! What the code is of that a fault has interrupted, or that ends the process.

use std::fmt::{self, Write};

use super::worker::with_current;
use crate::coroutine::current_task;
use crate::pool::Container;

/// Writes which task the calling thread runs, when it is a worker, and of which module. It may be called in a
/// handler of a fault.
pub(crate) fn describe_circumstances(out: &mut dyn Write) -> fmt::Result {
    with_current(|worker| {
        let Some(worker) = worker else { return out.write_str(" outside of the workers") };
        let context = worker.context();
        match current_task(context) {
            Some(record) => {
                write!(out, " in {}, task {:p}", record.log_context(), record.body())?;
                // SAFETY: null, or the container in which the task is counted.
                describe_module(unsafe { record.container.as_ref() }, out)?;
            }
            None if !context.callback.get().is_null() => out.write_str(" in a poller")?,
            None => out.write_str(" outside of tasks")?,
        }
        // SAFETY: null, or the container that the running task builds.
        if let Some(building) = unsafe { context.building.get().as_ref() } {
            write!(out, ", creating pool '{}'", building.name())?;
            describe_module(Some(building), out)?;
        }
        write!(out, ", worker {}", worker.index)
    })
}

fn describe_module(container: Option<&Container>, out: &mut dyn Write) -> fmt::Result {
    match container.and_then(|container| container.module.path.as_deref()) {
        Some(path) => write!(out, ", module {}", path.display()),
        None => Ok(()),
    }
}
