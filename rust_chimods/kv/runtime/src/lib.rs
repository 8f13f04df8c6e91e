//! The container of `chimaera:kv`.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod durable;
#[path = "../../autogen/kv_lib_exec.rs"]
mod lib_exec;
mod pool;
mod state;
mod store;
mod stored;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chimaera::abi::{CHI_DOMAIN_GLOBAL_ID, CHI_DOMAIN_LOCAL_ID, CHI_UNSUPPORTED};

use chimaera::module::{
    set_storage_local, Init, LifeTask, MonitorContext, MonitorMode, Published, Queue, Replica,
    RunContext,
};
use chimaera::{log_warn, DomainQuery, Result, ShmString, Status, Task, TaskBase};
use chimaera_kv_client::{
    CompactTask, CountTask, DeleteTask, FlushTask, GetTask, KeyHash, Method, Params, PutTask,
    ScanTask, StatsTask, MAX_KEY_BYTES,
};

use durable::{Durable, Share};
use pool::{Keys, Member, Pool, Presence};
use store::{Key, Store};
use stored::Stored;

/// Number of lanes of a container: tasks on different keys run on up to this many workers at once.
const LANES: u32 = 16;

/// The container: a store, and lanes selected by the hash of the key, so that tasks on one key
/// start in the order in which they arrived.
pub struct Runtime {
    values: Values,
    _presence: Presence,
    pool: Arc<Pool>,
    lanes: Queue,
    id: u32,
    containers: u32,
    /// The container that the next task on all keys goes to.
    next: AtomicU32,
    /// The keys collected so far by scans that were sent to every container, by task.
    scans: Mutex<HashMap<usize, Vec<Key>>>,
}

/// Where the values are stored.
enum Values {
    Memory(Arc<Store>, Member),
    Device(Stored, Member),
    File(Share),
}

impl Values {
    fn new(init: &Init<'_>, params: &Params, pool: &Arc<Pool>) -> Result<Values> {
        if !params.path.is_empty() {
            set_storage_local()?;
            let durable = pool.durable(|| Durable::new(params.clone(), init.container_count()));
            return Share::new(durable, init.container_id()).map(Values::File);
        }
        let account = pool.account().clone();
        let member = |keys: Arc<dyn Keys>| Member::new(pool.clone(), init.container_id(), keys);
        if params.device.is_empty() {
            let store = Arc::new(Store::new(account));
            return Ok(Values::Memory(store.clone(), member(store)));
        }
        let stored = Stored::new(params, account)?;
        let member = member(stored.keys().clone());
        Ok(Values::Device(stored, member))
    }
}

