//! Rules for a pool's name and its number of containers. Both ends check them: the front before it
//! sends a request, and the runtime when it gets one.

use chimaera_abi::*;

use crate::{Failure, Result};

/// The maximum length of a pool's or a module's name, in bytes.
pub const MAX_NAME: usize = 255;

/// Checks a pool's name.
pub fn check_name(name: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(name).ok();
    let fits = |name: &&str| {
        !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
    };
    text.filter(fits).ok_or_else(|| {
        let why = "a pool's name has 1 to 255 bytes of UTF-8 without control characters";
        Failure::new(CHI_INVALID, why)
    })
}

/// Checks the name of a module, which need not exist.
pub fn check_module(name: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(name).ok();
    text.filter(|name| name.len() <= MAX_NAME)
        .ok_or_else(|| Failure::new(CHI_INVALID, "a module's name has at most 255 bytes of UTF-8"))
}

/// Checks the number of containers of a pool; 0, which clients with ABI 1.0 always send, means 1.
pub fn check_containers(containers: u32) -> Result<u32> {
    match containers.max(1) {
        count @ 1..=CHI_MAX_CONTAINERS => Ok(count),
        count => Err(Failure::new(
            CHI_INVALID,
            format!("a pool has 1 to {CHI_MAX_CONTAINERS} containers, not {count}"),
        )),
    }
}

/// The failure when no pool has this name.
pub fn not_found(name: &str) -> Failure {
    Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'"))
}

/// The failure when the admin pool is to be destroyed.
pub fn is_admin() -> Failure {
    Failure::new(CHI_DENIED, "the admin pool lasts as long as the runtime")
}
