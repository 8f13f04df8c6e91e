//! A parcel: a task with all its strings and vectors, copied into the segment of a link, and what comes
//! back in it. Large strings and vectors may stay where they are, if the other side has mapped the segment
//! in which they lie: then the parcel refers to them.

use chimaera_abi::*;
use chimaera_ipc::arena::Failed;
use chimaera_ipc::copy;
use chimaera_ipc::layout::offset_of;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};
use std::sync::Arc;

use super::lending::Lender;
use super::link::Link;
use crate::failure::Failure;
use crate::module::{Field, Method};
use crate::session::Loan;

const HEADER: usize = size_of::<chi_task>();
/// The limit on a message of the other side, in bytes.
const MAX_MESSAGE: u64 = 4096;
/// The limit on the blocks of strings and vectors inside the task's vectors, in bytes.
const MAX_ELEMENTS: u64 = 64 << 20;

/// A string or vector that was sent.
struct Sent {
    /// Its block in the segment.
    block: u64,
    original: chi_shm_vector,
    /// Of the bytes that were sent.
    sum: u64,
}

/// A string or vector to which the parcel refers.
struct Referred {
    /// The reference: the number of the segment in the other process, and the offset there.
    shm: chi_shm_ptr,
    original: chi_shm_vector,
}

/// A task in the segment of a link.
pub(crate) struct Parcel {
    /// The task's offset.
    pub(crate) task: u64,
    blocks: Vec<u64>,
    sent: Vec<Sent>,
    referred: Vec<Referred>,
    /// Keeps the segment mapped there.
    loan: Option<Arc<Loan>>,
}

/// Where a task's results are put.
pub(crate) trait Results {
    /// Allocates a block that belongs to the task; `elements` if it will hold strings or vectors.
    fn alloc(&mut self, size: u64, elements: bool) -> Result<chi_buffer, Failure>;
}

/// The outcome of a task that ran in the other process.
pub(crate) struct Outcome {
    pub(crate) status: chi_status,
    pub(crate) message: String,
    /// What has to be released.
    pub(crate) hold: Option<u32>,
}

impl Referred {
    /// How many bytes may be there.
    fn room(&self) -> u64 {
        self.original.capacity_.max(self.original.size_)
    }
}

impl Parcel {
    /// Copies a task into the segment of a link, but for the strings and vectors that `lender` lends. `alter` is
    /// given the header of the copy.
    ///
    /// # Errors
    /// The segment has no room now, or never.
    ///
    /// # Safety
    /// `body` must be a task of this method, as methods see it, that does not change meanwhile.
    pub(crate) unsafe fn pack(
        link: &Link,
        body: *const chi_task,
        method: &Method,
        lender: Option<&Lender<'_>>,
        alter: impl FnOnce(&mut chi_task),
    ) -> Result<Parcel, Failed> {
        let (sent, referred) = (Vec::new(), Vec::new());
        let mut parcel = Parcel { task: 0, blocks: Vec::new(), sent, referred, loan: None };
        // SAFETY: by the caller's promise.
        let packed = unsafe { parcel.fill(link, body, method, lender, alter) };
        match packed {
            Ok(()) => {
                parcel.sent.sort_unstable_by_key(|sent| sent.block);
                if !parcel.referred.is_empty() {
                    let key = |referred: &Referred| (referred.shm, referred.room());
                    parcel.referred.sort_unstable_by_key(key);
                    parcel.loan = lender.and_then(Lender::loan);
                }
                Ok(parcel)
            }
            Err(failed) => {
                link.free(&parcel.blocks);
                Err(failed)
            }
        }
    }

    /// # Safety
    /// As `pack`.
    unsafe fn fill(
        &mut self,
        link: &Link,
        body: *const chi_task,
        method: &Method,
        lender: Option<&Lender<'_>>,
        alter: impl FnOnce(&mut chi_task),
    ) -> Result<(), Failed> {
        let size = method.task_size;
        self.task = self.block(link, size as u64)?;
        // SAFETY: by the caller's promise the body has `size` bytes.
        let mut copied = unsafe { Words::copy(body.cast(), size) };
        // SAFETY: the copy holds a whole task, aligned to 8, of this method.
        unsafe {
            self.fields(link, copied.start(), &method.fields, lender)?;
            alter(&mut *copied.start().cast::<chi_task>());
            let to = link.mapping().address(self.task).as_ptr();
            copy::to_shared(copied.start(), to, size);
        }
        Ok(())
    }

