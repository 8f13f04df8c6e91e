//! The container of `chimaera:kv`.

#[path = "../../autogen/kv_lib_exec.rs"]
mod lib_exec;
mod store;
#[cfg(test)]
mod tests;

use chimaera::module::{Init, MonitorContext, MonitorMode, Queue};
use chimaera::{Result, ShmString, Status};
use chimaera_kv_client::{
    CountTask, DeleteTask, GetTask, KeyHash, Method, Params, PutTask, ScanTask, MAX_KEY_BYTES,
};

use store::Store;

/// How many lanes a pool has: tasks of different keys run on so many workers at once.
const LANES: u32 = 16;

/// The container: a store, and lanes to which keys fall by their hash, so that tasks on one key start
/// in the order in which they came.
pub struct Runtime {
    store: Store,
    lanes: Queue,
}

#[chimaera::container(name = "chimaera:kv")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        let params = Params::parse(init.params())?;
        Ok(Runtime { store: Store::new(params.max_bytes), lanes: init.create_queue(0, LANES)? })
    }

    #[method(Method::PUT, name = "kPut")]
    fn put(&self, task: &PutTask) -> Result<()> {
        let key = key(&task.key)?;
        let replaced = self.store.put(key, task.value.copy_to_vec()?)?;
        task.replaced.set(replaced.into());
        Ok(())
    }

    #[monitor(Method::PUT)]
    fn monitor_put(&self, mode: MonitorMode, task: &PutTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, &task.key, ctx);
    }

    #[method(Method::GET, name = "kGet")]
    fn get(&self, task: &GetTask) -> Result<()> {
        let key = key(&task.key)?;
        let value = self
            .store
            .get(&key)
            .ok_or_else(|| Status::not_found(format!("no key \"{}\"", shown(&key))))?;
        task.value.set(&**value)
    }

    #[monitor(Method::GET)]
    fn monitor_get(&self, mode: MonitorMode, task: &GetTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, &task.key, ctx);
    }

    #[method(Method::DELETE, name = "kDelete")]
    fn delete(&self, task: &DeleteTask) -> Result<()> {
        let existed = self.store.delete(&key(&task.key)?);
        task.existed.set(existed.into());
        Ok(())
    }

    #[monitor(Method::DELETE)]
    fn monitor_delete(&self, mode: MonitorMode, task: &DeleteTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, &task.key, ctx);
    }

    #[method(Method::SCAN, name = "kScan")]
    fn scan(&self, task: &ScanTask) -> Result<()> {
        let prefix = match task.prefix.len() {
            0..=MAX_KEY_BYTES => task.prefix.copy_to_vec()?,
            // No key is as long.
            _ => return task.keys.set_all::<&[u8]>(&[]),
        };
        let limit = match task.limit.get() {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        task.keys.set_all(&self.store.scan(&prefix, limit))
    }

    #[method(Method::COUNT, name = "kCount")]
    fn count(&self, task: &CountTask) {
        task.count.set(self.store.count());
    }

    fn route(&self, mode: MonitorMode, key: &ShmString, ctx: &mut MonitorContext<'_>) {
        if mode == MonitorMode::LocalSchedule && key.len() <= MAX_KEY_BYTES {
            let mut hash = KeyHash::default();
            key.for_each_chunk(|bytes| hash.update(bytes));
            ctx.set_lane(self.lanes.lane_by_hash(hash.finish()));
        }
    }
}

/// A private copy of a key whose length is right.
fn key(key: &ShmString) -> Result<Vec<u8>> {
    match key.len() {
        1..=MAX_KEY_BYTES => key.copy_to_vec(),
        n => Err(Status::invalid(format!("a key of {n} bytes; 1 to {MAX_KEY_BYTES} work"))),
    }
}

/// A key for a person to read.
fn shown(key: &[u8]) -> String {
    const MAX: usize = 64;
    let dots = if key.len() > MAX { "..." } else { "" };
    format!("{}{dots}", key[..key.len().min(MAX)].escape_ascii())
}
