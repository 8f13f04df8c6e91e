//! The methods of `written:loom`.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kTurn`.
    pub const TURN: u32 = 10;
    /// `kFail`.
    pub const FAIL: u32 = 11;
    /// `kRelay`.
    pub const RELAY: u32 = 12;
}
