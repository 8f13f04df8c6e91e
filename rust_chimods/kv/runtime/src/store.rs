//! The store: ordered shards, each with its own lock.

use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chimaera::{Result, Status};
use chimaera_kv_client::{key_hash, STORE_FULL};

/// As many as there are lanes, selected by the same hash: only scans and counts contend with
/// another lane for a lock.
const SHARDS: usize = 16;

type Key = Vec<u8>;
type Shard<V> = BTreeMap<Key, Arc<V>>;

/// The value of a key.
pub(crate) trait Value {
    /// The number of bytes of memory that it accounts for.
    fn len(&self) -> usize;
}

impl Value for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }
}

/// Keys and values. Values are shared, so that readers use them without the lock. No lock is held
/// across a wait.
pub(crate) struct Store<V = Vec<u8>> {
    shards: [Mutex<Shard<V>>; SHARDS],
    /// Total bytes of all keys and values.
    bytes: AtomicU64,
    max_bytes: u64,
}

impl<V: Value> Store<V> {
    pub(crate) fn new(max_bytes: Option<u64>) -> Self {
        Store {
            shards: Default::default(),
            bytes: AtomicU64::new(0),
            max_bytes: max_bytes.unwrap_or(u64::MAX),
        }
    }

    /// Stores a value. Returns the value it replaced. Errors: `STORE_FULL`.
    pub(crate) fn put(&self, key: Key, value: Arc<V>) -> Result<Option<Arc<V>>> {
        let mut shard = self.shard(&key);
        match shard.entry(key) {
            Entry::Occupied(mut entry) => {
                self.replace(entry.get().len(), value.len())?;
                Ok(Some(entry.insert(value)))
            }
            Entry::Vacant(entry) => {
                self.replace(0, entry.key().len() + value.len())?;
                entry.insert(value);
                Ok(None)
            }
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<V>> {
        self.shard(key).get(key).cloned()
    }

    /// Returns the removed value.
    pub(crate) fn delete(&self, key: &[u8]) -> Option<Arc<V>> {
        let removed = self.shard(key).remove(key);
        if let Some(value) = &removed {
            self.bytes.fetch_sub((key.len() + value.len()) as u64, Ordering::Relaxed);
        }
        removed
    }

    /// The first `limit` keys that begin with `prefix`, in order.
    pub(crate) fn scan(&self, prefix: &[u8], limit: usize) -> Vec<Key> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let found = shard.range::<[u8], _>(from).map(|(key, _)| key);
            keys.extend(found.take_while(|key| key.starts_with(prefix)).take(limit).cloned());
        }
        keys.sort_unstable();
        keys.truncate(limit);
        keys
    }

    pub(crate) fn count(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).len() as u64).sum()
    }

    /// Accounts for `new` bytes in place of `old` ones.
    fn replace(&self, old: usize, new: usize) -> Result<()> {
        let (old, new) = (old as u64, new as u64);
        let update = |bytes: u64| {
            let bytes = bytes - old + new;
            // A change that does not grow the store is allowed even when it is full.
            (bytes <= self.max_bytes || new <= old).then_some(bytes)
        };
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update) {
            Ok(_) => Ok(()),
            Err(bytes) => Err(Status::new(
                STORE_FULL,
                format!(
                    "the store holds {bytes} of at most {} bytes; {} more do not fit",
                    self.max_bytes,
                    new - old
                ),
            )),
        }
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard<V>> {
        lock(&self.shards[key_hash(key) as usize % SHARDS])
    }
}

/// A panic between two statements leaves a shard consistent, so a poisoned one can still be used.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str, value: &str) -> Result<bool> {
        store.put(key.into(), Arc::new(value.into())).map(|old| old.is_some())
    }

    #[test]
    fn what_was_put_is_there_until_it_is_deleted() {
        let store = Store::<Vec<u8>>::new(None);
        assert!(!put(&store, "a", "1").unwrap());
        assert!(put(&store, "a", "2").unwrap());
        assert_eq!(store.get(b"a").unwrap().as_slice(), b"2");
        assert!(store.delete(b"a").is_some());
        assert!(store.delete(b"a").is_none());
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn a_scan_is_ordered_over_all_shards_and_keeps_to_its_prefix() {
        let store = Store::<Vec<u8>>::new(None);
        for i in (0..1000).rev() {
            put(&store, &format!("k/{i:03}"), "").unwrap();
        }
        put(&store, "k", "").unwrap();
        put(&store, "l", "").unwrap();
        let keys = store.scan(b"k/", usize::MAX);
        assert_eq!(keys.len(), 1000);
        assert!(keys.is_sorted());
        assert_eq!(store.scan(b"k/", 2), [b"k/000", b"k/001"]);
        assert_eq!(store.scan(b"", usize::MAX).len() as u64, store.count());
        assert!(store.scan(b"m", usize::MAX).is_empty());
    }

    #[test]
    fn a_full_store_refuses_growth_and_stays_as_it_is() {
        let store = Store::<Vec<u8>>::new(Some(10));
        put(&store, "a", "12345678").unwrap();
        let status = put(&store, "b", "1").unwrap_err();
        assert_eq!(status.code(), STORE_FULL);
        assert_eq!(status.message(), "the store holds 9 of at most 10 bytes; 2 more do not fit");
        assert_eq!(put(&store, "a", "1234567890").unwrap_err().code(), STORE_FULL);
        assert_eq!(store.get(b"a").unwrap().len(), 8);
        put(&store, "a", "").unwrap();
        put(&store, "b", "12345678").unwrap();
        store.delete(b"b");
        assert_eq!(store.bytes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn many_threads_account_alike() {
        let store = Store::<Vec<u8>>::new(None);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for i in 0..1000 {
                        put(store, &format!("{}", i % 50), "value").unwrap();
                        if i % 3 == thread % 3 {
                            store.delete(format!("{}", i % 50).as_bytes());
                        }
                    }
                });
            }
        });
        let total: usize = store
            .scan(b"", usize::MAX)
            .iter()
            .map(|key| key.len() + store.get(key).unwrap().len())
            .sum();
        assert_eq!(store.bytes.load(Ordering::Relaxed), total as u64);
    }
}
