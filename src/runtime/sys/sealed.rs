//! Sealed memfds: files in memory that go to another process, and that nobody can change or cut off any more.

use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};

/// The buffer for writing, in bytes.
const BUFFER: usize = 1 << 20;
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// Makes a sealed memfd of what `write` writes. `name` is for people who look into `/proc`.
pub(crate) fn write_sealed(
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file =
        BufWriter::with_capacity(BUFFER, File::from(rustix::fs::memfd_create(name, flags)?));
    write(&mut file)?;
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, SEALS | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Opens a sealed memfd that has come from another process, at its begin. Reading it cannot block, as a pipe
/// could.
///
/// # Errors
/// It is something else.
pub(crate) fn open_sealed(descriptor: OwnedFd) -> io::Result<File> {
    // It fails for anything that is not in memory.
    let seals = rustix::fs::fcntl_get_seals(&descriptor).unwrap_or(SealFlags::empty());
    if !seals.contains(SEALS) {
        return Err(io::Error::other("it is no sealed memfd"));
    }
    let mut file = File::from(descriptor);
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_was_written_is_read_and_cannot_be_changed() {
        let memfd = write_sealed("test", |file| file.write_all(b"text")).unwrap();
        assert!(rustix::io::write(&memfd, b"x").is_err());
        let mut text = String::new();
        open_sealed(memfd).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }

    #[test]
    fn what_could_block_or_change_is_refused() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        assert!(open_sealed(reader).is_err());
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        assert!(open_sealed(rustix::fs::memfd_create("test", flags).unwrap()).is_err());
        assert!(open_sealed(File::open("/dev/null").unwrap().into()).is_err());
    }
}
