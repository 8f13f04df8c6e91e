//! The error type of the runtime's own functions.

use chimaera_abi::chi_status;

/// A status other than `CHI_OK`, and a message that says why.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: chi_status,
    pub(crate) message: String,
}

impl From<Failure> for chimaera_front::Failure {
    fn from(failure: Failure) -> chimaera_front::Failure {
        chimaera_front::Failure::new(failure.status, failure.message)
    }
}

impl Failure {
    pub(crate) fn new(status: chi_status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }
}
