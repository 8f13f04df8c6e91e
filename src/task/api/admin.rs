//! The admin pool's tasks that are also passed to containers.

use std::cell::Cell;

use chimaera_abi::{chi_create_task, chi_destroy_task};

use crate::ids::PoolId;
use crate::shm::{ShmBytes, ShmString};

/// The task that creates a pool: the C struct `chi_create_task`. It is also passed to the `kCreate`
/// of each container.
#[chimaera_macros::task(crate = crate)]
pub struct CreateTask {
    /// In: the module's name, `"repo:module"`.
    #[chi(in)]
    pub module_name: ShmString,
    /// In: the pool's name.
    #[chi(in)]
    pub pool_name: ShmString,
    /// In: the module's parameters, opaque to the runtime.
    #[chi(in)]
    pub params: ShmBytes,
    /// Out: the pool.
    #[chi(out)]
    pub pool_id: Cell<PoolId>,
    /// Out: 1 when the pool already existed, else 0.
    #[chi(out)]
    pub existed: Cell<u32>,
    /// In: the number of containers; 0 means 1.
    #[chi(in)]
    pub containers: Cell<u32>,
}

/// The task that destroys a pool: the C struct `chi_destroy_task`. It is also passed to the
/// `kDestroy` of each container.
#[chimaera_macros::task(crate = crate)]
pub struct DestroyTask {
    /// In: the pool.
    #[chi(in)]
    pub pool_id: Cell<PoolId>,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<CreateTask>() == size_of::<chi_create_task>());
    assert!(offset_of!(CreateTask, module_name) == offset_of!(chi_create_task, module_name_));
    assert!(offset_of!(CreateTask, pool_name) == offset_of!(chi_create_task, pool_name_));
    assert!(offset_of!(CreateTask, params) == offset_of!(chi_create_task, params_));
    assert!(offset_of!(CreateTask, pool_id) == offset_of!(chi_create_task, pool_id_));
    assert!(offset_of!(CreateTask, existed) == offset_of!(chi_create_task, existed_));
    assert!(offset_of!(CreateTask, containers) == offset_of!(chi_create_task, containers_));
    assert!(size_of::<DestroyTask>() == size_of::<chi_destroy_task>());
    assert!(offset_of!(DestroyTask, pool_id) == offset_of!(chi_destroy_task, pool_id_));
};
