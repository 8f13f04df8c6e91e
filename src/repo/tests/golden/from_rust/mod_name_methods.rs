//! The methods of `example:mod_name`.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kFirst`.
    pub const FIRST: u32 = 10;
}
