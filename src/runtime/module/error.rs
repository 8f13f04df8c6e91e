//! Why a module's code failed that runs for no task: while it is loaded, and on threads of its own.
//! The text of code that runs for a task belongs to that task.

use std::cell::RefCell;

thread_local! {
    static ERROR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what `chi_host.set_error` was told on this thread.
pub(crate) fn set(text: String) {
    // A thread that is ending has nobody left to tell.
    let _ = ERROR.try_with(|error| *error.borrow_mut() = Some(text));
}

/// What was set last on this thread, once.
pub(crate) fn take() -> Option<String> {
    ERROR.take().filter(|text| !text.is_empty())
}
