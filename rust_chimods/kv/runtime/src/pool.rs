//! What the containers of one pool share: the limit on its bytes, and scans and counts over all of
//! its keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use chimaera::abi::CHI_BUSY;
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

    /// Accounts for the `bytes` of a container that enters its pool. Errors: `STORE_FULL`.
    fn add(&self, bytes: u64) -> Result<()> {
        let update = |now: u64| now.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update) {
            Ok(_) => Ok(()),
            Err(now) => Err(full(now, self.max_bytes, bytes)),
        }
    }

    /// Accounts for `bytes` that are gone.
    pub(crate) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
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

    /// The bytes that they count as, also while somebody has a lock: whoever crashed with one will not
    /// return it.
    fn bytes(&self) -> u64;
}

/// A pool: those of its containers that are in this process.
pub(crate) struct Pool {
    account: Arc<Account>,
    /// By the container's number.
    places: Mutex<Vec<Place>>,
    /// For a pool with a path.
    durable: Mutex<Weak<Durable>>,
    next_scan: AtomicU64,
    /// How many objects there are of each container, by its number: for a while there may be two.
    objects: Box<[AtomicU32]>,
}

/// A container's place in its pool.
#[derive(Clone, Default)]
struct Place {
    holder: Holder,
    /// How often its keys were lost.
    lost: u64,
}

/// Whose keys count as those of a container.
#[derive(Clone, Default)]
enum Holder {
    /// Nobody's: before the container's creation, and after its end.
    #[default]
    None,
    /// Those of the container that is in use.
    One(Arc<dyn Keys>),
    /// Those of the successor, once it has loaded them, or of the container that has left, if it comes
    /// back.
    Left,
}

