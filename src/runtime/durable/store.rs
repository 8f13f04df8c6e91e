//! The files of durable pools.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use chimaera_abi::*;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::definition::PoolRecord;
use crate::failure::Failure;
use crate::sys::{lock, sync_directory, trust, write_whole};

/// The version of the definitions. Fields may be added without a new number, if they have a default.
const FORMAT: u32 = 2;
/// The version before, whose files have no sum.
const WITHOUT_SUM: u32 = 1;
/// What is behind a definition: its CRC-32C in hexadecimal, on a line of its own.
const SUM: usize = "\n01234567\n".len();
/// The limit on a definition, in bytes: parameters have at most 1 MiB, which JSON makes four times as long.
const MOST: u64 = 8 << 20;

const DEFINITION: &str = "definition.json";
const STATE: &str = "state";
const ENDED: &str = "ended";
const FILES: &str = "files";
const NEW: &str = "new-";
const REMOVED: &str = "removed-";

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Definition {
    format: u32,
    /// Pools are made anew in this order, that of their creation.
    number: u64,
    /// The creation has ended.
    is_complete: bool,
    pool: PoolRecord,
}

/// A durable pool of an earlier runtime.
pub(crate) struct Found {
    number: u64,
    /// With the file of the states, if it has one.
    pub(crate) record: PoolRecord,
    /// The runtime was stopped in order.
    pub(crate) was_stopped: bool,
}

/// The durable pools of this runtime.
#[derive(Default)]
pub(crate) struct DurablePools {
    /// Where they are, or why nowhere.
    root: OnceLock<Result<PathBuf, String>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Held while this runtime uses the directory.
    lock: Option<OwnedFd>,
    /// By id.
    pools: BTreeMap<(u32, u32), Place>,
    /// The highest number of a definition.
    last: u64,
}

struct Place {
    /// The directory for the files of the pool's containers.
    files: PathBuf,
    /// That of the definition.
    number: u64,
}

impl DurablePools {
    /// Says in which directory they are, or why there can be none.
    pub(crate) fn place(&self, state_directory: Result<PathBuf, String>) {
        // It is called once, before any other use.
        let _ = self.root.set(state_directory.map(|directory| directory.join("pools")));
    }

    /// For a module host: its pool is durable, and has its files there.
    pub(crate) fn adopt_pool(&self, id: chi_pool_id, files: PathBuf) {
        lock(&self.known).pools.insert((id.major_, id.minor_), Place { files, number: 0 });
    }

    /// The directory for the states of this instance's pools, if there can be one.
    pub(crate) fn state_directory(&self) -> Option<PathBuf> {
        self.root().ok().and_then(Path::parent).map(Path::to_owned)
    }

    fn root(&self) -> Result<&Path, Failure> {
        let nowhere = || Err("this runtime keeps nothing beyond its end".to_owned());
        match self.root.get_or_init(nowhere) {
            Ok(root) => Ok(root),
            Err(why) => Err(Failure::new(CHI_UNSUPPORTED, format!("no durable pools: {why}"))),
        }
    }

    fn of(&self, id: chi_pool_id) -> Result<PathBuf, Failure> {
        Ok(self.root()?.join(name_of(id)))
    }

