//! What became of a pool, and who has to be told.

use chimaera_abi::{chi_pool_id, CHI_REASON_LOST};

/// The loss of a pool, or of containers of it, or the end of one.
pub(crate) struct Loss {
    /// `CHI_REASON_LOST`, or `CHI_REASON_RECOVERED` when it is over.
    pub(crate) reason: u32,
    pub(crate) pool: chi_pool_id,
    /// The node of the cluster that was lost, or is back; 0 if the pool is, as a whole.
    pub(crate) node: u64,
    /// The containers that it had; none if the node is 0.
    pub(crate) containers: Vec<u32>,
    pub(crate) name: String,
    /// What happened, as a sentence.
    pub(crate) why: String,
    /// The names of the pools whose containers have to be told.
    pub(crate) dependants: Vec<String>,
}

impl Loss {
    /// A pool was lost on this node.
    pub(crate) fn of_pool(
        pool: chi_pool_id,
        name: String,
        why: String,
        dependants: Vec<String>,
    ) -> Loss {
        let (reason, node, containers) = (CHI_REASON_LOST, 0, Vec::new());
        Loss { reason, pool, node, containers, name, why, dependants }
    }
}
