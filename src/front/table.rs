//! The functions of the table `chi_ipc`.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::{admin, copy};

use crate::arguments::{array, bytes, non_null, string, task_size, tasks};
use crate::{pool, Backend, Block, Failure, Result, Waited};

/// Makes the table of a back end, for a static.
pub const fn table<B: Backend>() -> chi_ipc {
    chi_ipc {
        size: size_of::<chi_ipc>() as u32,
        reserved: 0,
        new_task: new_task::<B>,
        del_task: del_task::<B>,
        enqueue: enqueue::<B>,
        try_enqueue: try_enqueue::<B>,
        wait: wait::<B>,
        task_message: task_message::<B>,
        alloc: alloc::<B>,
        free: free::<B>,
        resolve: resolve::<B>,
        make_task_node: make_task_node::<B>,
        create_pool: create_pool::<B>,
        find_pool: find_pool::<B>,
        destroy_pool: destroy_pool::<B>,
        last_error: last_error::<B>,
        alloc_elements: alloc_elements::<B>,
        create_pool_with: create_pool_with::<B>,
        enqueue_batch: enqueue_batch::<B>,
        wait_all: wait_all::<B>,
        cancel: cancel::<B>,
        sleep: sleep::<B>,
        yield_now: yield_now::<B>,
        wait_any: wait_any::<B>,
        completions_new: completions_new::<B>,
        completions_del: completions_del::<B>,
        completions_descriptor: completions_descriptor::<B>,
        completions_add: completions_add::<B>,
        completions_remove: completions_remove::<B>,
        completions_next: completions_next::<B>,
    }
}

struct Table<B>(std::marker::PhantomData<B>);

impl<B: Backend> Table<B> {
    /// For calls that the front makes through the table itself.
    const OWN: &'static chi_ipc = &table::<B>();
}

/// The status of a call; stores the message of a failure.
#[inline]
fn answer<B: Backend>(result: Result<()>) -> chi_status {
    match result {
        Ok(()) => CHI_OK,
        Err(failure) => fail::<B>(failure),
    }
}

#[cold]
fn fail<B: Backend>(failure: Failure) -> chi_status {
    B::keep_error(&failure.message);
    failure.status
}

unsafe extern "C" fn new_task<B: Backend>(
    _: *const chi_ipc,
    size: u32,
    task: *mut *mut chi_task,
) -> chi_status {
    answer::<B>((|| {
        let out = non_null(task, "task")?;
        let made = B::new_task(task_size(size)?)?;
        // SAFETY: the caller guarantees that the pointer is valid for writing the task.
        unsafe { out.write(made.as_ptr()) };
        Ok(())
    })())
}

unsafe extern "C" fn del_task<B: Backend>(_: *const chi_ipc, task: *mut chi_task) {
    let Some(task) = NonNull::new(task) else { return };
    // SAFETY: the caller guarantees that the task is valid.
    answer::<B>(unsafe { B::del_task(task) });
}

unsafe extern "C" fn enqueue<B: Backend>(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    // SAFETY: the caller guarantees that the task is valid.
    answer::<B>(non_null(task, "task").and_then(|task| unsafe { B::enqueue(task) }))
}

unsafe extern "C" fn try_enqueue<B: Backend>(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    // SAFETY: the caller guarantees that the task is valid.
    answer::<B>(non_null(task, "task").and_then(|task| unsafe { B::try_enqueue(task) }))
}

unsafe extern "C" fn enqueue_batch<B: Backend>(
    _: *const chi_ipc,
    tasks_: *const *mut chi_task,
    count: u64,
    submitted: *mut u64,
) -> chi_status {
    let mut done = 0;
    // SAFETY: the caller guarantees that the array is valid.
    let result = unsafe { array(tasks_, count, "tasks") }.and_then(|all| {
        let (tasks, rest) = tasks(all);
        // SAFETY: the caller guarantees that the tasks are valid.
        unsafe { B::enqueue_batch(tasks, &mut done) }.and(rest)
    });
    if let Some(submitted) = NonNull::new(submitted) {
        // SAFETY: the caller guarantees that the pointer is valid for writing the number.
        unsafe { submitted.write(done as u64) };
    }
    answer::<B>(result)
}

