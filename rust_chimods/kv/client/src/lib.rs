//! The client of `chimaera:kv`, an ordered key-value store in the runtime's memory or in a file.
//!
//! ```no_run
//! use chimaera_kv_client::{Client, Params};
//!
//! # fn main() -> chimaera::Result<()> {
//! let kv = Client::create("my_store", Params { max_bytes: Some(1 << 30), ..Params::default() })?;
//! kv.put("user/1", "Ada")?;
//! assert_eq!(kv.get("user/1")?, b"Ada");
//! assert_eq!(kv.scan("user/", 0)?, [b"user/1"]);
//! # Ok(())
//! # }
//! ```

#[path = "../../autogen/kv_methods.rs"]
mod methods;
mod params;
mod tasks;

pub use methods::Method;
pub use params::{Params, Sync};
pub use tasks::{
    CompactTask, CountTask, DeleteTask, FlushTask, GetTask, PutTask, ScanTask, Stats, StatsTask,
};

use chimaera::abi::{CHI_MODULE_STATUS, CHI_NO_SPACE, CHI_TOO_LARGE};
use chimaera::archive::params_to_bytes;
use chimaera::{
    Buffer, DomainQuery, Done, Lease, NewTask, Pending, PoolId, PoolOptions, Result, Task,
};

/// The module's name.
pub const MODULE: &str = "chimaera:kv";

/// The longest key in bytes. The shortest is 1.
pub const MAX_KEY_BYTES: usize = 4096;

/// A status of this module: the value would exceed the store's `max_bytes`.
pub const STORE_FULL: i32 = CHI_MODULE_STATUS;

/// A pool of the module, and the query that says which of its containers calls go to. It can be
/// copied, sent to other threads, and used in applications as well as in the methods of other
/// modules.
///
/// Keys are 1 to [`MAX_KEY_BYTES`] arbitrary bytes, and ordered bytewise. Every function sends one
/// task. The `_async` forms return once the task is submitted; its results are in the fields of the
/// task. Errors beyond those documented are those of the IPC manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
    /// None: tasks on a key go to the container selected by its hash, all others to all containers.
    query: Option<DomainQuery>,
}

impl Client {
    /// Creates the pool, or finds it if it exists with the same parameters.
    ///
    /// Errors: `CHI_NO_MODULE`; `CHI_EXISTS` if the name belongs to a pool of another module or
    /// with other parameters.
    pub fn create(name: &str, params: Params) -> Result<Self> {
        Client::create_with(name, params, PoolOptions::default())
    }

    /// Like [`create`](Self::create), with options. A pool with several containers keeps each key
    /// in the container selected by its hash.
    pub fn create_with(name: &str, params: Params, options: PoolOptions) -> Result<Self> {
        let pool_id =
            chimaera::ipc()?.create_pool_with(MODULE, name, &params_to_bytes(&params)?, options)?;
        Ok(Client::from_pool(pool_id))
    }

    /// Finds an existing pool. Errors: `CHI_NO_POOL`; `CHI_INVALID` if it is of another module.
    pub fn find(name: &str) -> Result<Self> {
        chimaera::ipc()?.find_pool_of(MODULE, name).map(Client::from_pool)
    }

    /// A client for an existing pool of this module with this id. The pool's module is not checked.
    pub fn from_pool(pool_id: PoolId) -> Self {
        Client { pool_id, query: None }
    }

