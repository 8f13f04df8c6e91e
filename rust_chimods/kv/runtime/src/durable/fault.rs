//! What can go wrong with a database.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::path::Path;

use chimaera::abi::{CHI_BUSY, CHI_IO, CHI_NOT_FOUND, CHI_NO_SPACE};
use chimaera::Status;
use redb::{
    CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError,
};

/// Why the database could not do something.
#[derive(Debug)]
pub(super) enum Fault {
    /// The operating system has refused something.
    Io(io::Error),
    /// It has refused something before, and the database has to be opened again.
    Earlier,
    /// Others use it: it is as it was.
    Busy(String),
    /// Anything else: the file contradicts itself.
    Other(String),
}

pub(super) type Outcome<T> = std::result::Result<T, Fault>;

impl Fault {
    fn of(error: redb::Error) -> Fault {
        match error {
            redb::Error::Io(error) => Fault::Io(error),
            redb::Error::PreviousIo => Fault::Earlier,
            error @ (redb::Error::TransactionInProgress
            | redb::Error::PersistentSavepointExists
            | redb::Error::EphemeralSavepointExists) => Fault::Busy(error.to_string()),
            error => Fault::Other(error.to_string()),
        }
    }

    /// The database library panics on some files that are damaged.
    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Fault {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Fault::Other(text.unwrap_or("it makes no sense").to_owned())
    }

    pub(super) fn code(&self) -> i32 {
        match self {
            Fault::Io(error) => code_of(error),
            Fault::Busy(_) => CHI_BUSY,
            Fault::Earlier | Fault::Other(_) => CHI_IO,
        }
    }

    /// The status of a read or of the opening.
    pub(super) fn status(&self, path: &Path) -> Status {
        let why = match self {
            Fault::Io(error) if error.kind() == ErrorKind::InvalidData => {
                return foreign(path, "is something else");
            }
            Fault::Io(error) => return refused(path, "could not be used", error),
            Fault::Busy(why) => {
                return Status::new(CHI_BUSY, format!("{}: {why}", path.display()));
            }
            Fault::Earlier => "it could not be read or written before",
            Fault::Other(why) => why,
        };
        Status::new(
            CHI_IO,
            format!(
                "{} is damaged ({why}): restore it from a copy, or remove it to begin with an \
                 empty store",
                path.display()
            ),
        )
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Io(error) => error.fmt(f),
            Fault::Earlier => f.write_str("an earlier error"),
            Fault::Busy(why) | Fault::Other(why) => f.write_str(why),
        }
    }
}

macro_rules! from {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Fault {
                Fault::of(error.into())
            }
        }
    )*};
}

from!(CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError);

/// What the operating system has refused.
pub(super) fn refused(path: &Path, what: &str, error: &io::Error) -> Status {
    Status::new(code_of(error), format!("{} {what}: {error}", path.display()))
}

/// A file that is no store.
pub(super) fn foreign(path: &Path, what: &str) -> Status {
    let shown = path.display();
    Status::invalid(format!("{shown} {what}, not a store: remove it, or give another path"))
}

fn code_of(error: &io::Error) -> i32 {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => CHI_NO_SPACE,
        Some(libc::ENOENT) => CHI_NOT_FOUND,
        _ => CHI_IO,
    }
}
