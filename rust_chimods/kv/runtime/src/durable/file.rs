//! The file of a durable store: finding, creating, locking and checking it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_BUSY, CHI_VERSION};
use chimaera::{log_error, log_warn, Result, Status};
use chimaera_kv_client::{Params, Sync};
use redb::{
    Builder, Database, ReadableTable, StorageBackend, TableDefinition, TableError, WriteTransaction,
};
use rustix::fs::{FlockOperation, RenameFlags, CWD};
use rustix::io::Errno;

use super::fault::{foreign, refused, Outcome};

/// The name of the file in a directory.
const FILE_NAME: &str = "kv.redb";
/// The version of what this module stores in the database.
const FORMAT: u64 = 1;
/// The most memory for pages, read and not yet written.
const CACHE: usize = 64 << 20;
/// A file of this size or less is not worth a compaction.
const SMALL: u64 = 16 << 20;

/// What the store knows about itself.
pub(super) const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("chimaera:kv");
/// In `ABOUT`: the bytes of all keys and values.
pub(super) const BYTES: &str = "bytes";
const VERSION: &str = "format";
const CONTAINERS: &str = "containers";
/// A number that no other store has.
const ID: &str = "id";
/// The number of containers whose keys have not been loaded from a copy yet; only there while that
/// goes on. Such a store has never been used.
const LOADING: &str = "loading";

/// The name of a container's table.
pub(super) fn table_name(container: u32) -> String {
    format!("keys/{container}")
}

/// A container's table.
pub(super) fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// A store that has been opened.
pub(super) struct Opened {
    pub(super) path: String,
    pub(super) database: Database,
    pub(super) len: Arc<AtomicU64>,
    pub(super) grip: Grip,
    pub(super) id: u64,
    /// The file was created.
    pub(super) is_new: bool,
    pub(super) bytes: u64,
    /// By how much compaction has shortened the file, and how often it did.
    pub(super) compacted: u64,
    pub(super) compactions: u64,
}

/// What keeps a database from its file.
#[derive(Clone, Debug, Default)]
pub(super) struct Grip {
    /// When set, nothing more is written.
    frozen: Arc<AtomicBool>,
    file: Option<Arc<File>>,
}

impl Grip {
    /// Has nothing more written.
    pub(super) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// Leaves the file to others, although the database is still open.
    pub(super) fn let_go(&self) {
        self.freeze();
        if let Some(file) = &self.file {
            if let Err(errno) = rustix::fs::flock(&**file, FlockOperation::NonBlockingUnlock) {
                log_error!("a store's file stays locked: {errno}");
            }
        }
    }
}

/// The file as the database uses it.
#[derive(Debug)]
struct Backend {
    file: Arc<File>,
    sync: bool,
    /// Of the file, for those who only want to know.
    len: Arc<AtomicU64>,
    frozen: Arc<AtomicBool>,
}

impl Backend {
    fn check_not_frozen(&self) -> io::Result<()> {
        match self.frozen.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the store takes no more changes")),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_not_frozen()?;
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Relaxed);
        // The new length is on the disk before anything there refers to it.
        match self.sync {
            true => self.file.sync_all(),
            false => Ok(()),
        }
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        self.check_not_frozen()?;
        match self.sync {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_not_frozen()?;
        self.file.write_all_at(data, offset)
    }
}

/// Opens the store, or creates it unless it must be the one with this number. Errors: `CHI_BUSY` if it is in use; `CHI_NOT_FOUND` if its
/// directory does not exist, or it is gone; `CHI_VERSION`; `CHI_INVALID` if the file is something
/// else, or has another number of containers; `CHI_IO`, `CHI_NO_SPACE`.
pub(super) fn open(params: &Params, containers: u32, must_be: Option<u64>) -> Result<Opened> {
    let mut path = PathBuf::from(&params.path);
    if path.is_dir() {
        path.push(FILE_NAME);
    }
    match OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path) {
        Ok(file) => existing(&path, file, params, containers, must_be),
        Err(error) if error.kind() == ErrorKind::NotFound && must_be.is_none() => {
            create(&path, params, containers)
        }
        Err(error) => Err(refused(&path, "cannot be opened", &error)),
    }
}

fn existing(
    path: &Path,
    file: File,
    params: &Params,
    containers: u32,
    must_be: Option<u64>,
) -> Result<Opened> {
    let shown = path.display();
    let metadata = file.metadata().map_err(|error| refused(path, "cannot be examined", &error))?;
    if !metadata.is_file() {
        return Err(Status::invalid(format!("{shown} is not a regular file")));
    }
    lock(path, &file)?;
    if metadata.len() == 0 {
        return Err(foreign(path, "is empty"));
    }
    let mut opened = database(path, file, params.sync)?;
    let about = check(&opened.database, path, containers)?;
    if must_be.is_some_and(|id| about.id != Some(id)) {
        return Err(another(path));
    }
    opened.bytes = about.bytes;
    opened.id = match about.id {
        Some(id) if !about.is_loading => id,
        _ => {
            if about.is_loading {
                log_warn!("loading {} from a copy was interrupted; it is empty", path.display());
                opened.bytes = 0;
            }
            let id = new_id()?;
            let begun = begin_again(&opened.database, containers, about.is_loading, id);
            begun.map_err(|fault| fault.status(path))?;
            id
        }
    };
    if opened.len.load(Ordering::Relaxed) > SMALL
        && opened.bytes < opened.len.load(Ordering::Relaxed) / 4
    {
        opened.compact().map_err(|fault| fault.status(path))?;
    }
    Ok(opened)
}

