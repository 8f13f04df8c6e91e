//! What a node of a cluster keeps on its disk: which node it is, how often it has started, of which cluster it is, and
//! its part of the agreed log, as [`Write`] changes it.
//!
//! A directory holds one journal, in the file `journal.redb`, and the file `lock` with the name of the process that has
//! it open. A change is on the disk, as a whole, when the call that makes it returns; each costs two `fdatasync`, one
//! before and one after it becomes valid, and an `fsync` when the file grows or shrinks (of the mixed changes that
//! the tests make, one in ten). Changes that are there at once share that: [`Journal::write_all`]. After a change that
//! failed, the journal takes no more: only opening it again tells what is on the disk.
//!
//! The file is checked as a whole whenever it is opened, whether or not the last process ended well: what was promised
//! to other nodes must not be forgotten, so a file that is damaged is refused, and not repaired. One thing is not
//! noticed: if of the first page's byte 9 the lowest bit flips, which says which of two heads is valid, the last change
//! is undone.
//!
//! ```
//! use chimaera_cluster::{Disk, Write};
//! use chimaera_journal::Journal;
//!
//! # fn main() -> Result<(), chimaera_journal::Error> {
//! # let directory = std::env::temp_dir().join(format!("journal-{}", std::process::id()));
//! let (mut journal, found) = Journal::open(&directory)?;
//! assert_eq!(found.boot.0, 1);
//! journal.found("blue", &Disk::founded_by(found.life(), "one", "10.0.0.1:7700"))?;
//! drop(journal);
//!
//! let (_, again) = Journal::open(&directory)?;
//! assert_eq!((again.node, again.boot.0), (found.node, 2));
//! assert_eq!(again.cluster.as_deref(), Some("blue"));
//! assert!(!again.disk.is_empty());
//! # std::fs::remove_dir_all(&directory).expect("it is there");
//! # Ok(())
//! # }
//! ```

mod error;
mod file;
mod lock;
mod tables;

use std::path::{Path, PathBuf};

use chimaera_cluster::{BootId, Disk, Life, NodeId, Write};
use redb::WriteTransaction;

pub use error::Error;
use error::{guarded, Fault};
use file::Store;
use lock::Lock;

/// What a journal holds when it is opened.
#[derive(Clone, Debug)]
pub struct Found {
    /// The name of the node's cluster. `None` if it has never been in one.
    pub cluster: Option<String>,
    /// The node: a random number of 63 bits, not 0, made with the journal.
    pub node: NodeId,
    /// How often the journal has been opened, this time included. That is on the disk.
    pub boot: BootId,
    /// The log.
    pub disk: Disk,
}

impl Found {
    /// The node in its present life.
    #[must_use]
    pub fn life(&self) -> Life {
        Life { node: self.node, boot: self.boot }
    }
}

/// The journal of a node, open and locked. Its calls wait for the disk. It can be sent to another thread, and dropping
/// it unlocks the directory.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    store: Store,
    /// Why nothing more is written.
    failed: Option<String>,
    _lock: Lock,
}

impl Journal {
    /// Opens the journal in a directory, and makes both if they are not there; the directory's parent has to be.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process keeps it open for a second, [`Error::Format`] if another version of Chimaera
    /// wrote it, [`Error::Damaged`], and [`Error::Io`], also if the disk is full, since the life is counted.
    pub fn open(directory: &Path) -> Result<(Journal, Found), Error> {
        lock::make_directory(directory)?;
        let lock = Lock::take(directory)?;
        let path = directory.join(file::NAME);
        let store = file::open_or_create(directory, &path)?;
        let mut journal = Journal { path, store, failed: None, _lock: lock };
        journal.check_format()?;
        journal.change(tables::count_boot)?;
        let found = guarded(|| tables::read(&journal.store.database().begin_read()?));
        let found = found.map_err(|fault| fault.error(&journal.path))?;
        Ok((journal, found))
    }

    /// Makes a change. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk is full or fails, [`Error::Gap`], and [`Error::Failed`] from then on. Whether a change that failed is
    /// on the disk shows when the journal is opened again.
    pub fn write(&mut self, write: &Write) -> Result<(), Error> {
        self.write_all([write])
    }

    /// Makes several changes in their order, all of them or none. They are on the disk when this returns, for the price
    /// of one.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::write`].
    pub fn write_all<'a>(
        &mut self,
        writes: impl IntoIterator<Item = &'a Write>,
    ) -> Result<(), Error> {
        self.change(|transaction| {
            writes.into_iter().try_for_each(|write| tables::write(transaction, write))
        })
    }

    /// Notes that the node is the first of a new cluster, whose log begins with this disk.
    ///
    /// # Errors
    ///
    /// [`Error::OtherCluster`] if the node is in a cluster; those of [`Journal::write`].
    pub fn found(&mut self, cluster: &str, disk: &Disk) -> Result<(), Error> {
        if let Some(is) = self.cluster()? {
            return Err(self.other_cluster(is, cluster));
        }
        self.change(|transaction| {
            tables::name_cluster(transaction, cluster)?;
            tables::write(transaction, &disk.as_write())
        })
    }

    /// Notes of which cluster the node is, when it joins it. The same name again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::OtherCluster`] if it is in another; those of [`Journal::write`].
    pub fn set_cluster(&mut self, cluster: &str) -> Result<(), Error> {
        match self.cluster()? {
            Some(is) if is == cluster => Ok(()),
            Some(is) => Err(self.other_cluster(is, cluster)),
            None => self.change(|transaction| tables::name_cluster(transaction, cluster)),
        }
    }

    /// Makes the journal that of a new node, in no cluster: for one that was removed from its cluster, and can never
    /// come back under its id.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::write`].
    pub fn forget(&mut self) -> Result<Found, Error> {
        let node = file::new_node(&self.path)?;
        self.change(|transaction| tables::begin(transaction, node, 1))?;
        let (cluster, node, boot) = (None, NodeId(node), BootId(1));
        Ok(Found { cluster, node, boot, disk: Disk::default() })
    }

    fn cluster(&self) -> Result<Option<String>, Error> {
        self.check_not_failed()?;
        let cluster = guarded(|| tables::cluster(&self.store.database().begin_read()?));
        cluster.map_err(|fault| fault.error(&self.path))
    }

    fn other_cluster(&self, is: String, wanted: &str) -> Error {
        Error::OtherCluster { path: self.path.clone(), is, wanted: wanted.to_owned() }
    }

    fn check_not_failed(&self) -> Result<(), Error> {
        match &self.failed {
            Some(why) => Err(Error::Failed { path: self.path.clone(), why: why.clone() }),
            None => Ok(()),
        }
    }

    fn check_format(&self) -> Result<(), Error> {
        let format = guarded(|| tables::format(&self.store.database().begin_read()?));
        match format.map_err(|fault| fault.error(&self.path))? {
            Some(tables::FORMAT) => Ok(()),
            Some(found) => Err(Error::Format { path: self.path.clone(), found }),
            None => Err(Error::Foreign { path: self.path.clone() }),
        }
    }

    fn change(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), Fault>,
    ) -> Result<(), Error> {
        self.check_not_failed()?;
        guarded(|| file::commit(self.store.database(), change)).map_err(|fault| {
            self.store.freeze();
            let error = fault.error(&self.path);
            self.failed = Some(error.to_string());
            error
        })
    }
}

const _: () = {
    const fn can_be_sent<T: Send>() {}
    can_be_sent::<Journal>();
};
