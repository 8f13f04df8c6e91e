//! The definition of a pool.

use std::path::PathBuf;

use chimaera_abi::{chi_pool_id, CHI_POOL_DURABLE};
use serde::{Deserialize, Serialize};

/// What it takes to make a pool anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PoolRecord {
    /// Its id, major and minor.
    pub(crate) id: (u32, u32),
    pub(crate) name: String,
    pub(crate) module: String,
    /// The file of the module's version, if it is not one that is found in the directories of modules.
    pub(crate) file: Option<PathBuf>,
    pub(crate) params: Vec<u8>,
    pub(crate) containers: u32,
    /// Whether the runtime ends when a method crashes.
    pub(crate) aborts: bool,
    /// The user who created it.
    pub(crate) creator: Option<u32>,
    /// `CHI_POOL_*`, apart from `CHI_POOL_ABORTS`.
    pub(crate) flags: u32,
    /// Who may use it: the grants of a `chi_create_with_task`.
    pub(crate) grants: Vec<(u32, u32, u32)>,
    /// The file with the states of its containers; without one, they are recovered.
    pub(crate) state: Option<PathBuf>,
}

impl PoolRecord {
    /// Its id.
    pub(crate) fn pool_id(&self) -> chi_pool_id {
        let (major_, minor_) = self.id;
        chi_pool_id { major_, minor_ }
    }

    /// Whether it is durable.
    pub(crate) fn is_durable(&self) -> bool {
        self.flags & CHI_POOL_DURABLE != 0
    }
}
