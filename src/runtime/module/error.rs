//! The error messages of module code that runs for no task: while it is loaded, and on the module's
//! own threads. The messages of code that runs for a task belong to that task.

use std::cell::RefCell;

thread_local! {
    static ERROR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the message that was passed to `chi_host.set_error` on this thread.
pub(crate) fn set(text: String) {
    // On a thread that is ending, nothing could read the message.
    let _ = ERROR.try_with(|error| *error.borrow_mut() = Some(text));
}

/// Takes the message that was last set on this thread.
pub(super) fn take() -> Option<String> {
    ERROR.take().filter(|text| !text.is_empty())
}