    /// A client for the same pool whose calls use this query. Without one, calls for a key go to
    /// the container selected by its hash, and calls for all keys to all containers. A key that a
    /// query puts into another container is only found with such a query.
    ///
    /// ```no_run
    /// # fn main() -> chimaera::Result<()> {
    /// # use chimaera::DomainQuery;
    /// let kv = chimaera_kv_client::Client::find("my_store")?;
    /// let of_the_second = kv.with_query(DomainQuery::local_id(1)).count()?;
    /// assert!(of_the_second <= kv.count()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Self {
        Client { query: Some(query), ..self }
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Stores a value under a key. Returns `true` if it replaced one.
    ///
    /// Errors: `CHI_INVALID` for a key of the wrong length, [`STORE_FULL`]; `CHI_IO` and
    /// `CHI_NO_SPACE` if it could not be written.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.put_async(key, value)?.wait()?.replaced.get() != 0)
    }

    /// Like [`put`](Self::put), but returns without waiting for the result.
    pub fn put_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Pending<PutTask>> {
        let task: NewTask<PutTask> = self.keyed(key.as_ref(), Method::PUT)?;
        task.key.set(key)?;
        task.value.set(value)?;
        task.submit()
    }

    /// Like [`put`](Self::put), with the bytes of a buffer in shared memory, which are not copied on the way to the
    /// store: it takes its own copy, which is the only one. The buffer can be filled again afterwards.
    ///
    /// ```no_run
    /// # fn main() -> chimaera::Result<()> {
    /// # let kv = chimaera_kv_client::Client::find("my_store")?;
    /// let frame = chimaera::ipc()?.alloc(1 << 20)?;
    /// for number in 0..10 {
    ///     frame.write_at(0, [number; 1 << 20])?;
    ///     kv.put_buffer(format!("frame/{number}"), &frame)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_buffer(&self, key: impl AsRef<[u8]>, value: &Buffer) -> Result<bool> {
        let mut task: NewTask<PutTask> = self.keyed(key.as_ref(), Method::PUT)?;
        task.key.set(key)?;
        task.attach(|task| &task.value, value)?;
        Ok(task.call()?.replaced.get() != 0)
    }

    /// Returns the value of a key. Errors: `CHI_NOT_FOUND`, `CHI_INVALID` for a key of the wrong
    /// length.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        // The bytes are copied right away, so a lease is as good as a copy.
        self.get_taking_leases(key.as_ref())?.value.copy_to_vec()
    }

    /// Like [`get`](Self::get), without a copy where the store has published the value, as one in memory does from
    /// [`Published::LEAST`](chimaera::module::Published::LEAST) bytes up: puts and deletes of the key do not change what is
    /// on lease.
    ///
    /// ```no_run
    /// # fn main() -> chimaera::Result<()> {
    /// # let kv = chimaera_kv_client::Client::find("my_store")?;
    /// let value = kv.get_lease("image/1")?;
    /// kv.put("image/1", "another one")?;
    /// println!("{} bytes begin with {:?}", value.len(), value.first());
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_lease(&self, key: impl AsRef<[u8]>) -> Result<Lease<GetTask>> {
        Lease::of(self.get_taking_leases(key.as_ref())?, |task| &task.value)
    }

    fn get_taking_leases(&self, key: &[u8]) -> Result<Done<GetTask>> {
        let get = || {
            let task = self.get_task(key)?;
            task.base().set_takes_leases();
            task.call()
        };
        match get() {
            // It is too large for the segment; but the memory in which the store has it may be mapped by now.
            Err(status) if [CHI_NO_SPACE, CHI_TOO_LARGE].contains(&status.code()) => get(),
            other => other,
        }
    }

    /// Like [`get`](Self::get), but returns without waiting for the result.
    pub fn get_async(&self, key: impl AsRef<[u8]>) -> Result<Pending<GetTask>> {
        self.get_task(key)?.submit()
    }

    fn get_task(&self, key: impl AsRef<[u8]>) -> Result<NewTask<GetTask>> {
        let task: NewTask<GetTask> = self.keyed(key.as_ref(), Method::GET)?;
        task.key.set(key)?;
        Ok(task)
    }

    /// Deletes a key. Returns `true` if it existed. Errors: `CHI_INVALID` for a key of the wrong
    /// length.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.delete_async(key)?.wait()?.existed.get() != 0)
    }

    /// Like [`delete`](Self::delete), but returns without waiting for the result.
    pub fn delete_async(&self, key: impl AsRef<[u8]>) -> Result<Pending<DeleteTask>> {
        let task: NewTask<DeleteTask> = self.keyed(key.as_ref(), Method::DELETE)?;
        task.key.set(key)?;
        task.submit()
    }

    /// The keys that begin with `prefix`, in order, at most `limit` of them (0: all), as they were
    /// at one moment, over all containers. With a query for one container, only its own.
    pub fn scan(&self, prefix: impl AsRef<[u8]>, limit: u64) -> Result<Vec<Vec<u8>>> {
        self.scan_async(prefix, limit)?.wait()?.keys.copy_to_vecs(usize::MAX)
    }

    /// Like [`scan`](Self::scan), but returns without waiting for the result.
    pub fn scan_async(&self, prefix: impl AsRef<[u8]>, limit: u64) -> Result<Pending<ScanTask>> {
        let task: NewTask<ScanTask> = self.task(DomainQuery::dynamic(), Method::SCAN)?;
        task.prefix.set(prefix)?;
        task.limit.set(limit);
        task.submit()
    }

    /// The number of keys. Otherwise like [`scan`](Self::scan).
    pub fn count(&self) -> Result<u64> {
        Ok(self.count_async()?.wait()?.count.get())
    }

    /// Like [`count`](Self::count), but returns without waiting for the result.
    pub fn count_async(&self) -> Result<Pending<CountTask>> {
        self.task::<CountTask>(DomainQuery::dynamic(), Method::COUNT)?.submit()
    }

    /// Makes durable what was put and deleted before, so that it survives a crash and a power loss.
    /// Errors: `CHI_UNSUPPORTED` for a store without a path or with `sync=none`; `CHI_IO`,
    /// `CHI_NO_SPACE`.
    pub fn flush(&self) -> Result<()> {
        self.flush_async()?.wait().map(drop)
    }

    /// Like [`flush`](Self::flush), but returns without waiting for the result.
    pub fn flush_async(&self) -> Result<Pending<FlushTask>> {
        self.task::<FlushTask>(DomainQuery::dynamic(), Method::FLUSH)?.submit()
    }

    /// Shortens the file as far as its contents allow, and returns by how much. Puts, deletes and
    /// everything else wait meanwhile. Errors: `CHI_UNSUPPORTED` for a store without a path; `CHI_IO`,
    /// `CHI_NO_SPACE`.
    pub fn compact(&self) -> Result<u64> {
        let task: NewTask<CompactTask> = self.task(DomainQuery::dynamic(), Method::COMPACT)?;
        Ok(task.call()?.bytes.get())
    }

    /// The size of the store and its counters.
    pub fn stats(&self) -> Result<Stats> {
        let task: NewTask<StatsTask> = self.task(DomainQuery::dynamic(), Method::STATS)?;
        Ok(task.call()?.stats.get())
    }

    fn keyed<T: Task>(&self, key: &[u8], method: u32) -> Result<NewTask<T>> {
        self.task(DomainQuery::global_hash(key_hash(key)), method)
    }

    fn task<T: Task>(&self, query: DomainQuery, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query.unwrap_or(query), method)
    }
}

/// The hash that assigns keys to containers, lanes and shards: 32-bit FNV-1a.
pub fn key_hash(key: &[u8]) -> u32 {
    let mut hash = KeyHash::default();
    hash.update(key);
    hash.finish()
}

/// [`key_hash`] of a key given in pieces.
#[derive(Clone, Debug)]
pub struct KeyHash(u32);

impl Default for KeyHash {
    fn default() -> Self {
        KeyHash(0x811c_9dc5)
    }
}

impl KeyHash {
    /// Adds the next bytes of the key.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// The hash of the bytes so far.
    pub fn finish(&self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(key_hash(b""), 0x811c_9dc5);
        assert_eq!(key_hash(b"a"), 0xe40c_292c);
        assert_eq!(key_hash(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let mut hash = KeyHash::default();
        hash.update(b"foo");
        hash.update(b"bar");
        assert_eq!(hash.finish(), key_hash(b"foobar"));
    }
}
