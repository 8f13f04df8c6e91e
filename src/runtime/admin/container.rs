//! The container of the admin pool: the methods that the runtime itself implements.

use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_ipc::copy;

use super::describe;
use super::destruction;
use super::params::MAX_PARAMS;
use super::pool_manager::{self, Wanted};
use crate::access::{Caller, PoolAccess, PoolRights};
use crate::config::{OnCrash, Policy};
use crate::coroutine::current_task;
use crate::failure::Failure;
use crate::isolation::{foreign_module, foreign_object};
use crate::module::{Methods, Module};
use crate::pool::Pool;
use crate::scheduler::{with_current, ControlCommand, Shared, Worker};
use crate::tables::worker_ipc;
use crate::task::Origin;

pub(crate) const NAME: &str = "chimaera:admin";
/// An action reserved for the owner, in words: others must not decide whether a crash ends the
/// runtime.
pub(crate) const SET_ON_CRASH: &str = "say what becomes of it when a method crashes";
/// The limit on the list of who may use a pool, in bytes: some 5000 users and groups.
const MAX_GRANTS: u64 = 60_000;

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
static CREATE_WITH_FIELDS: [chi_field_layout; 4] = [
    CREATE_FIELDS[0],
    CREATE_FIELDS[1],
    CREATE_FIELDS[2],
    chi_field_layout {
        kind_: CHI_FIELD_VECTOR,
        ..string_at(offset_of!(chi_create_with_task, grants_))
    },
];
static FIND_FIELDS: [chi_field_layout; 1] = [string_at(offset_of!(chi_find_task, pool_name_))];
static DESCRIBE_FIELDS: [chi_field_layout; 1] = [string_at(offset_of!(chi_describe_task, json_))];

/// Each session has one of so many lanes: its tasks start in their order, and those of others do not wait for a
/// `kCreate` of its that blocks.
const LANES: u32 = 256;

/// A method. All are monitored: the monitor chooses the lane, and sees which pools a container opens while it is
/// created, because it runs where such a task is sent.
const fn method(
    number: u32,
    name: &'static std::ffi::CStr,
    size: usize,
    fields: &'static [chi_field_layout],
) -> chi_method {
    chi_method {
        number_: number,
        flags_: CHI_METHOD_SUPPORTED | CHI_METHOD_MONITORED,
        name_: name.as_ptr(),
        task_size_: size as u32,
        n_fields_: fields.len() as u32,
        fields_: fields.as_ptr(),
    }
}

static METHODS: [chi_method; 8] = [
    method(CHI_ADMIN_CREATE_POOL, c"kCreatePool", size_of::<chi_create_task>(), &CREATE_FIELDS),
    method(CHI_ADMIN_DESTROY_POOL, c"kDestroyPool", size_of::<chi_destroy_task>(), &[]),
    method(CHI_ADMIN_FIND_POOL, c"kFindPool", size_of::<chi_find_task>(), &FIND_FIELDS),
    method(CHI_ADMIN_STOP, c"kStop", size_of::<chi_task>(), &[]),
    method(CHI_ADMIN_DESCRIBE, c"kDescribe", size_of::<chi_describe_task>(), &DESCRIBE_FIELDS),
    method(CHI_ADMIN_RESET_POOL, c"kResetPool", size_of::<chi_create_task>(), &CREATE_FIELDS),
    method(CHI_ADMIN_FIND_POOL_OF, c"kFindPoolOf", size_of::<chi_create_task>(), &CREATE_FIELDS),
    method(
        CHI_ADMIN_CREATE_POOL_WITH,
        c"kCreatePoolWith",
        size_of::<chi_create_with_task>(),
        &CREATE_WITH_FIELDS,
    ),
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
    save: None,
    load: None,
    resume: None,
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
        pools: None,
        description: std::ptr::null(),
    };
    // SAFETY: the descriptor and its tables are constants of this file, and valid.
    let methods =
        unsafe { Methods::read(&descriptor) }.expect("the admin pool's own table is valid");
    // Tasks of later minor versions may be longer, and clients of any minor version may call the
    // pool.
    let methods = methods.of_any_layout();
    // In a module host, they run in the daemon.
    let is_host = shared.config.orders.is_some();
    let module = match is_host {
        true => foreign_module(NAME, methods),
        false => Module {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
            language: CHI_LANG_RUST,
            abi: (CHI_ABI_MAJOR, CHI_ABI_MINOR),
            path: None,
            is_other_version: false,
            stamp: None,
            _file: None,
            libraries: Vec::new(),
            methods,
            description: None,
            params: None,
            pools: None,
            new_state: no_state,
            is_proxy: false,
            original: None,
        },
    };
    let id = chi_pool_id { major_: CHI_ADMIN_POOL_MAJOR, minor_: 0 };
    let pool = Pool::new(
        id,
        PoolRights::default(),
        c"admin".into(),
        Vec::new(),
        None,
        &Arc::new(module),
        1,
    );
    let object = match is_host {
        true => foreign_object(),
        false => (&raw const CONTAINER.0).cast_mut(),
    };
    let lanes = pool.containers()[0].add_queue(0, LANES, 0, shared.budget);
    lanes.expect("the budget of a runtime has room for its own pool");
    // SAFETY: the object lives as long as the process, and nothing else uses the pool yet.
    let sound = unsafe { pool.containers()[0].set_object(object) };
    assert!(sound, "the admin pool's own table is valid");
    pool.publish();
    let pool = Arc::new(pool);
    // No task can have waited for the pool: no worker runs yet.
    let waiters = shared.pools.complete(pool.clone());
    debug_assert!(waiters.is_empty());
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