    fn block(&mut self, link: &Link, size: u64) -> Result<u64, Failed> {
        let block = link.alloc(size)?;
        self.blocks.push(block);
        Ok(block)
    }

    /// Sends strings and vectors, and makes the descriptors refer to their blocks.
    ///
    /// # Safety
    /// `base` must be private memory laid out as `fields` describe.
    unsafe fn fields(
        &mut self,
        link: &Link,
        base: *mut u8,
        fields: &[Field],
        lender: Option<&Lender<'_>>,
    ) -> Result<(), Failed> {
        for field in fields {
            // SAFETY: the field is inside what `base` holds, and aligned to 8.
            let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
            let original = *vector;
            let size = original.size_;
            let room = match field.inner.is_empty() {
                true => original.capacity_.max(size),
                false => size - size % field.elem_size,
            };
            (vector.shm_, vector.data_) = (CHI_SHM_NULL, std::ptr::null_mut());
            (vector.size_, vector.capacity_) = (0, 0);
            if original.data_.is_null() || room == 0 {
                continue;
            }
            if field.inner.is_empty() {
                if let Some(shm) = lender.and_then(|lender| lender.refer(&original, room)) {
                    (vector.shm_, vector.size_, vector.capacity_) = (shm, size, room);
                    self.referred.push(Referred { shm, original });
                    continue;
                }
            }
            let block = self.block(link, room)?;
            // SAFETY: the block was allocated just now.
            let to = unsafe { link.mapping().address(block) }.as_ptr();
            let mut sum = 0;
            if field.inner.is_empty() {
                // SAFETY: by the contract of methods the bytes at `data_` are readable; the block has
                // room for them.
                unsafe { copy::between_shared(original.data_.cast(), to, size as usize) };
                // SAFETY: they were put there just now.
                sum = unsafe { sum_of(to, size) };
                vector.size_ = size;
            } else {
                // SAFETY: as above; elements with descriptors are in private memory.
                let mut elements = unsafe { Words::copy(original.data_.cast(), room as usize) };
                for at in (0..room).step_by(field.elem_size as usize) {
                    // SAFETY: the element is inside the copy.
                    unsafe {
                        let element = elements.start().add(at as usize);
                        self.fields(link, element, &field.inner, lender)?;
                    }
                }
                // SAFETY: both hold `room` bytes, and the block is aligned to 64.
                unsafe { copy::to_shared(elements.start(), to, room as usize) };
                vector.size_ = room;
            }
            (vector.shm_, vector.capacity_) = (block, room);
            self.sent.push(Sent { block, original, sum });
        }
        Ok(())
    }

    /// Puts the results of the task, which is complete, into `body`, from which it was packed, and frees
    /// the parcel.
    ///
    /// # Errors
    /// There is no room for the results, or what came back makes no sense. Then the body is as it was,
    /// but for bytes of its strings and vectors.
    ///
    /// # Safety
    /// `body` must be the task that was packed, as methods see it, and of this method.
    pub(crate) unsafe fn unpack(
        self,
        link: &Link,
        body: *mut chi_task,
        method: &Method,
        results: &mut dyn Results,
    ) -> (Outcome, Result<(), Failure>) {
        let outcome = self.outcome(link);
        let size = method.task_size;
        // SAFETY: the task's block in the segment has `size` bytes.
        let mut back =
            unsafe { Words::copy(link.mapping().address(self.task).as_ptr().cast_const(), size) };
        let layout = link.mapping().layout();
        let mut taking =
            Taking { parcel: &self, link, results, left: layout.size - layout.client_arena };
        // SAFETY: the copy holds a whole task, aligned to 8.
        let taken = unsafe { taking.fields(back.start(), &method.fields) };
        if taken.is_ok() {
            // SAFETY: by the caller's promise the body has `size` bytes.
            unsafe {
                let from = back.start().add(HEADER);
                let to = body.cast::<u8>().add(HEADER);
                std::ptr::copy_nonoverlapping(from, to, size - HEADER);
            }
        }
        link.free(&self.blocks);
        (outcome, taken)
    }

    /// Frees the parcel of a task that was not sent.
    pub(crate) fn discard(self, link: &Link) {
        link.free(&self.blocks);
    }

