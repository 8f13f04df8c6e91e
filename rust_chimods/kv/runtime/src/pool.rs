//! What the containers of one pool share: the limit on its bytes, and scans and counts over all of
//! its keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use chimaera::{PoolId, Result, Status};
use chimaera_kv_client::{Stats, STORE_FULL};

use crate::durable::Durable;
use crate::store::Key;

/// The pools of this process. Each runtime begins to number its pools at a moment's nanosecond, so
/// those of several runtimes in one process have different ids.
static POOLS: LazyLock<Mutex<HashMap<PoolId, Weak<Pool>>>> = LazyLock::new(Mutex::default);

/// The bytes of a pool's keys and values, and the most that it may have.
pub(crate) struct Account {
    bytes: AtomicU64,
    max_bytes: u64,
}

impl Account {
    pub(crate) fn new(max_bytes: Option<u64>) -> Self {
        Account { bytes: AtomicU64::new(0), max_bytes: max_bytes.unwrap_or(u64::MAX) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Accounts for `new` bytes in place of `old` ones. Errors: `STORE_FULL`.
    pub(crate) fn replace(&self, old: usize, new: usize) -> Result<()> {
        let (old, new) = (old as u64, new as u64);
        // A change that does not grow the store is allowed even when it is full.
        if self.max_bytes == u64::MAX || new <= old {
            self.bytes.fetch_add(new.wrapping_sub(old), Ordering::Relaxed);
            return Ok(());
        }
        let update = |bytes: u64| Some(bytes - old + new).filter(|bytes| *bytes <= self.max_bytes);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update) {
            Ok(_) => Ok(()),
            Err(bytes) => Err(full(bytes, self.max_bytes, new - old)),
        }
    }

    /// Accounts for `bytes` that are gone.
    pub(crate) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

/// The refusal of a change that does not fit.
pub(crate) fn full(bytes: u64, max_bytes: u64, more: u64) -> Status {
    Status::new(
        STORE_FULL,
        format!("the store holds {bytes} of at most {max_bytes} bytes; {more} more do not fit"),
    )
}

/// What `freeze` holds: while it exists, no key of the container comes or goes.
pub(crate) trait Frozen {}

impl<T> Frozen for T {}

/// The keys of one container, for scans over all of them.
pub(crate) trait Keys: Send + Sync {
    /// Begins the scan with this number, if there is one: `visit` will find the keys that exist
    /// now. Also returns how many there are.
    fn freeze(&self, scan: Option<u64>) -> (u64, Box<dyn Frozen + '_>);

    /// Adds the keys with this prefix that existed when the scan began, at most about `limit` of
    /// them, and ends the scan. They come in a few sorted runs.
    fn visit(&self, scan: u64, prefix: &[u8], limit: usize, keys: &mut Vec<Key>);

    /// Ends a scan without a visit.
    fn forget(&self, scan: u64);

    /// Takes the bytes of a container that is not used any more out of the pool's account.
    fn write_off(&self);
}

/// A pool whose containers are in this process.
pub(crate) struct Pool {
    account: Arc<Account>,
    /// By the container's number; none before its creation and after its end.
    containers: Mutex<Vec<Option<Arc<dyn Keys>>>>,
    /// For a pool with a path.
    durable: Mutex<Weak<Durable>>,
    next_scan: AtomicU64,
}

impl Pool {
    /// The pool with this id: one object for all of its containers.
    pub(crate) fn of(id: PoolId, containers: u32, max_bytes: Option<u64>) -> Arc<Pool> {
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&id).and_then(Weak::upgrade) {
            return pool;
        }
        let pool = Arc::new(Pool {
            account: Arc::new(Account::new(max_bytes)),
            containers: Mutex::new(vec![None; containers as usize]),
            durable: Mutex::default(),
            next_scan: AtomicU64::new(0),
        });
        pools.retain(|_, pool| pool.strong_count() > 0);
        pools.insert(id, Arc::downgrade(&pool));
        pool
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The file of the pool, which the first of its containers opens. They are created one after the
    /// other.
    pub(crate) fn durable(&self, open: impl FnOnce() -> Result<Durable>) -> Result<Arc<Durable>> {
        let durable = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = durable().upgrade() {
            return Ok(opened);
        }
        let opened = Arc::new(open()?);
        *durable() = Arc::downgrade(&opened);
        Ok(opened)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            keys: self.count(),
            bytes: self.account.bytes(),
            max_bytes: self.account.max_bytes,
            ..Stats::default()
        }
    }

    /// The first `limit` keys of the pool that begin with `prefix`, in order, as they were at one
    /// moment during the call.
    pub(crate) fn scan(&self, prefix: &[u8], limit: usize) -> Vec<Key> {
        self.scan_of(&self.live(), prefix, limit)
    }

    /// As `scan`, of some of its containers.
    pub(crate) fn scan_of(
        &self,
        containers: &[Arc<dyn Keys>],
        prefix: &[u8],
        limit: usize,
    ) -> Vec<Key> {
        let number = self.next_scan.fetch_add(1, Ordering::Relaxed);
        let mut scan = Scan { number, rest: containers };
        // The scan begins everywhere while nothing can change anywhere.
        drop(containers.iter().map(|keys| keys.freeze(Some(number))).collect::<Vec<_>>());
        let mut found = Vec::new();
        while let Some((keys, rest)) = scan.rest.split_first() {
            keys.visit(number, prefix, limit, &mut found);
            scan.rest = rest;
        }
        // Sorted runs, which a stable sort only needs to merge.
        found.sort();
        found.truncate(limit);
        found
    }

    /// The number of keys at one moment during the call.
    pub(crate) fn count(&self) -> u64 {
        let containers = self.live();
        let frozen: Vec<_> = containers.iter().map(|keys| keys.freeze(None)).collect();
        frozen.iter().map(|(count, _)| count).sum()
    }

    fn live(&self) -> Vec<Arc<dyn Keys>> {
        self.containers().iter().flatten().cloned().collect()
    }

    fn containers(&self) -> MutexGuard<'_, Vec<Option<Arc<dyn Keys>>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scan that has begun. Dropping it ends it in the containers that it has not visited.
struct Scan<'a> {
    number: u64,
    rest: &'a [Arc<dyn Keys>],
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        self.rest.iter().for_each(|keys| keys.forget(self.number));
    }
}

/// A container's place in its pool. Dropping it takes the container out.
pub(crate) struct Member {
    pool: Arc<Pool>,
    number: usize,
    keys: Arc<dyn Keys>,
}

impl Member {
    /// Enters a container into its pool, in place of one that crashed.
    pub(crate) fn new(pool: Arc<Pool>, number: u32, keys: Arc<dyn Keys>) -> Member {
        let number = number as usize;
        if let Some(crashed) = pool.containers()[number].replace(keys.clone()) {
            crashed.write_off();
        }
        Member { pool, number, keys }
    }

    /// The keys of this container alone.
    pub(crate) fn scan(&self, prefix: &[u8], limit: usize) -> Vec<Key> {
        self.pool.scan_of(std::slice::from_ref(&self.keys), prefix, limit)
    }

    /// The number of keys of this container alone.
    pub(crate) fn count(&self) -> u64 {
        self.keys.freeze(None).0
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut containers = self.pool.containers();
        let place = &mut containers[self.number];
        if place.as_ref().is_some_and(|keys| Arc::ptr_eq(keys, &self.keys)) {
            *place = None;
        }
    }
}
