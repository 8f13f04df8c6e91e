//! Constructing and destroying containers: the calls that the runtime itself makes into a module.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use chimaera_abi::*;

use crate::failure::Failure;
use crate::log::{shortened, LineKind};
use crate::pool::{Container, Pool};
use crate::scheduler::{Running, Worker, CONSTRUCTOR, DESTRUCTOR, LOADING};
use crate::state::{Image, Loading, SavedPool};

/// The task that is passed to `kDestroy` if no client requested the destruction.
pub(super) fn destroy_task(id: chi_pool_id) -> chi_destroy_task {
    chi_destroy_task { task: chi_task::new(), pool_id_: id }
}

/// Takes the error message that module code called by the running task has set, if any.
pub(super) fn take_error(worker: &Worker) -> Option<String> {
    worker.running()?.texts.take_error()
}

/// A pool that existed before.
pub(crate) struct Restored<'a> {
    /// The states of its containers; without them, they are recovered.
    pub(crate) states: Option<&'a SavedPool>,
    /// `CHI_REASON_*`.
    pub(crate) reason: u32,
    /// The reason, in words.
    pub(crate) text: &'a CStr,
    /// The id that it must have again, if any, and the user who created it.
    pub(crate) id: Option<(chi_pool_id, Option<u32>)>,
}

/// Constructs the containers of a pool. If one fails, those before it are destroyed again.
///
/// # Safety
/// `task` must be the running task of the admin pool.
pub(super) unsafe fn construct_all(
    worker: &Worker,
    pool: &Pool,
    task: *mut chi_task,
    restored: Option<&Restored<'_>>,
) -> Result<(), Failure> {
    let containers = pool.containers();
    for (number, container) in containers.iter().enumerate() {
        let building = &worker.context().building;
        building.set(Arc::as_ptr(container));
        if restored.is_some_and(|restored| restored.states.is_none()) {
            container.begin_recovery();
        }
        // SAFETY: by the caller's promise.
        let mut built = unsafe { construct(worker, container, task) };
        if let (Ok(()), Some(restored)) = (&built, restored) {
            let &Restored { states, reason, text, .. } = restored;
            built = match states {
                Some(states) => load(worker, container, &states.images[number], reason, text),
                None => begin_life(worker, container, CHI_METHOD_RECOVER, reason, text, ""),
            };
            if built.is_err() {
                discard(worker, container);
            }
        }
        building.set(std::ptr::null());
        let Err(mut failure) = built else { continue };
        if pool.count() > 1 {
            failure.message = format!("container {number}: {}", failure.message);
        }
        let mut farewell = destroy_task(pool.id);
        let undone = destruct_all(worker, &containers[..number], (&raw mut farewell).cast());
        if let Err(also) = undone {
            let limit = &worker.shared.rate_limit;
            if let Some(left_out) = limit.pass(LineKind::PoolFailed, worker.client_as_subject()) {
                let (pool, why) = (pool.name(), &*shortened(&also.message));
                tracing::warn!(pool, why, left_out, "undoing a failed creation");
            }
        }
        return Err(failure);
    }
    Ok(())
}

/// Gives a container in quarantine a new object, and reopens it. If that fails, the container stays
/// in quarantine.
///
/// # Safety
/// `task` must be the running task of the admin pool, and no task may be in the container.
pub(super) unsafe fn construct_again(
    worker: &Worker,
    container: &Container,
    task: *mut chi_task,
) -> Result<(), Failure> {
    let building = &worker.context().building;
    building.set(container);
    container.begin_recovery();
    // SAFETY: by the caller's promise. The previous object is left as it is.
    let built = unsafe { construct(worker, container, task) };
    let built = built.and_then(|()| {
        let text = c"reset because a method crashed";
        let recovered =
            begin_life(worker, container, CHI_METHOD_RECOVER, CHI_REASON_CRASHED, text, "");
        if recovered.is_err() {
            discard(worker, container);
        }
        recovered
    });
    building.set(std::ptr::null());
    built.inspect_err(|_| container.fail_recovery())?;
    worker.shared.pools.settle(container.name(), container.number);
    container.end_quarantine();
    Ok(())
}

