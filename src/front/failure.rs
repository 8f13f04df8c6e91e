//! Failures of calls, and those that all back ends have in common.

use std::borrow::Cow;
use std::time::Duration;

use chimaera_abi::*;

/// A status other than `CHI_OK`, and a message.
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
    /// Makes a failure.
    pub fn new(status: chi_status, message: impl Into<Cow<'static, str>>) -> Failure {
        Failure { status, message: message.into() }
    }

    /// An argument that must not be null is null.
    #[cold]
    pub fn null(argument: &str) -> Failure {
        Failure::new(CHI_INVALID, format!("the argument '{argument}' is null"))
    }

    /// `enqueue` of a task that is in flight.
    #[cold]
    pub fn in_flight() -> Failure {
        Failure::new(CHI_BUSY, "the task is in flight; wait for it first")
    }

    /// `wait` for a task that is neither in flight nor complete.
    #[cold]
    pub fn never_submitted() -> Failure {
        Failure::new(CHI_INVALID, "cannot wait: the task was never submitted")
    }

    /// `wait` for a task that is not complete when the timeout passes.
    #[cold]
    pub(crate) fn not_complete(timeout_ns: u64) -> Failure {
        let message = match timeout_ns {
            // A poll: callers poll often, so this message is not formatted.
            0 => "the task is not complete yet; it continues".into(),
            ns => {
                let bound = Duration::from_nanos(ns);
                Cow::from(format!("the task is not complete after {bound:?}; it continues"))
            }
        };
        Failure::new(CHI_TIMEOUT, message)
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

impl From<chimaera_ipc::admin::Failure> for Failure {
    fn from((status, message): chimaera_ipc::admin::Failure) -> Failure {
        Failure::new(status, message)
    }
}
