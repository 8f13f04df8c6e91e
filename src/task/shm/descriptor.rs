//! A `chi_shm_vector` in a task or a block: the only code that accesses shared bytes.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;

use chimaera_abi::{
    chi_buffer, chi_field_layout, chi_shm_vector, chi_task, CHI_SHM_NULL, CHI_SHM_PUBLISHED,
    CHI_SHM_PUBLISHED_SHIFT,
};

use crate::shm::ipc;
use crate::status::{Result, Status};

/// A `chi_shm_vector` in a task or in another vector's block.
///
/// Invariant: safe code cannot make, copy or move one, so it stays where the task's creator put it.
/// A descriptor with an `offset_in_task_` is at that offset in a live task; one without is part of
/// an element. `data_` points to a block of `capacity_` bytes (no block when 0), of which `size_`
/// are in use, and which lives as long as that task. Another process may change the bytes at any
/// time, so they are only ever copied, through raw pointers.
#[repr(transparent)]
pub(crate) struct Descriptor(UnsafeCell<chi_shm_vector>);

/// The contents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes or plain data.
    Leaf,
    /// Elements with strings or vectors inside.
    Elements,
}

fn is_published(vector: &chi_shm_vector) -> bool {
    vector.shm_ >> CHI_SHM_PUBLISHED_SHIFT == CHI_SHM_PUBLISHED
}

fn check_writable(vector: &chi_shm_vector) -> Result<()> {
    match is_published(vector) {
        true => Err(Status::invalid(
            "these bytes are published, and can only be read: replace them as a whole",
        )),
        false => Ok(()),
    }
}

impl Descriptor {
    /// A private copy of the struct.
    fn get(&self) -> chi_shm_vector {
        // SAFETY: the struct is alive while it is borrowed, and no reference into it exists; only
        // `put` writes to it, on this thread (the type is not `Sync`).
        unsafe { *self.0.get() }
    }

    fn put(&self, vector: chi_shm_vector) {
        // SAFETY: as in `get`.
        unsafe { *self.0.get() = vector }
    }

    /// The address of the struct.
    pub(crate) fn as_raw(&self) -> *mut chi_shm_vector {
        self.0.get()
    }

    /// The bytes in use, if they are in published memory: nobody ever writes to them.
    pub(crate) fn published(&self) -> Option<(*const u8, usize)> {
        let vector = self.get();
        is_published(&vector).then_some((vector.data_.cast::<u8>().cast_const(), self.len()))
    }

    /// Bytes in use.
    pub(crate) fn len(&self) -> usize {
        self.get().size_ as usize
    }

    /// Copies bytes starting at `at` into `to`, until either ends. Returns the number of bytes
    /// copied.
    pub(crate) fn read(&self, at: usize, to: &mut [MaybeUninit<u8>]) -> usize {
        let vector = self.get();
        let n = (vector.size_ as usize).saturating_sub(at).min(to.len());
        if n > 0 {
            // SAFETY: `at + n <= size_`, and `data_` points to `size_` bytes (type invariant); `to`
            // is private memory, so the two do not overlap. A write by another process meanwhile
            // changes which bytes arrive, and any bytes are valid `u8`s.
            unsafe {
                let from = vector.data_.cast::<u8>().add(at);
                ptr::copy_nonoverlapping(from, to.as_mut_ptr().cast(), n);
            }
        }
        n
    }

    /// Copies all of `from` to `at`. Errors: `CHI_INVALID` when it exceeds the bytes in use.
    pub(crate) fn write(&self, at: usize, from: &[u8]) -> Result<()> {
        // SAFETY: a slice is readable for its length, and private.
        unsafe { self.write_raw(at, from.as_ptr(), from.len()) }
    }

    /// Like `write`, for memory that may contain padding.
    ///
    /// # Safety
    ///
    /// `from` is readable for `len` bytes of private memory.
    pub(crate) unsafe fn write_raw(&self, at: usize, from: *const u8, len: usize) -> Result<()> {
        let vector = self.get();
        let size = vector.size_ as usize;
        if at > size || len > size - at {
            return Err(Status::invalid(format!("{len} bytes at {at} do not fit into {size}")));
        }
        if len > 0 {
            check_writable(&vector)?;
            // SAFETY: `at + len <= size_`, and `data_` points to `size_` bytes (type invariant)
            // that no reference covers; `from` is private memory, so the two do not overlap.
            unsafe { ptr::copy_nonoverlapping(from, vector.data_.cast::<u8>().add(at), len) };
        }
        Ok(())
    }

    /// Sets `len` bytes, starting at `at`, to `byte`. Errors: as for `write`.
    pub(crate) fn fill(&self, at: usize, len: usize, byte: u8) -> Result<()> {
        let vector = self.get();
        let size = vector.size_ as usize;
        if at > size || len > size - at {
            return Err(Status::invalid(format!("{len} bytes at {at} do not fit into {size}")));
        }
        if len > 0 {
            check_writable(&vector)?;
            // SAFETY: `at + len <= size_`, and `data_` points to `size_` bytes (type invariant)
            // that no reference covers.
            unsafe { vector.data_.cast::<u8>().add(at).write_bytes(byte, len) };
        }
        Ok(())
    }