    /// Makes the directory, unless it exists, and keeps other runtimes from using it.
    pub(crate) fn open(&self) -> Result<(), Failure> {
        let mut known = lock(&self.known);
        if known.lock.is_some() {
            return Ok(());
        }
        let root = self.root()?;
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(in_file(root))?;
        trust::check_directory(root).map_err(|why| {
            let message = format!(
                "{}: {why}; what others can change decides what the runtime runs, so durable pools are kept \
                 only where no other user but root can write",
                root.display()
            );
            Failure::new(CHI_DENIED, message)
        })?;
        let path = root.join("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(in_file(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => known.lock = Some(file.into()),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let message = format!(
                    "{}: another runtime uses it: two instances of one name need different state_dir",
                    root.display()
                );
                return Err(Failure::new(CHI_BUSY, message));
            }
            Err(error) => return Err(in_file(&path)(error.into())),
        }
        Ok(())
    }

    /// The lock, for a successor. `None` if there is no durable pool.
    pub(crate) fn lock_for_successor(&self) -> io::Result<Option<OwnedFd>> {
        lock(&self.known).lock.as_ref().map(OwnedFd::try_clone).transpose()
    }

    /// Takes over the lock of a predecessor.
    pub(crate) fn take_over(&self, lock_: OwnedFd) {
        lock(&self.known).lock = Some(lock_);
    }

    /// The pools that earlier runtimes have left, the oldest first. Removes what they began to create or to
    /// remove.
    pub(crate) fn found(&self) -> Result<Vec<Found>, Failure> {
        // Without a place, there are none.
        let Ok(root) = self.root() else { return Ok(Vec::new()) };
        if !root.exists() {
            return Ok(Vec::new());
        }
        self.open()?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(root).map_err(in_file(root))? {
            let entry = entry.map_err(in_file(root))?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name.starts_with(REMOVED) || name.starts_with(NEW) {
                sweep(&path);
            } else if name != "lock" {
                found.extend(read(&path, &name)?);
            }
        }
        found.sort_by_key(|found: &Found| found.number);
        lock(&self.known).last = found.last().map_or(0, |last| last.number);
        Ok(found)
    }

    /// Begins to create a pool, or to make one anew that an earlier runtime has left: makes the directories of
    /// its containers.
    pub(crate) fn begin(&self, record: &PoolRecord) -> Result<(), Failure> {
        self.open()?;
        let directory = self.of(record.pool_id())?;
        let number = match directory.join(DEFINITION).exists() {
            true => read_definition(&directory)?.number,
            false => {
                let number = {
                    let mut known = lock(&self.known);
                    known.last += 1;
                    known.last
                };
                self.begin_new(record, number, &directory)?;
                number
            }
        };
        let files = directory.join(FILES);
        let mut known = lock(&self.known);
        known.last = known.last.max(number);
        known.pools.insert(record.id, Place { files, number });
        Ok(())
    }

    fn begin_new(&self, record: &PoolRecord, number: u64, directory: &Path) -> Result<(), Failure> {
        let root = self.root()?;
        let new = root.join(format!("{NEW}{}", name_of(record.pool_id())));
        let made = (0..record.containers).try_for_each(|number| {
            let own = new.join(FILES).join(number.to_string());
            DirBuilder::new().recursive(true).mode(0o700).create(own)
        });
        let made = made
            .map_err(in_file(&new))
            .and_then(|()| write(&new, record, number, false))
            .and_then(|()| {
                std::fs::rename(&new, directory)
                    .and_then(|()| sync_directory(root))
                    .map_err(in_file(directory))
            });
        made.inspect_err(|_| sweep(&new))
    }

    /// Records that a durable pool exists as this says.
    pub(crate) fn define(&self, record: &PoolRecord) -> Result<(), Failure> {
        let number = lock(&self.known).pools.get(&record.id).map_or(0, |place| place.number);
        write(&self.of(record.pool_id())?, record, number, true)
    }

    /// Removes what `begin` made, because the pool has not come into being.
    pub(crate) fn abandon(&self, id: chi_pool_id) {
        if lock(&self.known).pools.remove(&(id.major_, id.minor_)).is_some() {
            if let Ok(directory) = self.of(id) {
                sweep(&directory);
            }
        }
    }

    /// Whether the pool is durable.
    pub(crate) fn has(&self, id: chi_pool_id) -> bool {
        lock(&self.known).pools.contains_key(&(id.major_, id.minor_))
    }

    /// The directory for the files of the pool's containers, if the pool is durable.
    pub(crate) fn files(&self, id: chi_pool_id) -> Option<PathBuf> {
        lock(&self.known).pools.get(&(id.major_, id.minor_)).map(|place| place.files.clone())
    }

    /// The directory for the files of a container, if its pool is durable.
    pub(crate) fn files_of(&self, id: chi_pool_id, container: u32) -> Option<PathBuf> {
        Some(self.files(id)?.join(container.to_string()))
    }

    /// Forgets a pool that is about to be destroyed: no later runtime makes it anew.
    pub(crate) fn forget(&self, id: chi_pool_id) -> Result<(), Failure> {
        if !self.has(id) {
            return Ok(());
        }
        let root = self.root()?;
        let (directory, away) = (self.of(id)?, root.join(format!("{REMOVED}{}", name_of(id))));
        std::fs::rename(&directory, away)
            .and_then(|()| sync_directory(root))
            .map_err(in_file(&directory))
    }

    /// Removes the files of a pool that has been forgotten and destroyed.
    pub(crate) fn remove(&self, id: chi_pool_id) {
        if lock(&self.known).pools.remove(&(id.major_, id.minor_)).is_none() {
            return;
        }
        let Ok(root) = self.root() else { return };
        let away = root.join(format!("{REMOVED}{}", name_of(id)));
        let own = away.clone();
        // There may be many files. What is left at the end of the process goes at the next start.
        let thread = std::thread::Builder::new().name("chi-files".into());
        if thread.spawn(move || sweep(&own)).is_err() {
            sweep(&away);
        }
    }

    /// The file for the states of the containers.
    pub(crate) fn state(&self, id: chi_pool_id) -> Result<PathBuf, Failure> {
        Ok(self.of(id)?.join(STATE))
    }

    /// Records that the pool was closed because the runtime was stopped in order.
    pub(crate) fn note_end(&self, id: chi_pool_id) -> Result<(), Failure> {
        let directory = self.of(id)?;
        replace(&directory, ENDED, b"").map_err(in_file(&directory))
    }

    /// Records that all pools live: the states that they had when the runtime was stopped are used up.
    pub(crate) fn settle(&self) -> Result<(), Failure> {
        let known = lock(&self.known);
        for place in known.pools.values() {
            let Some(directory) = place.files.parent() else { continue };
            let used_up =
                [ENDED, STATE].into_iter().try_for_each(|name| {
                    match std::fs::remove_file(directory.join(name)) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                        _ => Ok(()),
                    }
                });
            used_up.and_then(|()| sync_directory(directory)).map_err(in_file(directory))?;
        }
        Ok(())
    }
}

