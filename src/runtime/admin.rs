//! The admin pool: creating, destroying and finding pools, describing and stopping the runtime, all
//! as tasks.

use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use chimaera_abi::*;
use serde_json::json;

use crate::container::Container;
use crate::host;
use crate::method::Methods;
use crate::module::Module;
use crate::params::MAX_PARAMS;
use crate::pool::Pool;
use crate::pools::Wanted;
use crate::shared::{Order, Shared};
use crate::worker::{self, Worker};
use crate::Failure;

pub(crate) const NAME: &str = "chimaera:admin";

const STRING: chi_field_layout = chi_field_layout {
    offset_: 0,
    kind_: CHI_FIELD_STRING,
    elem_size_: 1,
    elem_align_: 1,
    elem_fields_: ptr::null(),
    n_elem_fields_: 0,
    reserved_: 0,
};

const fn string_at(offset: usize) -> chi_field_layout {
    chi_field_layout { offset_: offset as u32, ..STRING }
}

static CREATE_FIELDS: [chi_field_layout; 3] = [
    string_at(offset_of!(chi_create_task, module_name_)),
    string_at(offset_of!(chi_create_task, pool_name_)),
    chi_field_layout { kind_: CHI_FIELD_VECTOR, ..string_at(offset_of!(chi_create_task, params_)) },
];
static FIND_FIELDS: [chi_field_layout; 1] = [string_at(offset_of!(chi_find_task, pool_name_))];
static DESCRIBE_FIELDS: [chi_field_layout; 1] = [string_at(offset_of!(chi_describe_task, json_))];

const fn method(
    number: u32,
    name: &'static std::ffi::CStr,
    size: usize,
    fields: &'static [chi_field_layout],
) -> chi_method {
    chi_method {
        number_: number,
        flags_: CHI_METHOD_SUPPORTED,
        name_: name.as_ptr(),
        task_size_: size as u32,
        n_fields_: fields.len() as u32,
        fields_: fields.as_ptr(),
    }
}

static METHODS: [chi_method; 5] = [
    method(CHI_ADMIN_CREATE_POOL, c"kCreatePool", size_of::<chi_create_task>(), &CREATE_FIELDS),
    method(CHI_ADMIN_DESTROY_POOL, c"kDestroyPool", size_of::<chi_destroy_task>(), &[]),
    method(CHI_ADMIN_FIND_POOL, c"kFindPool", size_of::<chi_find_task>(), &FIND_FIELDS),
    method(CHI_ADMIN_STOP, c"kStop", size_of::<chi_task>(), &[]),
    method(CHI_ADMIN_DESCRIBE, c"kDescribe", size_of::<chi_describe_task>(), &DESCRIBE_FIELDS),
];

static OPS: chi_container_ops = chi_container_ops {
    size: size_of::<chi_container_ops>() as u32,
    reserved: 0,
    init,
    run,
    monitor,
    del: None,
    destroy,
    aggregate: None,
    serialize: None,
};

static CONTAINER: AdminContainer = AdminContainer(chi_container { ops: &OPS });

struct AdminContainer(chi_container);

// SAFETY: the container is never written.
unsafe impl Sync for AdminContainer {}

/// Opens the admin pool.
pub(crate) fn open(shared: &Shared) {
    let text = |text: &'static std::ffi::CStr| text.as_ptr();
    let descriptor = chi_module_descriptor {
        magic: CHI_MODULE_MAGIC,
        size: size_of::<chi_module_descriptor>() as u32,
        abi_major: CHI_ABI_MAJOR,
        abi_minor: CHI_ABI_MINOR,
        language: CHI_LANG_RUST,
        sdk_version: text(c""),
        name: text(c"chimaera:admin"),
        version: text(c""),
        n_methods: METHODS.len() as u32,
        method_stride: size_of::<chi_method>() as u32,
        methods: METHODS.as_ptr(),
        field_stride: size_of::<chi_field_layout>() as u32,
        reserved: 0,
        params: None,
    };
    // SAFETY: the tables are this file's.
    let methods = unsafe { Methods::read(&descriptor) }.expect("the admin's own table is sound");
    let module = Module {
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
        language: CHI_LANG_RUST,
        abi: (CHI_ABI_MAJOR, CHI_ABI_MINOR),
        path: None,
        methods,
        params: None,
        new_state: no_state,
    };
    let id = chi_pool_id { major_: CHI_ADMIN_POOL_MAJOR, minor_: 0 };
    let pool = Pool::new(id, c"admin".into(), Vec::new(), None, &Arc::new(module), 1);
    pool.containers()[0].set_object((&raw const CONTAINER.0).cast_mut());
    pool.publish();
    let pool = Arc::new(pool);
    shared.pools.adopt(pool.clone());
    shared.set_pool(id.major_, Some(pool));
}

