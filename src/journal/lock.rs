//! The directory of a journal, and who has it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::{refused, Error};

/// The name of the file in the directory.
const NAME: &str = "lock";
/// The longest name of a process, in bytes.
const MAX_NAME: u64 = 256;
/// How long another process may take to go.
const PATIENCE: Duration = Duration::from_secs(1);

/// The directory is this process's own, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes a directory, durably, unless it is there.
pub(crate) fn make_directory(directory: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(|error| refused(directory, "cannot be created", error))?,
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}

/// Has the names in a directory written to the disk.
pub(crate) fn sync(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| refused(directory, "cannot be made durable", error))
}

impl Lock {
    /// Locks the directory. Waits a while, in case another process is just ending.
    pub(crate) fn take(directory: &Path) -> Result<Lock, Error> {
        let path = directory.join(NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let opened = options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(&path);
        let mut file = opened.map_err(|error| refused(&path, "cannot be opened", error))?;
        let give_up = Instant::now() + PATIENCE;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if Instant::now() < give_up => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(Errno::WOULDBLOCK) => {
                    let by = holder(&mut file)
                        .map_err(|error| refused(&path, "cannot be read", error))?;
                    return Err(Error::InUse { path: directory.to_owned(), by });
                }
                Err(errno) => return Err(refused(&path, "cannot be locked", errno)),
            }
        }
        let process = rustix::process::getpid().as_raw_nonzero();
        let machine = rustix::system::uname();
        let machine = machine.nodename().to_string_lossy();
        let name = format!("process {process} on {machine}");
        file.set_len(0)
            .and_then(|()| file.write_all(name.as_bytes()))
            .map_err(|error| refused(&path, "cannot be written", error))?;
        Ok(Lock { _file: file })
    }
}

/// The name of the process that has locked the file.
fn holder(file: &mut File) -> io::Result<String> {
    let mut name = Vec::new();
    file.take(MAX_NAME).read_to_end(&mut name)?;
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok(if name.is_empty() { "another process".to_owned() } else { name })
}
