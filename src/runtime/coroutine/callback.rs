//! Callbacks: module code that runs besides methods: monitors, aggregations, pollers, and the
//! functions that free what is attached to a body. A callback cannot wait, because there is no task
//! that could be suspended. If it overflows its stack, that must still end in a status.

use std::mem::ManuallyDrop;

use super::coroutine::Context;
use super::poller::{Poller, TargetGuard};
use crate::task::Record;

/// What kind of callback is running.
#[derive(Clone, Copy)]
pub(crate) enum CallbackKind {
    /// The monitor of a task that is being routed. Nothing else uses the record.
    Monitor(*mut Record),
    /// `Del` of a task that has ended.
    Del(*mut Record),
    /// The aggregation of the running task.
    Aggregation,
    /// A poller. Its caller owns the guard and keeps the poller alive.
    Poller(*mut ManuallyDrop<TargetGuard>, *const Poller),
}

/// A running callback, on its caller's stack.
pub(crate) struct CallbackFrame {
    pub(crate) kind: CallbackKind,
    pub(crate) outer: *const CallbackFrame,
}

/// Runs a callback of a module on the coroutine with this context.
#[inline(always)]
pub(crate) fn run_callback<R>(context: &Context, kind: CallbackKind, f: impl FnOnce() -> R) -> R {
    let callback = &context.callback;
    let own = CallbackFrame { kind, outer: callback.get() };
    callback.set(&own);
    let result = f();
    // A callback cannot wait, so this is still the same coroutine.
    callback.set(own.outer);
    context.restore();
    result
}

/// The task for which code is running on the coroutine with this context: that of the innermost
/// callback, or else the running one. `None` in a poller, and if there is no task.
pub(crate) fn current_task(context: &Context) -> Option<&Record> {
    // SAFETY: the pointer is null, or points to a frame further up on this coroutine's stack.
    match unsafe { context.callback.get().as_ref() } {
        None => context.task(),
        Some(frame) => match frame.kind {
            // SAFETY: the record's owner is the frame that called the callback; it neither frees
            // nor modifies the record while the callback runs.
            CallbackKind::Monitor(record) | CallbackKind::Del(record) => unsafe { record.as_ref() },
            CallbackKind::Aggregation => context.task(),
            CallbackKind::Poller(..) => None,
        },
    }
}

/// The poller that is the innermost callback on the coroutine with this context, if it is one.
pub(crate) fn current_poller(context: &Context) -> Option<&Poller> {
    // SAFETY: the pointer is null, or points to a frame further up on this coroutine's stack.
    match unsafe { context.callback.get().as_ref() }?.kind {
        // SAFETY: the frame that called the poller keeps it alive.
        CallbackKind::Poller(_, poller) => unsafe { poller.as_ref() },
        _ => None,
    }
}
