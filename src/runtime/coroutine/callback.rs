//! Callbacks: module's code that runs beside methods, such as monitors, aggregations, pollers, and what
//! drops a body's attachments. It cannot wait, for there is no task that could be suspended; and when it
//! overflows its stack, that must end in a status, too.

use std::mem::ManuallyDrop;

use super::coroutine::Context;
use super::poller::TargetGuard;
use crate::task::Record;

/// What runs.
#[derive(Clone, Copy)]
pub(crate) enum CallbackKind {
    /// The monitor of a task that is being routed. Nobody else uses the record.
    Monitor(*mut Record),
    /// `Del` of a task that has ended.
    Del(*mut Record),
    /// The aggregation of the task that runs.
    Aggregation,
    /// A poller. The guard is its caller's.
    Poller(*mut ManuallyDrop<TargetGuard>),
}

/// A callback that runs, on the stack of whoever called it.
pub(crate) struct CallbackFrame {
    pub(crate) kind: CallbackKind,
    pub(crate) outer: *const CallbackFrame,
}

/// Runs a module's callback on the coroutine of this context.
#[inline(always)]
pub(crate) fn run_callback<R>(context: &Context, kind: CallbackKind, f: impl FnOnce() -> R) -> R {
    let callback = &context.callback;
    let own = CallbackFrame { kind, outer: callback.get() };
    callback.set(&own);
    let result = f();
    // The code cannot wait, so this is still the same coroutine.
    callback.set(own.outer);
    result
}

/// The task on whose behalf code runs on the coroutine of this context: that of the innermost callback, or
/// else the one that runs; `None` for a poller, and where no task is.
pub(crate) fn current_task(context: &Context) -> Option<&Record> {
    // SAFETY: null, or a frame further up on this coroutine's stack.
    match unsafe { context.callback.get().as_ref() } {
        None => context.task(),
        Some(frame) => match frame.kind {
            // SAFETY: the record of a task that has not been given back; the frame's owner does not touch it
            // while the callback runs.
            CallbackKind::Monitor(record) | CallbackKind::Del(record) => unsafe { record.as_ref() },
            CallbackKind::Aggregation => context.task(),
            CallbackKind::Poller(_) => None,
        },
    }
}