    /// The address of the bytes in use.
    pub(crate) fn data(&self) -> *mut u8 {
        self.get().data_.cast()
    }

    /// The task that contains the descriptor. Errors: `CHI_INVALID` for a descriptor in a vector's
    /// block.
    pub(crate) fn owner(&self) -> Result<*mut chi_task> {
        match self.get().offset_in_task_ {
            0 => {
                Err(Status::invalid("this is an element of a vector: write it through that vector"))
            }
            // The pointer is only passed to the IPC manager, which identifies the task by its
            // address.
            offset => Ok(ptr::with_exposed_provenance_mut(
                self.0.get().expose_provenance() - offset as usize,
            )),
        }
    }

    /// Sets the number of bytes in use to `len`, in a block of `owner`. If the descriptor had fewer
    /// bytes before, the contents are unspecified.
    ///
    /// The current block is reused if it is large enough. A block of elements counts only as far as
    /// it is in use, because the runtime has a private copy of just that part. A block without a
    /// capacity is shared with other descriptors and is never reused.
    pub(crate) fn reserve(&self, owner: *mut chi_task, len: usize, kind: Kind) -> Result<()> {
        let mut vector = self.get();
        let room = match kind {
            Kind::Leaf => vector.capacity_,
            Kind::Elements => vector.size_,
        };
        if len as u64 > room {
            let block = match kind {
                Kind::Leaf => ipc()?.alloc_for(owner, len),
                Kind::Elements => ipc()?.alloc_elements(owner, len),
            }?;
            vector.shm_ = block.shm_;
            vector.data_ = block.data_;
            vector.capacity_ = block.size_;
        } else if vector.capacity_ == 0 {
            // It has no block of its own.
            (vector.shm_, vector.data_, vector.capacity_) = (CHI_SHM_NULL, ptr::null_mut(), 0);
        }
        vector.size_ = len as u64;
        self.put(vector);
        Ok(())
    }

    /// Replaces the contents with a copy of `bytes`.
    pub(crate) fn set(&self, owner: *mut chi_task, bytes: &[u8]) -> Result<()> {
        self.reserve(owner, bytes.len(), Kind::Leaf)?;
        self.write(0, bytes)
    }

    /// Changes the number of bytes in use. Existing bytes are kept, new ones are zero.
    pub(crate) fn resize(&self, owner: *mut chi_task, len: usize, kind: Kind) -> Result<()> {
        let old = self.get();
        self.reserve(owner, len, kind)?;
        let new = self.get();
        let kept = len.min(old.size_ as usize);
        // SAFETY: the new block has `len` bytes, and `kept` is at most `len` and at most the size
        // of the old block; both live as long as the task (type invariant). The copy allows for
        // overlap, because in a method a client's block may overlap with a new block of the
        // runtime.
        unsafe {
            if kept > 0 && new.data_ != old.data_ {
                ptr::copy(old.data_.cast::<u8>(), new.data_.cast(), kept);
            }
            if len > kept {
                new.data_.cast::<u8>().add(kept).write_bytes(0, len - kept);
            }
        }
        Ok(())
    }

    /// Makes the descriptor refer to the first `len` bytes of a buffer.
    ///
    /// # Safety
    ///
    /// The buffer has `len` bytes, and outlives the last use of the descriptor by client and
    /// runtime.
    pub(crate) unsafe fn refer(&self, buffer: &chi_buffer, len: usize) {
        let mut vector = self.get();
        vector.shm_ = buffer.shm_;
        vector.data_ = buffer.data_;
        vector.size_ = len as u64;
        vector.capacity_ = len as u64;
        self.put(vector);
    }
}

/// Copies `bytes` to offset `at` of a block, and returns the descriptor of a string with those
/// bytes, for use as an element of a vector.
///
/// # Safety
///
/// The block has `at + bytes.len()` bytes, and no reference covers them.
pub(crate) unsafe fn fill_part(block: &chi_buffer, at: usize, bytes: &[u8]) -> chi_shm_vector {
    let (mut shm, mut data) = (CHI_SHM_NULL, ptr::null_mut());
    if !bytes.is_empty() {
        shm = block.shm_ + at as u64;
        // SAFETY: the block has that many bytes, as the caller guarantees.
        unsafe {
            data = block.data_.cast::<u8>().add(at);
            ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        }
    }
    chi_shm_vector {
        shm_: shm,
        data_: data.cast(),
        size_: bytes.len() as u64,
        capacity_: bytes.len() as u64,
        offset_in_task_: 0,
        reserved_: 0,
    }
}

/// Sets the `offset_in_task_` of the descriptor that `field` describes.
///
/// # Safety
///
/// `start` points to writable memory with a descriptor at `field.offset_`.
pub(crate) unsafe fn set_offset(start: *mut u8, field: &chi_field_layout, offset: u32) {
    // SAFETY: there is a descriptor, as the caller guarantees. A string begins with its vector.
    unsafe {
        let vector = start.add(field.offset_ as usize).cast::<chi_shm_vector>();
        (&raw mut (*vector).offset_in_task_).write(offset);
    }
}
