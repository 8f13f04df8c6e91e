//! An IPC manager over the process's own memory, which checks what it is asked: the contract's other
//! side for tests of the SDK without a runtime. A task runs, when it is submitted, as a function call.
#![allow(dead_code)]

pub(crate) mod archive;

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_void, CStr, CString};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chimaera::abi::*;

/// Runs a task: the status, and the message of a failure.
pub(crate) type Runner = fn(*mut chi_task) -> (chi_status, String);

#[derive(Default)]
struct State {
    /// By address.
    tasks: HashMap<usize, TaskRecord>,
    /// Buffers without an owner: address and size.
    buffers: HashMap<usize, usize>,
    runner: Option<Runner>,
    /// Tasks stay in flight until `finish`.
    hold: bool,
    ring_full: bool,
    unavailable: bool,
    /// How many blocks were allocated for elements with strings or vectors inside.
    element_blocks: usize,
}

struct TaskRecord {
    size: usize,
    blocks: Vec<(usize, usize)>,
    message: String,
    deleted: bool,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
static TESTS: Mutex<()> = Mutex::new(());

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

fn state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    f(state.get_or_insert_with(State::default))
}

/// One test's turn with the stand. At its end everything has to be given back.
pub(crate) struct Stand(#[allow(unused)] MutexGuard<'static, ()>);

impl Stand {
    pub(crate) fn new(runner: Runner) -> Self {
        let turn = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
        state(|state| *state = State { runner: Some(runner), ..State::default() });
        // SAFETY: the table is a static.
        unsafe { chimaera::set_resolver(|| &IPC) };
        Stand(turn)
    }

    pub(crate) fn hold(&self, hold: bool) {
        state(|state| state.hold = hold);
    }

    pub(crate) fn ring_full(&self, full: bool) {
        state(|state| state.ring_full = full);
    }

    pub(crate) fn unavailable(&self) {
        state(|state| state.unavailable = true);
    }

    /// Completes the tasks that are held.
    pub(crate) fn finish(&self) {
        let held: Vec<usize> = state(|state| state.tasks.keys().copied().collect());
        for task in held {
            let task = task as *mut chi_task;
            if state_word(task).load(Ordering::Acquire) == CHI_TASK_IN_FLIGHT {
                run(task);
            }
        }
    }

    /// How many blocks were allocated for elements with strings or vectors inside.
    pub(crate) fn element_blocks(&self) -> usize {
        state(|state| state.element_blocks)
    }

    /// How many tasks and buffers there are.
    pub(crate) fn alive(&self) -> (usize, usize) {
        state(|state| (state.tasks.len(), state.buffers.len()))
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.alive(), (0, 0), "tasks and buffers are left");
        }
    }
}

pub(crate) static IPC: chi_ipc = chi_ipc {
    size: size_of::<chi_ipc>() as u32,
    reserved: 0,
    new_task,
    del_task,
    enqueue,
    try_enqueue,
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

unsafe extern "C" fn enqueue_batch(
    ipc: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    submitted: *mut u64,
) -> chi_status {
    for index in 0..count {
        // SAFETY: by the contract.
        let status = unsafe { enqueue(ipc, *tasks.add(index as usize)) };
        // SAFETY: by the contract.
        unsafe { *submitted = index + u64::from(status == CHI_OK) };
        if status != CHI_OK {
            return status;
        }
    }
    CHI_OK
}

unsafe extern "C" fn wait_all(
    ipc: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
) -> chi_status {
    // SAFETY: by the contract.
    let wait = |index| unsafe { wait(ipc, *tasks.add(index as usize), timeout_ns) };
    (0..count).map(wait).find(|status| *status != CHI_OK).unwrap_or(CHI_OK)
}

/// A task runs only when somebody waits for it, and then to its end: there is nothing to cancel.
unsafe extern "C" fn cancel(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    assert!(state(|state| state.tasks.contains_key(&(task as usize))), "a task");
    CHI_OK
}

unsafe extern "C" fn sleep(_: *const chi_ipc, duration_ns: u64) -> chi_status {
    std::thread::sleep(std::time::Duration::from_nanos(duration_ns));
    CHI_OK
}

unsafe extern "C" fn yield_now(_: *const chi_ipc) -> chi_status {
    std::thread::yield_now();
    CHI_OK
}

fn fail(status: chi_status, message: &str) -> chi_status {
    LAST_ERROR.with(|last| *last.borrow_mut() = CString::new(message).unwrap());
    status
}

fn state_word(task: *mut chi_task) -> &'static AtomicU32 {
    // SAFETY: the stand's tasks stay until they are deleted, and tests do not ask later.
    unsafe { AtomicU32::from_ptr(&raw mut (*task).state_) }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 64).unwrap()
}

