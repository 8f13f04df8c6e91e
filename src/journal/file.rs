//! The file of a journal: finding, creating and changing it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use redb::{Builder, Database, Durability, StorageBackend, WriteTransaction};
use rustix::rand::GetRandomFlags;

use crate::error::{guarded, refused, Error, Fault};
use crate::lock;
use crate::tables;

/// The name of the file in its directory.
pub(crate) const NAME: &str = "journal.redb";
/// The most memory for pages, read and not yet written, in bytes.
const CACHE: usize = 8 << 20;

/// The database, and what keeps it from its file.
#[derive(Debug)]
pub(crate) struct Store {
    database: ManuallyDrop<Database>,
    frozen: Arc<AtomicBool>,
}

impl Store {
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Has nothing more written.
    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }
}

impl Drop for Store {
    /// A file that was not closed is checked as a whole when it is opened: so none ever is.
    fn drop(&mut self) {
        self.freeze();
        // SAFETY: the database is not used after this: the store is being dropped.
        let database = unsafe { ManuallyDrop::take(&mut self.database) };
        // It finds that it cannot write, and on some files that are damaged panics: either ends it.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(database)));
    }
}

/// The file as the database uses it.
#[derive(Debug)]
struct Backend {
    file: File,
    frozen: Arc<AtomicBool>,
}

impl Backend {
    fn check_not_frozen(&self) -> io::Result<()> {
        match self.frozen.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the journal takes no more changes")),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // A file that is damaged may claim any length.
        let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| self.file.metadata().is_ok_and(|file| end > file.len())) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_not_frozen()?;
        self.file.set_len(len)?;
        // The new length is on the disk before anything there refers to it.
        self.file.sync_all()
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        self.check_not_frozen()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_not_frozen()?;
        self.file.write_all_at(data, offset)
    }
}

/// Makes a change, durably, as a whole or not at all.
pub(crate) fn commit(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate);
    transaction.set_two_phase_commit(true);
    change(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Opens the file, or creates it. The directory is locked.
pub(crate) fn open_or_create(directory: &Path, path: &Path) -> Result<Store, Error> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    match OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path) {
        Ok(file) => {
            let cannot = |error| refused(path, "cannot be examined", error);
            let metadata = file.metadata().map_err(cannot)?;
            if !metadata.is_file() {
                return Err(Error::Foreign { path: path.to_owned() });
            }
            if metadata.len() == 0 {
                let why = "it is empty".to_owned();
                return Err(Error::Damaged { path: path.to_owned(), why });
            }
            database(path, file)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create(directory, path),
        Err(error) => Err(refused(path, "cannot be opened", error)),
    }
}

/// Creates the file under another name, and renames it once it is complete.
fn create(directory: &Path, path: &Path) -> Result<Store, Error> {
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    let opened =
        options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let store =
        database(&draft, opened.map_err(|error| refused(&draft, "cannot be created", error))?)?;
    let node = new_node(path)?;
    guarded(|| commit(store.database(), |transaction| tables::begin(transaction, node, 0)))
        .map_err(|fault| fault.error(&draft))?;
    fs::rename(&draft, path).map_err(|error| refused(path, "cannot be created", error))?;
    lock::sync(directory)?;
    Ok(store)
}

fn database(path: &Path, file: File) -> Result<Store, Error> {
    let frozen = Arc::<AtomicBool>::default();
    let backend = Backend { file, frozen: frozen.clone() };
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).create_with_file_format_v3(true);
    let database = guarded(|| Ok(builder.create_with_backend(backend)?));
    match database {
        Ok(database) => Ok(Store { database: ManuallyDrop::new(database), frozen }),
        Err(fault) => Err(fault.error(path)),
    }
}

/// The id of a new node: random, of 63 bits, not 0.
pub(crate) fn new_node(path: &Path) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    let read = rustix::rand::getrandom(&mut bytes[..], GetRandomFlags::empty());
    let read = read.map_err(|errno| refused(path, "cannot be given a random number", errno))?;
    if read < bytes.len() {
        let short = io::Error::from(ErrorKind::UnexpectedEof);
        return Err(refused(path, "cannot be given a random number", short));
    }
    Ok((u64::from_le_bytes(bytes) >> 1).max(1))
}
