//! The files of a runtime's instance: its socket, lock, log, and last words.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::status_page::Reader;
use crate::{account, connect};

/// The name of the instance when none is given.
pub const DEFAULT_NAME: &str = "default";

/// The environment variable with the name of the instance, for programs that do not set one.
pub const NAME_VARIABLE: &str = "CHI_INSTANCE";

/// The environment variable with the directory of the instances.
pub const DIRECTORY_VARIABLE: &str = "CHI_RUNTIME_DIR";

/// The environment variable with a user, by name or number, whose runtimes clients trust as they trust
/// their own user's and root's.
pub const OWNER_VARIABLE: &str = "CHI_OWNER";

/// How long another user's runtime may take to show that it is running.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
/// How long a process that dies may take to close all that it had open.
const DYING: Duration = Duration::from_millis(500);

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
    /// The variable that names a user to trust names none.
    #[error("{OWNER_VARIABLE}: {0}")]
    Owner(String),
    /// The directory cannot be used.
    #[error("{path}: {reason}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The directory is, or may be, somebody else's.
    #[error("{path}: {reason}")]
    Untrusted {
        /// Which.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
}

/// An instance's directory, opened and checked: paths through it stay valid, whatever happens to
/// its name.
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// A path to a file in it that is short enough for a socket address, however long the
    /// directory's own path is.
    pub fn path_of(&self, file: impl AsRef<Path>) -> PathBuf {
        let opened = PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()));
        // /proc may not be mounted.
        if opened.exists() {
            opened.join(file)
        } else {
            self.path.join(file)
        }
    }
}

/// A named instance and the files that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    directory: PathBuf,
    /// A user to trust like this process's own.
    owner: Option<u32>,
}