/// Memory that the stand keeps the books of.
fn take(size: usize) -> usize {
    // SAFETY: the layout has a size.
    let address = unsafe { alloc_zeroed(layout(size)) };
    assert!(!address.is_null());
    address as usize
}

fn give_back(address: usize, size: usize) {
    // SAFETY: from `take` of this size, and out of the books.
    unsafe {
        // Whoever still reads it shall notice.
        (address as *mut u8).write_bytes(0xdd, size);
        dealloc(address as *mut u8, layout(size));
    }
}

fn run(task: *mut chi_task) {
    let runner = state(|state| state.runner).expect("a runner");
    let (status, message) = runner(task);
    // SAFETY: the task is there, and in flight, hence ours.
    unsafe { (*task).status_ = status };
    state(|state| state.tasks.get_mut(&(task as usize)).unwrap().message = message);
    state_word(task).store(CHI_TASK_COMPLETE, Ordering::Release);
    if state(|state| state.tasks[&(task as usize)].deleted) {
        remove(task);
    }
}

fn remove(task: *mut chi_task) {
    let record = state(|state| state.tasks.remove(&(task as usize))).expect("a task, once");
    for (address, size) in record.blocks {
        give_back(address, size);
    }
    give_back(task as usize, record.size);
}

unsafe extern "C" fn new_task(_: *const chi_ipc, size: u32, task: *mut *mut chi_task) -> i32 {
    if state(|state| state.unavailable) {
        return fail(CHI_UNAVAILABLE, "the runtime has ended");
    }
    let address = take(size as usize);
    let record = TaskRecord {
        size: size as usize,
        blocks: Vec::new(),
        message: String::new(),
        deleted: false,
    };
    state(|state| state.tasks.insert(address, record));
    // SAFETY: the caller gave a place for the address.
    unsafe { *task = address as *mut chi_task };
    CHI_OK
}

unsafe extern "C" fn del_task(_: *const chi_ipc, task: *mut chi_task) {
    if state_word(task).load(Ordering::Acquire) == CHI_TASK_IN_FLIGHT {
        state(|state| state.tasks.get_mut(&(task as usize)).expect("a task").deleted = true);
    } else {
        remove(task);
    }
}

unsafe extern "C" fn enqueue(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    if state_word(task).load(Ordering::Acquire) == CHI_TASK_IN_FLIGHT {
        return fail(CHI_BUSY, "the task is in flight");
    }
    if state(|state| state.ring_full) {
        return fail(CHI_RING_FULL, "the ring is full");
    }
    state_word(task).store(CHI_TASK_IN_FLIGHT, Ordering::Release);
    if !state(|state| state.hold) {
        run(task);
    }
    CHI_OK
}

unsafe extern "C" fn try_enqueue(ipc: *const chi_ipc, task: *mut chi_task) -> chi_status {
    // SAFETY: the same contract.
    unsafe { enqueue(ipc, task) }
}

