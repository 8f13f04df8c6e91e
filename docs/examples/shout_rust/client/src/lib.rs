//! The client of `hello:shout`, and its tasks.

use chimaera::{DomainQuery, NewTask, PoolId, Result, ShmString};

/// The number of the method `kShout`.
pub const SHOUT: u32 = 10;

/// Makes a text loud.
#[chimaera::task]
pub struct ShoutTask {
    /// In.
    pub text: ShmString,
    /// Out.
    pub loud: ShmString,
}

/// A pool of the module.
pub struct Client(PoolId);

impl Client {
    /// Creates the pool, or finds it when it exists.
    pub fn create(name: &str) -> Result<Self> {
        Ok(Client(chimaera::ipc()?.create_pool("hello:shout", name, b"")?))
    }

    /// Makes a text loud.
    pub fn shout(&self, text: &str) -> Result<String> {
        let task: NewTask<ShoutTask> =
            chimaera::ipc()?.new_task(self.0, DomainQuery::dynamic(), SHOUT)?;
        task.text.set(text)?;
        task.call()?.loud.to_string()
    }
}