impl Instance {
    /// The instance `name`; `None` means `$CHI_INSTANCE`, else `default`. Its directory is
    /// `$CHI_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/chimaera`, or `/tmp/chimaera-UID` when neither
    /// variable is set. It may belong to the user named by `$CHI_OWNER`; UID is then that user's.
    pub fn new(name: Option<&str>) -> Result<Instance, Error> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => std::env::var(NAME_VARIABLE).unwrap_or_else(|_| DEFAULT_NAME.to_owned()),
        };
        if !is_name(&name) {
            return Err(Error::Name(name));
        }
        let owner = owner_to_trust()?;
        let directory = match (directory_named(DIRECTORY_VARIABLE), runtime_dir()) {
            (Some(directory), _) => directory,
            (None, Some(dir)) => dir.join("chimaera"),
            (None, None) => PathBuf::from(format!("/tmp/chimaera-{}", owner.unwrap_or(uid()))),
        };
        // A later change of the working directory must not change the path.
        let directory = std::path::absolute(&directory)
            .map_err(|error| Error::Directory { path: directory, reason: error.to_string() })?;
        Ok(Instance { name, directory, owner })
    }

    /// Whether this process trusts files and processes of this user: its own user, root, or the one
    /// named by `$CHI_OWNER`.
    pub fn trusts(&self, user: u32) -> bool {
        user == uid() || user == 0 || self.owner == Some(user)
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

    /// The name of the socket in the directory.
    pub fn socket_name(&self) -> String {
        format!("{}.sock", self.name)
    }

    /// The file that the running instance holds a lock on.
    pub fn lock(&self) -> PathBuf {
        self.file("lock")
    }

    /// The log of an instance that was started as a daemon.
    pub fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// The last words of the instance, if its last run crashed.
    pub fn crash(&self) -> PathBuf {
        self.file("crash")
    }

    /// The link that leads to the status page.
    pub fn page_link(&self) -> PathBuf {
        self.file("page")
    }

    /// A message that the instance cannot be connected to although a process has it, this one as far as is known.
    pub fn not_ready(&self, process: Option<u32>) -> String {
        let page = Reader::open(self).ok();
        let page = page.filter(|of| process == Some(of.page().pid.load(Ordering::Relaxed)));
        let does = match page.as_ref().map(Reader::page) {
            None => "is starting, or about to end".to_owned(),
            Some(page) if page.ready_after_ns.load(Ordering::Relaxed) > 0 => {
                match self.socket().symlink_metadata() {
                    Ok(_) => "is about to end".to_owned(),
                    Err(_) => format!(
                        "is about to end, or its socket ({}) was removed: then SIGTERM ends it",
                        self.socket().display()
                    ),
                }
            }
            Some(page) => match page.step() {
                step if step.is_empty() => "is starting".to_owned(),
                step => format!("is starting ({step})"),
            },
        };
        let process = process.map_or(String::new(), |pid| format!(" (process {pid})"));
        format!("instance '{}'{process} {does}: it lets no clients in", self.name)
    }

    /// A message that the instance is not running, which others are, and how to start it; or that it is, and lets
    /// nobody in.
    pub fn not_running(&self) -> String {
        if matches!(self.holds_lock(), Ok(Some(true))) {
            return self.not_ready(self.holder());
        }
        let mut start = "chimaera start --daemon".to_owned();
        if self.name != DEFAULT_NAME {
            start += &format!(" --name {}", self.name);
        }
        let (name, socket) = (&self.name, self.socket());
        let mut message = format!("instance '{name}' is not running");
        if std::env::var(NAME_VARIABLE).as_ref() == Ok(name) {
            message += &format!(" ({NAME_VARIABLE} names it)");
        }
        message += &format!(": nothing listens on {}; ", socket.display());
        let running = self.others_running();
        if let Some((last, rest)) = running.split_last() {
            let list: Vec<String> = rest.iter().map(|name| format!("'{name}'")).collect();
            let (list, are) = match list.len() {
                0 => (format!("'{last}'"), "is"),
                _ => (format!("{} and '{last}'", list.join(", ")), "are"),
            };
            message +=
                &format!("{list} {are}: choose one with --name or {NAME_VARIABLE}, or start this ");
        } else {
            message += "start it ";
        }
        message + &format!("with `{start}`")
    }

    /// A message that the instance, which was running, closed a connection before it answered.
    pub fn hung_up(&self) -> String {
        // A process that dies closes its descriptors one after the other.
        let until = Instant::now() + DYING;
        while matches!(self.holds_lock(), Ok(Some(true))) {
            if Instant::now() >= until {
                return self.not_ready(self.holder());
            }
            std::thread::sleep(DYING / 50);
        }
        let name = &self.name;
        format!(
            "instance '{name}' has ended before it answered: `chimaera status` shows its last crash, and its log \
             what it did"
        )
    }

    /// The names of other running instances in the directory, in order: the first few.
    fn others_running(&self) -> Vec<String> {
        const SHOWN: usize = 4;
        let others = self.all().into_iter().filter(|other| other.name != self.name);
        let running = others.filter(|other| matches!(other.holds_lock(), Ok(Some(true))));
        running.map(|other| other.name).take(SHOWN).collect()
    }

    /// The instances that have been started in this one's directory, by their names. They may have ended.
    pub fn all(&self) -> Vec<Instance> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".lock")?.to_owned()))
            .filter(|name| is_name(name))
            .collect();
        names.sort();
        names.into_iter().map(|name| Instance { name, ..self.clone() }).collect()
    }

    /// Makes the directory when it is missing (mode 0700), and checks that it is this user's own
    /// and nobody else can write to it.
    pub fn prepare_directory(&self) -> Result<(), Error> {
        let io = |error: io::Error| self.refuse(error.to_string());
        match std::fs::DirBuilder::new().mode(0o700).create(&self.directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let mut reason = format!("cannot be created: {error}");
                if directory_named(DIRECTORY_VARIABLE).is_none() && runtime_dir().is_some() {
                    reason +=
                        "; create the directory that XDG_RUNTIME_DIR names, or set the variable \
                               to one that you can write to";
                }
                return Err(self.refuse(reason));
            }
        }
        // The directory belongs to whoever created it first, and root counts as its owner here.
        match self.open_directory()? {
            Some(directory) if owner(&directory.fd).map_err(io)? == uid() => Ok(()),
            Some(_) => Err(self.distrust("belongs to another user")),
            None => Err(self.refuse(match std::fs::read_link(&self.directory) {
                Ok(target) => format!("it is a link to {}, which does not exist", target.display()),
                Err(_) => "it has just been removed".to_owned(),
            })),
        }
    }

    /// Lets other users open files in the directory whose names they know, as far as the files' own
    /// modes allow.
    pub fn let_others_enter(&self) -> Result<(), Error> {
        let io = |error: io::Error| self.refuse(error.to_string());
        let Some(directory) = self.open_directory()? else {
            return Err(self.refuse("it has just been removed"));
        };
        let mode = rustix::fs::fstat(&directory.fd).map_err(|error| io(error.into()))?.st_mode;
        let mode = Permissions::from_mode(mode & 0o7777 | 0o111);
        std::fs::set_permissions(directory.path_of("."), mode).map_err(io)
    }

    /// The first directory on the path to this one, itself included, that other users cannot enter.
    pub fn closed_to_others(&self) -> Option<&Path> {
        let closed = |path: &&Path| {
            std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 == 0)
        };
        self.directory.ancestors().collect::<Vec<_>>().into_iter().rev().find(closed)
    }

    /// Opens the directory, after checking that it belongs to a user whom this process
    /// [trusts](Instance::trusts) and that nobody else can write to it: anyone who can may listen
    /// there in the runtime's place. `None` when there is no directory.
    pub fn open_directory(&self) -> Result<Option<Directory>, Error> {
        let mut flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A link of another user could lead into a directory of one's own that is for something else.
        let is_trusted_link = std::fs::symlink_metadata(&self.directory)
            .is_ok_and(|found| found.is_symlink() && self.trusts(found.uid()));
        if !is_trusted_link {
            flags |= OFlags::NOFOLLOW;
        }
        let directory = match rustix::fs::open(&self.directory, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR) => {
                return Err(self.distrust("is not a directory, or is another user's link to one"))
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                return Err(self.distrust("belongs to another user, and cannot be entered"));
            }
            Err(error) => return Err(self.refuse(error.to_string())),
        };
        let found =
            rustix::fs::fstat(&directory).map_err(|error| self.refuse(error.to_string()))?;
        if !self.trusts(found.st_uid) {
            return Err(self.distrust(&format!("belongs to another user ({})", found.st_uid)));
        }
        if found.st_mode & 0o022 != 0 {
            return Err(self.distrust("other users can write to it (chmod 0700 makes it private)"));
        }
        Ok(Some(Directory { fd: directory, path: self.directory.clone() }))
    }

    /// Takes the lock that a running instance holds. `None` when another process has it. The lock
    /// lasts as long as the descriptor. The file then contains the number of this process, for
    /// [`Instance::holder`].
    pub fn take_lock(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(self.lock(), flags, Mode::RUSR | Mode::WUSR)?;
        match file_lock(&fd, libc::F_OFD_SETLK) {
            Ok(_) => {
                note_holder(&fd);
                Ok(Some(fd))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// True when some process holds the lock, that is, when the instance is running. Takes no lock
    /// itself, so it disturbs nobody. If the lock cannot be read, because it is another user's,
    /// true when the instance accepts connections.
    pub fn is_running(&self) -> Result<bool, Error> {
        if let Some(running) = self.holds_lock()? {
            return Ok(running);
        }
        // It is another user's, who may or may not let this one in: a connection attempt tells.
        match connect::connect(self, Instant::now() + ANSWER_BOUND) {
            Ok(_) | Err(connect::Error::Silent) => Ok(true),
            Err(connect::Error::NotRunning(_)) => Ok(false),
            Err(error) => Err(self.lock_failed(error.to_string())),
        }
    }

    /// The process that holds the lock, if it can be seen from here: another user's, or one in
    /// another PID namespace, cannot.
    pub fn holder(&self) -> Option<u32> {
        let lock = self.open_lock(&self.open_directory().ok()??).ok()?;
        let mut number = [0; 16];
        let length = rustix::io::pread(&lock, &mut number, 0).ok()?;
        let pid: u32 = std::str::from_utf8(&number[..length]).ok()?.trim_end().parse().ok()?;
        let lock = rustix::fs::fstat(&lock).ok()?;
        // The number may be that of an earlier process, or of a process elsewhere.
        let is_lock = |entry: std::fs::DirEntry| {
            std::fs::metadata(entry.path())
                .is_ok_and(|found| (found.dev(), found.ino()) == (lock.st_dev, lock.st_ino))
        };
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        open.flatten().any(is_lock).then_some(pid)
    }

    /// Whether some process holds the lock. `None` if it is another user's and cannot be read.
    fn holds_lock(&self) -> Result<Option<bool>, Error> {
        let Some(directory) = self.open_directory()? else { return Ok(Some(false)) };
        match self.open_lock(&directory) {
            Ok(fd) => {
                let found = file_lock(&fd, libc::F_OFD_GETLK)
                    .map_err(|error| self.lock_failed(error.to_string()))?;
                Ok(Some(found != libc::F_UNLCK as libc::c_short))
            }
            Err(Errno::NOENT) => Ok(Some(false)),
            Err(Errno::ACCESS) => Ok(None),
            Err(error) => Err(self.lock_failed(error.to_string())),
        }
    }

    fn open_lock(&self, directory: &Directory) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let name = format!("{}.lock", self.name);
        rustix::fs::openat(&directory.fd, name, flags, Mode::empty())
    }

    fn lock_failed(&self, reason: String) -> Error {
        Error::Directory { path: self.lock(), reason }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }

    fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Directory { path: self.directory.clone(), reason: reason.into() }
    }

    fn distrust(&self, what: &str) -> Error {
        let variable = match directory_named(DIRECTORY_VARIABLE) {
            Some(_) => DIRECTORY_VARIABLE,
            None => "XDG_RUNTIME_DIR",
        };
        let reason = format!(
            "{what}; it is not used, because whoever can write there could pose as the runtime. To reach \
             another user's runtime, run this as that user; for one of your own, set {variable} to a \
             directory of your own"
        );
        Error::Untrusted { path: self.directory.clone(), reason }
    }
}

