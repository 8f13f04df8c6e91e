//! What is in the file: a few values by name, the snapshot, and the entries of the log by their place.

use chimaera_cluster::{BootId, Disk, NodeId, Record, Write};
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use crate::error::Fault;
use crate::Found;

/// The version of what this crate stores.
pub(crate) const FORMAT: u64 = 2;

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("chimaera:journal");
const VERSION: &str = "format";
const NODE: &str = "node";
const BOOT: &str = "boot";

const NAMES: TableDefinition<'_, &str, &str> = TableDefinition::new("names");
const CLUSTER: &str = "cluster";

/// The engine's own numbers.
const NUMBERS: TableDefinition<'_, (), &[u8]> = TableDefinition::new("numbers");
/// Index, term and bytes of the snapshot.
const SNAPSHOT: TableDefinition<'_, (), (u64, u64, &[u8])> = TableDefinition::new("snapshot");
/// Term and bytes of each entry, by its index.
const LOG: TableDefinition<'_, u64, (u64, &[u8])> = TableDefinition::new("log");

/// Makes the journal of a new node.
pub(crate) fn begin(transaction: &WriteTransaction, node: u64, boot: u64) -> Result<(), Fault> {
    let mut about = transaction.open_table(ABOUT)?;
    about.insert(VERSION, FORMAT)?;
    about.insert(NODE, node)?;
    about.insert(BOOT, boot)?;
    transaction.open_table(NAMES)?.retain(|_, _| false)?;
    transaction.open_table(NUMBERS)?.retain(|(), _| false)?;
    transaction.open_table(SNAPSHOT)?.retain(|(), _| false)?;
    transaction.open_table(LOG)?.retain(|_, _| false)?;
    Ok(())
}

/// The version of what is stored; `None` if that is something else.
pub(crate) fn format(transaction: &ReadTransaction) -> Result<Option<u64>, Fault> {
    match transaction.open_table(ABOUT) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        about => Ok(about?.get(VERSION)?.map(|version| version.value())),
    }
}

/// Counts a life of the node.
pub(crate) fn count_boot(transaction: &WriteTransaction) -> Result<(), Fault> {
    let mut about = transaction.open_table(ABOUT)?;
    let last = about.get(BOOT)?.map(|boot| boot.value());
    let next = last.and_then(|last| last.checked_add(1)).ok_or_else(missing)?;
    about.insert(BOOT, next)?;
    Ok(())
}

pub(crate) fn name_cluster(transaction: &WriteTransaction, cluster: &str) -> Result<(), Fault> {
    transaction.open_table(NAMES)?.insert(CLUSTER, cluster)?;
    Ok(())
}

pub(crate) fn cluster(transaction: &ReadTransaction) -> Result<Option<String>, Fault> {
    let names = transaction.open_table(NAMES)?;
    let cluster = names.get(CLUSTER)?;
    Ok(cluster.map(|cluster| cluster.value().to_owned()))
}

/// Makes a change of the log, as [`Disk::write`] does.
pub(crate) fn write(transaction: &WriteTransaction, write: &Write) -> Result<(), Fault> {
    let mut snapshots = transaction.open_table(SNAPSHOT)?;
    let mut log = transaction.open_table(LOG)?;
    let mut base = snapshots.get(())?.map_or(0, |snapshot| snapshot.value().0);
    if let Some(Record { index, term, bytes }) = write.snapshot_record().filter(|s| s.index > base)
    {
        let continues = log.get(index)?.is_some_and(|entry| entry.value().0 == term);
        let last = if continues { index } else { u64::MAX };
        log.retain_in(..=last, |_, _| false)?;
        snapshots.insert((), (index, term, &bytes[..]))?;
        base = index;
    }
    for (number, Record { index, term, bytes }) in write.entry_records().enumerate() {
        if number == 0 {
            log.retain_in(index.., |_, _| false)?;
        }
        let last = log.last()?.map_or(base, |(last, _)| last.value());
        if last.checked_add(1) != Some(index) {
            return Err(Fault::Gap { last, next: index });
        }
        log.insert(index, (term, &bytes[..]))?;
    }
    if let Some(bytes) = write.hard_state_record() {
        transaction.open_table(NUMBERS)?.insert((), &bytes[..])?;
    }
    Ok(())
}

/// All that is there.
pub(crate) fn read(transaction: &ReadTransaction) -> Result<Found, Fault> {
    let about = transaction.open_table(ABOUT)?;
    let number = |name| -> Result<u64, Fault> { Ok(about.get(name)?.ok_or_else(missing)?.value()) };
    let numbers = transaction.open_table(NUMBERS)?.get(())?;
    let snapshot = transaction.open_table(SNAPSHOT)?.get(())?;
    let mut entries = Vec::new();
    for entry in transaction.open_table(LOG)?.iter()? {
        let (index, entry) = entry?;
        let (term, bytes) = entry.value();
        entries.push(Record { index: index.value(), term, bytes: bytes.to_vec() });
    }
    let disk = Disk::from_records(
        numbers.as_ref().map(|numbers| numbers.value()),
        snapshot.as_ref().map(|snapshot| snapshot.value().2),
        entries,
    )?;
    let (node, boot) = (NodeId(number(NODE)?), BootId(number(BOOT)?));
    Ok(Found { cluster: cluster(transaction)?, node, boot, disk })
}

fn missing() -> Fault {
    Fault::Other("it does not say which node it is of".to_owned())
}
