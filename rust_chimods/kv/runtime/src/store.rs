//! The keys of a container in memory: ordered shards, each with its own lock.

use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chimaera::module::Published;
use chimaera::Result;
use chimaera_kv_client::key_hash;

use crate::pool::{Account, Frozen, Keys};

/// As many as there are lanes, selected by the same hash: only scans and counts contend with
/// another lane for a lock.
const SHARDS: usize = 16;

pub(crate) type Key = Vec<u8>;

struct Shard<V> {
    values: BTreeMap<Key, V>,
    /// The scans that have begun and have not yet visited this shard. Nearly always empty.
    scans: Vec<Begun>,
}

/// A shard, and the bytes of its keys and values, which are known also while another has the lock.
struct Slot<V> {
    bytes: AtomicU64,
    shard: Mutex<Shard<V>>,
}

impl<V> Slot<V> {
    /// Counts `new` bytes in place of `old` ones. The caller has the lock, so nobody else changes the sum.
    fn count(&self, old: usize, new: usize) {
        let bytes = self.bytes.load(Ordering::Relaxed) + new as u64 - old as u64;
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Slot { bytes: AtomicU64::new(0), shard: Mutex::default() }
    }
}

/// A scan that has begun.
struct Begun {
    scan: u64,
    /// The keys that came or went since then, and whether they existed at that moment.
    changed: BTreeMap<Key, bool>,
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Shard { values: BTreeMap::new(), scans: Vec::new() }
    }
}

/// The value of a key. A clone is the same value.
pub(crate) trait Value: Clone + Send + Sync {
    /// The number of bytes of memory that it accounts for.
    fn len(&self) -> usize;
}

impl Value for Published {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}

/// Keys and values. Readers use clones of values, without the lock. No lock is held across a wait.
pub(crate) struct Store<V = Published> {
    slots: [Slot<V>; SHARDS],
    /// Of the whole pool.
    account: Arc<Account>,
}

