//! Writing.

use std::marker::PhantomData;
use std::ptr;

use chimaera_abi::{chi_archive, CHI_OK};

use super::load::{deeper, foreign};
use super::Serialize;
use crate::status::{Result, Status};

/// Buffer size: how many bytes are collected before they go to a C archive.
const GATHERED: usize = 64 << 10;

/// Encodes values as bytes.
pub struct SaveArchive<'a> {
    bytes: Vec<u8>,
    /// The destination of the buffered bytes; null when they stay in memory.
    out: *mut chi_archive,
    position: u64,
    depth: u32,
    borrowed: PhantomData<&'a mut chi_archive>,
}

impl SaveArchive<'static> {
    /// Writes to memory.
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
    /// Writes to a C archive. Call [`flush`](Self::flush) at the end: it writes the buffered rest.
    ///
    /// # Safety
    ///
    /// Until the value is dropped, `archive` is null or a live archive for writing that is as long
    /// as its size says and that nothing else uses.
    pub unsafe fn over(archive: *mut chi_archive) -> Result<Self> {
        // SAFETY: guaranteed by the caller.
        Ok(SaveArchive::to(unsafe { foreign(archive) }?))
    }

    fn to(out: *mut chi_archive) -> Self {
        SaveArchive { bytes: Vec::new(), out, position: 0, depth: 0, borrowed: PhantomData }
    }

    /// Adds a value.
    pub fn save<T: Serialize>(&mut self, value: &T) -> Result<()> {
        value.save(self)
    }

    /// Adds raw bytes, without a length.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.position += bytes.len() as u64;
        if !self.out.is_null() && bytes.len() >= GATHERED {
            // Much at once is not worth a copy.
            self.flush()?;
            return self.write(bytes);
        }
        self.bytes.try_reserve(bytes.len()).map_err(|_| {
            Status::new(chimaera_abi::CHI_NO_SPACE, "out of memory for the bytes of a value")
        })?;
        self.bytes.extend_from_slice(bytes);
        if !self.out.is_null() && self.bytes.len() >= GATHERED {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds the length of the sequence that follows.
    pub fn put_length(&mut self, length: usize) -> Result<()> {
        self.put(&(length as u64).to_le_bytes())
    }

    /// Adds a struct: `f` adds its fields. Errors: `CHI_INVALID` when it is nested too deep.
    pub fn nested(&mut self, f: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.depth = deeper(self.depth, self.position)?;
        f(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Writes the buffered bytes to the C archive.
    pub fn flush(&mut self) -> Result<()> {
        if self.out.is_null() || self.bytes.is_empty() {
            return Ok(());
        }
        let written = self.write(&self.bytes);
        self.bytes.clear();
        written
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        // SAFETY: the archive is alive and ours, as the caller of `over` guarantees.
        let status =
            unsafe { ((*self.out).write)(self.out, bytes.as_ptr().cast(), bytes.len() as u64) };
        match status {
            CHI_OK => Ok(()),
            status => Err(Status::new(status, "cannot write to the archive")),
        }
    }
}