fn owner(fd: &OwnedFd) -> io::Result<u32> {
    Ok(rustix::fs::fstat(fd)?.st_uid)
}

/// `$XDG_RUNTIME_DIR`, if it is set.
fn runtime_dir() -> Option<PathBuf> {
    directory_named("XDG_RUNTIME_DIR")
}

/// The directory in an environment variable, if that is set.
fn directory_named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// The user that `$CHI_OWNER` names, if it is set.
fn owner_to_trust() -> Result<Option<u32>, Error> {
    let Some(named) = std::env::var_os(OWNER_VARIABLE).filter(|named| !named.is_empty()) else {
        return Ok(None);
    };
    // The caller of a setuid program must not decide whom it trusts.
    // SAFETY: the function takes a number and reads the auxiliary vector.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Ok(None);
    }
    let named = named.to_string_lossy().into_owned();
    account::user(&named).map(Some).map_err(|error| Error::Owner(error.to_string()))
}

/// Writes the number of this process into the file of the lock that it holds, for
/// [`Instance::holder`]. On a full disk the file stays empty, and the holder unknown.
pub fn note_holder(lock: &OwnedFd) {
    let number = format!("{}\n", std::process::id());
    let _ = rustix::fs::ftruncate(lock, 0)
        .and_then(|()| rustix::io::pwrite(lock, number.as_bytes(), 0));
}

/// Sets or queries an exclusive lock on the whole file, bound to the open file (`F_OFD_*`). Returns
/// the type of lock that was found.
fn file_lock(fd: &OwnedFd, command: libc::c_int) -> io::Result<libc::c_short> {
    // SAFETY: all zero is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open and the struct outlives the call.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, &mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock.l_type),
    }
}

/// The effective user of this process.
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
