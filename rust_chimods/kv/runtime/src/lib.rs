//! The container of `chimaera:kv`.

#[path = "../../autogen/kv_lib_exec.rs"]
mod lib_exec;
mod store;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chimaera::module::{Init, MonitorContext, MonitorMode, Queue, Replica, RunContext};
use chimaera::{DomainQuery, Result, ShmString, Status, Task, TaskBase};
use chimaera_kv_client::{
    CountTask, DeleteTask, GetTask, KeyHash, Method, Params, PutTask, ScanTask, MAX_KEY_BYTES,
};

use store::Store;
use stored::Stored;

/// Number of lanes of a container: tasks on different keys run on up to this many workers at once.
const LANES: u32 = 16;

/// The container: a store, and lanes selected by the hash of the key, so that tasks on one key
/// start in the order in which they arrived.
pub struct Runtime {
    values: Values,
    lanes: Queue,
    containers: u32,
    /// The keys collected so far by scans over several containers, by task.
    scans: Mutex<HashMap<usize, Vec<Vec<u8>>>>,
}

/// Where the values are stored.
enum Values {
    Memory(Store),
    Device(Stored),
}

#[chimaera::container(name = "chimaera:kv")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>, params: Params) -> Result<Self> {
        params.check()?;
        Ok(Runtime {
            values: match params.device.as_str() {
                "" => Values::Memory(Store::new(params.max_bytes)),
                _ => Values::Device(Stored::new(&params)?),
            },
            lanes: init.create_queue(0, LANES)?,
            containers: init.container_count(),
            scans: Mutex::default(),
        })
    }

    #[method(Method::PUT, name = "kPut")]
    fn put(&self, task: &PutTask) -> Result<()> {
        let key = key(&task.key)?;
        let value = task.value.copy_to_vec()?;
        let replaced = match &self.values {
            Values::Memory(store) => store.put(key, Arc::new(value))?.is_some(),
            Values::Device(stored) => stored.put(key, value)?,
        };
        task.replaced.set(replaced.into());
        Ok(())
    }

    #[monitor(Method::PUT)]
    fn monitor_put(&self, mode: MonitorMode, task: &PutTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.base(), &task.key, ctx);
    }

    #[method(Method::GET, name = "kGet")]
    fn get(&self, task: &GetTask) -> Result<()> {
        let key = key(&task.key)?;
        let none = || Status::not_found(format!("key \"{}\" does not exist", shown(&key)));
        match &self.values {
            Values::Memory(store) => task.value.set(&**store.get(&key).ok_or_else(none)?),
            Values::Device(stored) => task.value.set(stored.get(&key)?.ok_or_else(none)?),
        }
    }

    #[monitor(Method::GET)]
    fn monitor_get(&self, mode: MonitorMode, task: &GetTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.base(), &task.key, ctx);
    }

    #[method(Method::DELETE, name = "kDelete")]
    fn delete(&self, task: &DeleteTask) -> Result<()> {
        let key = key(&task.key)?;
        let existed = match &self.values {
            Values::Memory(store) => store.delete(&key).is_some(),
            Values::Device(stored) => stored.delete(&key),
        };
        task.existed.set(existed.into());
        Ok(())
    }

    #[monitor(Method::DELETE)]
    fn monitor_delete(&self, mode: MonitorMode, task: &DeleteTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.base(), &task.key, ctx);
    }

    #[method(Method::SCAN, name = "kScan")]
    fn scan(&self, task: &ScanTask) -> Result<()> {
        let prefix = match task.prefix.len() {
            0..=MAX_KEY_BYTES => task.prefix.copy_to_vec()?,
            // No key is that long.
            _ => return task.keys.set_all::<&[u8]>(&[]),
        };
        let limit = match task.limit.get() {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        task.keys.set_all(&match &self.values {
            Values::Memory(store) => store.scan(&prefix, limit),
            Values::Device(stored) => stored.keys().scan(&prefix, limit),
        })
    }

    #[monitor(Method::SCAN)]
    fn monitor_scan(&self, mode: MonitorMode, task: &ScanTask, _ctx: &mut MonitorContext<'_>) {
        self.send_everywhere(mode, task.base());
    }

    #[aggregate(Method::SCAN)]
    fn aggregate_scan(&self, task: &ScanTask, replica: &Replica<'_, ScanTask>) -> Result<()> {
        // The keys are sorted once, when all have arrived. After an error, the next scan at this
        // address discards the rest.
        let scan = std::ptr::from_ref(task).addr();
        let scans = || self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let before = scans().remove(&scan).filter(|_| !replica.is_first());
        let mut keys = before.unwrap_or_default();
        keys.extend(replica.keys.copy_to_vecs(usize::MAX)?);
        if replica.container_id() + 1 < self.containers {
            scans().insert(scan, keys);
            return Ok(());
        }
        // Consecutive sorted parts, which a stable sort only needs to merge.
        keys.sort();
        if let limit @ 1.. = task.limit.get() {
            keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        task.keys.set_all(&keys)
    }

    #[method(Method::COUNT, name = "kCount")]
    fn count(&self, task: &CountTask) {
        task.count.set(match &self.values {
            Values::Memory(store) => store.count(),
            Values::Device(stored) => stored.keys().count(),
        });
    }

    #[monitor(Method::COUNT)]
    fn monitor_count(&self, mode: MonitorMode, task: &CountTask, _ctx: &mut MonitorContext<'_>) {
        self.send_everywhere(mode, task.base());
    }

    #[aggregate(Method::COUNT)]
    fn aggregate_count(&self, task: &CountTask, replica: &Replica<'_, CountTask>) {
        let before = if replica.is_first() { 0 } else { task.count.get() };
        task.count.set(before + replica.count.get());
    }

    /// Returns the store's blocks to the device.
    #[destroy]
    fn destroy(&self, _ctx: &RunContext<'_>) {
        if let Values::Device(stored) = &self.values {
            stored.clear();
        }
    }

    /// Selects the container and the lane of a key by its hash.
    fn route(
        &self,
        mode: MonitorMode,
        task: &TaskBase,
        key: &ShmString,
        ctx: &mut MonitorContext<'_>,
    ) {
        if key.len() > MAX_KEY_BYTES {
            return;
        }
        let mut hash = KeyHash::default();
        key.for_each_chunk(|bytes| hash.update(bytes));
        let hash = hash.finish();
        match mode {
            // All keys of this container agree in the part of the hash that selected it.
            MonitorMode::LocalSchedule => {
                ctx.set_lane(self.lanes.lane_by_hash(hash / self.containers));
            }
            MonitorMode::GlobalSchedule => task.set_domain_query(DomainQuery::global_hash(hash)),
            _ => {}
        }
    }

    /// Sends tasks on all keys to all containers.
    fn send_everywhere(&self, mode: MonitorMode, task: &TaskBase) {
        if mode == MonitorMode::GlobalSchedule && self.containers > 1 {
            task.set_domain_query(DomainQuery::global_bcast());
        }
    }
}

/// A private copy of a key, whose length is checked.
fn key(key: &ShmString) -> Result<Vec<u8>> {
    match key.len() {
        1..=MAX_KEY_BYTES => key.copy_to_vec(),
        n => Err(Status::invalid(format!("a key has 1 to {MAX_KEY_BYTES} bytes, not {n}"))),
    }
}

/// A key in readable form.
fn shown(key: &[u8]) -> String {
    const MAX: usize = 64;
    let dots = if key.len() > MAX { "..." } else { "" };
    format!("{}{dots}", key[..key.len().min(MAX)].escape_ascii())
}
