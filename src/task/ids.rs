//! Addresses of tasks: pools and domain queries.

use std::fmt;

use chimaera_abi::{
    chi_domain_query, chi_pool_id, CHI_DOMAIN_DYNAMIC, CHI_DOMAIN_GLOBAL_BCAST,
    CHI_DOMAIN_GLOBAL_HASH, CHI_DOMAIN_GLOBAL_ID, CHI_DOMAIN_LOCAL_HASH, CHI_DOMAIN_LOCAL_ID,
};

pub use chimaera_abi::chi_task_node as TaskNode;

/// A pool's number, never reused. The default is no pool. The C struct `chi_pool_id`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PoolId(chi_pool_id);

impl PoolId {
    /// The pool with this slot and generation.
    pub const fn new(major: u32, minor: u32) -> Self {
        PoolId(chi_pool_id { major_: major, minor_: minor })
    }

    /// Slot in the pool table.
    pub const fn major(self) -> u32 {
        self.0.major_
    }

    /// Generation of the slot: tells apart the pools that have used it.
    pub const fn minor(self) -> u32 {
        self.0.minor_
    }

    /// The C struct.
    pub const fn to_raw(self) -> chi_pool_id {
        self.0
    }
}

impl From<chi_pool_id> for PoolId {
    fn from(id: chi_pool_id) -> Self {
        PoolId(id)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.major_, self.0.minor_)
    }
}

/// Selects the containers of a pool that a task goes to. On a single node, the global and the local
/// kinds are the same. The default is [`dynamic`](Self::dynamic). The C struct `chi_domain_query`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DomainQuery(chi_domain_query);

impl DomainQuery {
    const fn make(kind: u32, value: u32) -> Self {
        DomainQuery(chi_domain_query { kind_: kind, value_: value })
    }

    /// The container with this id, on this node.
    pub const fn local_id(id: u32) -> Self {
        Self::make(CHI_DOMAIN_LOCAL_ID, id)
    }

    /// The container on this node that the hash selects.
    pub const fn local_hash(hash: u32) -> Self {
        Self::make(CHI_DOMAIN_LOCAL_HASH, hash)
    }

    /// The container with this id, on any node.
    pub const fn global_id(id: u32) -> Self {
        Self::make(CHI_DOMAIN_GLOBAL_ID, id)
    }

    /// The container that the hash selects, on any node.
    pub const fn global_hash(hash: u32) -> Self {
        Self::make(CHI_DOMAIN_GLOBAL_HASH, hash)
    }

    /// Every container of the pool.
    pub const fn global_bcast() -> Self {
        Self::make(CHI_DOMAIN_GLOBAL_BCAST, 0)
    }

    /// The runtime chooses; it asks the module's `kGlobalSchedule` monitor.
    pub const fn dynamic() -> Self {
        Self::make(CHI_DOMAIN_DYNAMIC, 0)
    }

    /// The kind, `CHI_DOMAIN_*`.
    pub const fn kind(self) -> u32 {
        self.0.kind_
    }

    /// The container id or the hash; 0 for the kinds that use neither.
    pub const fn value(self) -> u32 {
        self.0.value_
    }

    /// The C struct.
    pub const fn to_raw(self) -> chi_domain_query {
        self.0
    }
}

impl From<chi_domain_query> for DomainQuery {
    fn from(query: chi_domain_query) -> Self {
        DomainQuery(query)
    }
}
