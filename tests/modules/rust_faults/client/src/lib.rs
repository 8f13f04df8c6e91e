//! The tasks of `test:rust_faults`, a module that misbehaves on request.

use chimaera::{ShmBytes, ShmString};

/// The module's name.
pub const MODULE: &str = "test:rust_faults";

/// Parameters with which creating a pool panics.
pub const PARAMS_PANIC: &[u8] = b"panic";

/// Parameters with which creating a pool fails with `FAULT` and `"told to fail"`.
pub const PARAMS_FAIL: &[u8] = b"fail";

/// The status of the faults that are no panics.
pub const FAULT: i32 = 1042;

/// The numbers of the module's methods.
#[allow(non_snake_case)]
pub mod Method {
    /// Panics with `"told to panic: "` and the task's text.
    pub const PANIC: u32 = 10;
    /// Fails with `FAULT` and the task's text.
    pub const ERROR: u32 = 11;
    /// Copies the bytes in to the bytes out.
    pub const ECHO: u32 = 12;
    /// Puts a value into a pool of `chimaera:kv` and gets it back.
    pub const SUBCALL: u32 = 13;
    /// Is declared as unsupported. Its task is any.
    pub const UNSUPPORTED: u32 = 14;
}

/// `kPanic`, `kError`.
#[chimaera::task]
pub struct FaultTask {
    /// In.
    pub text: ShmString,
}

/// `kEcho`.
#[chimaera::task]
pub struct EchoTask {
    /// In.
    pub input: ShmBytes,
    /// Out.
    pub output: ShmBytes,
}

/// `kSubcall`.
#[chimaera::task]
pub struct SubcallTask {
    /// In: the name of the `chimaera:kv` pool, which is created when there is none.
    pub pool_name: ShmString,
    /// In.
    pub key: ShmString,
    /// In.
    pub value: ShmBytes,
    /// Out: what was found under the key after the put.
    pub found: ShmBytes,
}
