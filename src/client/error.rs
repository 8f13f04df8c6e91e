//! What goes wrong, and the message of the last failure on a thread.

use std::cell::RefCell;
use std::ffi::{c_char, CString};

use chimaera_abi::{chi_status, status_name};

/// A status other than `CHI_OK`, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: chi_status,
    /// What happened, and what to do about it.
    pub message: String,
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure.
    pub fn new(status: chi_status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match status_name(self.status) {
            Some(name) => write!(f, "{} ({name})", self.message),
            None => write!(f, "{} (status {})", self.message, self.status),
        }
    }
}

impl std::error::Error for Failure {}

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Keeps the message for `last_error` and returns the status.
pub(crate) fn keep(failure: Failure) -> chi_status {
    let text = CString::new(failure.message.replace('\0', " ")).unwrap_or_default();
    // A thread that is ending has nobody left to ask for the message.
    let _ = LAST.try_with(|last| *last.borrow_mut() = text);
    failure.status
}

/// The message that was kept last on this thread.
pub(crate) fn last() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
