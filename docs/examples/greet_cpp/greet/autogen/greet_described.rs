//! The described tasks of `hello:greet`, and a client for them.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(dead_code, unused_imports, reason = "a program may use only part of it")]

use std::cell::Cell;
use chimaera::{
    DomainQuery, ElementMut, NewTask, Pending, Pod, PoolId, PoolOptions, Result,
    ShmBytes, ShmElement, ShmString, ShmVec, Task,
};

const GREET: u32 = 10;

/// Makes a greeting of a name.
#[chimaera::task(description = 0x6448)]
pub struct GreetTask {
    /// In: Whom to greet.
    #[chi(in)]
    pub name: ShmString,
    /// Out: The greeting.
    #[chi(out)]
    pub text: ShmString,
}

/// A pool of `hello:greet`, and the query that says which of its containers calls go to. It
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
        let id = ipc.create_pool_with("hello:greet", name, params, options)?;
        Ok(Client::from_pool(id))
    }
    /// A client for the existing pool of this name, whatever its parameters. Errors: `CHI_NO_POOL`;
    /// `CHI_INVALID` if the pool is of another module.
    pub fn find_pool(name: &str) -> Result<Self> {
        chimaera::ipc()?.find_pool_of("hello:greet", name).map(Client::from_pool)
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
    /// Makes a greeting of a name.
    pub fn greet(&self, name: &str) -> Result<String> {
        let pending = self.greet_async(name)?;
        let done = pending.wait()?;
        let text = done.text.to_string()?;
        Ok(text)
    }
    /// Submits `kGreet`; its results are the fields of the task.
    pub fn greet_async(&self, name: &str) -> Result<Pending<GreetTask>> {
        let task: NewTask<GreetTask> = self.task(GREET)?;
        task.name.set(name)?;
        task.submit()
    }
    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query, method)
    }
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<GreetTask>() == 144);
    assert!(offset_of!(GreetTask, name) == 64);
    assert!(offset_of!(GreetTask, text) == 104);
};
