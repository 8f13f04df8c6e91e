//! Writing.

use std::marker::PhantomData;
use std::ptr;

use chimaera_abi::{chi_archive, CHI_OK};

use super::load::{deeper, foreign};
use super::Serialize;
use crate::status::{Result, Status};

/// So many bytes are gathered before an archive of the runtime's gets them.
const GATHERED: usize = 64 << 10;

/// Gathers the bytes of values.
pub struct SaveArchive<'a> {
    bytes: Vec<u8>,
    /// Where gathered bytes go; null when they stay.
    out: *mut chi_archive,
    position: u64,
    depth: u32,
    borrowed: PhantomData<&'a mut chi_archive>,
}

impl SaveArchive<'static> {
    /// Bytes in memory.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        SaveArchive::to(ptr::null_mut())
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl SaveArchive<'_> {
    /// Bytes for a C archive. [`flush`](Self::flush) hands over the last.
    ///
    /// # Safety
    ///
    /// `archive` is null or a live archive for writing that is as long as its size says and nobody
    /// else's, until the value is dropped.
    pub unsafe fn over(archive: *mut chi_archive) -> Result<Self> {
        // SAFETY: says the caller.
        Ok(SaveArchive::to(unsafe { foreign(archive) }?))
    }

    fn to(out: *mut chi_archive) -> Self {
        SaveArchive { bytes: Vec::new(), out, position: 0, depth: 0, borrowed: PhantomData }
    }

    /// Adds a value.
    pub fn save<T: Serialize>(&mut self, value: &T) -> Result<()> {
        value.save(self)
    }

    /// Adds bytes as they are, without their number.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.try_reserve(bytes.len()).map_err(|_| {
            Status::new(chimaera_abi::CHI_NO_SPACE, "out of memory for the bytes of a value")
        })?;
        self.bytes.extend_from_slice(bytes);
        self.position += bytes.len() as u64;
        if !self.out.is_null() && self.bytes.len() >= GATHERED {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds the number of what follows.
    pub fn put_length(&mut self, length: usize) -> Result<()> {
        self.put(&(length as u64).to_le_bytes())
    }

    /// Adds a struct: `f` adds its fields. Errors: `CHI_INVALID` when it lies too deep in others.
    pub fn nested(&mut self, f: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.depth = deeper(self.depth, self.position)?;
        f(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Hands the bytes over to the C archive.
    pub fn flush(&mut self) -> Result<()> {
        if self.out.is_null() || self.bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the archive is alive and ours, promised the caller of `over`.
        let status = unsafe {
            ((*self.out).write)(self.out, self.bytes.as_ptr().cast(), self.bytes.len() as u64)
        };
        self.bytes.clear();
        match status {
            CHI_OK => Ok(()),
            status => Err(Status::new(status, "the archive takes no more bytes")),
        }
    }
}
