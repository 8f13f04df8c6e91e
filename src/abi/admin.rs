//! The tasks of the admin pool, module `chimaera:admin`, which every runtime has.

use crate::{chi_pool_id, chi_shm_string, chi_shm_vector, chi_task};

/// Admin method: create a pool, or find it when it already exists (`chi_create_task`).
pub const CHI_ADMIN_CREATE_POOL: u32 = 10;
/// Admin method: destroy a pool (`chi_destroy_task`).
pub const CHI_ADMIN_DESTROY_POOL: u32 = 11;
/// Admin method: find a pool by its name (`chi_find_task`).
pub const CHI_ADMIN_FIND_POOL: u32 = 12;
/// Admin method: stop the runtime (a plain `chi_task`). The task completes before the runtime
/// exits.
pub const CHI_ADMIN_STOP: u32 = 13;
/// Admin method: describe the runtime as JSON (`chi_describe_task`).
pub const CHI_ADMIN_DESCRIBE: u32 = 14;
/// Admin method: give the containers of a pool that are in quarantine new objects (`chi_create_task`,
/// of which only `pool_name_` is read, and `pool_id_` written). Each one's own `kCreate` gets the
/// same task, with the parameters of the pool.
pub const CHI_ADMIN_RESET_POOL: u32 = 15;
/// Admin method: find a pool by its name and its module (`chi_create_task`, of which only the two
/// names and the id are used). A pool of another module is `CHI_INVALID`. Since ABI 1.1.
pub const CHI_ADMIN_FIND_POOL_OF: u32 = 16;

/// Admin method: as `CHI_ADMIN_CREATE_POOL`, and says who may use the pool and what happens when one
/// of its methods crashes (`chi_create_with_task`). Since ABI 1.1.
pub const CHI_ADMIN_CREATE_POOL_WITH: u32 = 17;

/// The task that creates a pool. It is also passed to the `kCreate` of each container, one
/// container at a time.
#[repr(C)]
#[derive(Debug)]
pub struct chi_create_task {
    /// The task.
    pub task: chi_task,
    /// In: the module's name, `"repo:module"`.
    pub module_name_: chi_shm_string,
    /// In: the pool's name: 1 to 255 bytes of UTF-8 without control characters.
    pub pool_name_: chi_shm_string,
    /// In: the module's parameters, opaque to the runtime. Containers receive them in the canonical
    /// form that `chi_module_descriptor.params` writes.
    pub params_: chi_shm_vector,
    /// Out: the pool.
    pub pool_id_: chi_pool_id,
    /// Out: 1 when the pool already existed, else 0.
    pub existed_: u32,
    /// In: the number of containers, at most `CHI_MAX_CONTAINERS`. 0 means 1: clients built against
    /// ABI 1.0 always send 0.
    pub containers_: u32,
}

/// `chi_create_with_task.flags_`: a method that crashes ends the runtime. Only the runtime's own user
/// and root may ask for it.
pub const CHI_POOL_ABORTS: u32 = 1;
/// `chi_create_with_task.flags_`: only those may call the pool to whom `grants_` gives the right to,
/// besides its creator, the runtime's own user and root. Without it, all who may connect may.
pub const CHI_POOL_RESTRICTED: u32 = 2;
/// `chi_create_with_task.flags_`: the containers run in a process of their own, a module host. Since
/// ABI 1.1.
pub const CHI_POOL_ISOLATED: u32 = 4;
/// `chi_create_with_task.flags_`: the pool is durable: its definition is kept in a file, and the next
/// runtime of the instance makes it anew, also after a crash. Since ABI 1.1.
pub const CHI_POOL_DURABLE: u32 = 8;

/// `chi_grant.right_`: to call the pool.
pub const CHI_MAY_CALL: u32 = 1;
/// `chi_grant.right_`: to destroy the pool.
pub const CHI_MAY_DESTROY: u32 = 2;

/// A right of a user, or of all who have a group.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct chi_grant {
    /// `CHI_MAY_*`.
    pub right_: u32,
    /// 1 for a group, 0 for a user.
    pub is_group_: u32,
    /// The number of the user or group.
    pub number_: u32,
}

/// The task that creates a pool and says who may use it.
#[repr(C)]
#[derive(Debug)]
pub struct chi_create_with_task {
    /// The pool; this is what the `kCreate` of each container is passed.
    pub create: chi_create_task,
    /// In: `CHI_POOL_*`.
    pub flags_: u32,
    /// In: on how many nodes of the cluster the pool is kept; 0: on all. On a runtime that is no node of a cluster,
    /// 0 or 1. Since ABI 1.1.
    pub nodes_: u32,
    /// In: an array of `chi_grant`, as bytes.
    pub grants_: chi_shm_vector,
}

/// The task that destroys a pool. It is also passed to the `kDestroy` of each container.
#[repr(C)]
#[derive(Debug)]
pub struct chi_destroy_task {
    /// The task.
    pub task: chi_task,
    /// In: the pool.
    pub pool_id_: chi_pool_id,
}

/// The task that finds a pool by its name.
#[repr(C)]
#[derive(Debug)]
pub struct chi_find_task {
    /// The task.
    pub task: chi_task,
    /// In: the pool's name.
    pub pool_name_: chi_shm_string,
    /// Out: the pool.
    pub pool_id_: chi_pool_id,
}

/// `chi_describe_task.subject_`: the pools.
pub const CHI_DESCRIBE_POOLS: u32 = 1;
/// `chi_describe_task.subject_`: the modules found, and the files refused with the reasons.
pub const CHI_DESCRIBE_MODULES: u32 = 2;
/// `chi_describe_task.subject_`: sessions, memory, workers.
pub const CHI_DESCRIBE_RUNTIME: u32 = 3;
/// `chi_describe_task.subject_`: the cluster that the runtime is a node of.
pub const CHI_DESCRIBE_CLUSTER: u32 = 4;

/// The task that describes the runtime.
#[repr(C)]
#[derive(Debug)]
pub struct chi_describe_task {
    /// The task.
    pub task: chi_task,
    /// In: `CHI_DESCRIBE_*`.
    pub subject_: u32,
    /// Zero.
    pub reserved_: u32,
    /// Out: a JSON document.
    pub json_: chi_shm_string,
}