/// The refusal of a store that is not the one that it must be.
pub(super) fn another(path: &Path) -> Status {
    Status::invalid(format!(
        "{} is not the store that the container had: put that back",
        path.display()
    ))
}

fn new_id() -> Result<u64> {
    let mut id = [0; 8];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut id));
    random.map_err(|error| refused(Path::new("/dev/urandom"), "cannot be read", &error))?;
    Ok(u64::from_le_bytes(id))
}

/// Gives a store a number, and, if it has to be emptied, takes all keys out.
fn begin_again(database: &Database, containers: u32, is_loading: bool, id: u64) -> Outcome<()> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut about = transaction.open_table(ABOUT)?;
        about.insert(ID, id)?;
        if is_loading {
            about.remove(LOADING)?;
            about.insert(BYTES, 0)?;
            for container in 0..containers {
                transaction.delete_table(table(&table_name(container)))?;
                transaction.open_table(table(&table_name(container)))?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Notes, in a transaction that changes the store, that the keys of a container begin to come from a
/// copy, or that they are all there. `containers` is how many the store has.
pub(super) fn note_loading(
    transaction: &WriteTransaction,
    containers: u32,
    is_complete: bool,
) -> Outcome<()> {
    let mut about = transaction.open_table(ABOUT)?;
    let left = about.get(LOADING)?.map_or(u64::from(containers), |left| left.value());
    match (left, is_complete) {
        (0 | 1, true) => drop(about.remove(LOADING)?),
        (left, true) => drop(about.insert(LOADING, left - 1)?),
        (left, false) => drop(about.insert(LOADING, left)?),
    }
    Ok(())
}

/// Creates a store under another name, and renames it once it is complete.
fn create(path: &Path, params: &Params, containers: u32) -> Result<Opened> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let cannot = |error: &io::Error| refused(&draft, "cannot be created", error);
    let mut options = OpenOptions::new();
    let opened =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&draft);
    let file = opened.map_err(|error| cannot(&error))?;
    lock(&draft, &file)?;
    // Whoever had it locked may have renamed it.
    let same = |found: &fs::Metadata| {
        file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
    };
    if !fs::metadata(&draft).is_ok_and(|found| same(&found)) {
        return Err(Status::new(CHI_BUSY, format!("{} is just being created", path.display())));
    }
    file.set_len(0).map_err(|error| cannot(&error))?;
    let mut opened = database(&draft, file, params.sync)?;
    opened.id = new_id()?;
    opened.is_new = true;
    lay_out(&opened.database, containers, opened.id).map_err(|fault| fault.status(&draft))?;
    rustix::fs::renameat_with(CWD, &draft, CWD, path, RenameFlags::NOREPLACE)
        .map_err(|errno| refused(path, "cannot be created", &errno.into()))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| refused(path, "cannot be made durable", &error))?;
    opened.path = path.display().to_string();
    Ok(opened)
}

/// Makes an empty store of a new database.
pub(super) fn lay_out(database: &Database, containers: u32, id: u64) -> Outcome<()> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut about = transaction.open_table(ABOUT)?;
        about.insert(VERSION, FORMAT)?;
        about.insert(CONTAINERS, u64::from(containers))?;
        about.insert(BYTES, 0)?;
        about.insert(ID, id)?;
        for container in 0..containers {
            transaction.open_table(table(&table_name(container)))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// What a store says about itself.
#[derive(Debug)]
pub(super) struct About {
    /// Those of its keys and values.
    pub(super) bytes: u64,
    /// None in stores of older versions.
    id: Option<u64>,
    is_loading: bool,
}

/// Checks what the store says about itself.
pub(super) fn check(database: &Database, path: &Path, containers: u32) -> Result<About> {
    let shown = path.display();
    let read = || -> Outcome<_> {
        let about = match database.begin_read()?.open_table(ABOUT) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            about => about?,
        };
        let number = |name| about.get(name).map(|found| found.map(|number| number.value()));
        let loading = (number(ID)?, number(LOADING)?.is_some());
        Ok(Some((number(VERSION)?, number(CONTAINERS)?, number(BYTES)?, loading)))
    };
    match read().map_err(|fault| fault.status(path))? {
        None => Err(foreign(path, "is a database of something else")),
        Some((Some(FORMAT), Some(of_store), Some(bytes), (id, is_loading))) => {
            if of_store == u64::from(containers) {
                return Ok(About { bytes, id, is_loading });
            }
            Err(Status::invalid(format!(
                "{shown} is a store of {of_store} containers, not {containers}: create the pool \
                 with {of_store} (`chimaera pool create --containers {of_store}`), or give \
                 another path"
            )))
        }
        Some((version, ..)) => Err(Status::new(
            CHI_VERSION,
            format!(
                "{shown} is a store of format {}, and this module knows only {FORMAT}: use it \
                 with the Chimaera that wrote it, or give another path",
                version.unwrap_or(0)
            ),
        )),
    }
}