unsafe extern "C" fn no_state(_: *const chi_pool_id, _: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn init(
    _: *mut chi_container,
    _: *const chi_pool_id,
    _: *const c_char,
) -> chi_status {
    CHI_OK
}

unsafe extern "C" fn monitor(
    _: *mut chi_container,
    _: u32,
    _: u32,
    _: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    CHI_OK
}

unsafe extern "C" fn destroy(_: *mut chi_container) {}

unsafe extern "C" fn run(
    _: *mut chi_container,
    method: u32,
    task: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    let worker = worker::current().expect("methods run on workers");
    // SAFETY: the runtime calls with a task of the layout that the method's entry declares.
    let result = unsafe {
        match method {
            CHI_ADMIN_CREATE_POOL => create_pool(worker, task.cast()),
            CHI_ADMIN_DESTROY_POOL => destroy_pool(worker, task.cast()),
            CHI_ADMIN_FIND_POOL => find_pool(worker, task.cast()),
            CHI_ADMIN_STOP => {
                worker.shared.order(Order::Stop);
                Ok(())
            }
            _ => describe(worker, task.cast()),
        }
    };
    match result {
        Ok(()) => CHI_OK,
        Err(failure) => {
            host::set_own_error(failure.message);
            failure.status
        }
    }
}

/// A private copy of a vector's bytes.
///
/// # Safety
/// The vector must be one of a routed task.
unsafe fn bytes(vector: &chi_shm_vector, most: u64, what: &str) -> Result<Vec<u8>, Failure> {
    if vector.size_ > most {
        return Err(Failure::new(CHI_TOO_LARGE, format!("{what} has more than {most} bytes")));
    }
    let mut copy = Vec::with_capacity(vector.size_ as usize);
    if vector.size_ > 0 {
        // SAFETY: the runtime has checked pointer and length. The bytes may change while they are
        // read; whatever is read is then checked in the copy.
        unsafe {
            ptr::copy(vector.data_.cast::<u8>(), copy.as_mut_ptr(), vector.size_ as usize);
            copy.set_len(vector.size_ as usize);
        }
    }
    Ok(copy)
}

/// # Safety
/// As `bytes`.
unsafe fn name(string: &chi_shm_string, what: &str) -> Result<String, Failure> {
    // SAFETY: by the caller's promise.
    let bytes = unsafe { bytes(&string.bytes_, 255, what)? };
    String::from_utf8(bytes).map_err(|_| Failure::new(CHI_INVALID, format!("{what} is not UTF-8")))
}

unsafe fn create_pool(worker: &Worker, task: *mut chi_create_task) -> Result<(), Failure> {
    // SAFETY: the task is the running one, and of this type.
    unsafe {
        let module = name(&(*task).module_name_, "the module's name")?;
        let pool = name(&(*task).pool_name_, "the pool's name")?;
        let params = bytes(&(*task).params_, MAX_PARAMS, "the pool's parameters")?;
        let containers = (*task).containers_.max(1);
        let wanted = Wanted { module: &module, name: &pool, params: &params, containers };
        let (id, existed) = worker.shared.pools.create(worker, &wanted, task.cast())?;
        ((*task).pool_id_, (*task).existed_) = (id, existed.into());
    }
    Ok(())
}

unsafe fn destroy_pool(worker: &Worker, task: *mut chi_destroy_task) -> Result<(), Failure> {
    // SAFETY: the task is the running one, and of this type.
    let id = unsafe { (*task).pool_id_ };
    if id.major_ == CHI_ADMIN_POOL_MAJOR {
        return Err(Failure::new(CHI_DENIED, "the admin pool lasts as long as the runtime"));
    }
    worker.shared.pools.destroy(worker, id, task.cast())
}

unsafe fn find_pool(worker: &Worker, task: *mut chi_find_task) -> Result<(), Failure> {
    // SAFETY: the task is the running one, and of this type.
    unsafe {
        let pool = name(&(*task).pool_name_, "the pool's name")?;
        (*task).pool_id_ = worker.shared.pools.find(worker, &pool)?;
    }
    Ok(())
}

unsafe fn describe(worker: &Worker, task: *mut chi_describe_task) -> Result<(), Failure> {
    // SAFETY: the task is the running one, and of this type.
    let subject = unsafe { (*task).subject_ };
    let document = match subject {
        CHI_DESCRIBE_POOLS => pools(worker),
        CHI_DESCRIBE_MODULES => modules(worker),
        CHI_DESCRIBE_RUNTIME => runtime(worker),
        other => {
            return Err(Failure::new(
                CHI_INVALID,
                format!("there is nothing to describe as {other}"),
            ))
        }
    };
    let text = document.to_string();
    let ipc = crate::ipc_table::worker_ipc();
    let mut buffer = chi_buffer { shm_: 0, data_: ptr::null_mut(), size_: 0 };
    // SAFETY: the table is the worker's; the block holds the text.
    unsafe {
        let status = ((*ipc).alloc)(ipc, task.cast(), text.len() as u64, &mut buffer);
        if status != CHI_OK {
            return Err(Failure::new(status, "the segment has no room for the description"));
        }
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.data_.cast(), text.len());
        let vector = &mut (*task).json_.bytes_;
        (vector.shm_, vector.data_) = (buffer.shm_, buffer.data_);
        (vector.size_, vector.capacity_) = (text.len() as u64, buffer.size_);
    }
    Ok(())
}

