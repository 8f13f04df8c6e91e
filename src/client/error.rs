//! What goes wrong, and the message of the last failure on a thread.

use std::borrow::Cow;
use std::cell::UnsafeCell;
use std::ffi::c_char;

use chimaera_abi::{chi_status, status_name};

/// A status other than `CHI_OK`, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: chi_status,
    /// What happened, and what to do about it.
    pub message: Cow<'static, str>,
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure.
    pub fn new(status: chi_status, message: impl Into<Cow<'static, str>>) -> Failure {
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

/// The longest message that is kept, in bytes.
const KEPT: usize = 2047;

thread_local! {
    /// The last message and its final zero. It keeps its place as long as the thread lives, so an address
    /// that was taken before the call that fails shows that call's message.
    static LAST: UnsafeCell<[u8; KEPT + 1]> = const { UnsafeCell::new([0; KEPT + 1]) };
}

/// Keeps the message for `last_error` and returns the status.
pub(crate) fn keep(failure: Failure) -> chi_status {
    let mut text = failure.message;
    if text.contains('\0') {
        text = text.replace('\0', " ").into();
    }
    let end = (0..=text.len().min(KEPT)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    // A thread that is ending has nobody left to ask for the message.
    let _ = LAST.try_with(|last| {
        // SAFETY: the array is this thread's own, and no reference to it is live here.
        let kept = unsafe { &mut *last.get() };
        kept[..end].copy_from_slice(&text.as_bytes()[..end]);
        kept[end] = 0;
    });
    failure.status
}

/// The message that was kept last on this thread.
pub(crate) fn last() -> *const c_char {
    LAST.try_with(|last| last.get().cast_const().cast()).unwrap_or(c"".as_ptr())
}
