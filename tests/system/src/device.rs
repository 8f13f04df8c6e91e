//! Block devices in files.

use std::fs::File;
use std::path::{Path, PathBuf};

use chimaera_bdev_client::{Engine, Io, Params};

/// The engines that are available here: `io_uring` only if the operating system allows it, because
/// container engines often refuse it.
pub fn engines() -> Vec<(Io, Engine)> {
    let mut engines = vec![(Io::Posix, Engine::Posix)];
    // SAFETY: with null parameters the call can only fail, with EFAULT if it is allowed.
    let refused = unsafe {
        libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null_mut::<libc::c_void>()) == -1
    } && std::io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT);
    if refused {
        eprintln!("\n*** SKIPPED: io_uring is refused here ***\n");
    } else {
        engines.push((Io::Uring, Engine::Uring));
    }
    engines
}

/// A sparse file of zeroes.
#[track_caller]
pub fn file_of(directory: &Path, name: &str, bytes: u64) -> PathBuf {
    let path = directory.join(name);
    File::create(&path).and_then(|file| file.set_len(bytes)).expect("there is a place for files");
    path
}

/// An empty file for a new device with this many blocks of 4096 bytes.
#[track_caller]
pub fn file_for(directory: &Path, name: &str, blocks: u64) -> PathBuf {
    file_of(directory, name, start_of_blocks(blocks) + blocks * 4096)
}

/// Where the first block is in a file from [`file_for`].
pub fn start_of_blocks(blocks: u64) -> u64 {
    let size = Params::default().file_size(blocks).expect("tests have few blocks");
    size - blocks * 4096
}

/// The parameters of a device that uses a whole file.
pub fn of_file(path: &Path, io: Io) -> Params {
    let path = path.to_str().expect("directories for tests have plain names").into();
    Params { path, io, ..Params::default() }
}
