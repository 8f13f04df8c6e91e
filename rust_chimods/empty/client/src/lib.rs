//! The client of `chimaera:empty`, a module whose one method does nothing: what it costs to call it is
//! what Chimaera itself costs.

#[path = "../../autogen/empty_methods.rs"]
mod methods;

pub use methods::Method;

use chimaera::{DomainQuery, NewTask, Pending, PoolId, Result};

/// The module's name.
pub const MODULE: &str = "chimaera:empty";

/// `kEmpty`: nothing in, nothing out.
#[chimaera::task]
pub struct EmptyTask;

/// A pool of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
}

impl Client {
    /// Creates the pool, or finds it when it exists. Errors: those of `Ipc::create_pool`.
    pub fn create(name: &str) -> Result<Self> {
        Ok(Client { pool_id: chimaera::ipc()?.create_pool(MODULE, name, &[])? })
    }

    /// The client of a pool whose id is known.
    pub fn from_pool(pool_id: PoolId) -> Self {
        Client { pool_id }
    }

    /// The pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Does nothing, there and back.
    pub fn empty(&self) -> Result<()> {
        self.empty_task()?.call()?;
        Ok(())
    }

    /// Starts doing nothing.
    pub fn empty_async(&self) -> Result<Pending<EmptyTask>> {
        self.empty_task()?.submit()
    }

    /// A task to submit, and to use again once it is over, so that making and deleting tasks is not
    /// part of what is measured.
    pub fn empty_task(&self) -> Result<NewTask<EmptyTask>> {
        chimaera::ipc()?.new_task(self.pool_id, DomainQuery::dynamic(), Method::EMPTY)
    }
}
