//! The methods of `chimaera:kv`.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kRecover`.
    pub const RECOVER: u32 = 3;
    /// `kPut`: Puts a value under a key.
    pub const PUT: u32 = 10;
    /// `kGet`: Gets the value of a key.
    pub const GET: u32 = 11;
    /// `kDelete`: Deletes a key.
    pub const DELETE: u32 = 12;
    /// `kScan`: Lists keys in order.
    pub const SCAN: u32 = 13;
    /// `kCount`: Counts keys.
    pub const COUNT: u32 = 14;
    /// `kFlush`: Makes what was put and deleted durable.
    pub const FLUSH: u32 = 15;
    /// `kStats`: Gets the size of the store and its counters.
    pub const STATS: u32 = 16;
    /// `kCompact`: Shortens the file as far as its contents allow.
    pub const COMPACT: u32 = 17;
}