/// Constructs the module's object and runs its `kCreate`.
///
/// # Safety
/// `task` must be the running task of the admin pool.
pub(super) unsafe fn construct(
    worker: &Worker,
    container: &Container,
    task: *mut chi_task,
) -> Result<(), Failure> {
    take_error(worker);
    let object = in_life(worker, container, CONSTRUCTOR, || {
        // SAFETY: the function belongs to a loaded module and is called as the contract requires: on a
        // worker, with a live id and name.
        unsafe { (container.module.new_state)(&container.id, container.name.as_ptr()) }
    });
    if object.is_null() {
        let why = take_error(worker).unwrap_or_else(|| "new_state gave no reason".into());
        return Err(Failure::new(CHI_FAILED, format!("pool '{}': {why}", container.name())));
    }
    let object: *mut chi_container = object.cast();
    // SAFETY: the module has just constructed the object, and no task runs in the container: it is
    // new, or is being reset.
    if !unsafe { container.set_object(object) } {
        return Err(Failure::new(CHI_FAILED, "the module's container has no valid function table"));
    }
    let aggregates = container.ops().aggregate.is_some();
    if !aggregates && container.module.methods.iter().any(|method| method.aggregated) {
        container.clear_object();
        let why = "the module's container has no aggregate function, which its methods need";
        return Err(Failure::new(CHI_FAILED, why));
    }
    let result = lifecycle(worker, container, CHI_METHOD_CREATE, task);
    if result.is_err() {
        // It was constructed above and never published, so nothing else uses it.
        free(worker, container);
    }
    result
}

/// Has a container load the state of its predecessor, and tells it why.
pub(super) fn load(
    worker: &Worker,
    container: &Container,
    image: &Image,
    reason: u32,
    text: &CStr,
) -> Result<(), Failure> {
    let Some(function) = container.ops().load else {
        let module = &container.module.name;
        let message = format!("this version of the module {module} does not load a state");
        return Err(Failure::new(CHI_UNSUPPORTED, message));
    };
    let mut loading = Loading::new(image);
    take_error(worker);
    let status = in_life(worker, container, LOADING, || {
        // SAFETY: the object is constructed, and no task is in the container.
        unsafe { function(container.object(), loading.table()) }
    });
    let told = take_error(worker);
    if status != CHI_OK {
        let why = match loading.failure() {
            Some(failure) => told.unwrap_or(failure.message),
            None => told.unwrap_or_else(|| format!("status {status}")),
        };
        let message = format!("the new {} cannot load the state: {why}", container.shown());
        return Err(Failure::new(status, message));
    }
    let supports = |number| container.module.methods.get(number).is_some_and(|m| m.supported);
    let number = match reason {
        CHI_REASON_UPGRADED if supports(CHI_METHOD_UPGRADE) => CHI_METHOD_UPGRADE,
        _ => CHI_METHOD_MIGRATE,
    };
    begin_life(worker, container, number, reason, text, &image.version)
}

/// Runs the method that tells a container why it was made, if the module supports it.
pub(super) fn begin_life(
    worker: &Worker,
    container: &Container,
    number: u32,
    reason: u32,
    text: &CStr,
    old_version: &str,
) -> Result<(), Failure> {
    let old_version = CString::new(old_version).unwrap_or_default();
    let directory = directory_of(worker, container);
    let mut task = life_task(reason, text, &old_version, &directory);
    lifecycle(worker, container, number, (&raw mut task).cast())
}

/// The directory for the files of a container; empty if its pool is not durable.
pub(super) fn directory_of(worker: &Worker, container: &Container) -> CString {
    let found = worker.shared.durable.files_of(container.id, container.number);
    let path = found.map(|path| path.into_os_string().into_vec()).unwrap_or_default();
    CString::new(path).expect("a path has no zero")
}

