//! A saved pool as a file: what it takes to create it again, and the states of its containers.
//! docs/wire-format.md specifies the bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::image::{Image, CHUNK};
use super::meter::Meter;
use super::storage::Storage;
use crate::failure::Failure;
use crate::sys::write_whole;
use chimaera_abi::{CHI_INVALID, CHI_IO, CHI_MAX_CONTAINERS};

/// How a file begins and ends. The last byte of the first is the version of the format.
const BEGIN: [u8; 8] = *b"ChiPool\x01";
const END: [u8; 8] = *b"PoolEnd\x01";
/// The limit on a text in a file, and on the parameters of a pool, in bytes.
const MOST_BYTES: u32 = 1 << 20;

/// A pool, saved.
pub(crate) struct SavedPool {
    pub(crate) name: String,
    pub(crate) module: String,
    /// The version of the module.
    pub(crate) version: String,
    pub(crate) params: Vec<u8>,
    /// One for each container, by number.
    pub(crate) images: Vec<Image>,
}

impl SavedPool {
    /// How many bytes the states have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.images.iter().map(Image::bytes).sum()
    }

    /// Writes it to a new file, which takes the place of `path` when it is whole and on the device.
    pub(crate) fn store(&self, path: &Path) -> Result<(), Failure> {
        let is_something_else = std::fs::symlink_metadata(path)
            .is_ok_and(|found| !found.is_file() && !found.is_symlink());
        if is_something_else {
            let message =
                format!("{}: it is not a regular file, and is not replaced", path.display());
            return Err(Failure::new(CHI_INVALID, message));
        }
        let stored = write_whole(path, |file| {
            let mut file = BufWriter::with_capacity(CHUNK, file);
            self.write(&mut file)?;
            Ok(file.into_inner()?)
        });
        stored.map_err(|error| Failure::new(CHI_IO, format!("{}: {error}", path.display())))
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut head = Vec::new();
        for text in
            [self.name.as_bytes(), self.module.as_bytes(), self.version.as_bytes(), &self.params]
        {
            head.extend_from_slice(&(text.len() as u32).to_le_bytes());
            head.extend_from_slice(text);
        }
        head.extend_from_slice(&(self.images.len() as u32).to_le_bytes());
        to.write_all(&BEGIN)?;
        to.write_all(&head)?;
        to.write_all(&crc32c::crc32c(&head).to_le_bytes())?;
        self.images.iter().try_for_each(|image| image.write(to))?;
        to.write_all(&END)
    }

    /// Reads a file. Its bytes are not trusted.
    pub(crate) fn load(
        path: &Path,
        storage: &Storage,
        meter: &Arc<Meter>,
    ) -> Result<SavedPool, Failure> {
        let of_file = |failure: Failure| {
            Failure::new(failure.status, format!("{}: {}", path.display(), failure.message))
        };
        let opened = open_regular(path).map_err(of_file)?;
        let mut file = BufReader::with_capacity(CHUNK, opened);
        SavedPool::read(&mut file, storage, meter).map_err(of_file)
    }

    /// Reads what `write` wrote, and nothing else.
    pub(crate) fn read(
        from: &mut impl Read,
        storage: &Storage,
        meter: &Arc<Meter>,
    ) -> Result<SavedPool, Failure> {
        if array::<8>(from)? != BEGIN {
            return Err(invalid("it is not a saved pool, or one of another version"));
        }
        let mut sum = 0;
        let mut text = |what: &str| {
            let length = array::<4>(from)?;
            let bytes = bytes(from, u32::from_le_bytes(length), MOST_BYTES, what)?;
            sum = crc32c::crc32c_append(crc32c::crc32c_append(sum, &length), &bytes);
            Ok::<_, Failure>(bytes)
        };
        let own = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| invalid("a name in it is not UTF-8"))
        };
        let name = own(text("the name of the pool")?)?;
        let module = own(text("the name of the module")?)?;
        let version = own(text("the version of the module")?)?;
        let params = text("the parameters")?;
        let count = array::<4>(from)?;
        sum = crc32c::crc32c_append(sum, &count);
        if u32::from_le_bytes(array(from)?) != sum {
            return Err(invalid("its head is damaged: the checksum is another"));
        }
        let count = u32::from_le_bytes(count);
        if !(1..=CHI_MAX_CONTAINERS).contains(&count) {
            return Err(invalid(format!("it says that the pool has {count} containers")));
        }
        let mut images = Vec::new();
        for number in 0..count {
            let image = Image::read(from, &version, storage, meter);
            images.push(image.map_err(|failure| {
                let message = format!("the state of container {number}: {}", failure.message);
                Failure::new(failure.status, message)
            })?);
        }
        if array::<8>(from)? != END || from.read(&mut [0]).map_err(failed)? != 0 {
            return Err(invalid("it does not end where it should"));
        }
        Ok(SavedPool { name, module, version, params, images })
    }
}

/// Opens a file for reading. Others, such as a pipe without a writer, could keep the caller waiting.
fn open_regular(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(failed)?;
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(file),
        false => Err(invalid("it is not a regular file")),
    }
}

pub(super) fn invalid(why: impl Into<String>) -> Failure {
    Failure::new(CHI_INVALID, why)
}

fn failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid("it ends early: it is not whole"),
        _ => Failure::new(CHI_IO, error.to_string()),
    }
}

/// Reads `N` bytes.
pub(super) fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Reads `length` bytes, of which there must be at most `most`.
pub(super) fn bytes(
    from: &mut impl Read,
    length: u32,
    most: u32,
    what: &str,
) -> Result<Vec<u8>, Failure> {
    if length > most {
        return Err(invalid(format!("{what} has {length} bytes; the limit is {most}")));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Budget, MemorySource};
    use chimaera_abi::CHI_NO_SPACE;

    fn endless() -> Storage {
        Storage::new(Budget::endless(), None)
    }

    /// The bytes of a pool whose only container has this many chunks without bytes.
    fn empty_chunks(count: u64) -> Vec<u8> {
        let mut image = Image::new("", &endless(), &Arc::default());
        (0..count).for_each(|_| image.push(1, Vec::new()).expect("the budget is endless"));
        let saved = SavedPool {
            name: "pool".into(),
            module: "test:module".into(),
            version: String::new(),
            params: Vec::new(),
            images: vec![image],
        };
        let mut bytes = Vec::new();
        saved.write(&mut bytes).expect("a vector takes all bytes");
        bytes
    }

    #[test]
    fn chunks_without_bytes_take_memory_too() {
        let bytes = empty_chunks(100_000);
        assert!(SavedPool::read(&mut &bytes[..], &endless(), &Arc::default()).is_ok());
        let small = Budget::new(1 << 20, MemorySource::Configured, 1 << 20);
        let refused = SavedPool::read(&mut &bytes[..], &Storage::new(small, None), &Arc::default())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(refused.status, CHI_NO_SPACE, "{}", refused.message);
    }

    #[test]
    fn nothing_follows_the_end() {
        let mut bytes = empty_chunks(1);
        bytes.push(0);
        let refused =
            SavedPool::read(&mut &bytes[..], &endless(), &Arc::default()).map(|_| ()).unwrap_err();
        assert_eq!(refused.message, "it does not end where it should");
    }
}
