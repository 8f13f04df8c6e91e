//! Values that last: a database file that all containers of the pool share.
//!
//! A thread of its own applies the puts and deletes in the order in which they arrived, all that
//! have gathered while it was busy in one transaction: they share the wait for the disk, and no
//! worker waits for it. A put is visible, to gets and scans alike, when its transaction is
//! committed, and ends after that, or, if it need not be durable, before: then those that read it
//! wait for the commit.

mod committer;
mod fault;
mod file;
mod settling;
mod sharing;
mod transaction;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use chimaera::abi::{CHI_NO_POOL, CHI_TIMEOUT, CHI_UNSUPPORTED};
use chimaera::module::Event;
use chimaera::{Result, Status};
use chimaera_kv_client::{Params, Stats, Sync};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use committer::Committer;
use fault::{Fault, Outcome};
use file::Opened;
pub(crate) use sharing::Share;
use sharing::Sharing;
use transaction::Change;

use crate::store::Key;

/// The store of a pool. Its file is open as long as a container uses it.
pub(crate) struct Durable {
    params: Params,
    containers: u32,
    sharing: RwLock<Sharing>,
}

impl Durable {
    pub(crate) fn new(params: Params, containers: u32) -> Durable {
        Durable { params, containers, sharing: RwLock::default() }
    }

    fn committer(&self) -> Result<Arc<Committer>> {
        let sharing = self.sharing.read().unwrap_or_else(PoisonError::into_inner);
        sharing.committer().cloned().ok_or_else(|| {
            Status::new(CHI_NO_POOL, format!("the store in {} is closed", self.params.path))
        })
    }

    /// The number that the store, and no other, has.
    pub(crate) fn id(&self) -> Result<u64> {
        Ok(self.committer()?.id())
    }

    pub(crate) fn path(&self) -> &str {
        &self.params.path
    }

    /// Stores a value. Returns whether it replaced one. Errors: `STORE_FULL`; `CHI_CANCELLED`, and
    /// then it was not stored; `CHI_IO` and `CHI_NO_SPACE` if it could not be written.
    pub(crate) fn put(&self, container: u32, key: Key, value: Vec<u8>) -> Result<bool> {
        self.committer()?.apply(Change::Put { container, key, value })
    }

    /// Deletes a key. Returns whether it existed. Errors: as for `put`.
    pub(crate) fn delete(&self, container: u32, key: Key) -> Result<bool> {
        self.committer()?.apply(Change::Delete { container, key })
    }

    /// Makes durable what was acknowledged before. Errors: `CHI_UNSUPPORTED`, and as for `put`.
    pub(crate) fn flush(&self) -> Result<()> {
        if self.params.sync == Sync::None {
            return Err(Status::new(
                CHI_UNSUPPORTED,
                "a store with sync=none is never made durable: create its pool with sync=flush or \
                 sync=always",
            ));
        }
        self.committer()?.apply(Change::Flush).map(drop)
    }

    /// Shortens the file as far as its contents allow. Returns by how much. Errors: as for `put`.
    pub(crate) fn compact(&self) -> Result<u64> {
        let committer = self.committer()?;
        let compacted = || self.with_opened(&committer, |opened| Ok(opened.compacted));
        let before = compacted()?;
        committer.apply(Change::Compact)?;
        Ok(compacted()? - before)
    }

    /// Adds keys and values that come from a copy to a container whose other ones do, too; `last` if
    /// there are no more. Before the last ones of all containers, the store is not complete: when it is
    /// opened again, it is empty. Errors: as for `put`.
    pub(crate) fn load(
        &self,
        container: u32,
        entries: Vec<(Key, Vec<u8>)>,
        last: bool,
    ) -> Result<()> {
        self.committer()?.apply(Change::Load { container, entries, last }).map(drop)
    }

    /// Passes the number of keys of a container to `begin`, and then each key and its value to `entry`,
    /// in order, as they were at one moment.
    pub(crate) fn each(
        &self,
        container: u32,
        begin: impl FnOnce(u64) -> Result<()>,
        mut entry: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.read(None, |transaction| {
            let table = transaction.open_table(file::table(&file::table_name(container)))?;
            if let Err(status) = begin(table.len()?) {
                return Ok(Err(status));
            }
            for found in table.iter()? {
                let (key, value) = found?;
                if let Err(status) = entry(key.value(), value.value()) {
                    return Ok(Err(status));
                }
            }
            Ok(Ok(()))
        })?
    }

