//! What the macros' output names. Not for use by hand; it may change at any time.

pub use crate::dispatch::ModuleState;
pub use chimaera_abi::{chi_host, chi_module_descriptor, chi_pool_id};
pub use std::ffi::{c_char, c_void};

use std::ffi::CStr;

/// A text that ends with its only zero, as a C string; for `concat!` at compile time.
pub const fn cstr(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a zero byte in a name or a version"),
    }
}
