//! The tables through which modules write and read states.

use std::ffi::c_void;
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::Arc;

use chimaera_abi::*;

use super::image::{Image, Reader, CHUNK};
use super::meter::Meter;
use super::storage::Storage;
use crate::failure::Failure;

/// The tables of a state, which modules are passed.
#[repr(C)]
struct Tables<T> {
    state: chi_state,
    archive: chi_archive,
    inner: T,
    /// Why a call failed first. Whatever the module makes of that, the state is not used.
    failure: Option<Failure>,
}

impl<T> Tables<T> {
    fn new(
        inner: T,
        purpose: u32,
        write: unsafe extern "C" fn(*mut chi_archive, *const c_void, u64) -> chi_status,
        read: unsafe extern "C" fn(*mut chi_archive, *mut c_void, u64) -> chi_status,
        remaining: unsafe extern "C" fn(*const chi_archive) -> u64,
        begin_field: unsafe extern "C" fn(*mut chi_state, u32) -> chi_status,
        next_field: unsafe extern "C" fn(*mut chi_state, *mut u32) -> chi_status,
    ) -> Box<Tables<T>> {
        Box::new(Tables {
            state: chi_state {
                size: size_of::<chi_state>() as u32,
                purpose,
                archive: ptr::null_mut(),
                begin_field,
                next_field,
            },
            archive: chi_archive {
                size: size_of::<chi_archive>() as u32,
                reserved: 0,
                write,
                read,
                remaining,
            },
            inner,
            failure: None,
        })
    }

    /// What the module is passed.
    fn table(&mut self) -> *mut chi_state {
        let whole = ptr::from_mut(self);
        // SAFETY: the fields are those of `self`; the pointer to the archive is derived from one to the
        // whole, because `of_archive` leads back to it.
        unsafe {
            (*whole).state.archive = whole.byte_add(offset_of!(Self, archive)).cast();
        }
        whole.cast()
    }

    /// # Safety
    /// `archive` must be the one of a `Tables<T>` that nothing else uses during the call.
    unsafe fn of_archive<'a>(archive: *mut chi_archive) -> &'a mut Self {
        // SAFETY: by the caller's promise.
        unsafe { &mut *archive.byte_sub(offset_of!(Self, archive)).cast::<Self>() }
    }

    /// # Safety
    /// `state` must be the one of a `Tables<T>` that nothing else uses during the call.
    unsafe fn of_state<'a>(state: *mut chi_state) -> &'a mut Self {
        // SAFETY: by the caller's promise; it is the first field.
        unsafe { &mut *state.cast::<Self>() }
    }

    /// Returns the status of a call, and keeps the first failure.
    fn noted(&mut self, result: Result<(), Failure>) -> chi_status {
        match result {
            Ok(()) => CHI_OK,
            Err(failure) => {
                let status = failure.status;
                self.failure.get_or_insert(failure);
                status
            }
        }
    }
}

struct Writer {
    image: Image,
    field: u32,
    /// Bytes of the current field that are in no chunk yet.
    bytes: Vec<u8>,
    /// The field has a chunk.
    begun: bool,
}

impl Writer {
    fn flush(&mut self) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.bytes);
        self.begun = true;
        self.image.push(self.field, bytes)
    }

    /// Ends the current field, which has a chunk even if it is empty.
    fn end_field(&mut self) -> Result<(), Failure> {
        if self.field == 0 || self.begun && self.bytes.is_empty() {
            return Ok(());
        }
        self.flush()
    }

    fn begin_field(&mut self, number: u32) -> Result<(), Failure> {
        if number <= self.field {
            let why = format!("field {number} of the state is saved behind field {}", self.field);
            return Err(Failure::new(CHI_INVALID, why));
        }
        self.end_field()?;
        (self.field, self.begun) = (number, false);
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        if self.field == 0 {
            return Err(Failure::new(CHI_INVALID, "bytes of the state are in no field"));
        }
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK - self.bytes.len()));
            self.bytes.extend_from_slice(now);
            if self.bytes.len() == CHUNK {
                self.flush()?;
            }
            bytes = rest;
        }
        Ok(())
    }
}

/// A state that a container is saving.
pub(crate) struct Saving(Box<Tables<Writer>>);