unsafe extern "C" fn wait<B: Backend>(
    _: *const chi_ipc,
    task: *mut chi_task,
    timeout_ns: u64,
) -> chi_status {
    answer::<B>(non_null(task, "task").and_then(|task| {
        // SAFETY: the caller guarantees that the task is valid.
        match unsafe { B::wait(task, timeout_ns)? } {
            Waited::Complete => {
                // SAFETY: a complete task belongs to the caller.
                unsafe { keep_message::<B>(task) };
                Ok(())
            }
            Waited::TimedOut => Err(Failure::not_complete(timeout_ns)),
        }
    }))
}

/// Stores the message of a failed task as the last error, for `chi_wait`, which returns the task's
/// status.
///
/// # Safety
/// The task must be complete, and the caller's.
unsafe fn keep_message<B: Backend>(task: NonNull<chi_task>) {
    // SAFETY: by the caller's promise.
    unsafe {
        let status = (*task.as_ptr()).status_;
        if status != CHI_OK {
            let text = B::task_message(task).unwrap_or(NonNull::from(&[]));
            let bytes = copy::vec_from_shared(text.as_ptr().cast::<u8>(), text.len());
            B::keep_error(&String::from_utf8_lossy(&bytes));
        }
    }
}

unsafe extern "C" fn wait_all<B: Backend>(
    _: *const chi_ipc,
    tasks_: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
) -> chi_status {
    let begin = Instant::now();
    let rest_of_time = || match timeout_ns {
        CHI_WAIT_FOREVER => CHI_WAIT_FOREVER,
        bound => bound.saturating_sub(begin.elapsed().as_nanos() as u64),
    };
    // SAFETY: the caller guarantees that the array is valid.
    answer::<B>(unsafe { array(tasks_, count, "tasks") }.and_then(|all| {
        let (tasks, rest) = tasks(all);
        for &task in tasks {
            // SAFETY: the caller guarantees that the task is valid.
            if unsafe { B::wait(task, rest_of_time())? } == Waited::TimedOut {
                return Err(Failure::not_complete(timeout_ns));
            }
        }
        rest
    }))
}

unsafe extern "C" fn wait_any<B: Backend>(
    _: *const chi_ipc,
    tasks_: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
    index: *mut u64,
) -> chi_status {
    answer::<B>((|| {
        let index = non_null(index, "index")?;
        // SAFETY: the caller guarantees that the array is valid.
        let (tasks, rest) = tasks(unsafe { array(tasks_, count, "tasks")? });
        rest?;
        if tasks.is_empty() {
            return Err(Failure::new(CHI_INVALID, "count must not be 0"));
        }
        // SAFETY: the caller guarantees that the tasks are valid.
        let found = unsafe { B::wait_any(tasks, timeout_ns)? };
        let found = found.ok_or_else(|| Failure::not_complete(timeout_ns))?;
        // SAFETY: the caller guarantees that the pointer is valid for writing; a complete task is the caller's.
        unsafe {
            index.write(found as u64);
            keep_message::<B>(tasks[found]);
        }
        Ok(())
    })())
}

unsafe extern "C" fn completions_new<B: Backend>(
    _: *const chi_ipc,
    capacity: u32,
    queue: *mut *mut chi_completions,
) -> chi_status {
    answer::<B>((|| {
        let out = non_null(queue, "queue")?;
        let most = 1 << CHI_COMPLETIONS_PLACE_BITS;
        if !(1..=most).contains(&capacity) {
            let why = format!("capacity must be from 1 to {most}, and not {capacity}");
            return Err(Failure::new(CHI_INVALID, why));
        }
        let made = B::completions_new(capacity)?;
        // SAFETY: the caller guarantees that the pointer is valid for writing.
        unsafe { out.write(made.as_ptr()) };
        Ok(())
    })())
}