/// Chooses the lane of the task's session, and notes that a container that is being created opens a pool.
unsafe extern "C" fn monitor(
    _: *mut chi_container,
    mode: u32,
    method: u32,
    task: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    if mode != CHI_MONITOR_LOCAL_SCHEDULE {
        return CHI_OK;
    }
    with_current(|worker| {
        let worker = worker.expect("monitors run on workers");
        let record = current_task(worker.context()).expect("a monitor is asked about a task");
        // SAFETY: the record has its container by now, and the runtime passes a context of its own.
        unsafe { (*rctx).lane_ = (*record.container).lane_for(record.session) };
        let opens = matches!(
            method,
            CHI_ADMIN_CREATE_POOL
                | CHI_ADMIN_CREATE_POOL_WITH
                | CHI_ADMIN_FIND_POOL
                | CHI_ADMIN_FIND_POOL_OF
        );
        if !opens {
            return CHI_OK;
        }
        // SAFETY: the pointer is null, or points to a container whose pool is kept by the function that
        // constructs it, which runs on this coroutine.
        let Some(opener) = (unsafe { worker.context().building.get().as_ref() }) else {
            return CHI_OK;
        };
        // SAFETY: the runtime passes a task of the layout that the method's entry declares.
        let opened = unsafe {
            match method {
                CHI_ADMIN_FIND_POOL => {
                    name(&(*task.cast::<chi_find_task>()).pool_name_, "the pool's name")
                }
                _ => name(&(*task.cast::<chi_create_task>()).pool_name_, "the pool's name"),
            }
        };
        let opened =
            opened.and_then(|pool| worker.shared.pools.open(opener.id, opener.number, &pool));
        match opened {
            Ok(()) => CHI_OK,
            Err(Failure { status, message }) => {
                record.texts.set_error(message);
                status
            }
        }
    })
}

unsafe extern "C" fn destroy(_: *mut chi_container) {}

unsafe extern "C" fn run(
    _: *mut chi_container,
    method: u32,
    task: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    with_current(|worker| {
        let worker = worker.expect("methods run on workers");
        // SAFETY: the runtime passes a task of the layout that the method's entry declares.
        let result = unsafe {
            match method {
                CHI_ADMIN_CREATE_POOL => create_pool(worker, task.cast()),
                CHI_ADMIN_CREATE_POOL_WITH => create_pool_with(worker, task.cast()),
                CHI_ADMIN_DESTROY_POOL => destroy_pool(worker, task.cast()),
                CHI_ADMIN_FIND_POOL => find_pool(worker, task.cast()),
                CHI_ADMIN_RESET_POOL => reset_pool(worker, task.cast()),
                CHI_ADMIN_STOP => stop(worker),
                CHI_ADMIN_FIND_POOL_OF => find_pool_of(worker, task.cast()),
                _ => answer(worker, task.cast()),
            }
        };
        match result {
            Ok(()) => CHI_OK,
            Err(Failure { status, message }) => {
                worker.running().expect("a method runs").texts.set_error(message);
                status
            }
        }
    })
}