#[chimaera::container(name = "chimaera:kv", state)]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>, params: Params) -> Result<Self> {
        params.check()?;
        let pool = Pool::of(init.pool_id(), init.container_count(), params.max_bytes);
        Ok(Runtime {
            values: Values::new(init, &params, &pool)?,
            _presence: Presence::new(&pool, init.container_id()),
            pool,
            lanes: init.create_queue(0, LANES)?,
            id: init.container_id(),
            containers: init.container_count(),
            next: AtomicU32::new(0),
            scans: Mutex::default(),
        })
    }

    #[method(Method::PUT, name = "kPut")]
    fn put(&self, task: &PutTask) -> Result<()> {
        let key = key(&task.key)?;
        let value = &task.value;
        let replaced = match &self.values {
            Values::Memory(store, _) => store.put(key, Published::copy_of(value)?)?.is_some(),
            Values::Device(stored, _) => stored.put(key, value.copy_to_vec()?)?,
            Values::File(durable) => durable.put(self.id, key, value.copy_to_vec()?)?,
        };
        task.replaced.set(replaced.into());
        Ok(())
    }

    #[monitor(Method::PUT)]
    fn monitor_put(&self, mode: MonitorMode, task: &PutTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.base(), &task.key, ctx);
    }

    #[method(Method::GET, name = "kGet", idempotent)]
    fn get(&self, task: &GetTask) -> Result<()> {
        let key = key(&task.key)?;
        let none = || Status::not_found(format!("key \"{}\" does not exist", shown(&key)));
        match &self.values {
            Values::Memory(store, _) => store.get(&key).ok_or_else(none)?.lend(&task.value),
            Values::Device(stored, _) => task.value.set(stored.get(&key)?.ok_or_else(none)?),
            Values::File(durable) => {
                match durable.get(self.id, &key, |value| task.value.set(value))? {
                    true => Ok(()),
                    false => Err(none()),
                }
            }
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
            Values::Memory(store, _) => store.delete(&key).is_some(),
            Values::Device(stored, _) => stored.delete(&key)?,
            Values::File(durable) => durable.delete(self.id, key)?,
        };
        task.existed.set(existed.into());
        Ok(())
    }

    #[monitor(Method::DELETE)]
    fn monitor_delete(&self, mode: MonitorMode, task: &DeleteTask, ctx: &mut MonitorContext<'_>) {
        self.route(mode, task.base(), &task.key, ctx);
    }

    #[method(Method::SCAN, name = "kScan", idempotent)]
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
        let alone = is_for_one(task.base());
        task.keys.set_all(&match &self.values {
            Values::Memory(_, member) | Values::Device(_, member) => match alone {
                true => member.scan(&prefix, limit),
                false => self.pool.scan(&prefix, limit),
            },
            Values::File(durable) => durable.scan(alone.then_some(self.id), &prefix, limit)?,
        })
    }

    #[monitor(Method::SCAN)]
    fn monitor_scan(&self, mode: MonitorMode, task: &ScanTask, _ctx: &mut MonitorContext<'_>) {
        self.send_anywhere(mode, task.base());
    }

    /// For a scan that its sender has sent to every container: each has scanned its own keys.
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

    #[method(Method::COUNT, name = "kCount", idempotent)]
    fn count(&self, task: &CountTask) -> Result<()> {
        let alone = is_for_one(task.base());
        task.count.set(match &self.values {
            Values::Memory(_, member) | Values::Device(_, member) => match alone {
                true => member.count(),
                false => self.pool.count(),
            },
            Values::File(durable) => durable.count(alone.then_some(self.id))?,
        });
        Ok(())
    }

    #[monitor(Method::COUNT)]
    fn monitor_count(&self, mode: MonitorMode, task: &CountTask, _ctx: &mut MonitorContext<'_>) {
        self.send_anywhere(mode, task.base());
    }

    #[aggregate(Method::COUNT)]
    fn aggregate_count(&self, task: &CountTask, replica: &Replica<'_, CountTask>) {
        let before = if replica.is_first() { 0 } else { task.count.get() };
        task.count.set(before + replica.count.get());
    }

    #[method(Method::FLUSH, name = "kFlush")]
    fn flush(&self, _task: &FlushTask) -> Result<()> {
        match &self.values {
            Values::Memory(..) | Values::Device(..) => Err(Status::new(
                CHI_UNSUPPORTED,
                "the store is in memory and cannot be made durable: create its pool with a path",
            )),
            Values::File(durable) => durable.flush(),
        }
    }

    #[method(Method::STATS, name = "kStats", idempotent)]
    fn stats(&self, task: &StatsTask) -> Result<()> {
        task.stats.set(match &self.values {
            Values::Memory(..) | Values::Device(..) => self.pool.stats(),
            Values::File(durable) => durable.stats()?,
        });
        Ok(())
    }

    #[method(Method::COMPACT, name = "kCompact")]
    fn compact(&self, task: &CompactTask) -> Result<()> {
        match &self.values {
            Values::Memory(..) | Values::Device(..) => Err(Status::new(
                CHI_UNSUPPORTED,
                "the store is in memory and has no file to compact: create its pool with a path",
            )),
            Values::File(durable) => {
                task.bytes.set(durable.compact()?);
                Ok(())
            }
        }
    }

    /// Returns the store's blocks to the device, or closes its file.
    #[destroy]
    fn destroy(&self, _ctx: &RunContext<'_>) -> Result<()> {
        match &self.values {
            Values::Memory(..) => Ok(()),
            Values::Device(stored, _) => {
                stored.keys().clear();
                Ok(())
            }
            Values::File(share) => share.leave(),
        }
    }

    /// Leaves the place in the pool, or the file, to a successor.
    #[release]
    fn release(&self) -> Result<()> {
        match &self.values {
            Values::Memory(_, member) | Values::Device(_, member) => {
                member.leave();
                Ok(())
            }
            Values::File(share) => share.leave(),
        }
    }

    #[resume]
    fn resume(&self) -> Result<()> {
        match &self.values {
            Values::Memory(_, member) | Values::Device(_, member) => member.come_back(),
            Values::File(share) => share.join(),
        }
    }

    #[recover]
    fn recover(&self, task: &LifeTask) -> Result<()> {
        match &self.values {
            Values::Memory(_, member) | Values::Device(_, member) => {
                // Unless a state was loaded.
                if task.old_version().is_empty() {
                    let (id, why) = (self.id, task.message());
                    log_warn!("container {id} has lost its keys, and begins without: {why}");
                    member.take_over()?;
                }
                Ok(())
            }
            Values::File(share) => share.take_over(),
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

    /// Sends tasks on all keys to the containers in turn. Each can serve them, unless some are on other nodes:
    /// then each serves its part.
    fn send_anywhere(&self, mode: MonitorMode, task: &TaskBase) {
        if mode == MonitorMode::GlobalSchedule && self.containers > 1 {
            if !self.pool.is_whole() {
                return task.set_domain_query(DomainQuery::global_bcast());
            }
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            task.set_domain_query(DomainQuery::global_hash(next));
        }
    }
}

/// Whether a task is for the keys of the container that runs it, and not for those of the pool.
fn is_for_one(task: &TaskBase) -> bool {
    matches!(task.domain_query().kind(), CHI_DOMAIN_LOCAL_ID | CHI_DOMAIN_GLOBAL_ID)
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
