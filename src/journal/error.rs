//! What can go wrong with a journal.

use std::io::{self, ErrorKind};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use chimaera_cluster::Malformed;
use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

/// Why a journal could not be opened or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has it open.
    #[error(
        "the journal in {} is in use by {by}: stop that one, or give each node a directory of its \
         own", path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that has it open.
        by: String,
    },
    /// Another version of Chimaera wrote it.
    #[error(
        "{} is a journal of format {found}, and this version knows only {}: use it with the \
         Chimaera that wrote it", path.display(), crate::tables::FORMAT
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It is something else.
    #[error("{} is not a journal: give another directory, or move the file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It contradicts itself.
    #[error(
        "{} is damaged ({why}): it cannot be used, nor a copy of it, since the node has promised \
         more since; move it away to join the cluster as a new node", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that was noticed.
        why: String,
    },
    /// The operating system has refused something. A full disk is `ErrorKind::StorageFull`, among others.
    #[error("{} {what}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A change does not continue the log: changes were left out.
    #[error("{} ends with entry {last}, and entry {next} was to be written", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// The last entry.
        last: u64,
        /// The one that was to follow.
        next: u64,
    },
    /// An earlier change failed.
    #[error(
        "{} takes no more changes before it is opened again, since one has failed: {why}",
        path.display()
    )]
    Failed {
        /// The file.
        path: PathBuf,
        /// How the earlier change failed.
        why: String,
    },
    /// The node is in another cluster.
    #[error(
        "{} is of a node of the cluster \"{is}\", not \"{wanted}\": have the node removed from \
         that one first, or give another directory", path.display()
    )]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster that it is in.
        is: String,
        /// The one that was wanted.
        wanted: String,
    },
}

/// Why the database could not do something.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The operating system has refused something.
    Io(io::Error),
    /// What is to be written does not follow what is there.
    Gap { last: u64, next: u64 },
    /// Anything else: the file contradicts itself.
    Other(String),
}

impl Fault {
    pub(crate) fn error(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Fault::Io(error) if error.kind() == ErrorKind::InvalidData => Error::Foreign { path },
            Fault::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Error::Damaged { path, why: "it is too short".to_owned() }
            }
            Fault::Io(source) => Error::Io { path, what: "could not be read or written", source },
            Fault::Gap { last, next } => Error::Gap { path, last, next },
            Fault::Other(why) => Error::Damaged { path, why },
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Fault {
        match error {
            redb::Error::Io(error) => Fault::Io(error),
            error => Fault::Other(error.to_string()),
        }
    }
}

macro_rules! from {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Fault {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from!(CommitError, DatabaseError, StorageError, TableError, TransactionError);

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Fault {
        Fault::Other("its records do not belong together".to_owned())
    }
}

/// Does something with the database, which panics on some files that are damaged.
pub(crate) fn guarded<T>(action: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(Fault::Other(text.unwrap_or("it makes no sense").to_owned()))
    })
}

/// What the operating system has refused.
pub(crate) fn refused(path: &Path, what: &'static str, error: impl Into<io::Error>) -> Error {
    Error::Io { path: path.to_owned(), what, source: error.into() }
}