impl Opened {
    /// Shortens the file as far as its contents allow. Nobody may be reading.
    pub(super) fn compact(&mut self) -> Outcome<()> {
        let before = self.len.load(Ordering::Relaxed);
        self.database.compact()?;
        self.compacted += before.saturating_sub(self.len.load(Ordering::Relaxed));
        self.compactions += 1;
        Ok(())
    }
}

fn database(path: &Path, file: File, sync: Sync) -> Result<Opened> {
    let len = file.metadata().map_err(|error| refused(path, "cannot be examined", &error))?.len();
    let (len, file) = (Arc::new(AtomicU64::new(len)), Arc::new(file));
    let grip = Grip { frozen: Arc::default(), file: Some(file.clone()) };
    let sync = sync != Sync::None;
    let backend = Backend { file, sync, len: len.clone(), frozen: grip.frozen.clone() };
    let database = database_over(backend).map_err(|fault| fault.status(path))?;
    Ok(Opened { grip, len, ..Opened::over(path.display().to_string(), database) })
}

impl Opened {
    /// An empty store.
    pub(super) fn over(path: String, database: Database) -> Opened {
        Opened {
            path,
            database,
            len: Arc::default(),
            grip: Grip::default(),
            id: 0,
            is_new: false,
            bytes: 0,
            compacted: 0,
            compactions: 0,
        }
    }
}

pub(super) fn database_over(backend: impl StorageBackend) -> Outcome<Database> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).create_with_file_format_v3(true);
    Ok(builder.create_with_backend(backend)?)
}

/// Locks the file against other stores. Waits a while, in case one is just being closed.
fn lock(path: &Path, file: &File) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(1);
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(Errno::WOULDBLOCK) => {
                let shown = path.display();
                return Err(Status::new(
                    CHI_BUSY,
                    format!(
                        "{shown} is in use by another pool or process: destroy that pool, or \
                         give another path"
                    ),
                ));
            }
            Err(errno) => return Err(refused(path, "cannot be locked", &errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(path: &Path) -> Params {
        Params { path: path.to_str().unwrap().into(), ..Params::default() }
    }

    fn refusal(path: &Path) -> (i32, String) {
        let status = open(&params(path), 1, None).err().expect("it is refused");
        (status.code(), status.message().to_owned())
    }

    #[test]
    fn another_format_and_another_database_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later");
        let store = open(&params(&path), 1, None).unwrap();
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(ABOUT).unwrap().insert(VERSION, FORMAT + 1).unwrap();
        transaction.commit().unwrap();
        drop(store);
        let (code, message) = refusal(&path);
        assert_eq!(code, CHI_VERSION);
        assert!(message.contains("a store of format 2"), "{message}");

        let path = directory.path().join("other");
        let database = Builder::new().create_with_file_format_v3(true).create(&path).unwrap();
        drop(database);
        let (code, message) = refusal(&path);
        assert_eq!(code, chimaera::abi::CHI_INVALID);
        assert!(message.contains("a database of something else, not a store"), "{message}");
    }

    #[test]
    fn a_store_that_must_be_a_certain_one_is_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let gone = open(&params(&path), 1, Some(1)).err().expect("it is refused");
        assert_eq!(gone.code(), chimaera::abi::CHI_NOT_FOUND);
        assert!(!path.exists());
        let id = open(&params(&path), 1, None).unwrap().id;
        assert_eq!(open(&params(&path), 1, Some(id)).unwrap().id, id);
        let other = open(&params(&path), 1, Some(id ^ 1)).err().expect("it is refused");
        assert!(other.message().contains("is not the store that the container had"), "{other}");
    }

    #[test]
    fn a_store_that_was_loaded_in_part_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        for complete in [1, 2] {
            let store = open(&params(&path), 2, None).unwrap();
            for container in 0..2 {
                let transaction = store.database.begin_write().unwrap();
                note_loading(&transaction, 2, false).unwrap();
                let name = table_name(container);
                let mut keys = transaction.open_table(table(&name)).unwrap();
                keys.insert(&b"key"[..], &b"value"[..]).unwrap();
                drop(keys);
                if container < complete {
                    note_loading(&transaction, 2, true).unwrap();
                }
                transaction.commit().unwrap();
            }
            drop(store);
            let store = open(&params(&path), 2, None).unwrap();
            let transaction = store.database.begin_read().unwrap();
            let found = |container| {
                let keys = transaction.open_table(table(&table_name(container))).unwrap();
                redb::ReadableTableMetadata::len(&keys).unwrap()
            };
            let expected = if complete == 2 { 1 } else { 0 };
            assert_eq!((found(0), found(1)), (expected, expected));
        }
    }

    #[test]
    fn a_draft_that_was_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let draft = directory.path().join("store.new");
        fs::write(&draft, "half of a store").unwrap();
        drop(open(&params(&path), 1, None).unwrap());
        assert!(path.is_file() && !draft.exists());
    }
}