    fn outcome(&self, link: &Link) -> Outcome {
        let mapping = link.mapping();
        let at = |field: usize| self.task + field as u64;
        // SAFETY: the task's header is inside the segment, and aligned to 64.
        let (status, state, message) = unsafe {
            (
                mapping.word(at(std::mem::offset_of!(chi_task, status_))).load(Ordering::Relaxed),
                mapping.word(at(std::mem::offset_of!(chi_task, state_))).load(Ordering::Acquire),
                mapping
                    .double_word(at(std::mem::offset_of!(chi_task, message_)))
                    .load(Ordering::Relaxed),
            )
        };
        let status = status as chi_status;
        let hold = (state & CHI_TASK_HAS_BLOCKS != 0).then_some(state >> CHI_TASK_HOLD_SHIFT);
        let message = match status {
            CHI_OK => String::new(),
            _ => text_at(link, message).unwrap_or_default(),
        };
        Outcome { status, message, hold }
    }
}

/// The message at this shared pointer, if it is one.
fn text_at(link: &Link, shm: chi_shm_ptr) -> Option<String> {
    let start = offset_of(shm).filter(|at| *at > 0 && at.is_multiple_of(8))?;
    let from = link.mapping().find(start, 4)?;
    // SAFETY: the four bytes are inside the segment.
    let length = unsafe { copy::vec_from_shared(from.as_ptr(), 4) };
    let length = u64::from(u32::from_ne_bytes(length.try_into().expect("four bytes")));
    let from = link.mapping().find(start + 4, length.min(MAX_MESSAGE))?;
    // SAFETY: as above.
    let text = unsafe { copy::vec_from_shared(from.as_ptr(), length.min(MAX_MESSAGE) as usize) };
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn outside() -> Failure {
    let message = "a string or vector that came back points outside the segment";
    Failure::new(CHI_INTERNAL, message)
}

/// Takes what came back.
struct Taking<'t> {
    parcel: &'t Parcel,
    link: &'t Link,
    results: &'t mut dyn Results,
    /// How many bytes more may come back: the other side decides how often it names the same ones.
    left: u64,
}

