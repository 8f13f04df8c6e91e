//! The described tasks of `hello:shout`, and a client for them.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(dead_code, unused_imports, reason = "a program may use only part of it")]

use std::cell::Cell;
use chimaera::{
    DomainQuery, ElementMut, NewTask, Pending, Pod, PoolId, PoolOptions, Result,
    ShmBytes, ShmElement, ShmString, ShmVec, Task,
};

const SHOUT: u32 = 10;

/// Makes a text loud.
#[chimaera::task(description = 0x400)]
pub struct ShoutTask {
    /// In: What to say.
    #[chi(in)]
    pub text: ShmString,
    /// Out: The same in capitals.
    #[chi(out)]
    pub loud: ShmString,
}

/// A pool of `hello:shout`, and the query that says which of its containers calls go to. It
/// can be copied, and used in applications as well as in the methods of other modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
    query: DomainQuery,
}

impl Client {
    /// Creates the pool, or finds it if it exists. Errors: those of `Ipc::create_pool`.
    pub fn create(name: &str, params: &[u8]) -> Result<Self> {
        Client::create_with(name, params, PoolOptions::default())
    }
    /// Creates the pool with these options. Errors: those of `Ipc::create_pool_with`.
    pub fn create_with(name: &str, params: &[u8], options: PoolOptions) -> Result<Self> {
        let ipc = chimaera::ipc()?;
        let id = ipc.create_pool_with("hello:shout", name, params, options)?;
        Ok(Client::from_pool(id))
    }
    /// A client for the existing pool of this name, whatever its parameters. Errors: `CHI_NO_POOL`;
    /// `CHI_INVALID` if the pool is of another module.
    pub fn find_pool(name: &str) -> Result<Self> {
        chimaera::ipc()?.find_pool_of("hello:shout", name).map(Client::from_pool)
    }
    /// A client for an existing pool with this id.
    pub fn from_pool(pool_id: PoolId) -> Self {
        let query = DomainQuery::dynamic();
        Client { pool_id, query }
    }
    /// A client for the same pool whose calls use this query instead of
    /// `DomainQuery::dynamic()`.
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Self {
        Client { query, ..self }
    }
    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }
    /// Makes a text loud.
    pub fn shout(&self, text: &str) -> Result<String> {
        let pending = self.shout_async(text)?;
        let done = pending.wait()?;
        let loud = done.loud.to_string()?;
        Ok(loud)
    }
    /// Submits `kShout`; its results are the fields of the task.
    pub fn shout_async(&self, text: &str) -> Result<Pending<ShoutTask>> {
        let task: NewTask<ShoutTask> = self.task(SHOUT)?;
        task.text.set(text)?;
        task.submit()
    }
    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query, method)
    }
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<ShoutTask>() == 144);
    assert!(offset_of!(ShoutTask, text) == 64);
    assert!(offset_of!(ShoutTask, loud) == 104);
};
