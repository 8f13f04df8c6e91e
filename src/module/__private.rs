//! Items that the expansions of the macros refer to. Not for direct use; they may change at any
//! time.

pub use crate::dispatch::ModuleState;
pub use chimaera_abi::{chi_host, chi_module_descriptor, chi_pool_id};
pub use std::ffi::{c_char, c_void};

use std::ffi::CStr;

/// What a module says of its tasks, for one whose generated code does not say anything: there, a constant of the
/// container itself has the same name and comes first.
pub trait NotDescribed {
    /// Nothing.
    const __CHIMAERA_DESCRIPTION: Option<&'static CStr> = None;
}

impl<C> NotDescribed for C {}

/// What a module says of its tasks, as generated code has it.
pub const fn description(text: &'static str) -> Option<&'static CStr> {
    Some(cstr(text))
}

/// Converts a text with exactly one zero byte, at its end, into a C string, for `concat!` at
/// compile time.
pub const fn cstr(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a name or a version contains a zero byte"),
    }
}