/// The client that sent the running task; `None` if a module's method, here or in a module host, or the
/// runtime itself sent it.
fn sender(worker: &Worker) -> Option<&Caller> {
    match &worker.running().expect("a method runs").origin {
        Origin::Client { session, .. } if !session.is_of_modules() => Some(&session.caller),
        Origin::Client { .. } | Origin::Internal => None,
    }
}

/// Fails unless the running task is the owner's. A task that a method sends counts as sent by the
/// client whose task the method runs: a module that forwards clients' requests must not do for them
/// what they may not do themselves. Tasks that modules send for no client, as in pollers, count as
/// the runtime's own.
fn must_be_owners(worker: &Worker, what: &str) -> Result<(), Failure> {
    let record = worker.running().expect("a method runs");
    let session = match (&record.origin, record.session) {
        // For whose client it does so, is not known.
        (Origin::Client { session, .. }, _) if session.is_of_modules() => {
            let message = format!("only the owner of this runtime may {what}, not a module host");
            return Err(Failure::new(CHI_DENIED, message));
        }
        (Origin::Client { session, .. }, _) => return session.caller.must_be_owner(what),
        (Origin::Internal, 0) => return Ok(()),
        (Origin::Internal, session) => session,
    };
    let sessions = worker.shared.sessions();
    match sessions.iter().find(|client| client.number == session) {
        Some(client) => client.caller.must_be_owner(what),
        None => {
            let message = format!("only the owner of this runtime may {what}; the client is gone");
            Err(Failure::new(CHI_DENIED, message))
        }
    }
}

fn stop(worker: &Worker) -> Result<(), Failure> {
    must_be_owners(worker, "stop it")?;
    worker.shared.command(ControlCommand::Stop);
    Ok(())
}

/// A private copy of a vector's bytes.
///
/// # Safety
/// The vector must belong to a task whose body the runtime has checked.
unsafe fn bytes(vector: &chi_shm_vector, most: u64, what: &str) -> Result<Vec<u8>, Failure> {
    if vector.size_ > most {
        return Err(Failure::new(
            CHI_TOO_LARGE,
            format!("{what} has {} bytes; the limit is {most}", vector.size_),
        ));
    }
    let mut copied = Vec::with_capacity(vector.size_ as usize);
    if vector.size_ > 0 {
        // SAFETY: the runtime has checked pointer and length. A client may change the bytes while
        // they are read, so only the copy is checked and used.
        unsafe {
            let size = vector.size_ as usize;
            copy::bytes_from_shared(vector.data_.cast::<u8>(), copied.as_mut_ptr(), size);
            copied.set_len(size);
        }
    }
    Ok(copied)
}

/// # Safety
/// As `bytes`.
unsafe fn name(string: &chi_shm_string, what: &str) -> Result<String, Failure> {
    // SAFETY: by the caller's promise.
    let bytes = unsafe { bytes(&string.bytes_, 255, what)? };
    String::from_utf8(bytes).map_err(|_| Failure::new(CHI_INVALID, format!("{what} is not UTF-8")))
}

unsafe fn create_pool(worker: &Worker, task: *mut chi_create_task) -> Result<(), Failure> {
    // SAFETY: `run` passes the running task, whose method has this type.
    unsafe { create(worker, task, 0, Policy::default(), &PoolAccess::default()) }
}

unsafe fn create_pool_with(
    worker: &Worker,
    task: *mut chi_create_with_task,
) -> Result<(), Failure> {
    // SAFETY: `run` passes the running task, whose method has this type.
    let (flags, nodes, grants) = unsafe {
        let grants = bytes(&(*task).grants_, MAX_GRANTS, "the list of who may use the pool")?;
        ((*task).flags_, (*task).nodes_, grants)
    };
    let grants = grants.chunks_exact(size_of::<chi_grant>()).map(|grant| {
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| grant[4 * at + byte]));
        chi_grant { right_: word(0), is_group_: word(1), number_: word(2) }
    });
    let grants: Vec<_> = grants.collect();
    let known = flags & !(CHI_POOL_RESTRICTED | Policy::FLAGS) == 0;
    let Some(access) = PoolAccess::granted(flags, &grants).filter(|_| known) else {
        let message =
            "this runtime does not know what the request says of the pool; it may be older";
        return Err(Failure::new(CHI_INVALID, message));
    };
    let policy = Policy::of_flags(flags)?;
    // Checked first: there must be no pool with a policy other than the one requested.
    if policy.on_crash != OnCrash::default() {
        must_be_owners(worker, SET_ON_CRASH)?;
    }
    // SAFETY: as above; the task begins with the one that creates a pool.
    unsafe { create(worker, task.cast(), nodes, policy, &access) }
}

