//! The IPC manager of a worker: the functions behind `chi_ipc` for code inside methods.

use std::ffi::{c_char, c_void, CStr};

use chimaera_abi::*;
use chimaera_ipc::admin;
use chimaera_ipc::arena::Failed;

use super::calls::{call, last};
use super::ipc_tasks::{cancel, enqueue, enqueue_batch, sleep, wait, wait_all, yield_now};
use crate::failure::Failure;
use crate::scheduler::{is_current, with_current, Worker};
use crate::task::{CancelReason, Origin, PrivateBlock, Record};

/// In the shared pointers that methods see: an address in the runtime's private memory.
const PRIVATE_SEGMENT: u64 = 0xffff << CHI_SHM_OFFSET_BITS;

static TABLE: chi_ipc = chi_ipc {
    size: std::mem::size_of::<chi_ipc>() as u32,
    reserved: 0,
    new_task,
    del_task,
    enqueue,
    try_enqueue: enqueue,
    wait,
    task_message,
    alloc,
    free,
    resolve,
    make_task_node,
    create_pool,
    find_pool,
    destroy_pool,
    last_error,
    alloc_elements,
    create_pool_with,
    enqueue_batch,
    wait_all,
    cancel,
    sleep,
    yield_now,
};

/// The worker's table, or null on a thread that is no worker.
pub(crate) extern "C" fn worker_ipc() -> *const chi_ipc {
    if is_current() {
        &TABLE
    } else {
        std::ptr::null()
    }
}

/// The node of a task that the running method makes.
fn child_node(worker: &Worker) -> chi_task_node {
    match worker.running().map(Record::node) {
        Some(node) => chi_task_node { depth_: node.depth_.saturating_add(1), ..node },
        None => chi_task_node::default(),
    }
}

unsafe extern "C" fn new_task(_: *const chi_ipc, size: u32, out: *mut *mut chi_task) -> chi_status {
    call(|worker| {
        if size < std::mem::size_of::<chi_task>() as u32 || size > CHI_MAX_TASK_SIZE {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a task has 64 to {CHI_MAX_TASK_SIZE} bytes, not {size}"),
            ));
        }
        let mut record = worker.spare.take(Origin::Internal);
        if !record.make_room(size as usize) {
            return Err(Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task"));
        }
        if let Some(parent) = worker.running() {
            record.holdings.renew(worker.root_of(parent));
            record.session = parent.session;
        }
        let body = record.body();
        let record = Box::into_raw(record);
        // SAFETY: the body holds `size` bytes and is the caller's from now on; `out` is the caller's.
        unsafe {
            debug_assert_eq!(Record::of(body), record);
            body.cast::<u8>().write_bytes(0, size as usize);
            (*body).task_node_ = child_node(worker);
            *out = body;
        }
        Ok(())
    })
}

unsafe extern "C" fn del_task(_: *const chi_ipc, task: *mut chi_task) {
    with_current(|worker| {
        let Some(worker) = worker.filter(|_| !task.is_null()) else { return };
        // SAFETY: the caller's task, which `new_task` made.
        unsafe {
            let record = Record::of(task);
            let is_periodic = (*task).task_flags_.bits_ & CHI_TASK_PERIODIC != 0;
            // A periodic one that is in flight goes on for ever unless it is told: nobody is left who could
            // stop it. Before it is deleted, for then it may be gone at once.
            if is_periodic
                && (*record).completion.is_in_flight()
                && (*record).cancel(CancelReason::Asked)
            {
                worker.shared.cancel_marked();
            }
            if (*record).completion.delete() {
                worker.recycle(Box::from_raw(record));
            }
        }
    });
}

unsafe extern "C" fn task_message(
    _: *const chi_ipc,
    task: *const chi_task,
    len: *mut u64,
) -> *const c_char {
    // SAFETY: the caller's task, which `new_task` made and which is complete.
    unsafe {
        let (text, bytes) = (*Record::of(task)).texts.message().unwrap_or_else(|| {
            let text = status_text((*task).status_);
            (text.as_ptr().cast(), text.len())
        });
        *len = if (*task).status_ == CHI_OK { 0 } else { bytes as u64 };
        text
    }
}

fn private(record: Option<&mut Record>, size: u64) -> Result<(*mut c_void, u64), Failure> {
    let block = usize::try_from(size).ok().and_then(PrivateBlock::new).ok_or_else(|| {
        Failure::new(CHI_NO_SPACE, format!("the runtime has no memory for {size} bytes"))
    })?;
    let found = (block.data().cast(), block.size() as u64);
    match record {
        Some(record) => record.private.push(block),
        None => std::mem::forget(block),
    }
    Ok(found)
}

