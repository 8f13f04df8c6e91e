//! The files of a runtime's instance: its socket, lock, log, and last words.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// The name of the instance when none is given.
pub const DEFAULT_NAME: &str = "default";

/// The environment variable with the name of the instance, for programs that do not set one.
pub const NAME_VARIABLE: &str = "CHI_INSTANCE";

/// Whether `name` is a valid instance name: 1 to 48 letters, digits, `.`, `_` or `-`, not beginning
/// with `.` or `-`.
pub fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=48).contains(&name.len()) && name.chars().all(good) && !name.starts_with(['.', '-'])
}

/// Why an instance cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not valid.
    #[error(
        "'{0}' is not a valid instance name: use 1 to 48 letters, digits, '.', '_' or '-', not beginning \
         with '.' or '-'"
    )]
    Name(String),
    /// The directory cannot be used.
    #[error("{path}: {reason}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// A named instance and the files that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    directory: PathBuf,
}

impl Instance {
    /// The instance `name`; `None` means `$CHI_INSTANCE`, else `default`. Its directory is
    /// `$XDG_RUNTIME_DIR/chimaera`, or `/tmp/chimaera-UID` when that variable is not set.
    pub fn new(name: Option<&str>) -> Result<Instance, Error> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => std::env::var(NAME_VARIABLE).unwrap_or_else(|_| DEFAULT_NAME.to_owned()),
        };
        if !is_name(&name) {
            return Err(Error::Name(name));
        }
        let directory = match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir).join("chimaera"),
            None => PathBuf::from(format!("/tmp/chimaera-{}", uid())),
        };
        let instance = Instance { name, directory };
        // A socket's address has 108 bytes, including a terminating zero.
        if instance.socket().as_os_str().len() > 107 {
            return Err(instance.refuse("the path is too long for a socket; use a shorter one"));
        }
        Ok(instance)
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of this user's instances.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The socket that clients connect to.
    pub fn socket(&self) -> PathBuf {
        self.file("sock")
    }

    /// The file that the running instance holds a lock on.
    pub fn lock(&self) -> PathBuf {
        self.file("lock")
    }

    /// The log of an instance that was started as a daemon.
    pub fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// The link that leads to the status page.
    pub fn page_link(&self) -> PathBuf {
        self.file("page")
    }

    /// Creates the directory (mode 0700) if it is missing, and checks that it belongs to this user
    /// and that no other user can write to it.
    pub fn prepare_directory(&self) -> Result<(), Error> {
        let io = |error: io::Error| self.refuse(error.to_string());
        match std::fs::DirBuilder::new().mode(0o700).create(&self.directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        let found = std::fs::symlink_metadata(&self.directory).map_err(io)?;
        if !found.is_dir() {
            return Err(self.refuse("is not a directory"));
        }
        if found.uid() != uid() {
            return Err(self.refuse("belongs to another user"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(self.refuse("other users can write to it; make it private with chmod 0700"));
        }
        Ok(())
    }

    /// Takes the lock that marks the instance as running. `None` when another process holds it. The
    /// lock is held as long as the descriptor is open.
    pub fn take_lock(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(self.lock(), flags, Mode::RUSR | Mode::WUSR)?;
        match file_lock(&fd, libc::F_OFD_SETLK) {
            Ok(_) => Ok(Some(fd)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// True when a process holds the lock, that is, when the instance is running. It only queries
    /// the lock, and so disturbs no other process.
    pub fn is_running(&self) -> io::Result<bool> {
        match rustix::fs::open(self.lock(), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(file_lock(&fd, libc::F_OFD_GETLK)? != libc::F_UNLCK as libc::c_short),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }

    fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Directory { path: self.directory.clone(), reason: reason.into() }
    }
}

/// Sets or queries an exclusive lock on the whole file, bound to the open file (`F_OFD_*`). Returns
/// the type of lock that was found.
fn file_lock(fd: &OwnedFd, command: libc::c_int) -> io::Result<libc::c_short> {
    // SAFETY: all zero is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open and the struct lives through the call.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, &mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock.l_type),
    }
}

/// The user that this process acts as.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for name in ["", "a/b", "..", ".hidden", "-x", "a b", "ü", &"x".repeat(49)] {
            assert!(matches!(Instance::new(Some(name)), Err(Error::Name(_))), "{name}");
        }
        assert!(Instance::new(Some("test-1.a_B")).is_ok());
    }
}
