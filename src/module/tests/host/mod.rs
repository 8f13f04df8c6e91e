//! The runtime's side of the contract for the module in this test program: a host, and the calls
//! that a worker makes.
#![allow(dead_code)]

pub(crate) mod state;

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_void};
use std::sync::Mutex;

use chimaera::abi::*;
use chimaera::{CreateTask, DomainQuery, NewTask, PoolId, Result, Task};

use super::fake_ipc::{self, FakeIpc};

extern "C" {
    pub(crate) fn chi_module(host: *const chi_host) -> *const chi_module_descriptor;
    pub(crate) fn get_module_name() -> *const c_char;
    pub(crate) fn alloc_state(pool_id: *const chi_pool_id, pool_name: *const c_char)
        -> *mut c_void;
    pub(crate) fn new_state(pool_id: *const chi_pool_id, pool_name: *const c_char) -> *mut c_void;
    pub(crate) static is_chimaera_task_: bool;
}

thread_local! {
    pub(crate) static ERROR: RefCell<String> = RefCell::default();
    pub(crate) static YIELDS: Cell<u32> = const { Cell::new(0) };
}
pub(crate) static LOG: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());

pub(crate) static HOST: chi_host = TABLE;

pub(crate) const TABLE: chi_host = chi_host {
    size: size_of::<chi_host>() as u32,
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
    lock_new,
    lock_free,
    lock,
    try_lock,
    unlock,
    is_cancelled,
    event_new,
    event_free,
    event_wait,
    event_set,
    poller_add,
    poller_remove,
    poller_arm,
};

unsafe fn text(text: *const c_char, len: u64) -> String {
    // SAFETY: the contract guarantees that there are `len` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len as usize) };
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

unsafe extern "C" fn set_error(_: *const chi_host, message: *const c_char, len: u64) {
    // SAFETY: guaranteed by the contract.
    ERROR.with(|error| *error.borrow_mut() = unsafe { text(message, len) });
}

unsafe extern "C" fn log(_: *const chi_host, level: u32, line: *const c_char, len: u64) {
    // SAFETY: guaranteed by the contract.
    LOG.lock().unwrap().push((level, unsafe { text(line, len) }));
}

unsafe extern "C" fn ipc(_: *const chi_host) -> *const chi_ipc {
    &fake_ipc::IPC
}

unsafe extern "C" fn create_queue(
    _: *const chi_host,
    pool_id: *const chi_pool_id,
    _queue_id: u32,
    n_lanes: u32,
    flags: u32,
    lanes: *mut *mut chi_lane,
) -> chi_status {
    // SAFETY: guaranteed by the contract.
    assert_eq!((unsafe { *pool_id }, flags), (POOL, 0));
    for lane in 0..n_lanes as usize {
        // SAFETY: by the contract; the addresses are never followed.
        unsafe { *lanes.add(lane) = lane_address(lane) };
    }
    CHI_OK
}

pub(crate) fn lane_address(lane: usize) -> *mut chi_lane {
    std::ptr::without_provenance_mut(0x1000 + lane)
}

unsafe extern "C" fn yield_now(_: *const chi_host) -> chi_status {
    YIELDS.set(YIELDS.get() + 1);
    if YIELDS.get() > 1 {
        CHI_CANCELLED
    } else {
        CHI_OK
    }
}

/// The same condition as for `yield_now`.
unsafe extern "C" fn is_cancelled(_: *const chi_host) -> bool {
    YIELDS.get() > 1
}

unsafe extern "C" fn extension(_: *const chi_host, _: *const c_char) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn container_id(_: *const chi_host, id: *mut u32, count: *mut u32) -> chi_status {
    // SAFETY: guaranteed by the contract.
    unsafe { (*id, *count) = (CONTAINER_ID, CONTAINER_COUNT) };
    CHI_OK
}

/// The number of the module's container, and how many there are.
pub(crate) const CONTAINER_ID: u32 = 2;
pub(crate) const CONTAINER_COUNT: u32 = 7;

thread_local! {
    /// The calls of the lock functions.
    pub(crate) static LOCKS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The status that taking a lock returns.
    pub(crate) static LOCK_STATUS: Cell<chi_status> = const { Cell::new(CHI_OK) };
}

fn note_lock(call: String) -> chi_status {
    LOCKS.with_borrow_mut(|calls| calls.push(call));
    LOCK_STATUS.get()
}

unsafe extern "C" fn lock_new(_: *const chi_host) -> *mut chi_lock {
    note_lock("new".into());
    std::ptr::without_provenance_mut(0x10)
}

unsafe extern "C" fn lock_free(_: *const chi_host, _: *mut chi_lock) {
    note_lock("free".into());
}

unsafe extern "C" fn lock(
    _: *const chi_host,
    _: *mut chi_lock,
    mode: u32,
    timeout_ns: u64,
) -> chi_status {
    let time = if timeout_ns == CHI_WAIT_FOREVER { "ever".into() } else { timeout_ns.to_string() };
    note_lock(format!("take {mode} for {time}"))
}

unsafe extern "C" fn try_lock(_: *const chi_host, _: *mut chi_lock, mode: u32) -> chi_status {
    note_lock(format!("try {mode}"))
}

unsafe extern "C" fn unlock(_: *const chi_host, _: *mut chi_lock, mode: u32) -> chi_status {
    note_lock(format!("give {mode}"))
}

unsafe extern "C" fn event_new(_: *const chi_host) -> *mut chi_event {
    Box::into_raw(Box::new(false)).cast()
}

unsafe extern "C" fn event_free(_: *const chi_host, event: *mut chi_event) {
    // SAFETY: made by `event_new`, and freed once.
    drop(unsafe { Box::from_raw(event.cast::<bool>()) });
}

/// Returns at once: no other thread could set the event.
unsafe extern "C" fn event_wait(
    _: *const chi_host,
    event: *mut chi_event,
    flags: u32,
    timeout_ns: u64,
) -> chi_status {
    assert!(flags <= CHI_EVENT_UNINTERRUPTED);
    // SAFETY: made by `event_new`, on this thread.
    let set = unsafe { event.cast::<bool>().replace(false) };
    match set {
        true => CHI_OK,
        false if timeout_ns == CHI_WAIT_FOREVER => CHI_CANCELLED,
        false => CHI_TIMEOUT,
    }
}

unsafe extern "C" fn event_set(_: *const chi_host, event: *mut chi_event) {
    // SAFETY: made by `event_new`, on this thread.
    unsafe { *event.cast::<bool>() = true };
}

/// Never calls the poller: there is no worker loop.
unsafe extern "C" fn poller_add(
    _: *const chi_host,
    _: i32,
    _: chi_poll_fn,
    _: *mut c_void,
    _: *mut *mut chi_poller,
) -> chi_status {
    CHI_UNSUPPORTED
}

unsafe extern "C" fn poller_remove(_: *const chi_host, _: *mut chi_poller) {}

unsafe extern "C" fn poller_arm(_: *const chi_host, _: *mut chi_poller, _: bool) -> chi_status {
    CHI_UNSUPPORTED
}

pub(crate) const POOL: chi_pool_id = chi_pool_id { major_: 5, minor_: 2 };

thread_local! {
    /// The container of the test that is running.
    pub(crate) static CONTAINER: Cell<*mut chi_container> = const { Cell::new(std::ptr::null_mut()) };
}

pub(crate) fn context() -> chi_run_context {
    chi_run_context {
        size: size_of::<chi_run_context>() as u32,
        worker_id_: 6,
        lane_: std::ptr::null_mut(),
        runtime_: std::ptr::null_mut(),
        est_ns_: 0,
    }
}

pub(crate) fn ops() -> &'static chi_container_ops {
    // SAFETY: a live container of the module's.
    unsafe { &*(*CONTAINER.get()).ops }
}

