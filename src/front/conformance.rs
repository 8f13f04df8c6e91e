//! The conformance suite: the results that every back end of `chi_ipc` must return, for valid and
//! invalid calls.
//!
//! [`check`] runs against a table and panics at the first result that differs, in status or in
//! message. It covers what the contract defines for all back ends. Each back end itself tests what
//! is specific to it: pointers that the table never returned, a full ring, a runtime that has
//! stopped.

use std::ffi::{c_char, CStr, CString};
use std::ptr::{null, null_mut};

use chimaera_abi::*;

/// The table to test, and a pool to call.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The table.
    pub ipc: *const chi_ipc,
    /// A pool with the methods below.
    pub pool: chi_pool_id,
    /// A method whose task, a `chi_task` alone, succeeds at once.
    pub quick: u32,
    /// A method whose task fails at once with `CHI_FAILED` and the message `"told to fail"`.
    pub failing: u32,
    /// A method whose task is in flight until it is cancelled, and then ends with `CHI_CANCELLED`.
    pub endless: u32,
}

const TASK: u32 = size_of::<chi_task>() as u32;
const SECOND: u64 = 1_000_000_000;

/// Runs the whole suite.
///
/// # Safety
/// The table must be valid and may be used on this thread; the pool must exist.
pub unsafe fn check(subject: Subject) {
    new_tasks(subject);
    null_tasks(subject);
    submission(subject);
    waiting(subject);
    cancellation(subject);
    batches(subject);
    messages(subject);
    blocks(subject);
    nodes(subject);
    creation_of_pools(subject);
    other_pools(subject);
    last_errors(subject);
}

/// Calls a function of the subject's table.
macro_rules! call {
    ($subject:expr, $function:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: the caller of `check` guarantees that the table is valid; the table must detect
        // the invalid arguments of a test before it dereferences a pointer.
        unsafe { ((*$subject.ipc).$function)($subject.ipc $(, $argument)*) }
    };
}

