//! The host table: what the runtime offers a container beyond sending tasks.

use std::ffi::{c_char, c_void, CStr};
use std::sync::atomic::Ordering;
use std::sync::LazyLock;

use chimaera_abi::*;
use tracing::level_filters::LevelFilter;
use tracing::Level;

use super::here::{building, current_container};
use super::{clients, directory, events, locks, places, pollers, publishing};
use crate::coroutine::current_task;
use crate::failure::Failure;
use crate::log::{
    log_anyway, log_task, shortened, LeftOut, LineKind, RateLimit, Subject, TaskContext,
};
use crate::module::error;
use crate::pool::Container;
use crate::scheduler::{with_current, Worker};

static HOST: chi_host = chi_host {
    size: std::mem::size_of::<chi_host>() as u32,
    abi_major: CHI_ABI_MAJOR,
    abi_minor: CHI_ABI_MINOR,
    reserved: 0,
    set_error,
    log,
    ipc,
    create_queue,
    yield_now,
    extension,
    container_id,
    lock_new: locks::lock_new,
    lock_free: locks::lock_free,
    lock: locks::lock,
    try_lock: locks::try_lock,
    unlock: locks::unlock,
    is_cancelled,
    event_new: events::event_new,
    event_free: events::event_free,
    event_wait: events::event_wait,
    event_set: events::event_set,
    poller_add: pollers::poller_add,
    poller_remove: pollers::poller_remove,
    poller_arm: pollers::poller_arm,
};

/// The table, which is valid for the life of the process.
pub(crate) fn host() -> *const chi_host {
    &HOST
}

/// Keeps the error message of failing module code: in the running task or, without one, for this
/// thread.
fn keep_error(text: String) {
    with_current(|worker| match worker.and_then(|worker| current_task(worker.context())) {
        Some(task) => task.texts.set_error(text),
        None => error::set(text),
    });
}

/// # Safety
/// `text` must be null or point to `len` readable bytes.
unsafe fn lossy(text: *const c_char, len: u64) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len.min(1 << 20) as usize) };
    String::from_utf8_lossy(bytes).into_owned()
}

unsafe extern "C" fn set_error(_: *const chi_host, text: *const c_char, len: u64) {
    // SAFETY: by the contract, `text` points to `len` readable bytes or is null.
    keep_error(unsafe { lossy(text, len) });
}

unsafe extern "C" fn log(_: *const chi_host, level: u32, text: *const c_char, len: u64) {
    let shown = match level {
        CHI_LOG_ERROR => Level::ERROR,
        CHI_LOG_WARN => Level::WARN,
        CHI_LOG_INFO => Level::INFO,
        _ => Level::DEBUG,
    };
    if shown > LevelFilter::current() {
        return;
    }
    with_current(|worker| {
        let kind = LineKind::Module(level.min(CHI_LOG_DEBUG));
        let pass = match worker {
            Some(worker) => worker.shared.rate_limit.pass(kind, speaks_for(worker)),
            None => OTHER_THREADS.pass(kind, Subject::default()),
        };
        let Some(left_out) = pass else { return };
        // SAFETY: by the contract, `text` points to `len` readable bytes or is null.
        let text = unsafe { lossy(text, len) };
        match worker {
            Some(worker) => write_line(shown, speaker(worker), left_out, &text),
            None => log_anyway(move || write_line(shown, TaskContext::default(), left_out, &text)),
        }
    });
}

/// Writes a log line of a module.
fn write_line(level: Level, context: TaskContext<'_>, left_out: LeftOut, text: &str) {
    let text = shortened(text);
    match level {
        Level::ERROR => log_task!(error, target: "module", context, left_out, "{text}"),
        Level::WARN => log_task!(warn, target: "module", context, left_out, "{text}"),
        Level::INFO => log_task!(info, target: "module", context, left_out, "{text}"),
        _ => log_task!(debug, target: "module", context, left_out, "{text}"),
    }
}

/// Limits the rate of log lines from threads that modules started.
static OTHER_THREADS: LazyLock<RateLimit> = LazyLock::new(RateLimit::default);

/// What a log line of module code on this worker is counted against.
pub(super) fn speaks_for(worker: &Worker) -> Subject {
    let task = current_task(worker.context()).map(|task| task.log_subject()).unwrap_or_default();
    match (building(worker), task) {
        (Some(container), Subject::Method { method, .. }) => {
            Subject::Method { pool: container.id, method }
        }
        (Some(container), _) => Subject::Pool(container.id),
        (None, task) => task,
    }
}

/// The context of the module code that is running: the container that is being built, or a task.
pub(super) fn speaker(worker: &Worker) -> TaskContext<'_> {
    let task = current_task(worker.context());
    let context = task.map(|task| task.log_context()).unwrap_or_default();
    match building(worker) {
        Some(container) => TaskContext { pool: Some(container.name()), method: None, ..context },
        None => context,
    }
}

unsafe extern "C" fn ipc(_: *const chi_host) -> *const chi_ipc {
    super::ipc::worker_ipc()
}