impl<V: Value> Store<V> {
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Store { slots: Default::default(), account }
    }

    /// Stores a value. Returns the value it replaced. Errors: `STORE_FULL`.
    pub(crate) fn put(&self, key: Key, value: V) -> Result<Option<V>> {
        let slot = self.slot(&key);
        let mut shard = lock(&slot.shard);
        let Shard { values, scans } = &mut *shard;
        match values.entry(key) {
            Entry::Occupied(mut entry) => {
                let (old, new) = (entry.get().len(), value.len());
                self.account.replace(old, new)?;
                slot.count(old, new);
                Ok(Some(entry.insert(value)))
            }
            Entry::Vacant(entry) => {
                let new = entry.key().len() + value.len();
                self.account.replace(0, new)?;
                slot.count(0, new);
                if !scans.is_empty() {
                    note(scans, entry.key(), false);
                }
                entry.insert(value);
                Ok(None)
            }
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<V> {
        lock(&self.slot(key).shard).values.get(key).cloned()
    }

    /// Returns the removed value.
    pub(crate) fn delete(&self, key: &[u8]) -> Option<V> {
        let slot = self.slot(key);
        let mut shard = lock(&slot.shard);
        let removed = shard.values.remove(key)?;
        let old = key.len() + removed.len();
        self.account.release(old as u64);
        slot.count(old, 0);
        if !shard.scans.is_empty() {
            note(&mut shard.scans, key, true);
        }
        Some(removed)
    }

    /// Deletes all keys.
    pub(crate) fn clear(&self) {
        for slot in &self.slots {
            let keys: Vec<Key> = lock(&slot.shard).values.keys().cloned().collect();
            keys.iter().for_each(|key| drop(self.delete(key)));
        }
    }

    /// Stores the value of a new key. It is not accounted for, because the container has not entered its
    /// pool.
    pub(crate) fn load(&self, key: Key, value: V) {
        let slot = self.slot(&key);
        let mut shard = lock(&slot.shard);
        slot.count(0, key.len() + value.len());
        shard.values.insert(key, value);
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.shards().map(|shard| shard.values.len()).sum()
    }

    /// Calls `f` for each key, in order, while no key can come or go.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Key, &V) -> Result<()>) -> Result<()> {
        let shards: Vec<_> = self.shards().collect();
        let mut rest: Vec<_> = shards.iter().map(|shard| shard.values.iter().peekable()).collect();
        loop {
            let heads = rest.iter_mut().enumerate();
            let heads = heads.filter_map(|(n, entries)| entries.peek().map(|entry| (entry.0, n)));
            let Some((_, first)) = heads.min() else { return Ok(()) };
            if let Some((key, value)) = rest[first].next() {
                f(key, value)?;
            }
        }
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let of = |shard: MutexGuard<'_, Shard<V>>| shard.values.keys().cloned().collect::<Vec<_>>();
        let mut keys: Vec<Key> = self.shards().flat_map(of).collect();
        keys.sort();
        keys
    }

    /// Takes all keys out, without accounting for that.
    pub(crate) fn drain(&self) -> Vec<V> {
        let take = |mut shard: MutexGuard<'_, Shard<V>>| std::mem::take(&mut shard.values);
        self.shards().flat_map(|shard| take(shard).into_values()).collect()
    }

    fn slot(&self, key: &[u8]) -> &Slot<V> {
        &self.slots[key_hash(key) as usize % SHARDS]
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<V>>> {
        self.slots.iter().map(|slot| lock(&slot.shard))
    }
}

impl<V: Value> Keys for Store<V> {
    fn freeze(&self, scan: Option<u64>) -> (u64, Box<dyn Frozen + '_>) {
        let mut shards: Vec<_> = self.shards().collect();
        if let Some(scan) = scan {
            let begun = || Begun { scan, changed: BTreeMap::new() };
            shards.iter_mut().for_each(|shard| shard.scans.push(begun()));
        }
        (shards.iter().map(|shard| shard.values.len() as u64).sum(), Box::new(shards))
    }

    fn visit(&self, scan: u64, prefix: &[u8], limit: usize, keys: &mut Vec<Key>) {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for mut shard in self.shards() {
            let changed = shard.end(scan);
            let found = shard.values.range::<[u8], _>(from).map(|(key, _)| key);
            let found = found.take_while(|key| key.starts_with(prefix));
            if changed.is_empty() {
                keys.extend(found.take(limit).cloned());
                continue;
            }
            keys.extend(found.filter(|key| !changed.contains_key(*key)).take(limit).cloned());
            let gone = changed.into_iter().filter(|(_, existed)| *existed).map(|(key, _)| key);
            keys.extend(gone.filter(|key| key.starts_with(prefix)));
        }
    }

    fn forget(&self, scan: u64) {
        self.shards().for_each(|mut shard| drop(shard.end(scan)));
    }

    fn bytes(&self) -> u64 {
        self.slots.iter().map(|slot| slot.bytes.load(Ordering::Relaxed)).sum()
    }
}

impl<V> Shard<V> {
    /// Ends a scan. Returns the keys that came or went since it began.
    fn end(&mut self, scan: u64) -> BTreeMap<Key, bool> {
        let at = self.scans.iter().position(|begun| begun.scan == scan);
        at.map(|at| self.scans.swap_remove(at).changed).unwrap_or_default()
    }
}

/// Remembers for the scans that have begun whether the key existed; its first change since then
/// counts.
#[cold]
fn note(scans: &mut [Begun], key: &[u8], existed: bool) {
    for scan in scans {
        scan.changed.entry(key.to_vec()).or_insert(existed);
    }
}

/// A panic between two statements leaves a shard consistent, so a poisoned one can still be used.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera_kv_client::STORE_FULL;

    fn store(max_bytes: Option<u64>) -> Store {
        Store::new(Arc::new(Account::new(max_bytes)))
    }

    fn begin(store: &Store, scan: u64) {
        drop(store.freeze(Some(scan)));
    }

    fn visit(store: &Store, scan: u64, prefix: &[u8], limit: usize) -> Vec<Key> {
        let mut keys = Vec::new();
        store.visit(scan, prefix, limit, &mut keys);
        keys.sort();
        keys.truncate(limit);
        keys
    }

    fn scan(store: &Store, prefix: &[u8], limit: usize) -> Vec<Key> {
        begin(store, 1);
        visit(store, 1, prefix, limit)
    }

    fn put(store: &Store, key: &str, value: &str) -> Result<bool> {
        store.put(key.into(), Published::from(value.as_bytes().to_vec())).map(|old| old.is_some())
    }

    #[test]
    fn what_was_put_is_there_until_it_is_deleted() {
        let store = store(None);
        assert!(!put(&store, "a", "1").unwrap());
        assert!(put(&store, "a", "2").unwrap());
        assert_eq!(&store.get(b"a").unwrap()[..], b"2");
        assert!(store.delete(b"a").is_some());
        assert!(store.delete(b"a").is_none());
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn a_scan_is_ordered_over_all_shards_and_keeps_to_its_prefix() {
        let store = store(None);
        for i in (0..1000).rev() {
            put(&store, &format!("k/{i:03}"), "").unwrap();
        }
        put(&store, "k", "").unwrap();
        put(&store, "l", "").unwrap();
        let keys = scan(&store, b"k/", usize::MAX);
        assert_eq!(keys.len(), 1000);
        assert!(keys.is_sorted());
        assert_eq!(scan(&store, b"k/", 2), [b"k/000", b"k/001"]);
        assert_eq!(scan(&store, b"", usize::MAX).len() as u64, store.freeze(None).0);
        assert!(scan(&store, b"m", usize::MAX).is_empty());
    }

    #[test]
    fn a_full_store_refuses_growth_and_stays_as_it_is() {
        let store = store(Some(10));
        put(&store, "a", "12345678").unwrap();
        let status = put(&store, "b", "1").unwrap_err();
        assert_eq!(status.code(), STORE_FULL);
        assert_eq!(status.message(), "the store holds 9 of at most 10 bytes; 2 more do not fit");
        assert_eq!(put(&store, "a", "1234567890").unwrap_err().code(), STORE_FULL);
        assert_eq!(store.get(b"a").unwrap().len(), 8);
        put(&store, "a", "").unwrap();
        put(&store, "b", "12345678").unwrap();
        store.delete(b"b");
        assert_eq!(store.account.bytes(), 1);
    }

    #[test]
    fn a_scan_finds_what_existed_when_it_began() {
        let store = store(None);
        for key in ["a", "b", "c", "d"] {
            put(&store, key, "").unwrap();
        }
        begin(&store, 1);
        store.delete(b"b");
        put(&store, "e", "").unwrap();
        put(&store, "a", "replaced").unwrap();
        begin(&store, 2);
        put(&store, "b", "again").unwrap();
        store.delete(b"e");
        store.delete(b"c");
        put(&store, "c", "again").unwrap();
        begin(&store, 3);
        store.forget(3);
        assert_eq!(visit(&store, 1, b"", 9), [b"a", b"b", b"c", b"d"]);
        assert_eq!(visit(&store, 2, b"", 9), [b"a", b"c", b"d", b"e"]);
        assert_eq!(scan(&store, b"", 9), [b"a", b"b", b"c", b"d"]);
        assert!(store.shards().all(|shard| shard.scans.is_empty()));

        begin(&store, 4);
        store.delete(b"a");
        put(&store, "aa", "").unwrap();
        assert_eq!(visit(&store, 4, b"", 2), [b"a", b"b"]);
    }

    #[test]
    fn all_keys_are_visited_in_order() {
        let store = store(None);
        for i in (0..1000).rev() {
            put(&store, &format!("{i:03}"), "value").unwrap();
        }
        let mut keys = Vec::new();
        let visit = |key: &Key, _: &Published| {
            keys.push(key.clone());
            Ok(())
        };
        store.for_each(visit).unwrap();
        assert_eq!(keys, store.keys());
        assert!(keys.is_sorted() && keys.len() == store.len());
        assert_eq!(store.bytes(), store.account.bytes());
        assert_eq!((store.drain().len(), store.len()), (1000, 0));
    }

    #[test]
    fn many_threads_account_alike() {
        let store = store(None);
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
        let total: usize = scan(&store, b"", usize::MAX)
            .iter()
            .map(|key| key.len() + store.get(key).unwrap().len())
            .sum();
        assert_eq!(store.account.bytes(), total as u64);
    }
}
