//! The IPC manager of a worker: the functions behind `chi_ipc` for code inside methods.

use std::cell::RefCell;
use std::ffi::{c_char, c_void, CStr, CString};
use std::sync::atomic::{AtomicU32, Ordering};

use chimaera_abi::*;
use chimaera_ipc::admin;
use chimaera_ipc::arena::Failed;

use crate::cancel::Why;
use crate::flight::{cancel, enqueue, enqueue_batch, sleep, wait, wait_all, yield_now};
use crate::record::{Origin, PrivateBlock, Record};
use crate::worker::{self, Worker};
use crate::Failure;

/// `chi_task.state_` of a task made in the runtime, bit: deleted in flight.
pub(crate) const TASK_DELETED: u32 = 1 << 31;

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

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// The worker's table, or null on a thread that is no worker.
pub(crate) extern "C" fn worker_ipc() -> *const chi_ipc {
    if worker::current().is_some() {
        &TABLE
    } else {
        std::ptr::null()
    }
}

pub(crate) fn answer(result: Result<(), Failure>) -> chi_status {
    match result {
        Ok(()) => CHI_OK,
        Err(failure) => {
            LAST.set(CString::new(failure.message.replace('\0', " ")).unwrap_or_default());
            failure.status
        }
    }
}

pub(crate) fn here() -> Result<&'static Worker, Failure> {
    worker::current().ok_or_else(|| {
        Failure::new(CHI_INVALID, "only a thread that runs a method may use the runtime's table")
    })
}

/// The node of a task that the running method makes.
fn child_node(worker: &Worker) -> chi_task_node {
    match worker.running().map(Record::node) {
        Some(node) => chi_task_node { depth_: node.depth_.saturating_add(1), ..node },
        None => chi_task_node::default(),
    }
}

unsafe extern "C" fn new_task(_: *const chi_ipc, size: u32, out: *mut *mut chi_task) -> chi_status {
    answer((|| {
        let worker = here()?;
        if size < std::mem::size_of::<chi_task>() as u32 || size > CHI_MAX_TASK_SIZE {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a task has 64 to {CHI_MAX_TASK_SIZE} bytes, not {size}"),
            ));
        }
        let mut record = worker.record(Origin::Internal);
        if !record.make_room(size as usize) {
            return Err(Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task"));
        }
        // SAFETY: null, or the record of the task that runs on this fiber.
        if let Some(parent) = unsafe { worker.context().record.get().as_ref() } {
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
    })())
}

/// # Safety
/// `task` must be a task that `new_task` made.
pub(crate) unsafe fn state<'a>(task: *const chi_task) -> &'a AtomicU32 {
    // SAFETY: by the caller's promise; the word is only accessed atomically.
    unsafe { AtomicU32::from_ptr((&raw const (*task).state_).cast_mut()) }
}

unsafe extern "C" fn del_task(_: *const chi_ipc, task: *mut chi_task) {
    let Some(worker) = worker::current().filter(|_| !task.is_null()) else { return };
    // SAFETY: the caller's task, which `new_task` made.
    unsafe {
        let word = state(task);
        let mut found = word.load(Ordering::Acquire);
        while found & CHI_TASK_IN_FLIGHT != 0 {
            match word.compare_exchange(
                found,
                found | TASK_DELETED,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    // Nobody is left who could stop it.
                    let record = &*Record::of(task);
                    if (*task).task_flags_.bits_ & CHI_TASK_PERIODIC != 0
                        && record.cancel(Why::Asked)
                    {
                        worker.look_for_marked();
                    }
                    return;
                }
                Err(now) => found = now,
            }
        }
        worker.recycle(Box::from_raw(Record::of(task)));
    }
}

unsafe extern "C" fn task_message(
    _: *const chi_ipc,
    task: *const chi_task,
    len: *mut u64,
) -> *const c_char {
    // SAFETY: the caller's task, which `new_task` made and which is complete.
    unsafe {
        let message = &(*Record::of(task)).message;
        let text = if message.is_empty() { status_text((*task).status_) } else { message.as_str() };
        *len = if (*task).status_ == CHI_OK { 0 } else { text.len() as u64 };
        text.as_ptr().cast()
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
    answer((|| {
        here()?;
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
    })())
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
    let found = worker::current().map(child_node).unwrap_or_default();
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
    answer((|| unsafe {
        let containers = admin::containers(options).map_err(failed)?;
        let params = if params_len == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(params.cast::<u8>(), params_len as usize)
        };
        let (module, name) = (CStr::from_ptr(module).to_bytes(), CStr::from_ptr(name).to_bytes());
        *id = admin::create_pool(ipc, module, name, params, containers).map_err(failed)?.0;
        Ok(())
    })())
}

unsafe extern "C" fn find_pool(
    ipc: *const chi_ipc,
    name: *const c_char,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the string and the place for the id are the caller's.
    answer(unsafe {
        let name = CStr::from_ptr(name).to_bytes();
        admin::find_pool(ipc, name).map(|found| *id = found).map_err(failed)
    })
}

unsafe extern "C" fn destroy_pool(ipc: *const chi_ipc, id: *const chi_pool_id) -> chi_status {
    // SAFETY: the id is the caller's.
    answer(unsafe { admin::destroy_pool(ipc, *id) }.map_err(failed))
}

unsafe extern "C" fn last_error(_: *const chi_ipc) -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}
