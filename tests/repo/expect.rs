//! Checks for the Rust clients of the tests.

use std::fmt::Debug;

use chimaera::abi::chi_status;
use chimaera::{DomainQuery, PoolId, Result};

/// A non-ASCII text.
pub(crate) const TEXT: &str = "K\u{e4}se \u{20ac}";

/// A task without fields.
#[chimaera::task]
struct PlainTask {}

/// Runs a task without fields.
pub(crate) fn call_method(pool: PoolId, method: u32) -> Result<()> {
    chimaera::ipc()?.new_task::<PlainTask>(pool, DomainQuery::dynamic(), method)?.call()?;
    Ok(())
}

/// Checks that a call failed with this status and a message that contains `text`.
pub(crate) fn expect_failure<T: Debug>(result: Result<T>, status: chi_status, text: &str) {
    let failed = result.unwrap_err();
    assert_eq!(failed.code(), status);
    assert!(failed.message().contains(text), "{failed}");
}
