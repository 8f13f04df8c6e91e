//! What became of a pool, and who has to be told.

use chimaera_abi::chi_pool_id;

/// The loss of a pool, or the end of one.
pub(crate) struct Loss {
    /// `CHI_REASON_LOST`, or `CHI_REASON_RECOVERED` when it is over.
    pub(crate) reason: u32,
    pub(crate) pool: chi_pool_id,
    pub(crate) name: String,
    /// What happened, as a sentence.
    pub(crate) why: String,
    /// The names of the pools that depend on it.
    pub(crate) dependants: Vec<String>,
}
