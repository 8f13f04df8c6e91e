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
    /// `kNodeFailure`.
    pub const NODE_FAILURE: u32 = 2;
    /// `kRecover`.
    pub const RECOVER: u32 = 3;
    /// `kMigrate`.
    pub const MIGRATE: u32 = 4;
    /// `kUpgrade`.
    pub const UPGRADE: u32 = 5;
    /// `kFirst`.
    pub const FIRST: u32 = 10;
    /// `kLast`: Does the last thing
    pub const LAST: u32 = 4095;
}