unsafe extern "C" fn create_queue(
    _: *const chi_host,
    pool_id: *const chi_pool_id,
    queue_id: u32,
    n_lanes: u32,
    flags: u32,
    lanes: *mut *mut chi_lane,
) -> chi_status {
    // SAFETY: by the contract, the pointer is valid.
    let id = unsafe { *pool_id };
    let made = with_current(|worker| {
        let its_own = |(_, container): &(&Worker, &Container)| container.id == id;
        let found = worker.and_then(|worker| Some((worker, building(worker)?))).filter(its_own);
        match found {
            Some((worker, container)) => {
                container.add_queue(queue_id, n_lanes, flags, worker.shared.budget)
            }
            None => {
                let why = "queues can only be created while their container is being created";
                Err(Failure::new(CHI_INVALID, why))
            }
        }
    });
    match made {
        Ok(addresses) => {
            // SAFETY: by the contract, the module's array has room for `n_lanes` pointers.
            unsafe { std::ptr::copy_nonoverlapping(addresses.as_ptr(), lanes, addresses.len()) };
            CHI_OK
        }
        Err(failure) => {
            super::ipc::keep_last_error(&failure.message);
            keep_error(failure.message);
            failure.status
        }
    }
}

unsafe extern "C" fn yield_now(_: *const chi_host) -> chi_status {
    with_current(|worker| {
        let Some(worker) = worker.filter(|worker| worker.may_wait()) else { return CHI_INVALID };
        worker.yield_now();
        if worker.is_cancelled() {
            CHI_CANCELLED
        } else {
            CHI_OK
        }
    })
}

unsafe extern "C" fn is_cancelled(_: *const chi_host) -> bool {
    with_current(|worker| worker.is_some_and(Worker::is_cancelled))
}

static LOCKS: chi_locks = chi_locks {
    size: std::mem::size_of::<chi_locks>() as u32,
    reserved: 0,
    create: locks::lock_new,
    free: locks::lock_free,
    lock: locks::lock,
    try_lock: locks::try_lock,
    unlock: locks::unlock,
};

static EVENTS: chi_events = chi_events {
    size: std::mem::size_of::<chi_events>() as u32,
    reserved: 0,
    create: events::event_new,
    free: events::event_free,
    wait: events::event_wait,
    set: events::event_set,
};

static POLLERS: chi_pollers = chi_pollers {
    size: std::mem::size_of::<chi_pollers>() as u32,
    reserved: 0,
    add: pollers::poller_add,
    remove: pollers::poller_remove,
    arm: pollers::poller_arm,
};

static CLIENTS: chi_clients = chi_clients {
    size: std::mem::size_of::<chi_clients>() as u32,
    reserved: 0,
    sender: clients::sender,
    is_there: clients::is_there,
};

static DIRECTORY: chi_directory = chi_directory {
    size: std::mem::size_of::<chi_directory>() as u32,
    reserved: 0,
    path: directory::path,
};

static PLACES: chi_places =
    chi_places { size: std::mem::size_of::<chi_places>() as u32, reserved: 0, find: places::find };

static PUBLISHING: chi_publishing = chi_publishing {
    size: std::mem::size_of::<chi_publishing>() as u32,
    reserved: 0,
    alloc: publishing::alloc,
    retain: publishing::retain,
    release: publishing::release,
    lend: publishing::lend,
};

static STORAGE: chi_storage = chi_storage {
    size: std::mem::size_of::<chi_storage>() as u32,
    reserved: 0,
    set_local: set_storage_local,
};

/// `chi_storage.set_local`.
unsafe extern "C" fn set_storage_local(_: *const chi_host) -> chi_status {
    with_current(|worker| match worker.and_then(building) {
        Some(container) => {
            container.stores_here.store(true, Ordering::Relaxed);
            CHI_OK
        }
        None => CHI_INVALID,
    })
}

unsafe extern "C" fn extension(_: *const chi_host, id: *const c_char) -> *const c_void {
    if id.is_null() {
        return std::ptr::null();
    }
    // SAFETY: by the contract, `id` is a C string.
    let id = unsafe { CStr::from_ptr(id) };
    if id == CHI_EXT_LOCKS {
        (&raw const LOCKS).cast()
    } else if id == CHI_EXT_EVENTS {
        (&raw const EVENTS).cast()
    } else if id == CHI_EXT_POLLERS {
        (&raw const POLLERS).cast()
    } else if id == CHI_EXT_CLIENTS {
        (&raw const CLIENTS).cast()
    } else if id == CHI_EXT_DIRECTORY {
        (&raw const DIRECTORY).cast()
    } else if id == CHI_EXT_PLACES {
        (&raw const PLACES).cast()
    } else if id == CHI_EXT_PUBLISHING {
        (&raw const PUBLISHING).cast()
    } else if id == CHI_EXT_STORAGE {
        (&raw const STORAGE).cast()
    } else {
        std::ptr::null()
    }
}

unsafe extern "C" fn container_id(_: *const chi_host, id: *mut u32, count: *mut u32) -> chi_status {
    with_current(|worker| {
        let Some(worker) = worker else { return CHI_INVALID };
        let Some(container) = current_container(worker) else { return CHI_INVALID };
        // SAFETY: by the contract, both pointers may be written.
        unsafe { (*id, *count) = (container.number, container.count) };
        CHI_OK
    })
}