unsafe extern "C" fn completions_del<B: Backend>(_: *const chi_ipc, queue: *mut chi_completions) {
    if let Some(queue) = NonNull::new(queue) {
        // SAFETY: the caller guarantees that the queue is valid, and that nothing uses it.
        unsafe { B::completions_del(queue) };
    }
}

unsafe extern "C" fn completions_descriptor<B: Backend>(
    _: *const chi_ipc,
    queue: *const chi_completions,
) -> i32 {
    // SAFETY: the caller guarantees that the queue is valid.
    NonNull::new(queue.cast_mut()).map_or(-1, |queue| unsafe { B::completions_descriptor(queue) })
}

unsafe extern "C" fn completions_add<B: Backend>(
    _: *const chi_ipc,
    queue: *mut chi_completions,
    task: *mut chi_task,
    argument: *mut c_void,
) -> chi_status {
    answer::<B>((|| {
        let (queue, task) = (non_null(queue, "queue")?, non_null(task, "task")?);
        // SAFETY: the caller guarantees that queue and task are valid.
        unsafe { B::completions_add(queue, task, argument) }
    })())
}

unsafe extern "C" fn completions_remove<B: Backend>(
    _: *const chi_ipc,
    queue: *mut chi_completions,
    task: *mut chi_task,
) -> chi_status {
    answer::<B>((|| {
        let (queue, task) = (non_null(queue, "queue")?, non_null(task, "task")?);
        // SAFETY: the caller guarantees that queue and task are valid.
        unsafe { B::completions_remove(queue, task) }
    })())
}

unsafe extern "C" fn completions_next<B: Backend>(
    _: *const chi_ipc,
    queue: *mut chi_completions,
    done: *mut chi_completed,
    most: u32,
    count: *mut u32,
    timeout_ns: u64,
) -> chi_status {
    answer::<B>((|| {
        let (queue, done) = (non_null(queue, "queue")?, non_null(done, "done")?);
        let count = non_null(count, "count")?;
        if most == 0 {
            return Err(Failure::new(CHI_INVALID, "most must not be 0"));
        }
        // SAFETY: the caller guarantees that the pointers are valid for writing that many.
        unsafe {
            count.write(0);
            let places = std::slice::from_raw_parts_mut(done.as_ptr().cast(), most as usize);
            count.write(B::completions_next(queue, places, timeout_ns)? as u32);
        }
        Ok(())
    })())
}

unsafe extern "C" fn cancel<B: Backend>(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    // SAFETY: the caller guarantees that the task is valid.
    answer::<B>(non_null(task, "task").and_then(|task| unsafe { B::cancel(task) }))
}

unsafe extern "C" fn task_message<B: Backend>(
    _: *const chi_ipc,
    task: *const chi_task,
    len: *mut u64,
) -> *const c_char {
    let none = NonNull::from(&[]);
    let found = (|| {
        let (task, len) = (non_null(task.cast_mut(), "task")?, non_null(len, "len")?);
        // SAFETY: the caller guarantees that the task is valid.
        let text = unsafe { B::task_message(task) }.unwrap_or(none);
        // SAFETY: the caller guarantees that the pointer is valid for writing the length.
        unsafe { len.write(text.len() as u64) };
        Ok(text)
    })();
    let text = found.unwrap_or_else(|failure| {
        fail::<B>(failure);
        if let Some(len) = NonNull::new(len) {
            // SAFETY: the caller guarantees that the pointer is valid for writing the length.
            unsafe { len.write(0) };
        }
        none
    });
    text.as_ptr().cast_const().cast()
}

/// # Safety
/// As `chi_ipc.alloc`.
unsafe fn allocate<B: Backend>(
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
    block: Block,
) -> chi_status {
    answer::<B>((|| {
        let out = non_null(buffer, "buffer")?;
        let made = match size {
            0 => chi_buffer { shm_: CHI_SHM_NULL, data_: std::ptr::null_mut(), size_: 0 },
            // SAFETY: the caller guarantees that the owner is null or a valid task.
            size => unsafe { B::alloc(NonNull::new(owner), size, block)? },
        };
        // SAFETY: the caller guarantees that the pointer is valid for writing the buffer.
        unsafe { out.write(made) };
        Ok(())
    })())
}

