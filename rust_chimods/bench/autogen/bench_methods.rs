//! The methods of `chimaera:bench`.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kCall`: Calls empty tasks of another pool one by one, and measures the time they take.
    pub const CALL: u32 = 10;
    /// `kCompute`: Computes without suspending, in the lane that the task selects.
    pub const COMPUTE: u32 = 11;
}
