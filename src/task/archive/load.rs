//! Reading untrusted bytes.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;

use chimaera_abi::{chi_archive, chi_task, CHI_INVALID, CHI_OK, CHI_VERSION};

use super::{Serialize, MAX_DEPTH};
use crate::shm::string::no_memory;
use crate::status::{Result, Status};

/// Decodes values from untrusted bytes.
pub struct LoadArchive<'a> {
    from: From<'a>,
    position: u64,
    depth: u32,
    /// The task that is being read into, or null.
    owner: *mut chi_task,
}

enum From<'a> {
    Memory(&'a [u8]),
    Archive(*mut chi_archive, PhantomData<&'a mut chi_archive>),
}

impl<'a> LoadArchive<'a> {
    /// Reads from memory.
    pub fn new(bytes: &'a [u8]) -> Self {
        LoadArchive { from: From::Memory(bytes), position: 0, depth: 0, owner: ptr::null_mut() }
    }

    /// Reads from a C archive into the task `owner`: the blocks of its strings and vectors are
    /// allocated for that task. Without an owner, there can be none.
    ///
    /// # Safety
    ///
    /// Until the value is dropped, `archive` is null or a live archive for reading that is as long
    /// as its size says and that nothing else uses, and `owner` is null or a live task.
    pub unsafe fn over(archive: *mut chi_archive, owner: *mut chi_task) -> Result<Self> {
        // SAFETY: guaranteed by the caller.
        let archive = unsafe { foreign(archive) }?;
        let from = From::Archive(archive, PhantomData);
        Ok(LoadArchive { from, position: 0, depth: 0, owner })
    }

    /// Reads a value.
    pub fn load<T: Serialize>(&mut self) -> Result<T> {
        T::load(self)
    }

    /// The number of bytes read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The number of bytes left.
    pub fn remaining(&self) -> u64 {
        match &self.from {
            From::Memory(bytes) => bytes.len() as u64,
            // SAFETY: the archive is alive and ours, as the caller of `over` guarantees.
            From::Archive(archive, _) => unsafe { ((**archive).remaining)(*archive) },
        }
    }

    /// Reads `to.len()` bytes. Errors: `CHI_INVALID` when fewer remain.
    pub fn get(&mut self, to: &mut [u8]) -> Result<()> {
        let len = to.len() as u64;
        if len > self.remaining() {
            return Err(Status::invalid(format!(
                "the bytes end too early: {len} were expected at byte {}, and {} remain",
                self.position,
                self.remaining()
            )));
        }
        match &mut self.from {
            From::Memory(bytes) => {
                let (first, rest) = bytes.split_at(to.len());
                to.copy_from_slice(first);
                *bytes = rest;
            }
            From::Archive(archive, _) => {
                // SAFETY: the archive is alive and ours, as the caller of `over` guarantees.
                let status = unsafe { ((**archive).read)(*archive, to.as_mut_ptr().cast(), len) };
                match status {
                    CHI_OK => {}
                    // It has fewer bytes than it says remain: they may be those of other fields.
                    CHI_INVALID => {
                        return Err(Status::invalid(format!(
                            "the bytes end too early: {len} were expected at byte {}",
                            self.position
                        )))
                    }
                    _ => return Err(Status::new(status, "cannot read from the archive")),
                }
            }
        }
        self.position += len;
        Ok(())
    }

    /// Reads `len` bytes, after a length that has been checked.
    pub(crate) fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| no_memory(len))?;
        bytes.resize(len, 0);
        self.get(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.get(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the length of a sequence whose elements take at least `least` bytes each. Errors:
    /// `CHI_INVALID` when too few bytes remain for that many elements.
    pub fn get_length(&mut self, least: usize) -> Result<usize> {
        let at = self.position;
        let length = u64::from_le_bytes(self.array()?);
        let remaining = self.remaining();
        match length.checked_mul(least as u64) {
            Some(bytes) if bytes <= remaining => Ok(length as usize),
            _ => Err(Status::invalid(format!(
                "a length of {length} at byte {at} is more than the {remaining} bytes that remain"
            ))),
        }
    }

    /// Reads a byte that must be 0 or 1.
    pub(crate) fn get_bool(&mut self) -> Result<bool> {
        let at = self.position;
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => Err(Status::invalid(format!("byte {at} is {byte}, but must be 0 or 1"))),
        }
    }

    /// Reads a struct: `f` reads its fields. Errors: `CHI_INVALID` when it is nested too deep.
    pub fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth = deeper(self.depth, self.position)?;
        let value = f(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Checks that all bytes have been read. Errors: `CHI_INVALID` when some remain.
    pub fn finish(self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(Status::invalid(format!(
                "{n} bytes follow after the end, at byte {}",
                self.position
            ))),
        }
    }

    /// The task that is being read into. Errors: `CHI_INVALID` when there is none.
    pub(crate) fn owner(&self) -> Result<*mut chi_task> {
        match self.owner.is_null() {
            true => {
                Err(Status::invalid("a task's strings and vectors can be read only into a task"))
            }
            false => Ok(self.owner),
        }
    }
}

/// Increments the nesting depth. Errors: `CHI_INVALID` when it exceeds the limit.
pub(crate) fn deeper(depth: u32, at: u64) -> Result<u32> {
    match depth < MAX_DEPTH {
        true => Ok(depth + 1),
        false => Err(Status::invalid(format!(
            "structs are nested more than {MAX_DEPTH} levels deep at byte {at}"
        ))),
    }
}

/// Checks that an archive has the functions that are called here.
///
/// # Safety
///
/// `archive` is null or points to an archive that is as long as its size says.
pub(crate) unsafe fn foreign(archive: *mut chi_archive) -> Result<*mut chi_archive> {
    const NEEDED: usize = offset_of!(chi_archive, remaining) + size_of::<usize>();
    // SAFETY: the size is read only when the archive is not null; every archive begins with it.
    let size = if archive.is_null() { 0 } else { unsafe { (*archive).size as usize } };
    match size >= NEEDED {
        true => Ok(archive),
        false => Err(Status::new(CHI_VERSION, format!("an archive of only {size} bytes"))),
    }
}