impl Taking<'_> {
    /// # Safety
    /// `base` must be private memory laid out as `fields` describe.
    unsafe fn fields(&mut self, base: *mut u8, fields: &[Field]) -> Result<(), Failure> {
        for field in fields {
            // SAFETY: the field is inside what `base` holds, and aligned to 8.
            let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
            *vector = self.vector(*vector, field)?;
        }
        Ok(())
    }

    /// The vector, as methods see it, for one that came back.
    fn vector(&mut self, back: chi_shm_vector, field: &Field) -> Result<chi_shm_vector, Failure> {
        let none = chi_shm_vector {
            shm_: CHI_SHM_NULL,
            data_: std::ptr::null_mut(),
            size_: 0,
            capacity_: 0,
            reserved_: 0,
            ..back
        };
        if back.shm_ == CHI_SHM_NULL {
            return Ok(none);
        }
        if offset_of(back.shm_).is_none() {
            return self.referred(back, field);
        }
        let size = match field.inner.is_empty() {
            true => back.size_,
            false => back.size_ - back.size_ % field.elem_size,
        };
        let layout = self.link.mapping().layout();
        let start = offset_of(back.shm_).filter(|at| *at >= layout.client_arena);
        let from = start.and_then(|start| self.link.mapping().find(start, size));
        let (Some(start), Some(from)) = (start, from) else {
            return Err(outside());
        };
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            let message = "the strings and vectors that came back overlap";
            Failure::new(CHI_INTERNAL, message)
        })?;
        let sent = &self.parcel.sent;
        let sent = sent.binary_search_by_key(&start, |sent| sent.block).ok().map(|at| &sent[at]);
        match field.inner.is_empty() {
            true => self.leaf(none, from.as_ptr(), size, sent),
            false => self.elements(none, from.as_ptr(), size, sent, field),
        }
    }

    /// One that came back as a reference: as it was sent, but for its size. Its bytes are where they were.
    fn referred(&self, back: chi_shm_vector, field: &Field) -> Result<chi_shm_vector, Failure> {
        // Of those that begin at the same byte, the last one has the most room.
        let all = &self.parcel.referred;
        let found = all[..all.partition_point(|referred| referred.shm <= back.shm_)].last();
        let is_it = |referred: &&Referred| {
            field.inner.is_empty() && referred.shm == back.shm_ && back.size_ <= referred.room()
        };
        let Referred { original, .. } = found.filter(is_it).ok_or_else(outside)?;
        Ok(chi_shm_vector { size_: back.size_, ..*original })
    }

    fn leaf(
        &mut self,
        none: chi_shm_vector,
        from: *const u8,
        size: u64,
        sent: Option<&Sent>,
    ) -> Result<chi_shm_vector, Failure> {
        if let Some(Sent { original, sum, .. }) = sent {
            // Bytes that did not change are not written: the client may share them among its tasks.
            // SAFETY: `size` bytes at `from` are inside the segment.
            let same = size == original.size_ && unsafe { sum_of(from, size) } == *sum;
            if !same && size <= original.capacity_ {
                // SAFETY: as above; by the contract of methods `capacity_` bytes at `data_` are
                // writable.
                unsafe { copy::between_shared(from, original.data_.cast(), size as usize) };
            }
            if same || size <= original.capacity_ {
                return Ok(chi_shm_vector { size_: size, ..*original });
            }
        }
        if size == 0 {
            return Ok(none);
        }
        let buffer = self.results.alloc(size, false)?;
        // SAFETY: the block was allocated just now with room for `size` bytes.
        unsafe { copy::between_shared(from, buffer.data_.cast(), size as usize) };
        let (shm_, data_, capacity_) = (buffer.shm_, buffer.data_, buffer.size_);
        Ok(chi_shm_vector { shm_, data_, size_: size, capacity_, ..none })
    }

    fn elements(
        &mut self,
        none: chi_shm_vector,
        from: *const u8,
        size: u64,
        sent: Option<&Sent>,
        field: &Field,
    ) -> Result<chi_shm_vector, Failure> {
        if size > MAX_ELEMENTS {
            let message = "the vectors inside the task's vectors take more than 64 MiB";
            return Err(Failure::new(CHI_TOO_LARGE, message));
        }
        if size == 0 {
            return Ok(none);
        }
        // SAFETY: `size` bytes at `from` are inside the segment.
        let mut elements = unsafe { Words::copy(from, size as usize) };
        for at in (0..size).step_by(field.elem_size as usize) {
            // SAFETY: the element is inside the private copy.
            unsafe { self.fields(elements.start().add(at as usize), &field.inner)? };
        }
        let vector = match sent {
            Some(Sent { original, .. }) if size <= original.capacity_ => *original,
            _ => {
                let buffer = self.results.alloc(size, true)?;
                let (shm_, data_, capacity_) = (buffer.shm_, buffer.data_, buffer.size_);
                chi_shm_vector { shm_, data_, capacity_, ..none }
            }
        };
        // SAFETY: `capacity_` bytes at `data_` are writable and private, and `size` is not more.
        unsafe {
            let to = vector.data_.cast::<u8>();
            std::ptr::copy_nonoverlapping(elements.start(), to, size as usize);
        }
        Ok(chi_shm_vector { size_: size, ..vector })
    }
}

/// A private copy of some bytes, aligned to 8.
struct Words(Vec<u64>);

impl Words {
    /// # Safety
    /// `from` must be mapped for `len` bytes.
    unsafe fn copy(from: *const u8, len: usize) -> Words {
        let mut words = Words(vec![0; len.div_ceil(8)]);
        // SAFETY: by the caller's promise; the copy has room for `len` bytes.
        unsafe { copy::bytes_from_shared(from, words.start(), len) };
        words
    }

    fn start(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// A sum of bytes, by which a change of them is seen.
///
/// # Safety
/// `from` must be mapped for `len` bytes, and aligned to 8.
unsafe fn sum_of(from: *const u8, len: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |sum: u64, word: u64| ((sum ^ word).wrapping_mul(FACTOR)).rotate_left(29);
    let words = len as usize / 8;
    let mut sum = len;
    for word in 0..words {
        // SAFETY: inside the caller's range, and aligned.
        sum = mix(sum, unsafe { (*from.cast::<AtomicU64>().add(word)).load(Ordering::Relaxed) });
    }
    for byte in words * 8..len as usize {
        // SAFETY: inside the caller's range.
        let byte = unsafe { (*from.add(byte).cast::<AtomicU8>()).load(Ordering::Relaxed) };
        sum = mix(sum, byte.into());
    }
    sum
}

#[cfg(test)]
mod tests;