fn pools(worker: &Worker) -> serde_json::Value {
    let table = worker.shared.table();
    let all = table.iter().map(|pool| {
        let shapes = pool.containers().iter().map(Container::shape);
        let (queues, lanes) = shapes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        json!({
            "name": pool.name(),
            "id": format!("{}.{}", pool.id.major_, pool.id.minor_),
            "module": pool.module().name,
            "containers": pool.count(),
            "queues": queues,
            "lanes": lanes,
            "tasks": pool.in_flight(),
        })
    });
    json!(all.collect::<Vec<_>>())
}

/// A loaded module.
pub(crate) fn describe_module(module: &Module) -> serde_json::Value {
    let methods = module.methods.iter().map(|method| {
        json!({
            "name": method.name,
            "number": method.number,
            "supported": method.supported,
            "monitored": method.monitored,
            "aggregated": method.aggregated,
            "task_bytes": method.task_size,
        })
    });
    json!({
        "name": module.name,
        "version": module.version,
        "language": module.language(),
        "sdk_version": module.sdk_version,
        "abi": format!("{}.{}", module.abi.0, module.abi.1),
        "path": module.path,
        "methods": methods.collect::<Vec<_>>(),
    })
}

fn modules(worker: &Worker) -> serde_json::Value {
    let modules = &worker.shared.modules;
    let loaded = modules.loaded.iter().map(|module| describe_module(module));
    let refused = modules.refused.iter().map(|refusal| {
        json!({
            "path": refusal.path,
            "reason": refusal.reason,
            "is_module": refusal.is_module,
        })
    });
    json!({
        "loaded": loaded.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "directories": worker.shared.config.module_paths,
    })
}

fn runtime(worker: &Worker) -> serde_json::Value {
    let shared = &worker.shared;
    let page = shared.page();
    let sessions = shared.sessions().into_iter().map(|session| {
        json!({
            "session": session.number,
            "segment_bytes": session.mapping.layout().size,
            "runtime_arena_used_bytes": session.used_bytes(),
        })
    });
    json!({
        "workers": shared.config.workers,
        "sessions": sessions.collect::<Vec<_>>(),
        "sessions_total": page.sessions_total.load(Ordering::Relaxed),
    })
}
