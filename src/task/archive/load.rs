//! Reading what nobody vouches for.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;

use chimaera_abi::{chi_archive, chi_task, CHI_OK, CHI_VERSION};

use super::{Serialize, MAX_DEPTH};
use crate::shm::string::no_memory;
use crate::status::{Result, Status};

/// Takes values from bytes.
pub struct LoadArchive<'a> {
    from: From<'a>,
    position: u64,
    depth: u32,
    /// The task that is read into, or null.
    owner: *mut chi_task,
}

enum From<'a> {
    Memory(&'a [u8]),
    Archive(*mut chi_archive, PhantomData<&'a mut chi_archive>),
}

impl<'a> LoadArchive<'a> {
    /// From bytes in memory.
    pub fn new(bytes: &'a [u8]) -> Self {
        LoadArchive { from: From::Memory(bytes), position: 0, depth: 0, owner: ptr::null_mut() }
    }

    /// From a C archive, into a task, for whose strings and vectors blocks are allocated.
    ///
    /// # Safety
    ///
    /// `archive` is null or a live archive for reading that is as long as its size says and nobody
    /// else's, and `owner` a live task, until the value is dropped.
    pub unsafe fn over(archive: *mut chi_archive, owner: *mut chi_task) -> Result<Self> {
        // SAFETY: says the caller.
        let archive = unsafe { foreign(archive) }?;
        let from = From::Archive(archive, PhantomData);
        Ok(LoadArchive { from, position: 0, depth: 0, owner })
    }

    /// Takes a value.
    pub fn load<T: Serialize>(&mut self) -> Result<T> {
        T::load(self)
    }

    /// How many bytes were taken.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes remain.
    pub fn remaining(&self) -> u64 {
        match &self.from {
            From::Memory(bytes) => bytes.len() as u64,
            // SAFETY: the archive is alive and ours, promised the caller of `over`.
            From::Archive(archive, _) => unsafe { ((**archive).remaining)(*archive) },
        }
    }

    /// Takes as many bytes as `to` has. Errors: `CHI_INVALID` when fewer remain.
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
                // SAFETY: the archive is alive and ours, promised the caller of `over`.
                let status = unsafe { ((**archive).read)(*archive, to.as_mut_ptr().cast(), len) };
                if status != CHI_OK {
                    return Err(Status::new(status, "the archive gives no more bytes"));
                }
            }
        }
        self.position += len;
        Ok(())
    }

    /// Takes `len` bytes, of which there must be as many, after a length.
    pub(crate) fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| no_memory(len))?;
        bytes.resize(len, 0);
        self.get(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.get(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes the number of what follows, each of `least` bytes or more. Errors: `CHI_INVALID` when so
    /// many do not remain.
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

    /// Takes a byte that is 0 or 1.
    pub(crate) fn get_bool(&mut self) -> Result<bool> {
        let at = self.position;
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => {
                Err(Status::invalid(format!("the byte {at} is {byte}, where only 0 and 1 can be")))
            }
        }
    }

    /// Takes a struct: `f` takes its fields. Errors: `CHI_INVALID` when it lies too deep in others.
    pub fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth = deeper(self.depth, self.position)?;
        let value = f(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Says that nothing else follows. Errors: `CHI_INVALID` when bytes remain.
    pub fn finish(self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(Status::invalid(format!(
                "{n} bytes follow after the end, at byte {}",
                self.position
            ))),
        }
    }

    /// The task that is read into. Errors: `CHI_INVALID` when there is none.
    pub(crate) fn owner(&self) -> Result<*mut chi_task> {
        match self.owner.is_null() {
            true => Err(Status::invalid("strings and vectors in tasks are read into a task only")),
            false => Ok(self.owner),
        }
    }
}

/// One struct deeper.
pub(crate) fn deeper(depth: u32, at: u64) -> Result<u32> {
    match depth < MAX_DEPTH {
        true => Ok(depth + 1),
        false => Err(Status::invalid(format!(
            "structs lie more than {MAX_DEPTH} deep in structs at byte {at}"
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
    // SAFETY: not null when it is read, and begins with its size.
    let size = if archive.is_null() { 0 } else { unsafe { (*archive).size as usize } };
    match size >= NEEDED {
        true => Ok(archive),
        false => Err(Status::new(CHI_VERSION, format!("an archive of only {size} bytes"))),
    }
}