/// # Safety
/// `task` must be the running task, which creates a pool.
unsafe fn create(
    worker: &Worker,
    task: *mut chi_create_task,
    nodes: u32,
    policy: Policy,
    access: &PoolAccess,
) -> Result<(), Failure> {
    // SAFETY: by the caller's promise.
    unsafe {
        let module = name(&(*task).module_name_, "the module's name")?;
        let pool = name(&(*task).pool_name_, "the pool's name")?;
        let params = bytes(&(*task).params_, MAX_PARAMS, "the pool's parameters")?;
        let containers = (*task).containers_.max(1);
        let (module, name, params) = (&*module, &*pool, &*params);
        let wanted = Wanted { module, name, params, containers, nodes, policy, access };
        let (id, existed) =
            pool_manager::create(worker, &wanted, sender(worker), task.cast(), None)?;
        ((*task).pool_id_, (*task).existed_) = (id, existed.into());
    }
    Ok(())
}

unsafe fn destroy_pool(worker: &Worker, task: *mut chi_destroy_task) -> Result<(), Failure> {
    // SAFETY: `run` passes the running task, whose method has this type.
    let id = unsafe { (*task).pool_id_ };
    destruction::check(&worker.shared, id, sender(worker))?;
    if let Some(cluster) = worker.shared.agreed_pools.get() {
        return cluster.destroy(worker, id);
    }
    destruction::destroy(worker, id, task.cast())
}

unsafe fn reset_pool(worker: &Worker, task: *mut chi_create_task) -> Result<(), Failure> {
    must_be_owners(worker, "reset a pool")?;
    // SAFETY: `task` is the running task, and of this type.
    unsafe {
        let pool = name(&(*task).pool_name_, "the pool's name")?;
        (*task).pool_id_ = pool_manager::reset(worker, &pool, task.cast())?;
    }
    Ok(())
}

unsafe fn find_pool(worker: &Worker, task: *mut chi_find_task) -> Result<(), Failure> {
    // SAFETY: `run` passes the running task, whose method has this type.
    unsafe {
        let pool = name(&(*task).pool_name_, "the pool's name")?;
        (*task).pool_id_ = pool_manager::find(worker, &pool)?.id;
    }
    Ok(())
}

unsafe fn find_pool_of(worker: &Worker, task: *mut chi_create_task) -> Result<(), Failure> {
    // SAFETY: `run` passes the running task, whose method has this type.
    unsafe {
        let module = name(&(*task).module_name_, "the module's name")?;
        let pool = name(&(*task).pool_name_, "the pool's name")?;
        (*task).pool_id_ = pool_manager::find_of(worker, &module, &pool)?;
    }
    Ok(())
}

unsafe fn answer(worker: &Worker, task: *mut chi_describe_task) -> Result<(), Failure> {
    // SAFETY: `run` passes the running task, whose method has this type.
    let subject = unsafe { (*task).subject_ };
    let document = describe::describe(&worker.shared, subject)?;
    let text = document.to_string();
    let ipc = worker_ipc();
    let mut buffer = chi_buffer { shm_: 0, data_: ptr::null_mut(), size_: 0 };
    // SAFETY: the table is the worker's; the allocated block holds the text, and is aligned to 8 or
    // more.
    unsafe {
        let status = ((*ipc).alloc)(ipc, task.cast(), text.len() as u64, &mut buffer);
        if status != CHI_OK {
            return Err(Failure::new(
                status,
                "the segment is too full for the description; open the session with a larger one",
            ));
        }
        copy::to_shared(text.as_ptr(), buffer.data_.cast(), text.len());
        let vector = &mut (*task).json_.bytes_;
        (vector.shm_, vector.data_) = (buffer.shm_, buffer.data_);
        (vector.size_, vector.capacity_) = (text.len() as u64, buffer.size_);
    }
    Ok(())
}