/// Runs a task on the container, as a worker does.
fn run(task: *mut chi_task) -> (chi_status, String) {
    // SAFETY: the task is in flight, hence ours.
    let method = unsafe { (*task).method_ };
    let mut ctx = context();
    // SAFETY: a live container, a task of the method's layout, a whole context.
    let status = unsafe { (ops().run)(CONTAINER.get(), method, task, &mut ctx) };
    let message = if status == CHI_OK { String::new() } else { ERROR.with(RefCell::take) };
    (status, message)
}

/// The module, loaded, with a container on which `kCreate` has not run yet.
pub(crate) struct Module {
    pub(crate) descriptor: &'static chi_module_descriptor,
    _ipc: FakeIpc,
}

impl Module {
    pub(crate) fn new() -> Self {
        let ipc = FakeIpc::new(run);
        // SAFETY: the table is a static; the descriptor stays.
        let descriptor = unsafe { &*chi_module(&HOST) };
        // SAFETY: valid arguments.
        let container = unsafe { new_state(&POOL, c"my_pool".as_ptr()) };
        assert!(!container.is_null());
        CONTAINER.set(container.cast());
        YIELDS.set(0);
        Module { descriptor, _ipc: ipc }
    }

    pub(crate) fn created() -> Self {
        let module = Self::new();
        module.create(b"").unwrap();
        module
    }

    pub(crate) fn create(&self, params: &[u8]) -> Result<()> {
        let task = self.task::<CreateTask>(CHI_METHOD_CREATE);
        task.params.set(params)?;
        task.call().map(drop)
    }

    pub(crate) fn task<T: Task>(&self, method: u32) -> NewTask<T> {
        let (ipc, query) = (chimaera::ipc().unwrap(), DomainQuery::dynamic());
        ipc.new_task(PoolId::from(POOL), query, method).unwrap()
    }

    pub(crate) fn methods(&self) -> &'static [chi_method] {
        let descriptor = self.descriptor;
        // SAFETY: the descriptor says how many follow.
        unsafe { std::slice::from_raw_parts(descriptor.methods, descriptor.n_methods as usize) }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: a live container, and its last use.
        unsafe { (ops().destroy)(CONTAINER.replace(std::ptr::null_mut())) };
    }
}