unsafe extern "C" fn alloc<B: Backend>(
    _: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    // SAFETY: guaranteed by the caller.
    unsafe { allocate::<B>(owner, size, buffer, Block::Bytes) }
}

unsafe extern "C" fn alloc_elements<B: Backend>(
    _: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    // SAFETY: guaranteed by the caller.
    unsafe { allocate::<B>(owner, size, buffer, Block::Elements) }
}

unsafe extern "C" fn free<B: Backend>(_: *const chi_ipc, buffer: *const chi_buffer) {
    if buffer.is_null() {
        return;
    }
    // SAFETY: the caller guarantees that the buffer is valid.
    let buffer = unsafe { buffer.read() };
    if !buffer.data_.is_null() {
        // SAFETY: as above.
        answer::<B>(unsafe { B::free(buffer) });
    }
}

unsafe extern "C" fn resolve<B: Backend>(_: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void {
    match shm {
        CHI_SHM_NULL => std::ptr::null_mut(),
        shm => B::resolve(shm),
    }
}

unsafe extern "C" fn make_task_node<B: Backend>(_: *const chi_ipc, node: *mut chi_task_node) {
    answer::<B>(non_null(node, "node").map(|node| {
        // SAFETY: the caller guarantees that the pointer is valid for writing the node.
        unsafe { node.write(B::make_task_node()) }
    }));
}

unsafe extern "C" fn sleep<B: Backend>(_: *const chi_ipc, duration_ns: u64) -> chi_status {
    answer::<B>(B::sleep(Duration::from_nanos(duration_ns)))
}

unsafe extern "C" fn yield_now<B: Backend>(_: *const chi_ipc) -> chi_status {
    answer::<B>(B::yield_now())
}

unsafe extern "C" fn create_pool<B: Backend>(
    ipc: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    id: *mut chi_pool_id,
) -> chi_status {
    let one = chi_pool_options { size: size_of::<chi_pool_options>() as u32, containers: 1 };
    // SAFETY: guaranteed by the caller.
    unsafe { create_pool_with::<B>(ipc, module, name, params, params_len, &one, id) }
}

unsafe extern "C" fn create_pool_with<B: Backend>(
    _: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    options: *const chi_pool_options,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the caller guarantees that the strings, parameters, options and `id` are valid.
    answer::<B>((|| unsafe {
        let module = pool::check_module(string(module, "module")?)?;
        let name = pool::check_name(string(name, "name")?)?;
        let params = bytes(params, params_len, "params")?;
        let options = non_null(options.cast_mut(), "options")?;
        let containers = pool::check_containers(admin::containers(options.as_ptr())?)?;
        let id = non_null(id, "id")?;
        id.write(B::create_pool(Table::<B>::OWN, module, name, params, containers)?);
        Ok(())
    })())
}

unsafe extern "C" fn find_pool<B: Backend>(
    _: *const chi_ipc,
    name: *const c_char,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the caller guarantees that the string and `id` are valid.
    answer::<B>((|| unsafe {
        let name = pool::check_name(string(name, "name")?)?;
        let id = non_null(id, "id")?;
        id.write(B::find_pool(Table::<B>::OWN, name)?);
        Ok(())
    })())
}

unsafe extern "C" fn destroy_pool<B: Backend>(
    _: *const chi_ipc,
    id: *const chi_pool_id,
) -> chi_status {
    // SAFETY: the caller guarantees that the id is valid.
    answer::<B>((|| unsafe {
        let id = non_null(id.cast_mut(), "id")?.read();
        B::destroy_pool(Table::<B>::OWN, id)
    })())
}

unsafe extern "C" fn last_error<B: Backend>(_: *const chi_ipc) -> *const c_char {
    B::last_error()
}
