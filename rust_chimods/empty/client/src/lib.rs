//! The client of `chimaera:empty`, a module whose only method does nothing, so that the cost of
//! calling it is the cost of Chimaera itself.

#[path = "../../autogen/empty_methods.rs"]
mod methods;

pub use methods::Method;

use chimaera::{DomainQuery, NewTask, Pending, PoolId, Result};

/// The module's name.
pub const MODULE: &str = "chimaera:empty";

/// `kEmpty`: no input and no output.
#[chimaera::task]
pub struct EmptyTask;

/// A pool of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
}

impl Client {
    /// Creates the pool, or finds it if it exists. Errors: those of `Ipc::create_pool`.
    pub fn create(name: &str) -> Result<Self> {
        Ok(Client { pool_id: chimaera::ipc()?.create_pool(MODULE, name, &[])? })
    }

    /// A client for an existing pool with this id.
    pub fn from_pool(pool_id: PoolId) -> Self {
        Client { pool_id }
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Runs a task that does nothing.
    pub fn empty(&self) -> Result<()> {
        self.empty_task()?.call()?;
        Ok(())
    }

    /// Submits a task that does nothing.
    pub fn empty_async(&self) -> Result<Pending<EmptyTask>> {
        self.empty_task()?.submit()
    }

    /// A task to submit and to reuse after it completes, so that a measurement does not include
    /// creating and deleting tasks.
    pub fn empty_task(&self) -> Result<NewTask<EmptyTask>> {
        chimaera::ipc()?.new_task(self.pool_id, DomainQuery::dynamic(), Method::EMPTY)
    }
}
