//! Threads that the runtime cannot do without.

/// Runs a thread's work; a panic in it, a defect, ends the process. Without that thread, tasks would
/// hang forever, whereas the clients of a dead runtime are told at once.
pub(crate) fn or_abort<R>(work: impl FnOnce() -> R) -> R {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("a thread of the runtime panicked; this is a bug");
        std::process::abort()
    })
}