fn name_of(id: chi_pool_id) -> String {
    format!("{}.{}", id.major_, id.minor_)
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    |error| Failure::new(CHI_IO, format!("{}: {error}", path.display()))
}

fn write(
    directory: &Path,
    record: &PoolRecord,
    number: u64,
    is_complete: bool,
) -> Result<(), Failure> {
    let pool = PoolRecord { state: None, ..record.clone() };
    let document = Definition { format: FORMAT, number, is_complete, pool };
    let mut bytes =
        serde_json::to_vec(&document).map_err(|error| in_file(directory)(error.into()))?;
    bytes.extend(sum_of(&bytes));
    replace(directory, DEFINITION, &bytes).map_err(in_file(directory))
}

/// The failure of a file in the directory of a pool that cannot be used.
fn invalid(directory: &Path, name: &str, why: &str) -> Failure {
    let message = format!(
        "{}: {why}; to start without this pool, remove {}",
        directory.join(name).display(),
        directory.display()
    );
    Failure::new(CHI_INVALID, message)
}

fn sum_of(document: &[u8]) -> Vec<u8> {
    format!("\n{:08x}\n", crc32c::crc32c(document)).into_bytes()
}

fn read_definition(directory: &Path) -> Result<Definition, Failure> {
    let invalid = |why: &str| invalid(directory, DEFINITION, why);
    let mut bytes = Vec::new();
    let path = directory.join(DEFINITION);
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let read = opened.and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.map_err(|error| invalid(&error.to_string()))?;
    if bytes.len() as u64 > MOST {
        return Err(invalid("it is too long for the definition of a pool"));
    }
    let (document, sum) = bytes.split_at(bytes.len().saturating_sub(SUM));
    let has_sum = sum == sum_of(document);
    let document = if has_sum { document } else { &bytes };
    let found: Definition = serde_json::from_slice(document)
        .map_err(|error| invalid(&format!("it is damaged: {error}")))?;
    match (found.format, has_sum) {
        (FORMAT, true) | (WITHOUT_SUM, false) => Ok(found),
        (FORMAT, false) => Err(invalid("it is damaged: its checksum is another one")),
        _ => Err(invalid("another version of Chimaera has written it")),
    }
}

/// Reads what a runtime has left of a pool. `None` if the creation of the pool has not ended.
fn read(directory: &Path, name: &str) -> Result<Option<Found>, Failure> {
    let found = read_definition(directory)?;
    if !found.is_complete {
        sweep(directory);
        return Ok(None);
    }
    let mut record = found.pool;
    if name_of(record.pool_id()) != name || !record.is_durable() {
        return Err(invalid(directory, DEFINITION, "it is the definition of another pool"));
    }
    let exists = |name: &str| {
        let exists = directory.join(name).try_exists();
        exists.map_err(|error| invalid(directory, name, &error.to_string()))
    };
    record.state = exists(STATE)?.then(|| directory.join(STATE));
    let was_stopped = record.state.is_some() || exists(ENDED)?;
    Ok(Some(Found { number: found.number, record, was_stopped }))
}

/// Writes a file whole.
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_whole(&directory.join(name), |mut file| {
        file.write_all(bytes)?;
        Ok(file)
    })
}

/// Removes a directory that no pool uses.
fn sweep(directory: &Path) {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "cannot remove the files of a pool that is gone");
        }
        _ => {}
    }
}
