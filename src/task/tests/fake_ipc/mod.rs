//! A back end of the contract in the process's own memory, for tests of the SDK without a runtime.
//! Submitting a task runs it as a function call.
#![allow(dead_code)]

pub(crate) mod archive;

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chimaera::abi::*;
use chimaera_front::{pool, Backend, Block, Failure, Result, Waited};

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
    paused: bool,
    /// Tasks of this method stay in flight until they are cancelled.
    endless: Option<u32>,
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

fn state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    f(state.get_or_insert_with(State::default))
}

/// A test's exclusive use of the back end. Dropping it checks that everything has been freed.
pub(crate) struct FakeIpc(#[allow(unused)] MutexGuard<'static, ()>);

impl FakeIpc {
    pub(crate) fn new(runner: Runner) -> Self {
        let turn = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
        state(|state| *state = State { runner: Some(runner), ..State::default() });
        // SAFETY: the table is a static.
        unsafe { chimaera::set_resolver(|| &IPC) };
        FakeIpc(turn)
    }

    pub(crate) fn pause(&self, paused: bool) {
        state(|state| state.paused = paused);
    }

    /// Makes the tasks of a method stay in flight until they are cancelled.
    pub(crate) fn set_endless(&self, method: u32) {
        state(|state| state.endless = Some(method));
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
            let task = NonNull::new(task as *mut chi_task).expect("a task has an address");
            if in_flight(task) {
                run(task);
            }
        }
    }

    /// How many blocks were allocated for elements with strings or vectors inside.
    pub(crate) fn element_blocks(&self) -> usize {
        state(|state| state.element_blocks)
    }

    /// The number of tasks and buffers that exist.
    pub(crate) fn alive(&self) -> (usize, usize) {
        state(|state| (state.tasks.len(), state.buffers.len()))
    }
}

impl Drop for FakeIpc {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.alive(), (0, 0), "tasks and buffers are left");
        }
    }
}

pub(crate) static IPC: chi_ipc = chimaera_front::table::<Fake>();

struct Fake;

impl Backend for Fake {
    fn new_task(size: u32) -> Result<NonNull<chi_task>> {
        if state(|state| state.unavailable) {
            return Err(Failure::new(CHI_UNAVAILABLE, "the runtime has ended"));
        }
        let task: NonNull<chi_task> = take(size as usize).cast();
        let record = TaskRecord {
            size: size as usize,
            blocks: Vec::new(),
            message: String::new(),
            deleted: false,
        };
        state(|state| state.tasks.insert(task.as_ptr() as usize, record));
        Ok(task)
    }

    unsafe fn del_task(task: NonNull<chi_task>) -> Result<()> {
        if in_flight(task) {
            record(task, |record| record.deleted = true);
        } else {
            remove(task);
        }
        Ok(())
    }

    unsafe fn enqueue(task: NonNull<chi_task>) -> Result<()> {
        if in_flight(task) {
            return Err(Failure::in_flight());
        }
        if state(|state| state.ring_full) {
            return Err(Failure::new(CHI_RING_FULL, "the ring is full"));
        }
        state_word(task).store(CHI_TASK_IN_FLIGHT, Ordering::Release);
        // SAFETY: the caller's task.
        let method = unsafe { task.as_ref() }.method_;
        if !state(|state| state.paused || state.endless == Some(method)) {
            run(task);
        }
        Ok(())
    }

    unsafe fn wait(task: NonNull<chi_task>, timeout_ns: u64) -> Result<Waited> {
        match state_word(task).load(Ordering::Acquire) {
            CHI_TASK_COMPLETE => Ok(Waited::Complete),
            CHI_TASK_IN_FLIGHT if timeout_ns != CHI_WAIT_FOREVER => Ok(Waited::TimedOut),
            CHI_TASK_IN_FLIGHT => panic!("this wait would never end"),
            _ => Err(Failure::never_submitted()),
        }
    }

    /// A held task runs to completion when it is waited for, so only an endless one can be
    /// cancelled.
    unsafe fn cancel(task: NonNull<chi_task>) -> Result<()> {
        // SAFETY: the caller's task.
        let method = unsafe { task.as_ref() }.method_;
        if in_flight(task) && state(|state| state.endless == Some(method)) {
            complete(task, CHI_CANCELLED, "cancelled".to_owned());
        }
        Ok(())
    }

    unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller's task.
        let failed = unsafe { task.as_ref() }.status_ != CHI_OK;
        failed.then(|| record(task, |record| NonNull::from(record.message.as_bytes())))
    }

    unsafe fn alloc(
        owner: Option<NonNull<chi_task>>,
        size: u64,
        block: Block,
    ) -> Result<chi_buffer> {
        let bytes = size as usize;
        let address = take(bytes);
        state(|state| state.element_blocks += usize::from(block == Block::Elements));
        match owner {
            Some(owner) => {
                record(owner, |record| record.blocks.push((address.as_ptr() as usize, bytes)))
            }
            None => {
                state(|state| state.buffers.insert(address.as_ptr() as usize, bytes));
            }
        }
        let data_: *mut c_void = address.as_ptr().cast();
        Ok(chi_buffer { shm_: data_ as u64, data_, size_: size })
    }

    unsafe fn free(buffer: chi_buffer) -> Result<()> {
        let address = buffer.data_ as usize;
        let size = state(|state| state.buffers.remove(&address)).expect("a buffer, once");
        give_back(address, size);
        Ok(())
    }

    fn resolve(shm: chi_shm_ptr) -> *mut c_void {
        shm as *mut c_void
    }

    fn make_task_node() -> chi_task_node {
        chi_task_node::default()
    }

    fn sleep(duration: Duration) -> Result<()> {
        std::thread::sleep(duration);
        Ok(())
    }

    fn yield_now() -> Result<()> {
        std::thread::yield_now();
        Ok(())
    }

    unsafe fn create_pool(
        _: *const chi_ipc,
        module: &str,
        name: &str,
        params: &[u8],
        containers: u32,
    ) -> Result<chi_pool_id> {
        if module != "test:module" {
            return Err(Failure::new(CHI_NO_MODULE, format!("there is no module '{module}'")));
        }
        let minor_ = params.len() as u32 + containers;
        Ok(chi_pool_id { major_: name.len() as u32, minor_ })
    }

    unsafe fn find_pool(_: *const chi_ipc, name: &str) -> Result<chi_pool_id> {
        Err(pool::not_found(name))
    }

    unsafe fn destroy_pool(_: *const chi_ipc, id: chi_pool_id) -> Result<()> {
        match id.major_ {
            CHI_ADMIN_POOL_MAJOR => Err(pool::is_admin()),
            _ => Ok(()),
        }
    }
}

fn state_word(task: NonNull<chi_task>) -> &'static AtomicU32 {
    // SAFETY: tasks are valid until they are deleted, and tests do not use the result after that.
    unsafe { AtomicU32::from_ptr(&raw mut (*task.as_ptr()).state_) }
}

fn in_flight(task: NonNull<chi_task>) -> bool {
    state_word(task).load(Ordering::Acquire) == CHI_TASK_IN_FLIGHT
}

/// The record of a task. Fails the test for any other address.
fn record<R>(task: NonNull<chi_task>, f: impl FnOnce(&mut TaskRecord) -> R) -> R {
    state(|state| f(state.tasks.get_mut(&(task.as_ptr() as usize)).expect("a task")))
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 64).unwrap()
}

/// Allocates at least one byte; the caller records the block.
fn take(size: usize) -> NonNull<u8> {
    // SAFETY: the layout's size is not 0.
    NonNull::new(unsafe { alloc_zeroed(layout(size)) }).expect("there is memory")
}

fn give_back(address: usize, size: usize) {
    // SAFETY: from `take` with this size, and no longer recorded.
    unsafe {
        // So that a test notices a use after free.
        (address as *mut u8).write_bytes(0xdd, size);
        dealloc(address as *mut u8, layout(size));
    }
}

fn run(task: NonNull<chi_task>) {
    let runner = state(|state| state.runner).expect("a runner");
    let (status, message) = runner(task.as_ptr());
    complete(task, status, message);
}

fn complete(task: NonNull<chi_task>, status: chi_status, message: String) {
    // SAFETY: the task is valid and in flight, so it belongs to the back end.
    unsafe { (*task.as_ptr()).status_ = status };
    let deleted = record(task, |record| {
        record.message = message;
        record.deleted
    });
    state_word(task).store(CHI_TASK_COMPLETE, Ordering::Release);
    if deleted {
        remove(task);
    }
}

fn remove(task: NonNull<chi_task>) {
    let address = task.as_ptr() as usize;
    let record = state(|state| state.tasks.remove(&address)).expect("a task, once");
    for (block, size) in record.blocks {
        give_back(block, size);
    }
    give_back(address, record.size);
}
