//! Finds the task whose code a fault has interrupted, and the crash policies of the pools involved.

use std::fmt::{self, Write};
use std::path::Path;

use super::running::life_name;
use super::worker::{started_for, with_current};
use crate::config::OnCrash;
use crate::coroutine::{current_poller, current_task, CallbackKind};
use crate::log::is_odd;
use crate::pool::Container;
use crate::sys::thread;

/// Writes which task the calling thread is running, and the file of its module. May be called in a
/// signal handler.
pub(crate) fn describe_circumstances(out: &mut dyn Write) -> fmt::Result {
    let out: &mut dyn Write = &mut Plain(out);
    with_current(|worker| {
        let Some(worker) = worker else { return describe_thread(out) };
        let context = worker.context();
        let (container, part) = context.life.get();
        // SAFETY: the pointer is null, or lives as long as this part of the container's life.
        let living = unsafe { container.as_ref() };
        match current_task(context) {
            // A task may do that for many containers, so its own pool says less.
            _ if context.callback.get().is_null() && living.is_some() => {
                let name = living.map_or("", Container::name);
                write!(out, " in {} of pool '{name}'", life_name(part).unwrap_or("a method"))?;
                describe_module(living, out)?;
            }
            Some(record) => {
                write!(out, " in {}, task {:p}", record.log_context(), record.body())?;
                // SAFETY: the pointer is null, or points to the container in which the task is
                // counted.
                describe_module(unsafe { record.container.as_ref() }, out)?;
            }
            None if !context.callback.get().is_null() => {
                out.write_str(" in a poller")?;
                let owner = current_poller(context).and_then(|poller| poller.owner.as_ref());
                if let Some(owner) = owner {
                    write!(out, " of pool '{}'", owner.name)?;
                    describe_file(owner.file.as_deref(), out)?;
                }
            }
            None => out.write_str(" outside of tasks")?,
        }
        write!(out, ", worker {}", worker.index)
    })
}

/// Writes `?` in place of characters that change how others are displayed: names may have such.
struct Plain<'a>(&'a mut dyn Write);

impl Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut parts = text.split(is_odd);
        self.0.write_str(parts.next().unwrap_or_default())?;
        parts.try_for_each(|part| {
            self.0.write_str("?")?;
            self.0.write_str(part)
        })
    }
}

/// Writes whose thread the calling one is, which is no worker now.
fn describe_thread(out: &mut dyn Write) -> fmt::Result {
    if let Some(index) = started_for() {
        return write!(out, " in the thread of worker {index}, which is starting or ending");
    }
    // A thread has the name of the one that started it, until it gets its own.
    let name = thread::name();
    let is_own = name.starts_with(b"chi-") && !name.starts_with(b"chi-worker-");
    out.write_str(match is_own || thread::is_main() {
        true => " in a thread that is no worker",
        false => " in a thread of a module or library",
    })
}

/// Whether all pools whose code runs on the calling thread have the policy `quarantine`. May be
/// called in a signal handler.
pub(crate) fn may_give_up() -> bool {
    with_current(|worker| {
        let Some(worker) = worker else { return false };
        let context = worker.context();
        let wants = |container: Option<&Container>| {
            container.is_none_or(|container| container.on_crash.get() == OnCrash::Quarantine)
        };
        // SAFETY: the pointer is null, or points to the container that the running task constructs.
        let mut all = wants(unsafe { context.building.get().as_ref() });
        // SAFETY: the pointer is null, or lives as long as the method of a container's life that runs.
        all &= wants(unsafe { context.life.get().0.as_ref() });
        // SAFETY: the pointer is null, or points to the container in which the task is counted.
        all &= wants(context.task().and_then(|task| unsafe { task.container.as_ref() }));
        let mut frame = context.callback.get();
        // SAFETY: each callback frame is in a frame further up on the running stack.
        while let Some(found) = unsafe { frame.as_ref() } {
            all &= match found.kind {
                // SAFETY: as above.
                CallbackKind::Monitor(record) | CallbackKind::Del(record) => unsafe {
                    wants((*record).container.as_ref())
                },
                CallbackKind::Aggregation => true,
                // SAFETY: as above.
                CallbackKind::Poller(_, poller) => unsafe { (*poller).owner.as_ref() }
                    .is_none_or(|owner| owner.on_crash.get() == OnCrash::Quarantine),
            };
            frame = found.outer;
        }
        all
    })
}

fn describe_module(container: Option<&Container>, out: &mut dyn Write) -> fmt::Result {
    describe_file(container.and_then(|container| container.module.path.as_deref()), out)
}

fn describe_file(path: Option<&Path>, out: &mut dyn Write) -> fmt::Result {
    match path {
        Some(path) => write!(out, ", module {}", path.display()),
        None => Ok(()),
    }
}