/// # Safety
/// `owner` must be null or a body of a live record, `buffer` a place for a buffer.
unsafe fn allocate(
    owner: *mut chi_task,
    size: u64,
    shared: bool,
    buffer: *mut chi_buffer,
) -> chi_status {
    call(|_| {
        let none = chi_buffer { shm_: CHI_SHM_NULL, data_: std::ptr::null_mut(), size_: 0 };
        if size == 0 {
            // SAFETY: by the caller's promise.
            unsafe { *buffer = none };
            return Ok(());
        }
        // SAFETY: by the caller's promise.
        let record = unsafe { (!owner.is_null()).then(|| &mut *Record::of(owner)) };
        let found = match record {
            Some(record) if shared && matches!(record.origin, Origin::Client { .. }) => {
                let Origin::Client { session, .. } = &record.origin else { unreachable!() };
                let (offset, capacity) =
                    session.alloc(size).map_err(|failed| no_room(failed, size))?;
                let data = session.mapping.at(offset).cast();
                record.blocks.push(offset);
                chi_buffer { shm_: offset, data_: data, size_: capacity }
            }
            record => {
                let (data, capacity) = private(record, size)?;
                chi_buffer { shm_: PRIVATE_SEGMENT | data as u64, data_: data, size_: capacity }
            }
        };
        // SAFETY: by the caller's promise.
        unsafe { *buffer = found };
        Ok(())
    })
}

fn no_room(failed: Failed, size: u64) -> Failure {
    match failed {
        Failed::Full => Failure::new(
            CHI_NO_SPACE,
            format!(
                "the client's segment has no room for {size} bytes of results; delete tasks whose \
                 results are done with, or ask for a larger segment in chi_init"
            ),
        ),
        Failed::TooLarge => Failure::new(
            CHI_TOO_LARGE,
            format!(
                "{size} bytes of results are more than the client's segment can hold; ask for a \
                 larger segment in chi_init"
            ),
        ),
    }
}

unsafe extern "C" fn alloc(
    _: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    // SAFETY: the caller's promise.
    unsafe { allocate(owner, size, true, buffer) }
}

unsafe extern "C" fn alloc_elements(
    _: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    // SAFETY: the caller's promise.
    unsafe { allocate(owner, size, false, buffer) }
}

unsafe extern "C" fn free(_: *const chi_ipc, buffer: *const chi_buffer) {
    // SAFETY: the caller's buffer, which `alloc` gave without an owner: private memory of this size,
    // aligned to 64.
    unsafe {
        if let Some(buffer) = buffer.as_ref().filter(|buffer| !buffer.data_.is_null()) {
            let layout = std::alloc::Layout::from_size_align_unchecked(buffer.size_ as usize, 64);
            std::alloc::dealloc(buffer.data_.cast(), layout);
        }
    }
}

unsafe extern "C" fn resolve(_: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void {
    if shm & PRIVATE_SEGMENT == PRIVATE_SEGMENT {
        return (shm & !PRIVATE_SEGMENT) as *mut c_void;
    }
    std::ptr::null_mut()
}

unsafe extern "C" fn make_task_node(_: *const chi_ipc, node: *mut chi_task_node) {
    let found = with_current(|worker| worker.map(child_node).unwrap_or_default());
    // SAFETY: the caller's pointer.
    unsafe { *node = found };
}

fn failed((status, message): admin::Failure) -> Failure {
    Failure::new(status, message)
}

unsafe extern "C" fn create_pool(
    ipc: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    id: *mut chi_pool_id,
) -> chi_status {
    let one =
        chi_pool_options { size: std::mem::size_of::<chi_pool_options>() as u32, containers: 1 };
    // SAFETY: the caller's promise.
    unsafe { create_pool_with(ipc, module, name, params, params_len, &one, id) }
}

unsafe extern "C" fn create_pool_with(
    ipc: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    options: *const chi_pool_options,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: strings, parameters, options and the place for the id are the caller's.
    call(|_| unsafe {
        let containers = admin::containers(options).map_err(failed)?;
        let params = if params_len == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(params.cast::<u8>(), params_len as usize)
        };
        let (module, name) = (CStr::from_ptr(module).to_bytes(), CStr::from_ptr(name).to_bytes());
        *id = admin::create_pool(ipc, module, name, params, containers).map_err(failed)?.0;
        Ok(())
    })
}

unsafe extern "C" fn find_pool(
    ipc: *const chi_ipc,
    name: *const c_char,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the string and the place for the id are the caller's.
    call(|_| unsafe {
        let name = CStr::from_ptr(name).to_bytes();
        admin::find_pool(ipc, name).map(|found| *id = found).map_err(failed)
    })
}

unsafe extern "C" fn destroy_pool(ipc: *const chi_ipc, id: *const chi_pool_id) -> chi_status {
    // SAFETY: the id is the caller's.
    call(|_| unsafe { admin::destroy_pool(ipc, *id) }.map_err(failed))
}

unsafe extern "C" fn last_error(_: *const chi_ipc) -> *const c_char {
    last()
}
