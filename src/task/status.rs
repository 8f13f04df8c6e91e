//! Errors: a status code and a message.

use std::fmt;

use chimaera_abi::{
    chi_status, status_name, status_text, CHI_FAILED, CHI_INVALID, CHI_IO, CHI_NOT_FOUND, CHI_OK,
};

/// A result whose error is a [`Status`].
pub type Result<T, E = Status> = std::result::Result<T, E>;

/// An error: a code, never `CHI_OK`, and a message that a person can act on.
///
/// ```
/// use chimaera::{abi, Status};
///
/// let status = Status::not_found("no key \"a\"");
/// assert_eq!(status.code(), abi::CHI_NOT_FOUND);
/// assert_eq!(status.to_string(), "no key \"a\" (CHI_NOT_FOUND)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    code: chi_status,
    message: String,
}

impl Status {
    /// Makes an error with this code: one of `chimaera::abi::CHI_*`, or a status defined by a
    /// module, from `CHI_MODULE_STATUS` up. `CHI_OK` is not an error and becomes `CHI_FAILED`. An
    /// empty message is replaced with the description of the code.
    pub fn new(code: chi_status, message: impl Into<String>) -> Self {
        let code = if code == CHI_OK { CHI_FAILED } else { code };
        let message = message.into();
        let message = if message.is_empty() { status_text(code).to_owned() } else { message };
        Status { code, message }
    }

    /// `CHI_FAILED`: a method failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(CHI_FAILED, message)
    }

    /// `CHI_INVALID`: an argument or a task is malformed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(CHI_INVALID, message)
    }

    /// `CHI_NOT_FOUND`: the requested item does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(CHI_NOT_FOUND, message)
    }

    /// The code.
    pub fn code(&self) -> chi_status {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error, with `what` and a colon before its message.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match status_name(self.code) {
            Some(name) => write!(f, "{} ({name})", self.message),
            None => write!(f, "{} (status {})", self.message, self.code),
        }
    }
}

impl std::error::Error for Status {}

impl From<std::io::Error> for Status {
    fn from(error: std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => CHI_NOT_FOUND,
            _ => CHI_IO,
        };
        Status::new(code, error.to_string())
    }
}

impl From<std::str::Utf8Error> for Status {
    fn from(error: std::str::Utf8Error) -> Self {
        Status::invalid(format!("not UTF-8: {error}"))
    }
}

impl From<std::string::FromUtf8Error> for Status {
    fn from(error: std::string::FromUtf8Error) -> Self {
        error.utf8_error().into()
    }
}

impl From<std::ffi::NulError> for Status {
    fn from(error: std::ffi::NulError) -> Self {
        Status::invalid(format!("the name contains a zero byte at {}", error.nul_position()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ok_is_never_a_failure() {
        assert_eq!(Status::new(CHI_OK, "x").code(), CHI_FAILED);
    }

    #[test]
    fn an_error_of_io_has_its_code() {
        let code = |kind: std::io::ErrorKind| Status::from(std::io::Error::from(kind)).code();
        assert_eq!(code(std::io::ErrorKind::NotFound), CHI_NOT_FOUND);
        assert_eq!(code(std::io::ErrorKind::IsADirectory), CHI_IO);
    }

    #[test]
    fn a_code_without_name_shows_its_number() {
        assert_eq!(Status::new(1004, "full").to_string(), "full (status 1004)");
    }

    #[test]
    fn an_empty_message_says_what_the_code_means() {
        assert_eq!(Status::new(CHI_IO, "").message(), "an operating system call failed");
    }

    #[test]
    fn io_errors_keep_their_reason() {
        let status: Status = std::io::Error::other("disk on fire").into();
        assert_eq!(status.to_string(), "disk on fire (CHI_IO)");
    }
}
