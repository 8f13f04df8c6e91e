//! Shorthands for Rust clients.

use std::time::Duration;

use chimaera::{DomainQuery, Ipc, NewTask, Pending, PoolId, Status, Task};

use crate::tasks::model::ValueTask;

/// Connects this process to the instance named in its environment.
#[track_caller]
pub fn connect() -> Ipc {
    connect_with(0)
}

/// Connects with a segment of this many bytes; 0 is the default.
#[track_caller]
pub fn connect_with(segment_size: u64) -> Ipc {
    let connect_timeout = Duration::ZERO;
    let options = chimaera::client::Options { instance: None, segment_size, connect_timeout };
    chimaera::client::init(options).expect("the daemon is ready");
    chimaera::ipc().expect("this process is connected")
}

/// Creates tasks that any container of a pool may run.
pub trait Call {
    /// A task for a method of a pool.
    fn task<T: Task>(self, pool: PoolId, method: u32) -> NewTask<T>;
}

impl Call for Ipc {
    #[track_caller]
    fn task<T: Task>(self, pool: PoolId, method: u32) -> NewTask<T> {
        self.new_task(pool, DomainQuery::dynamic(), method).expect("there is room for a task")
    }
}

/// The code and message of a failure.
#[track_caller]
pub fn text_of<T: std::fmt::Debug>(result: Result<T, Status>) -> (i32, String) {
    let status = result.expect_err("it must fail");
    (status.code(), status.message().to_owned())
}

/// A pool whose methods take [`ValueTask`].
#[derive(Clone, Copy)]
pub struct ValuePool {
    /// The IPC manager of the caller.
    pub ipc: Ipc,
    /// The pool's id.
    pub id: PoolId,
}

impl ValuePool {
    /// Creates the pool.
    #[track_caller]
    pub fn new(ipc: Ipc, module: &str, name: &str) -> ValuePool {
        ValuePool { ipc, id: ipc.create_pool(module, name, b"").expect("the module is loaded") }
    }

    /// Creates a task without submitting it.
    #[track_caller]
    pub fn task(self, method: u32, value: u64, width: u64) -> NewTask<ValueTask> {
        let task: NewTask<ValueTask> = self.ipc.task(self.id, method);
        task.value.set(value);
        task.width.set(width);
        task
    }

    /// Submits a task of width 0.
    #[track_caller]
    pub fn submit(self, method: u32, value: u64) -> Pending<ValueTask> {
        self.task(method, value, 0).submit().expect("there is room in the ring")
    }

    /// Runs a task, which must succeed, and returns its result.
    #[track_caller]
    pub fn call(self, method: u32, value: u64, width: u64) -> u64 {
        self.task(method, value, width).call().expect("it succeeds").result.get()
    }
}