unsafe extern "C" fn wait(_: *const chi_ipc, task: *mut chi_task, timeout_ns: u64) -> chi_status {
    match state_word(task).load(Ordering::Acquire) {
        CHI_TASK_COMPLETE => CHI_OK,
        CHI_TASK_IN_FLIGHT if timeout_ns != CHI_WAIT_FOREVER => fail(CHI_TIMEOUT, "time is over"),
        CHI_TASK_IN_FLIGHT => panic!("this wait would never end"),
        _ => fail(CHI_INVALID, "the task was never submitted"),
    }
}

unsafe extern "C" fn task_message(
    _: *const chi_ipc,
    task: *const chi_task,
    len: *mut u64,
) -> *const c_char {
    state(|state| {
        let message = &state.tasks[&(task as usize)].message;
        // SAFETY: the caller gave a place for the length.
        unsafe { *len = message.len() as u64 };
        message.as_ptr().cast()
    })
}

unsafe extern "C" fn alloc(
    _: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    let mut made = chi_buffer { shm_: CHI_SHM_NULL, data_: std::ptr::null_mut(), size_: size };
    if size > 0 {
        let size = size as usize;
        let address = take(size);
        made.shm_ = address as u64;
        made.data_ = address as *mut c_void;
        state(|state| {
            if owner.is_null() {
                state.buffers.insert(address, size);
            } else {
                let owner = state.tasks.get_mut(&(owner as usize)).expect("an owner is a task");
                owner.blocks.push((address, size));
            }
        });
    }
    // SAFETY: the caller gave a place for the buffer.
    unsafe { *buffer = made };
    CHI_OK
}

unsafe extern "C" fn alloc_elements(
    ipc: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    assert!(!owner.is_null());
    state(|state| state.element_blocks += 1);
    // SAFETY: the same contract.
    unsafe { alloc(ipc, owner, size, buffer) }
}

unsafe extern "C" fn free(_: *const chi_ipc, buffer: *const chi_buffer) {
    // SAFETY: the caller gave a buffer.
    let buffer = unsafe { *buffer };
    if buffer.size_ > 0 {
        let address = buffer.data_ as usize;
        let size = state(|state| state.buffers.remove(&address)).expect("a buffer, once");
        give_back(address, size);
    }
}

unsafe extern "C" fn resolve(_: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void {
    shm as *mut c_void
}

unsafe extern "C" fn make_task_node(_: *const chi_ipc, node: *mut chi_task_node) {
    // SAFETY: the caller gave a place for the node.
    unsafe { *node = chi_task_node::default() }
}

unsafe extern "C" fn create_pool(
    _: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    _params: *const c_void,
    params_len: u64,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the caller gave strings.
    let (module, name) = unsafe { (CStr::from_ptr(module), CStr::from_ptr(name)) };
    if module != c"test:module" {
        return fail(CHI_NO_MODULE, "no such module");
    }
    // SAFETY: the caller gave a place for the id.
    unsafe {
        *id = chi_pool_id { major_: name.to_bytes().len() as u32, minor_: params_len as u32 };
    }
    CHI_OK
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
    // SAFETY: the caller gave options, and the rest.
    unsafe {
        if (*options).containers > CHI_MAX_CONTAINERS {
            return fail(CHI_INVALID, "too many containers");
        }
        let status = create_pool(ipc, module, name, params, params_len, id);
        (*id).minor_ = (*options).containers;
        status
    }
}

unsafe extern "C" fn find_pool(
    _: *const chi_ipc,
    name: *const c_char,
    _id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the caller gave a string.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap();
    fail(CHI_NO_POOL, &format!("no pool \"{name}\""))
}

unsafe extern "C" fn destroy_pool(_: *const chi_ipc, id: *const chi_pool_id) -> chi_status {
    // SAFETY: the caller gave an id.
    match unsafe { *id }.major_ {
        CHI_ADMIN_POOL_MAJOR => fail(CHI_DENIED, "the admin pool stays"),
        _ => CHI_OK,
    }
}

unsafe extern "C" fn last_error(_: *const chi_ipc) -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}
