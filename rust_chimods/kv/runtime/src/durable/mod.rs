//! Values that last: a database file that all containers of the pool share.
//!
//! A thread of its own applies the puts and deletes in the order in which they arrived, all that
//! have gathered while it was busy in one transaction: they share the wait for the disk, and no
//! worker waits for it. A put is visible, to gets and scans alike, when its transaction is
//! committed, and ends after that.

mod committer;
mod fault;
mod file;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use chimaera::abi::CHI_UNSUPPORTED;
use chimaera::{Result, Status};
use chimaera_kv_client::{Params, Stats, Sync};
use redb::{ReadTransaction, ReadableTableMetadata};

use committer::{Change, Committer};
use fault::{Fault, Outcome};

use crate::store::Key;

/// The store of a pool.
pub(crate) struct Durable {
    committer: Arc<Committer>,
    containers: u32,
}

impl Durable {
    /// Opens or creates the store. Errors: those of the file, and `CHI_CANCELLED`.
    pub(crate) fn open(params: &Params, containers: u32) -> Result<Durable> {
        Ok(Durable { committer: Committer::start(params, containers)?, containers })
    }

    /// Stores a value. Returns whether it replaced one. Errors: `STORE_FULL`; `CHI_CANCELLED`, and
    /// then it was not stored; `CHI_IO` and `CHI_NO_SPACE` if it could not be written.
    pub(crate) fn put(&self, container: u32, key: Key, value: Vec<u8>) -> Result<bool> {
        self.committer.apply(Change::Put { container, key, value })
    }

    /// Deletes a key. Returns whether it existed. Errors: as for `put`.
    pub(crate) fn delete(&self, container: u32, key: Key) -> Result<bool> {
        self.committer.apply(Change::Delete { container, key })
    }

    /// Makes durable what was acknowledged before. Errors: `CHI_UNSUPPORTED`, and as for `put`.
    pub(crate) fn flush(&self) -> Result<()> {
        if self.committer.sync == Sync::None {
            return Err(Status::new(
                CHI_UNSUPPORTED,
                "a store with sync=none is never made durable: create its pool with sync=flush or \
                 sync=always",
            ));
        }
        self.committer.apply(Change::Flush).map(drop)
    }

    /// Passes the value of a key to `found`. Returns whether there is one.
    pub(crate) fn get(
        &self,
        container: u32,
        key: &[u8],
        found: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        self.read(|transaction| {
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
        let committer = &self.committer;
        Ok(Stats {
            keys: self.count(None)?,
            bytes: committer.bytes.load(Ordering::Relaxed),
            max_bytes: committer.max_bytes,
            file_bytes: committer.file_bytes(),
            compacted_bytes: committer.compacted(),
            commits: committer.commits.load(Ordering::Relaxed),
            syncs: committer.syncs.load(Ordering::Relaxed),
        })
    }

    /// Writes what is left, and closes the file. Whatever comes later is refused.
    pub(crate) fn close(&self) -> Result<()> {
        self.committer.apply(Change::Close).map(drop)
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
        self.read(|transaction| {
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

    /// Reads the state of the last commit.
    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Outcome<T>) -> Result<T> {
        let opened = self.committer.opened.read().unwrap_or_else(PoisonError::into_inner);
        let opened = opened.as_ref().ok_or_else(|| self.committer.closed())?;
        let transaction = opened.database.begin_read().map_err(Fault::from);
        transaction.and_then(|transaction| read(&transaction)).map_err(|fault| match fault {
            Fault::Earlier => self.committer.failure(),
            fault => fault.status(Path::new(&opened.path)),
        })
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.committer.end();
    }
}
