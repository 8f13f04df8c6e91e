//! The store: ordered shards, each under a lock of its own.

use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chimaera::{Result, Status};
use chimaera_kv_client::{key_hash, STORE_FULL};

/// As many as there are lanes, by the same hash: a lane's tasks meet no other lane's at a lock, but
/// for scans and counts.
const SHARDS: usize = 16;

type Key = Vec<u8>;
/// Shared, so that a reader copies it without the lock.
type Value = Arc<Vec<u8>>;
type Shard = BTreeMap<Key, Value>;

/// Keys and values. No lock is held while anything waits.
pub(crate) struct Store {
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of all keys and values.
    bytes: AtomicU64,
    max_bytes: u64,
}

impl Store {
    pub(crate) fn new(max_bytes: Option<u64>) -> Self {
        Store {
            shards: Default::default(),
            bytes: AtomicU64::new(0),
            max_bytes: max_bytes.unwrap_or(u64::MAX),
        }
    }

    /// Whether it replaced a value. Errors: `STORE_FULL`.
    pub(crate) fn put(&self, key: Key, value: Vec<u8>) -> Result<bool> {
        let mut shard = self.shard(&key);
        match shard.entry(key) {
            Entry::Occupied(mut entry) => {
                self.replace(entry.get().len(), value.len())?;
                // The old value, if a reader has it, goes with the reader.
                entry.insert(Arc::new(value));
                Ok(true)
            }
            Entry::Vacant(entry) => {
                self.replace(0, entry.key().len() + value.len())?;
                entry.insert(Arc::new(value));
                Ok(false)
            }
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        self.shard(key).get(key).cloned()
    }

    /// Whether it was there.
    pub(crate) fn delete(&self, key: &[u8]) -> bool {
        let removed = self.shard(key).remove(key);
        if let Some(value) = &removed {
            self.bytes.fetch_sub((key.len() + value.len()) as u64, Ordering::Relaxed);
        }
        removed.is_some()
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

    /// Accounts for `new` bytes in the place of `old` ones.
    fn replace(&self, old: usize, new: usize) -> Result<()> {
        let (old, new) = (old as u64, new as u64);
        let update = |bytes: u64| {
            let bytes = bytes - old + new;
            // What does not grow the store is welcome in a full one.
            (bytes <= self.max_bytes || new <= old).then_some(bytes)
        };
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update) {
            Ok(_) => Ok(()),
            Err(bytes) => Err(Status::new(
                STORE_FULL,
                format!(
                    "the store has {bytes} of {} bytes; {} more do not fit",
                    self.max_bytes,
                    new - old
                ),
            )),
        }
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key_hash(key) as usize % SHARDS])
    }
}

/// A panic between two statements leaves a shard whole, so a poisoned one is as good as any.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str, value: &str) -> Result<bool> {
        store.put(key.into(), value.into())
    }

    #[test]
    fn what_was_put_is_there_until_it_is_deleted() {
        let store = Store::new(None);
        assert!(!put(&store, "a", "1").unwrap());
        assert!(put(&store, "a", "2").unwrap());
        assert_eq!(store.get(b"a").unwrap().as_slice(), b"2");
        assert!(store.delete(b"a"));
        assert!(!store.delete(b"a"));
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn a_scan_is_ordered_over_all_shards_and_keeps_to_its_prefix() {
        let store = Store::new(None);
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
        let store = Store::new(Some(10));
        put(&store, "a", "12345678").unwrap();
        let status = put(&store, "b", "1").unwrap_err();
        assert_eq!(status.code(), STORE_FULL);
        assert_eq!(status.message(), "the store has 9 of 10 bytes; 2 more do not fit");
        assert_eq!(put(&store, "a", "1234567890").unwrap_err().code(), STORE_FULL);
        assert_eq!(store.get(b"a").unwrap().len(), 8);
        put(&store, "a", "").unwrap();
        put(&store, "b", "12345678").unwrap();
        store.delete(b"b");
        assert_eq!(store.bytes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn many_threads_account_alike() {
        let store = Store::new(None);
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