    /// Passes the value of a key to `found`. Returns whether there is one.
    pub(crate) fn get(
        &self,
        container: u32,
        key: &[u8],
        found: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        self.read(Some((container, key)), |transaction| {
            let table = transaction.open_table(file::table(&file::table_name(container)))?;
            let value = table.get(key)?;
            Ok(value.map(|value| found(value.value())))
        })?
        .transpose()
        .map(|found| found.is_some())
    }

    /// The first `limit` keys with this prefix, of one container or of all, in order, as they were
    /// at one moment.
    pub(crate) fn scan(
        &self,
        container: Option<u32>,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<Key>> {
        let mut keys = self.over(container, |transaction, container, mut keys: Vec<Key>| {
            let table = transaction.open_table(file::table(&file::table_name(container)))?;
            for entry in table.range(prefix..)?.take(limit) {
                let key = entry?.0;
                if !key.value().starts_with(prefix) {
                    break;
                }
                keys.push(key.value().to_vec());
            }
            Ok(keys)
        })?;
        // Sorted runs, which a stable sort only needs to merge.
        keys.sort();
        keys.truncate(limit);
        Ok(keys)
    }

    /// The number of keys, of one container or of all, at one moment.
    pub(crate) fn count(&self, container: Option<u32>) -> Result<u64> {
        self.over(container, |transaction, container, count: u64| {
            let table = transaction.open_table(file::table(&file::table_name(container)))?;
            Ok(count + table.len()?)
        })
    }

    pub(crate) fn stats(&self) -> Result<Stats> {
        let keys = self.count(None)?;
        let committer = self.committer()?;
        let mut stats = Stats {
            keys,
            bytes: committer.bytes.load(Ordering::Relaxed),
            max_bytes: committer.max_bytes,
            commits: committer.commits.load(Ordering::Relaxed),
            syncs: committer.syncs.load(Ordering::Relaxed),
            ..Stats::default()
        };
        self.with_opened(&committer, |opened| {
            stats.file_bytes = opened.len.load(Ordering::Relaxed);
            stats.compacted_bytes = opened.compacted;
            stats.compactions = opened.compactions;
            Ok(())
        })?;
        Ok(stats)
    }

    /// Folds over one container, or all of them, in one state.
    fn over<T: Default>(
        &self,
        container: Option<u32>,
        mut one: impl FnMut(&ReadTransaction, u32, T) -> Outcome<T>,
    ) -> Result<T> {
        let containers = match container {
            Some(container) => container..container + 1,
            None => 0..self.containers,
        };
        self.read(None, |transaction| {
            let folded = { containers }.try_fold(T::default(), |so_far, container| {
                match one(transaction, container, so_far) {
                    Ok(so_far) => ControlFlow::Continue(so_far),
                    Err(error) => ControlFlow::Break(error),
                }
            });
            match folded {
                ControlFlow::Continue(all) => Ok(all),
                ControlFlow::Break(error) => Err(error),
            }
        })
    }

    /// Reads the state of the last commit, which has all changes of this key of a container that have ended, or
    /// without one all changes.
    fn read<T>(
        &self,
        key: Option<(u32, &[u8])>,
        read: impl FnOnce(&ReadTransaction) -> Outcome<T>,
    ) -> Result<T> {
        let committer = self.committer()?;
        committer.settle(key)?;
        self.with_opened(&committer, |opened| {
            let transaction = opened.database.begin_read().map_err(Fault::from);
            transaction.and_then(|transaction| read(&transaction)).map_err(|fault| match fault {
                Fault::Earlier => committer.failure(),
                fault => fault.status(Path::new(&opened.path)),
            })
        })
    }

    /// Passes on what is open. Waits while the file is compacted or closed.
    fn with_opened<T>(
        &self,
        committer: &Committer,
        f: impl FnOnce(&Opened) -> Result<T>,
    ) -> Result<T> {
        let opened = loop {
            match committer.opened.try_read() {
                Ok(opened) => break opened,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => pause()?,
            }
        };
        f(opened.as_ref().ok_or_else(|| committer.closed())?)
    }
}

/// Suspends the task for a moment. Errors: `CHI_CANCELLED`.
fn pause() -> Result<()> {
    match Event::new()?.wait_for(Duration::from_millis(1)) {
        Err(status) if status.code() != CHI_TIMEOUT => Err(status),
        _ => Ok(()),
    }
}
