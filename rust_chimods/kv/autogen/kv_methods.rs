//! The methods of `chimaera:kv`.
//! Generated from chimaera_mod.yaml; do not edit.

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kPut`.
    pub const PUT: u32 = 10;
    /// `kGet`.
    pub const GET: u32 = 11;
    /// `kDelete`.
    pub const DELETE: u32 = 12;
    /// `kScan`.
    pub const SCAN: u32 = 13;
    /// `kCount`.
    pub const COUNT: u32 = 14;
}
