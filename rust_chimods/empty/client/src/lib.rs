//! The client of `chimaera:empty`, a module whose one method does nothing: what it costs to call it is
//! what Chimaera itself costs.

use chimaera::{DomainQuery, Done, Ipc, NewTask, PoolId, Result};

/// The module's name.
pub const MODULE: &str = "chimaera:empty";

/// The numbers of the module's methods.
#[allow(non_snake_case)]
pub mod Method {
    /// Does nothing.
    pub const EMPTY: u32 = 10;
}

/// `kEmpty`: nothing in, nothing out.
#[chimaera::task]
pub struct EmptyTask;

/// A pool of the module.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    ipc: Ipc,
    pool_id: PoolId,
}

impl Client {
    /// Creates the pool, or finds it when it exists. Errors: those of [`Ipc::create_pool`].
    pub fn create(name: &str) -> Result<Self> {
        let ipc = chimaera::ipc()?;
        Ok(Client { ipc, pool_id: ipc.create_pool(MODULE, name, &[])? })
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

    /// Does nothing on a task that is over, so that making and deleting tasks is not part of it.
    pub fn empty_again(&self, done: Done<EmptyTask>) -> Result<Done<EmptyTask>> {
        done.reuse().call()
    }

    /// A task to submit.
    pub fn empty_task(&self) -> Result<NewTask<EmptyTask>> {
        self.ipc.new_task(self.pool_id, DomainQuery::dynamic(), Method::EMPTY)
    }
}
