//! A transaction of the thread that commits: changes are applied one after the other, then committed together.

use chimaera::{Result, Status};
use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};

use super::fault::Outcome;
use super::file::{self, table, table_name, ABOUT, BYTES};
use crate::pool::full;
use crate::store::Key;

/// What the thread is asked to do.
pub(super) enum Change {
    Put {
        container: u32,
        key: Key,
        value: Vec<u8>,
    },
    Delete {
        container: u32,
        key: Key,
    },
    /// Keys and values of a container that come from a copy; `last` if there are no more.
    Load {
        container: u32,
        entries: Vec<(Key, Vec<u8>)>,
        last: bool,
    },
    /// Makes durable what came before.
    Flush,
    /// Shortens the file.
    Compact,
    /// Closes the file.
    Close,
}

impl Change {
    /// The container and the key of a change of one key.
    pub(super) fn key(&self) -> Option<(u32, &[u8])> {
        match self {
            Change::Put { container, key, .. } | Change::Delete { container, key } => {
                Some((*container, key))
            }
            Change::Load { .. } | Change::Flush | Change::Compact | Change::Close => None,
        }
    }

    fn container(&self) -> Option<u32> {
        match self {
            Change::Put { container, .. }
            | Change::Delete { container, .. }
            | Change::Load { container, .. } => Some(*container),
            Change::Flush | Change::Compact | Change::Close => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Change::Put { key, value, .. } => key.len() + value.len(),
            Change::Delete { key, .. } => key.len(),
            Change::Load { entries, .. } => {
                entries.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Change::Flush | Change::Compact | Change::Close => 0,
        }
    }

    /// Whether others wait for more than the change itself.
    pub(super) fn is_urgent(&self) -> bool {
        !matches!(self, Change::Put { .. } | Change::Delete { .. })
    }

    /// Whether the file is changed as a whole, after all that came before.
    pub(super) fn is_of_file(&self) -> bool {
        matches!(self, Change::Compact | Change::Close)
    }
}

impl AsRef<Change> for Change {
    fn as_ref(&self) -> &Change {
        self
    }
}

/// The bytes of the store, and of those that it may have: `u64::MAX` for no limit.
pub(super) struct Account {
    pub(super) bytes: u64,
    pub(super) max_bytes: u64,
}

/// Changes that are applied, and not yet committed. If it is dropped, they have not been made.
pub(super) struct Applied {
    transaction: WriteTransaction,
    bytes: u64,
    changes_bytes: bool,
}

impl Applied {
    /// Applies changes, then those that `more` adds, until it adds none. Returns the outcome of each, too, whose
    /// error is one that the others do not share.
    pub(super) fn to<C: AsRef<Change>>(
        database: &Database,
        containers: u32,
        mut account: Account,
        changes: &mut Vec<C>,
        mut more: impl FnMut(&mut Vec<C>),
    ) -> Outcome<(Applied, Vec<Result<bool>>)> {
        let transaction = database.begin_write()?;
        let before = account.bytes;
        let mut tables: Vec<_> = (0..containers).map(|_| None).collect();
        let mut outcomes = Vec::new();
        while outcomes.len() < changes.len() {
            for change in &changes[outcomes.len()..] {
                outcomes.push(apply(&transaction, &mut tables, &mut account, change.as_ref())?);
            }
            more(changes);
        }
        drop(tables);
        let bytes = account.bytes;
        Ok((Applied { transaction, bytes, changes_bytes: bytes != before }, outcomes))
    }

    /// Returns how many bytes the store has now.
    pub(super) fn commit(mut self, immediate: bool) -> Outcome<u64> {
        self.transaction.set_durability(match immediate {
            true => Durability::Immediate,
            false => Durability::None,
        });
        self.transaction.set_two_phase_commit(immediate);
        if self.changes_bytes {
            self.transaction.open_table(ABOUT)?.insert(BYTES, self.bytes)?;
        }
        self.transaction.commit()?;
        Ok(self.bytes)
    }
}

type KeyTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// Applies one change.
fn apply<'t>(
    transaction: &'t WriteTransaction,
    tables: &mut [Option<KeyTable<'t>>],
    account: &mut Account,
    change: &Change,
) -> Outcome<Result<bool>> {
    if let Some(container) = change.container().filter(|at| *at as usize >= tables.len()) {
        return Ok(Err(Status::invalid(format!("the store has no container {container}"))));
    }
    match change {
        Change::Put { container, key, value } => {
            put(keys_of(transaction, tables, *container)?, account, key, value)
        }
        Change::Delete { container, key } => {
            let keys = keys_of(transaction, tables, *container)?;
            let removed = keys.remove(key.as_slice())?.map(|value| value.value().len());
            account.bytes -= removed.map_or(0, |len| (key.len() + len) as u64);
            Ok(Ok(removed.is_some()))
        }
        Change::Load { container, entries, last } => {
            let containers = tables.len() as u32;
            file::note_loading(transaction, containers, false)?;
            let keys = keys_of(transaction, tables, *container)?;
            for (key, value) in entries {
                if let Err(refused) = put(keys, account, key, value)? {
                    return Ok(Err(refused));
                }
            }
            if *last {
                file::note_loading(transaction, containers, true)?;
            }
            Ok(Ok(true))
        }
        Change::Flush | Change::Compact | Change::Close => Ok(Ok(true)),
    }
}

/// The keys of a container that the store has.
fn keys_of<'a, 't>(
    transaction: &'t WriteTransaction,
    tables: &'a mut [Option<KeyTable<'t>>],
    container: u32,
) -> Outcome<&'a mut KeyTable<'t>> {
    let keys = &mut tables[container as usize];
    Ok(match keys {
        Some(keys) => keys,
        None => keys.insert(transaction.open_table(table(&table_name(container)))?),
    })
}

/// Returns whether the key was there.
fn put(
    keys: &mut KeyTable<'_>,
    account: &mut Account,
    key: &Key,
    value: &[u8],
) -> Outcome<Result<bool>> {
    if account.max_bytes != u64::MAX {
        let old = keys.get(key.as_slice())?.map(|value| value.value().len());
        let (old, new) = match old {
            Some(len) => (len as u64, value.len() as u64),
            None => (0, (key.len() + value.len()) as u64),
        };
        // A change that does not grow the store is allowed even when it is full.
        if new > old && account.bytes - old + new > account.max_bytes {
            return Ok(Err(full(account.bytes, account.max_bytes, new - old)));
        }
    }
    let replaced = keys.insert(key.as_slice(), value)?.map(|old| old.value().len());
    match replaced {
        Some(len) => account.bytes = account.bytes - len as u64 + value.len() as u64,
        None => account.bytes += (key.len() + value.len()) as u64,
    }
    Ok(Ok(replaced.is_some()))
}
