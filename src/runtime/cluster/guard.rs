//! What stands before a container of the cluster that is here: its tasks start, and are answered, only while this
//! node holds its lease. Local tasks do not pass the cluster's thread, so this is where that is checked.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_cluster::ContainerId;

use super::clock::Lease;
use crate::failure::Failure;
use crate::isolation::report;
use crate::pool::{Container, Ops};
use crate::scheduler::{with_current, Worker};

/// The pause between two looks for a lease.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a task waits for a lease.
const PATIENCE: Duration = Duration::from_secs(8);

/// A container's object, with what stands before it.
#[repr(C)]
struct Guarded {
    head: chi_container,
    table: chi_container_ops,
    object: *mut chi_container,
    ops: Ops,
    lease: Arc<Lease>,
    /// The container is another node's.
    is_over: Arc<AtomicBool>,
    container: ContainerId,
}

/// Puts the guard before the object of a container that nothing uses yet.
pub(super) fn guard(
    container: &Container,
    id: ContainerId,
    lease: &Arc<Lease>,
    is_over: &Arc<AtomicBool>,
) {
    let ops = *container.ops();
    let table = chi_container_ops {
        size: size_of::<chi_container_ops>() as u32,
        reserved: 0,
        init,
        run,
        monitor,
        del: ops.del.map(|_| del as _),
        destroy,
        aggregate: ops.aggregate.map(|_| aggregate as _),
        serialize: None,
        save: ops.save.map(|_| save as _),
        load: ops.load.map(|_| load as _),
        resume: ops.resume.map(|_| resume as _),
    };
    let guarded = Box::into_raw(Box::new(Guarded {
        head: chi_container { ops: std::ptr::null() },
        table,
        object: container.object(),
        ops,
        lease: lease.clone(),
        is_over: is_over.clone(),
        container: id,
    }));
    // SAFETY: the box is not freed before `destroy`, and nobody else has it yet.
    let sound = unsafe {
        (*guarded).head.ops = &raw const (*guarded).table;
        container.set_object(guarded.cast())
    };
    assert!(sound, "its own table is valid");
}

/// # Safety
/// `object` must be one that `guard` has made, and not destroyed.
unsafe fn of<'o>(object: *mut chi_container) -> &'o Guarded {
    // SAFETY: by the caller's promise.
    unsafe { &*object.cast::<Guarded>() }
}

// SAFETY of the calls below: the runtime passes the object that `guard` has set, and what else the functions
// of the object behind it take.

unsafe extern "C" fn init(
    _: *mut chi_container,
    _: *const chi_pool_id,
    _: *const c_char,
) -> chi_status {
    CHI_OK
}

unsafe extern "C" fn run(
    object: *mut chi_container,
    number: u32,
    task: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    // SAFETY: as above.
    let guarded = unsafe { of(object) };
    if number < CHI_METHOD_CUSTOM {
        // SAFETY: as above.
        return unsafe { (guarded.ops.run)(guarded.object, number, task, rctx) };
    }
    if !guarded.may_serve() {
        if let Some(status) = guarded.wait("it did not run") {
            return status;
        }
    }
    // SAFETY: as above.
    let status = unsafe { (guarded.ops.run)(guarded.object, number, task, rctx) };
    if !guarded.may_serve() {
        if let Some(status) = guarded.wait("it may have run") {
            return status;
        }
    }
    status
}

impl Guarded {
    #[inline]
    fn may_serve(&self) -> bool {
        self.lease.holds() && !self.is_over.load(Ordering::Acquire)
    }

    /// Waits for a lease. Returns what the task ends with, if there is none.
    #[cold]
    fn wait(&self, ran: &str) -> Option<chi_status> {
        with_current(|worker| {
            let worker: &Worker = worker.expect("methods run on workers");
            let until = Instant::now() + PATIENCE;
            while !self.lease.holds() && !self.is_over.load(Ordering::Acquire) {
                if Instant::now() >= until || worker.is_cancelled() {
                    break;
                }
                worker.sleep(PAUSE);
            }
            if self.may_serve() {
                return None;
            }
            let number = self.container.number;
            let why = match self.is_over.load(Ordering::Acquire) {
                true => "is another node's by now",
                false => "cannot be served, for this node has lost the cluster",
            };
            let failure = Failure::new(CHI_NODE_LOST, format!("container {number} {why}; {ran}"));
            let record = worker.running().expect("a method runs");
            Some(report(record, Err(failure)))
        })
    }
}

unsafe extern "C" fn monitor(
    object: *mut chi_container,
    mode: u32,
    number: u32,
    task: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    // SAFETY: as above.
    unsafe {
        let guarded = of(object);
        (guarded.ops.monitor)(guarded.object, mode, number, task, rctx)
    }
}

unsafe extern "C" fn del(object: *mut chi_container, number: u32, task: *mut chi_task) {
    // SAFETY: as above.
    unsafe {
        let guarded = of(object);
        if let Some(del) = guarded.ops.del {
            del(guarded.object, number, task);
        }
    }
}

unsafe extern "C" fn aggregate(
    object: *mut chi_container,
    number: u32,
    task: *mut chi_task,
    replica: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    // SAFETY: as above.
    unsafe {
        let guarded = of(object);
        match guarded.ops.aggregate {
            Some(aggregate) => aggregate(guarded.object, number, task, replica, rctx),
            None => CHI_UNSUPPORTED,
        }
    }
}

unsafe extern "C" fn save(object: *mut chi_container, state: *mut chi_state) -> chi_status {
    // SAFETY: as above.
    unsafe {
        let guarded = of(object);
        guarded.ops.save.map_or(CHI_UNSUPPORTED, |save| save(guarded.object, state))
    }
}

unsafe extern "C" fn load(object: *mut chi_container, state: *mut chi_state) -> chi_status {
    // SAFETY: as above.
    unsafe {
        let guarded = of(object);
        guarded.ops.load.map_or(CHI_UNSUPPORTED, |load| load(guarded.object, state))
    }
}

unsafe extern "C" fn resume(object: *mut chi_container) -> chi_status {
    // SAFETY: as above.
    unsafe {
        let guarded = of(object);
        guarded.ops.resume.map_or(CHI_OK, |resume| resume(guarded.object))
    }
}

unsafe extern "C" fn destroy(object: *mut chi_container) {
    // SAFETY: as above; this is the last call.
    unsafe {
        let guarded = Box::from_raw(object.cast::<Guarded>());
        (guarded.ops.destroy)(guarded.object);
    }
}