impl Holder {
    fn is(&self, keys: &Arc<dyn Keys>) -> bool {
        matches!(self, Holder::One(holder) if Arc::ptr_eq(holder, keys))
    }
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
            places: Mutex::new(vec![Place::default(); containers as usize]),
            durable: Mutex::default(),
            next_scan: AtomicU64::new(0),
            objects: (0..containers).map(|_| AtomicU32::new(0)).collect(),
        });
        pools.retain(|_, pool| pool.strong_count() > 0);
        pools.insert(id, Arc::downgrade(&pool));
        pool
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The file of the pool, which the first of its containers opens.
    pub(crate) fn durable(&self, make: impl FnOnce() -> Durable) -> Arc<Durable> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.upgrade().unwrap_or_else(|| {
            let made = Arc::new(make());
            *durable = Arc::downgrade(&made);
            made
        })
    }

    /// Whether all containers are in this process. Otherwise the others are on other nodes of a cluster.
    pub(crate) fn is_whole(&self) -> bool {
        self.objects.iter().all(|objects| objects.load(Ordering::Relaxed) > 0)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            keys: self.count(),
            bytes: self.account.bytes(),
            max_bytes: self.account.max_bytes,
            lost: self.lost(),
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

    /// How often the keys of one of its containers were lost.
    fn lost(&self) -> u64 {
        self.places().iter().map(|place| place.lost).sum()
    }

    fn live(&self) -> Vec<Arc<dyn Keys>> {
        let keys = |place: &Place| match &place.holder {
            Holder::One(keys) => Some(keys.clone()),
            Holder::None | Holder::Left => None,
        };
        self.places().iter().filter_map(keys).collect()
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
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

/// An object of a container, as long as it exists.
pub(crate) struct Presence(Arc<Pool>, u32);

impl Presence {
    pub(crate) fn new(pool: &Arc<Pool>, number: u32) -> Presence {
        pool.objects[number as usize].fetch_add(1, Ordering::Relaxed);
        Presence(pool.clone(), number)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.objects[self.1 as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A container as a member of its pool. Dropping it takes the container out.
pub(crate) struct Member {
    pool: Arc<Pool>,
    number: usize,
    keys: Arc<dyn Keys>,
}

impl Member {
    /// A container that has just been made. It enters its pool at once, unless it has a predecessor:
    /// then it does when it has loaded the state (`enter`) or recovers (`take_over`), because until
    /// then the predecessor may come back.
    pub(crate) fn new(pool: Arc<Pool>, number: u32, keys: Arc<dyn Keys>) -> Member {
        let number = number as usize;
        let place = &mut pool.places()[number];
        if let Holder::None = place.holder {
            place.holder = Holder::One(keys.clone());
        }
        Member { pool: pool.clone(), number, keys }
    }

    /// Enters the pool with keys that have been loaded and are not in its account, and of which a
    /// predecessor has lost those of `lost` moments. Errors: `STORE_FULL`; `CHI_BUSY` if the
    /// predecessor has come back.
    pub(crate) fn enter(&self, lost: u64) -> Result<()> {
        let place = &mut self.pool.places()[self.number];
        if let (Holder::One(_), false) = (&place.holder, place.holder.is(&self.keys)) {
            return Err(Status::new(CHI_BUSY, "the container that left its keys goes on"));
        }
        self.pool.account.add(self.keys.bytes())?;
        *place = Place { holder: Holder::One(self.keys.clone()), lost: place.lost.max(lost) };
        Ok(())
    }

    /// Leaves the pool to a successor, or to itself if it comes back.
    pub(crate) fn leave(&self) {
        let place = &mut self.pool.places()[self.number];
        if place.holder.is(&self.keys) {
            self.pool.account.release(self.keys.bytes());
            place.holder = Holder::Left;
        }
    }

    /// Comes back, because there is no successor after all. Errors: `STORE_FULL`, which means that the
    /// books are wrong.
    pub(crate) fn come_back(&self) -> Result<()> {
        self.replace()
    }

    /// Takes the place of a container whose keys are lost, here or in another process.
    pub(crate) fn take_over(&self) -> Result<()> {
        self.replace()?;
        self.pool.places()[self.number].lost += 1;
        Ok(())
    }

    fn replace(&self) -> Result<()> {
        let place = &mut self.pool.places()[self.number];
        match &place.holder {
            holder if holder.is(&self.keys) => return Ok(()),
            Holder::One(other) => self.pool.account.release(other.bytes()),
            Holder::None | Holder::Left => {}
        }
        place.holder = Holder::Left;
        self.pool.account.add(self.keys.bytes())?;
        place.holder = Holder::One(self.keys.clone());
        Ok(())
    }

    /// How often the keys of this container were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.pool.places()[self.number].lost
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
        let place = &mut self.pool.places()[self.number];
        if place.holder.is(&self.keys) {
            self.pool.account.release(self.keys.bytes());
            place.holder = Holder::None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// A pool of one container, and stores with 4 bytes each.
    fn pool() -> Arc<Pool> {
        Arc::new(Pool {
            account: Arc::new(Account::new(Some(6))),
            places: Mutex::new(vec![Place::default()]),
            durable: Mutex::default(),
            next_scan: AtomicU64::new(0),
            objects: Box::default(),
        })
    }

    fn member(pool: &Arc<Pool>) -> (Arc<Store>, Member) {
        let store = Arc::new(Store::new(pool.account.clone()));
        (store.clone(), Member::new(pool.clone(), 0, store))
    }

    fn fill(store: &Store) {
        store.load(b"key".to_vec(), b"v".to_vec().into());
    }

    #[test]
    fn a_successor_takes_the_place_of_a_container_that_has_left() {
        let pool = pool();
        let (old, member_old) = member(&pool);
        old.put(b"key".to_vec(), b"v".to_vec().into()).unwrap();
        member_old.leave();
        assert_eq!((pool.account.bytes(), pool.count()), (0, 0));
        let (new, member_new) = member(&pool);
        fill(&new);
        member_new.enter(2).unwrap();
        drop(member_old);
        assert_eq!((pool.account.bytes(), pool.count(), pool.lost()), (4, 1, 2));
        drop(member_new);
        assert_eq!((pool.account.bytes(), pool.count()), (0, 0));
    }

    #[test]
    fn a_container_that_comes_back_has_its_place_whatever_the_successor_does() {
        let pool = pool();
        let (old, member_old) = member(&pool);
        old.put(b"key".to_vec(), b"v".to_vec().into()).unwrap();
        for entered in [false, true] {
            member_old.leave();
            let (new, member_new) = member(&pool);
            fill(&new);
            if entered {
                member_new.enter(0).unwrap();
            }
            member_old.come_back().unwrap();
            member_old.come_back().unwrap();
            if !entered {
                assert_eq!(member_new.enter(0).unwrap_err().code(), CHI_BUSY);
            }
            drop(member_new);
            assert_eq!((pool.account.bytes(), pool.count()), (4, 1));
        }
    }

    #[test]
    fn what_a_crashed_container_had_is_written_off() {
        let pool = pool();
        let (old, member_old) = member(&pool);
        old.put(b"key".to_vec(), b"v".to_vec().into()).unwrap();
        let (_new, member_new) = member(&pool);
        assert_eq!(pool.count(), 1);
        member_new.take_over().unwrap();
        // A crashed container is never dropped.
        std::mem::forget(member_old);
        assert_eq!((pool.account.bytes(), pool.count(), pool.lost()), (0, 0, 1));
    }
}
