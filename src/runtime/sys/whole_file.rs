//! Files that are there whole or not at all, whatever ends the process or the machine.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file that only its owner may read, with what `write` writes. It takes the place of `path` when it
/// is whole and on the device; until then it is called `path` with `.part` behind it. If that fails, `path` is
/// as it was.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(File) -> io::Result<File>,
) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    // What is there may be left over, or a link that somebody else has put there.
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part);
    let written = file.and_then(write).and_then(|file| {
        file.sync_all()?;
        std::fs::rename(part, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(directory.unwrap_or(Path::new(".")))
    });
    written.inspect_err(|_| {
        // It may not exist.
        let _ = std::fs::remove_file(part);
    })
}

/// Waits until the names in a directory are on the device.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
