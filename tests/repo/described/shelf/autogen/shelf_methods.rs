//! The methods of `described:shelf`.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

/// The numbers of the methods that the module implements.
pub enum Method {}

impl Method {
    /// `kCreate`.
    pub const CREATE: u32 = 0;
    /// `kDestroy`.
    pub const DESTROY: u32 = 1;
    /// `kSum`: Sums up the bytes of every block.
    pub const SUM: u32 = 10;
    /// `kTurn`: Gives everything back, some of it turned round.
    pub const TURN: u32 = 11;
    /// `kNothing`: Does nothing.
    pub const NOTHING: u32 = 12;
    /// `kFail`: Fails.
    pub const FAIL: u32 = 13;
    /// `kRelay`: Has the module in the other language sum up bytes, several times at once.
    pub const RELAY: u32 = 14;
    /// `kSettings`: Says what the pool was created with.
    pub const SETTINGS: u32 = 16;
    /// `kPause`: Sleeps.
    pub const PAUSE: u32 = 17;
}