impl Saving {
    /// `purpose` is a `CHI_SAVED_*`, `version` that of the module.
    pub(crate) fn new(
        purpose: u32,
        version: &str,
        storage: &Storage,
        meter: &Arc<Meter>,
    ) -> Saving {
        let image = Image::new(version, storage, meter);
        let writer = Writer { image, field: 0, bytes: Vec::new(), begun: false };
        let (read, remaining) = (no_read, nothing_remains);
        Saving(Tables::new(writer, purpose, write, read, remaining, begin_field, no_next_field))
    }

    /// What the module is passed. Valid until `finish`.
    pub(crate) fn table(&mut self) -> *mut chi_state {
        self.0.table()
    }

    /// The whole state.
    pub(crate) fn finish(mut self) -> Result<Image, Failure> {
        if let Some(failure) = self.0.failure.take() {
            return Err(failure);
        }
        self.0.inner.end_field()?;
        Ok(self.0.inner.image)
    }
}

unsafe extern "C" fn write(archive: *mut chi_archive, data: *const c_void, len: u64) -> chi_status {
    // SAFETY: the archive is that of a `Saving`, and the module calls one function at a time.
    let tables = unsafe { Tables::<Writer>::of_archive(archive) };
    let bytes = match len {
        0 => &[][..],
        // SAFETY: by the contract, the module passes `len` readable bytes.
        _ => unsafe { std::slice::from_raw_parts(data.cast(), len as usize) },
    };
    let written = tables.inner.write(bytes);
    tables.noted(written)
}

unsafe extern "C" fn no_read(_: *mut chi_archive, _: *mut c_void, _: u64) -> chi_status {
    CHI_INVALID
}

unsafe extern "C" fn nothing_remains(_: *const chi_archive) -> u64 {
    0
}

unsafe extern "C" fn begin_field(state: *mut chi_state, number: u32) -> chi_status {
    // SAFETY: the state is that of a `Saving`, and the module calls one function at a time.
    let tables = unsafe { Tables::<Writer>::of_state(state) };
    let begun = tables.inner.begin_field(number);
    tables.noted(begun)
}

unsafe extern "C" fn no_next_field(_: *mut chi_state, _: *mut u32) -> chi_status {
    CHI_INVALID
}

/// A state that a container is loading.
pub(crate) struct Loading<'i>(Box<Tables<Reader<'i>>>);

impl<'i> Loading<'i> {
    pub(crate) fn new(image: &'i Image) -> Loading<'i> {
        let reader = image.reader();
        Loading(Tables::new(reader, 0, no_write, read, remaining, no_begin_field, next_field))
    }

    /// What the module is passed. Valid as long as `self`.
    pub(crate) fn table(&mut self) -> *mut chi_state {
        self.0.table()
    }

    /// Why a call failed, if one did.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.0.failure.take()
    }
}

unsafe extern "C" fn no_write(_: *mut chi_archive, _: *const c_void, _: u64) -> chi_status {
    CHI_INVALID
}

unsafe extern "C" fn read(archive: *mut chi_archive, data: *mut c_void, len: u64) -> chi_status {
    // SAFETY: the archive is that of a `Loading`, and the module calls one function at a time.
    let tables = unsafe { Tables::<Reader<'_>>::of_archive(archive) };
    let to = match len {
        0 => &mut [][..],
        // SAFETY: by the contract, the module passes `len` writable bytes.
        _ => unsafe { std::slice::from_raw_parts_mut(data.cast(), len as usize) },
    };
    let done = tables.inner.read(to);
    tables.noted(done)
}

unsafe extern "C" fn remaining(archive: *const chi_archive) -> u64 {
    // SAFETY: as in `read`.
    unsafe { Tables::<Reader<'_>>::of_archive(archive.cast_mut()) }.inner.remaining()
}

unsafe extern "C" fn no_begin_field(_: *mut chi_state, _: u32) -> chi_status {
    CHI_INVALID
}

unsafe extern "C" fn next_field(state: *mut chi_state, number: *mut u32) -> chi_status {
    // SAFETY: the state is that of a `Loading`, and the module calls one function at a time.
    let tables = unsafe { Tables::<Reader<'_>>::of_state(state) };
    let next = tables.inner.next_field();
    // SAFETY: by the contract, the pointer is valid.
    let next = next.map(|found| unsafe { number.write(found) });
    tables.noted(next)
}
