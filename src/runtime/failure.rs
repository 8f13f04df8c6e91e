//! How the runtime's own functions fail.

use chimaera_abi::chi_status;

/// A status other than `CHI_OK`, and why.
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