/// The task of such a method. The texts must live as long as it is used.
pub(super) fn life_task(
    reason: u32,
    text: &CStr,
    old_version: &CStr,
    directory: &CStr,
) -> chi_life_task {
    chi_life_task {
        task: chi_task::new(),
        reason_: reason,
        reserved_: 0,
        message_text_: text.as_ptr(),
        old_version_: old_version.as_ptr(),
        directory_: directory.as_ptr(),
        lost_pool_: chi_pool_id { major_: 0, minor_: 0 },
        lost_name_: c"".as_ptr(),
        lost_node_: 0,
        lost_containers_: std::ptr::null(),
        lost_count_: 0,
        reserved2_: 0,
    }
}

/// Destroys a container that no task has seen.
pub(super) fn discard(worker: &Worker, container: &Container) {
    if !container.object().is_null() {
        free(worker, container);
    }
}

/// Frees the object of a container. It is constructed, nothing uses it any more, and nothing will.
fn free(worker: &Worker, container: &Container) {
    in_life(worker, container, DESTRUCTOR, || {
        // SAFETY: as all callers know, the object is constructed, and this is the last call on it.
        unsafe { (container.ops().destroy)(container.object()) }
    });
    container.retire_published();
    container.clear_object();
}

/// Runs the containers' `kDestroy` and frees their objects. The first failure is returned, but all
/// containers are destroyed.
pub(super) fn destruct_all(
    worker: &Worker,
    containers: &[Arc<Container>],
    task: *mut chi_task,
) -> Result<(), Failure> {
    let mut result = Ok(());
    for container in containers {
        let ended = destruct(worker, container, task);
        result = result.and(ended);
    }
    result
}

fn destruct(worker: &Worker, container: &Container, task: *mut chi_task) -> Result<(), Failure> {
    if container.admission.is_abandoned() {
        // Its object stays in memory: nothing is known about its state.
        container.retire_published();
        container.clear_object();
        return Ok(());
    }
    let result = lifecycle(worker, container, CHI_METHOD_DESTROY, task);
    // No task is in the container and none can enter it.
    free(worker, container);
    result
}

/// Calls code of a module that is this part of a container's life: whoever looks at the worker is told of it, not of
/// the task that calls it.
pub(super) fn in_life<T>(
    worker: &Worker,
    container: &Container,
    part: u32,
    call: impl FnOnce() -> T,
) -> T {
    let context = worker.context();
    context.restore();
    let before = context.life.replace((container, part));
    let queue = worker.run_queue();
    let outer = queue.leave_module();
    queue.enter_module(Running::life(container.id.major_, part));
    let result = call();
    queue.leave_module();
    queue.enter_module(outer);
    context.life.set(before);
    result
}

/// Runs a method that only the runtime itself calls, if the module supports it.
pub(super) fn lifecycle(
    worker: &Worker,
    container: &Container,
    number: u32,
    task: *mut chi_task,
) -> Result<(), Failure> {
    let Some(method) = container.module.methods.get(number).filter(|method| method.supported)
    else {
        return Ok(());
    };
    let mut rctx = chi_run_context {
        size: std::mem::size_of::<chi_run_context>() as u32,
        worker_id_: worker.index,
        lane_: std::ptr::null_mut(),
        runtime_: std::ptr::null_mut(),
        est_ns_: 0,
    };
    let status = in_life(worker, container, number, || {
        // SAFETY: the object is constructed, and `task` is the one that this method takes.
        unsafe { (container.ops().run)(container.object(), number, task, &mut rctx) }
    });
    if status == CHI_OK {
        return Ok(());
    }
    let why = take_error(worker).unwrap_or_else(|| format!("status {status}"));
    Err(Failure::new(status, format!("{} of pool '{}': {why}", method.name, container.name())))
}
