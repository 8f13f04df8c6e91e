//! What the clients of one user may take.

use super::{in_range, Error};

/// What the clients of one user may take together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLimits {
    /// The limit on the pools that they have created.
    pub pools: u32,
    /// The limit on the containers of these pools.
    pub containers: u32,
}

impl Default for UserLimits {
    fn default() -> UserLimits {
        UserLimits { pools: 16_384, containers: 32_768 }
    }
}

impl UserLimits {
    pub(super) fn check(&self) -> Result<(), Error> {
        in_range("the limit on pools per user", self.pools.into(), 1, 65536)?;
        in_range("the limit on containers per user", self.containers.into(), 1, 1 << 24)
    }
}
