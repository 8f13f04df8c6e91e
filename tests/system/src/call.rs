//! Short forms for clients in Rust.

use std::time::Duration;

use chimaera::{DomainQuery, Ipc, NewTask, PoolId, Status, Task};

/// Connects this process to the instance that its environment names.
#[track_caller]
pub fn connect() -> Ipc {
    connect_with(0)
}

/// Connects with a segment of so many bytes; 0 is the default.
#[track_caller]
pub fn connect_with(segment_size: u64) -> Ipc {
    let connect_timeout = Duration::ZERO;
    let options = chimaera::client::Options { instance: None, segment_size, connect_timeout };
    chimaera::client::init(options).expect("the daemon is ready");
    chimaera::ipc().expect("this process is connected")
}

/// What calls need that go anywhere in a pool.
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

/// The code and the message of a failure.
#[track_caller]
pub fn text_of<T: std::fmt::Debug>(result: Result<T, Status>) -> (i32, String) {
    let status = result.expect_err("it must fail");
    (status.code(), status.message().to_owned())
}
