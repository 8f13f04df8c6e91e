//! Creating the pool of a module host.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_ipc::wire::Message;

use super::lifecycle::{construct_all, directory_of, life_task, lifecycle, Restored};
use super::params;
use crate::access::PoolRights;
use crate::config::{HostOrders, OnCrash};
use crate::failure::Failure;
use crate::module::Module;
use crate::pool::{Claim, Pool};
use crate::scheduler::Worker;
use crate::state::{SavedPool, Storage};
use crate::sys::objects;
use crate::tables::worker_ipc;

/// Creates the pool that the daemon wants, under the id that it has there. The running task is the
/// runtime's own.
pub(crate) fn create_hosted(worker: &Worker, orders: &HostOrders) -> Result<(), Failure> {
    let ipc = worker_ipc();
    let mut task = std::ptr::null_mut();
    // SAFETY: the table is the calling worker's.
    let status = unsafe { ((*ipc).new_task)(ipc, size_of::<chi_create_task>() as u32, &mut task) };
    if status != CHI_OK {
        return Err(Failure::new(status, "no memory for the task that creates the pool"));
    }
    // SAFETY: the task was made just now, is as large as this, and is deleted after its last use.
    unsafe {
        let created = create(worker, orders, task.cast());
        ((*ipc).del_task)(ipc, task);
        created
    }
}

/// # Safety
/// `task` must be a new task of this type.
unsafe fn create(
    worker: &Worker,
    orders: &HostOrders,
    task: *mut chi_create_task,
) -> Result<(), Failure> {
    let shared = &worker.shared;
    let module = module(worker, orders)?;
    let string = |text: &str| chi_shm_vector {
        shm_: CHI_SHM_NULL,
        data_: text.as_ptr().cast_mut().cast(),
        size_: text.len() as u64,
        capacity_: 0,
        offset_in_task_: 0,
        reserved_: 0,
    };
    // SAFETY: by the caller's promise; the orders outlive the task.
    unsafe {
        (*task).module_name_.bytes_ = string(&orders.module);
        (*task).pool_name_.bytes_ = string(&orders.name);
        (*task).pool_id_ = orders.pool;
        (*task).containers_ = orders.containers;
    }
    let by = worker.running().expect("a task creates it").body().addr();
    let claim = Claim { user: None, process: None, containers: orders.containers };
    let limits = (claim, &shared.config.per_user);
    let begun = shared.pools.begin_creation(
        (&orders.name, None),
        by,
        // The daemon knows what the pool depends on.
        &[],
        limits,
        &shared.config,
        shared.budget,
    );
    let id = begun.expect("it is the only pool of this process")?;
    assert_eq!(id, orders.pool, "the registry begins with this id");
    if let Some(files) = &orders.files {
        shared.durable.adopt_pool(id, files.clone());
    }
    let name: Arc<CStr> = CString::new(orders.name.as_str())
        .map_err(|_| Failure::new(CHI_INVALID, "the pool's name has a zero byte"))?
        .into();
    let states = states(worker, orders)?;
    let (rights, params) = (PoolRights::default(), orders.params.clone());
    let pool = Pool::new(id, rights, name, params, None, &module, orders.containers);
    let pool = Arc::new(pool);
    // Code that crashes ends this process, which is what it is for; also while it creates the pool.
    pool.on_crash().set(OnCrash::Abort);
    let begins = orders.begins.as_ref();
    let text =
        begins.map(|begins| CString::new(begins.text.replace('\0', " ")).unwrap_or_default());
    let restored = begins.zip(text.as_deref()).map(|(begins, text)| Restored {
        states: states.as_ref(),
        reason: begins.reason,
        text,
        id: None,
    });
    // SAFETY: as for a task that creates a pool; the pool's parameters outlive the loan.
    let built = unsafe {
        let lent = params::lend(&pool.params, task);
        let built = construct_all(worker, &pool, task.cast(), restored.as_ref());
        lent.take_back(task);
        built
    };
    shared.hosts.set_has_states(false);
    built.inspect_err(|_| {
        worker.wake_all(shared.pools.end_creation(&orders.name, id));
    })?;
    objects::look();
    pool.publish();
    shared.set_pool(id.major_, Some(pool.clone()));
    worker.wake_all(shared.pools.complete(pool));
    Ok(())
}

/// The module of the pool: the file that the daemon has loaded.
fn module(worker: &Worker, orders: &HostOrders) -> Result<Arc<Module>, Failure> {
    let modules = &worker.shared.modules;
    let name = &*orders.module;
    match modules.find(name) {
        Some(module) if module.path.as_ref() == Some(&orders.file) => Ok(module),
        Some(_) => modules.load_version(&orders.file, name).map_err(|why| {
            Failure::new(CHI_NO_MODULE, format!("{}: {why}", orders.file.display()))
        }),
        None => {
            let message = format!("the module host has not found the module '{name}'");
            Err(Failure::new(CHI_NO_MODULE, message))
        }
    }
}

/// The states that the containers begin with, if they do.
fn states(worker: &Worker, orders: &HostOrders) -> Result<Option<SavedPool>, Failure> {
    let shared = &worker.shared;
    let daemon = shared.hosts.daemon().expect("a module host has a daemon");
    let Some(states) = daemon.take_states() else { return Ok(None) };
    shared.hosts.set_has_states(true);
    let mut file = BufReader::with_capacity(1 << 20, File::from(states));
    let saved = SavedPool::read(&mut file, &Storage::of(shared), &Arc::default())?;
    match saved.images.len() == orders.containers as usize {
        true => Ok(Some(saved)),
        false => Err(Failure::new(CHI_INVALID, "the states are those of another pool")),
    }
}

/// Runs `kNodeFailure` in a container of the pool of this module host, as a `Kind::NodeFailure` says.
pub(super) fn tell_of_failure(worker: &Worker, message: &Message) {
    let [number, reason, major, minor, ..] = message.words.map(|word| word as u32);
    let (name, text) = message.text.split_once('\0').unwrap_or(("", &message.text));
    let shared = &worker.shared;
    let Some(orders) = &shared.config.orders else { return };
    let table = shared.table();
    let container = table.get(orders.pool).and_then(|pool| pool.containers().get(number as usize));
    let Some(container) = container else { return };
    let [name, text] =
        [name, text].map(|text| CString::new(text.replace('\0', " ")).unwrap_or_default());
    let directory = directory_of(worker, container);
    let mut task = chi_life_task {
        lost_pool_: chi_pool_id { major_: major, minor_: minor },
        lost_name_: name.as_ptr(),
        ..life_task(reason, &text, c"", &directory)
    };
    let method = CHI_METHOD_NODE_FAILURE;
    if let Err(failure) = lifecycle(worker, container, method, (&raw mut task).cast()) {
        tracing::warn!(pool = &*orders.name, why = &*failure.message, "kNodeFailure failed");
    }
}