impl Subject {
    fn last_error(&self) -> String {
        let text = call!(self, last_error);
        // SAFETY: the message is a C string until the next call.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// Fails unless a call returned this status and set this message.
    #[track_caller]
    fn expect(&self, answer: chi_status, status: chi_status, message: &str) {
        assert_eq!((answer, self.last_error().as_str()), (status, message));
    }

    #[track_caller]
    fn expect_null(&self, answer: chi_status, argument: &str) {
        self.expect(answer, CHI_INVALID, &format!("the argument '{argument}' is null"));
    }

    #[track_caller]
    fn expect_ok(&self, answer: chi_status) {
        assert_eq!(answer, CHI_OK, "{}", self.last_error());
    }

    fn task(&self, method: u32) -> *mut chi_task {
        let mut task = null_mut();
        self.expect_ok(call!(self, new_task, TASK, &mut task));
        // SAFETY: a new task belongs to the caller.
        unsafe {
            (*task).pool_ = self.pool;
            (*task).method_ = method;
        }
        task
    }

    fn submitted(&self, method: u32) -> *mut chi_task {
        let task = self.task(method);
        self.expect_ok(call!(self, enqueue, task));
        task
    }

    /// Waits for a task, expects its status, and deletes it.
    #[track_caller]
    fn end(&self, task: *mut chi_task, status: chi_status) {
        self.expect_ok(call!(self, wait, task, 60 * SECOND));
        // SAFETY: a complete task belongs to the caller.
        assert_eq!(unsafe { (*task).status_ }, status);
        call!(self, del_task, task);
    }

    fn message(&self, task: *const chi_task) -> String {
        let mut len = u64::MAX;
        let text = call!(self, task_message, task, &mut len);
        // SAFETY: the table says how many bytes there are.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len as usize) };
        String::from_utf8(bytes.to_vec()).expect("messages are UTF-8")
    }
}

fn new_tasks(on: Subject) {
    let mut task = null_mut();
    for size in [0, 1, TASK - 1, CHI_MAX_TASK_SIZE + 1, u32::MAX] {
        let why = format!("a task has 64 to 16384 bytes, not {size}");
        on.expect(call!(on, new_task, size, &mut task), CHI_INVALID, &why);
        assert!(task.is_null());
    }
    on.expect_null(call!(on, new_task, TASK, null_mut()), "task");
    for size in [TASK, TASK + 1, CHI_MAX_TASK_SIZE] {
        on.expect_ok(call!(on, new_task, size, &mut task));
        assert_eq!(task as usize % CHI_TASK_ALIGN as usize, 0);
        let node = std::mem::offset_of!(chi_task, task_node_);
        let behind = node + size_of::<chi_task_node>();
        for at in (0..node).chain(behind..size as usize) {
            // SAFETY: the task has `size` bytes.
            assert_eq!(unsafe { task.cast::<u8>().add(at).read() }, 0, "byte {at} of {size}");
        }
        call!(on, del_task, task);
    }
}

fn null_tasks(on: Subject) {
    on.expect_null(call!(on, enqueue, null_mut()), "task");
    on.expect_null(call!(on, try_enqueue, null_mut()), "task");
    on.expect_null(call!(on, wait, null_mut(), 0), "task");
    on.expect_null(call!(on, cancel, null_mut()), "task");
    call!(on, del_task, null_mut());

    let mut len = 1;
    call!(on, task_message, null(), &mut len);
    on.expect_null(CHI_INVALID, "task");
    assert_eq!(len, 0);
    let task = on.task(on.quick);
    assert!(!call!(on, task_message, task, null_mut()).is_null());
    on.expect_null(CHI_INVALID, "len");
    call!(on, del_task, task);
}

fn submission(on: Subject) {
    for _ in 0..3 {
        on.end(on.submitted(on.quick), CHI_OK);
    }
    let task = on.task(on.quick);
    on.expect_ok(call!(on, try_enqueue, task));
    on.expect_ok(call!(on, wait, task, CHI_WAIT_FOREVER));
    on.expect_ok(call!(on, enqueue, task));
    on.end(task, CHI_OK);

    let task = on.submitted(on.endless);
    let why = "the task is in flight; wait for it first";
    on.expect(call!(on, enqueue, task), CHI_BUSY, why);
    on.expect(call!(on, try_enqueue, task), CHI_BUSY, why);
    on.expect_ok(call!(on, cancel, task));
    on.end(task, CHI_CANCELLED);
}

fn waiting(on: Subject) {
    let task = on.task(on.quick);
    for timeout in [0, 1, CHI_WAIT_FOREVER] {
        let why = "cannot wait: the task was never submitted";
        on.expect(call!(on, wait, task, timeout), CHI_INVALID, why);
    }
    on.expect_ok(call!(on, enqueue, task));
    for timeout in [CHI_WAIT_FOREVER, CHI_WAIT_FOREVER, 0] {
        on.expect_ok(call!(on, wait, task, timeout));
    }
    call!(on, del_task, task);

    let task = on.submitted(on.endless);
    let why = "the task is not complete yet; it continues";
    on.expect(call!(on, wait, task, 0), CHI_TIMEOUT, why);
    let why = "the task is not complete after 2ms; it continues";
    on.expect(call!(on, wait, task, 2_000_000), CHI_TIMEOUT, why);
    on.expect_ok(call!(on, cancel, task));
    on.end(task, CHI_CANCELLED);

    on.expect_ok(call!(on, sleep, 0));
    on.expect_ok(call!(on, sleep, 1_000));
    on.expect_ok(call!(on, yield_now));
}

fn cancellation(on: Subject) {
    let task = on.task(on.quick);
    on.expect_ok(call!(on, cancel, task));
    on.expect_ok(call!(on, enqueue, task));
    on.expect_ok(call!(on, wait, task, CHI_WAIT_FOREVER));
    on.expect_ok(call!(on, cancel, task));
    on.end(task, CHI_OK);

    let task = on.submitted(on.endless);
    on.expect_ok(call!(on, cancel, task));
    on.expect_ok(call!(on, cancel, task));
    on.end(task, CHI_CANCELLED);
    // Deleted in flight, the task is freed when it completes.
    let task = on.submitted(on.endless);
    on.expect_ok(call!(on, cancel, task));
    call!(on, del_task, task);
}

fn batches(on: Subject) {
    let mut submitted = 7;
    on.expect_ok(call!(on, enqueue_batch, null(), 0, &mut submitted));
    assert_eq!(submitted, 0);
    on.expect_ok(call!(on, wait_all, null(), 0, CHI_WAIT_FOREVER));
    submitted = 7;
    on.expect_null(call!(on, enqueue_batch, null(), 1, &mut submitted), "tasks");
    assert_eq!(submitted, 0);
    on.expect_null(call!(on, wait_all, null(), 1, CHI_WAIT_FOREVER), "tasks");
    let none = null_mut();
    let too_many = format!("the argument 'tasks' cannot have {} elements", u64::MAX);
    let batch = call!(on, enqueue_batch, &none, u64::MAX, null_mut());
    on.expect(batch, CHI_INVALID, &too_many);
    on.expect(call!(on, wait_all, &none, u64::MAX, 0), CHI_INVALID, &too_many);

    let tasks = [0; 3].map(|_| on.task(on.quick));
    on.expect_ok(call!(on, enqueue_batch, tasks.as_ptr(), 3, null_mut()));
    on.expect_ok(call!(on, wait_all, tasks.as_ptr(), 3, CHI_WAIT_FOREVER));
    on.expect_ok(call!(on, wait_all, tasks.as_ptr(), 3, 0));

    let with_null = [tasks[0], null_mut(), tasks[1]];
    on.expect_null(call!(on, enqueue_batch, with_null.as_ptr(), 3, &mut submitted), "tasks[1]");
    assert_eq!(submitted, 1);
    on.expect_null(call!(on, wait_all, with_null.as_ptr(), 3, CHI_WAIT_FOREVER), "tasks[1]");

    let endless = on.submitted(on.endless);
    let with_busy = [tasks[0], endless, tasks[1]];
    let why = "the task is in flight; wait for it first";
    let batch = call!(on, enqueue_batch, with_busy.as_ptr(), 3, &mut submitted);
    on.expect(batch, CHI_BUSY, why);
    assert_eq!(submitted, 1);
    let why = "the task is not complete after 2ms; it continues";
    on.expect(call!(on, wait_all, with_busy.as_ptr(), 3, 2_000_000), CHI_TIMEOUT, why);
    let why = "the task is not complete yet; it continues";
    on.expect(call!(on, wait_all, with_busy.as_ptr(), 3, 0), CHI_TIMEOUT, why);
    on.expect_ok(call!(on, cancel, endless));
    on.end(endless, CHI_CANCELLED);
    tasks.into_iter().for_each(|task| on.end(task, CHI_OK));
}

fn messages(on: Subject) {
    let task = on.task(on.failing);
    assert_eq!(on.message(task), "");
    for _ in 0..2 {
        on.expect_ok(call!(on, enqueue, task));
        on.expect_ok(call!(on, wait, task, CHI_WAIT_FOREVER));
        assert_eq!(on.message(task), "told to fail");
    }
    on.end(task, CHI_FAILED);

    let task = on.submitted(on.quick);
    on.expect_ok(call!(on, wait, task, CHI_WAIT_FOREVER));
    assert_eq!(on.message(task), "");
    call!(on, del_task, task);
}

fn blocks(on: Subject) {
    let empty = chi_buffer { shm_: 7, data_: 7 as *mut _, size_: 7 };
    let mut buffer = empty;
    on.expect_null(call!(on, alloc, null_mut(), 8, null_mut()), "buffer");
    on.expect_null(call!(on, alloc_elements, null_mut(), 8, null_mut()), "buffer");
    on.expect_null(call!(on, alloc, null_mut(), 0, null_mut()), "buffer");
    let owner = on.task(on.quick);
    for owner in [null_mut(), owner] {
        buffer = empty;
        on.expect_ok(call!(on, alloc, owner, 0, &mut buffer));
        assert_eq!((buffer.shm_, buffer.data_, buffer.size_), (CHI_SHM_NULL, null_mut(), 0));
        on.expect_ok(call!(on, alloc_elements, owner, 0, &mut buffer));
        assert_eq!((buffer.shm_, buffer.data_, buffer.size_), (CHI_SHM_NULL, null_mut(), 0));
    }
    call!(on, free, &buffer);
    call!(on, free, null());

    for size in [1, 64, 4097] {
        for owner in [null_mut(), owner] {
            on.expect_ok(call!(on, alloc, owner, size, &mut buffer));
            check_block(on, &buffer, size);
            if owner.is_null() {
                call!(on, free, &buffer);
            }
        }
        on.expect_ok(call!(on, alloc_elements, owner, size, &mut buffer));
        check_block(on, &buffer, size);
    }
    call!(on, del_task, owner);

    assert!(call!(on, resolve, CHI_SHM_NULL).is_null());
}

fn check_block(on: Subject, buffer: &chi_buffer, size: u64) {
    assert!(buffer.size_ >= size && buffer.shm_ != CHI_SHM_NULL, "{buffer:?} for {size}");
    assert_eq!(buffer.data_ as usize % 64, 0);
    // SAFETY: the block has `size` bytes and belongs to the caller.
    unsafe { buffer.data_.cast::<u8>().write_bytes(0x5a, size as usize) };
    assert_eq!(call!(on, resolve, buffer.shm_), buffer.data_);
}

fn nodes(on: Subject) {
    call!(on, make_task_node, null_mut());
    on.expect_null(CHI_INVALID, "node");
    let mut node = chi_task_node { root_: u64::MAX, depth_: u32::MAX, node_: u32::MAX };
    call!(on, make_task_node, &mut node);
    assert!(node.depth_ < u32::MAX && node.node_ == 0, "{node:?}");
}

const POOL_NAME: &str = "a pool's name has 1 to 255 bytes of UTF-8 without control characters";
const MODULE_NAME: &str = "a module's name has at most 255 bytes of UTF-8";

fn long_name() -> CString {
    CString::new("x".repeat(256)).expect("there is no zero in it")
}

fn creation_of_pools(on: Subject) {
    let (module, name) = (c"no:module".as_ptr(), c"no such pool".as_ptr());
    let mut id = chi_pool_id::default();
    let size = size_of::<chi_pool_options>() as u32;
    let options = chi_pool_options { size, containers: 1 };
    let create =
        |module, name, params, len, id| call!(on, create_pool, module, name, params, len, id);
    let create_with = |module, name, params, len, options, id| {
        call!(on, create_pool_with, module, name, params, len, options, id)
    };

    on.expect_null(create(null(), name, null(), 0, &mut id), "module");
    on.expect_null(create(module, null(), null(), 0, &mut id), "name");
    on.expect_null(create(module, name, null(), 1, &mut id), "params");
    on.expect_null(create(module, name, null(), 0, null_mut()), "id");
    on.expect_null(create_with(null(), name, null(), 0, &options, &mut id), "module");
    on.expect_null(create_with(module, null(), null(), 0, &options, &mut id), "name");
    on.expect_null(create_with(module, name, null(), 1, &options, &mut id), "params");
    on.expect_null(create_with(module, name, null(), 0, null(), &mut id), "options");
    on.expect_null(create_with(module, name, null(), 0, &options, null_mut()), "id");

    let long = long_name();
    for bad in [c"", c"a\nb", c"\xff", &long] {
        on.expect(create(module, bad.as_ptr(), null(), 0, &mut id), CHI_INVALID, POOL_NAME);
    }
    for bad in [c"\xff:module", &long] {
        on.expect(create(bad.as_ptr(), name, null(), 0, &mut id), CHI_INVALID, MODULE_NAME);
    }
    for size in [0, 4, 7] {
        let short = chi_pool_options { size, containers: 1 };
        let why = "chi_pool_options.size must be sizeof(chi_pool_options)";
        on.expect(create_with(module, name, null(), 0, &short, &mut id), CHI_INVALID, why);
    }
    for containers in [CHI_MAX_CONTAINERS + 1, u32::MAX] {
        let many = chi_pool_options { size, containers };
        let why = format!("a pool has 1 to 4096 containers, not {containers}");
        on.expect(create_with(module, name, null(), 0, &many, &mut id), CHI_INVALID, &why);
    }
    assert_eq!(create(module, name, null(), 0, &mut id), CHI_NO_MODULE);
    assert!(on.last_error().starts_with("there is no module 'no:module'"), "{}", on.last_error());
    assert_eq!(id, chi_pool_id::default());
}

fn other_pools(on: Subject) {
    let mut id = chi_pool_id::default();
    let find = |name: *const c_char, id| call!(on, find_pool, name, id);
    on.expect_null(find(null(), &mut id), "name");
    on.expect_null(find(c"no such pool".as_ptr(), null_mut()), "id");
    let long = long_name();
    for bad in [c"", c"a\nb", c"\xff", &long] {
        on.expect(find(bad.as_ptr(), &mut id), CHI_INVALID, POOL_NAME);
    }
    let why = "there is no pool 'no such pool'";
    on.expect(find(c"no such pool".as_ptr(), &mut id), CHI_NO_POOL, why);
    assert_eq!(id, chi_pool_id::default());

    on.expect_null(call!(on, destroy_pool, null()), "id");
    let admin = chi_pool_id { major_: CHI_ADMIN_POOL_MAJOR, minor_: 0 };
    let why = "the admin pool lasts as long as the runtime";
    on.expect(call!(on, destroy_pool, &admin), CHI_DENIED, why);
}

/// A message stays until the next failure, even when calls succeed and tasks that succeed are waited for
/// in between.
fn last_errors(on: Subject) {
    on.expect_null(call!(on, enqueue, null_mut()), "task");
    on.end(on.submitted(on.quick), CHI_OK);
    on.expect_ok(call!(on, sleep, 1_000));
    assert_eq!(on.last_error(), "the argument 'task' is null");
    on.expect_null(call!(on, destroy_pool, null()), "id");
    assert_eq!(on.last_error(), "the argument 'id' is null");
    on.end(on.submitted(on.failing), CHI_FAILED);
    assert_eq!(on.last_error(), "told to fail", "the message of a task that has been waited for");
}
