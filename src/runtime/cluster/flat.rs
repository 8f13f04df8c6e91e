//! A task as bytes: what another node needs to run it, and what comes back.
//!
//! ```text
//! task     format u8, method u32, layout i32, query u32 u32, flags u32, root (u64 u64 u64), call u64, body, fields
//! results  format u8, status i32, tasks u32, message (u32, bytes), body, fields
//! body     what follows the header: u32, bytes
//! field    0                                  empty
//!          1                                  as it was sent (results only)
//!          2, size u64, bytes                 a string or a vector without such in its elements
//!          2, size u64, bytes, fields...      any other vector, and the fields of its elements
//! ```
//!
//! Numbers are little-endian.

use chimaera_abi::*;
use chimaera_cluster::{BootId, Life, NodeId};
use chimaera_ipc::{copy, large};

use super::roots::Root;
use crate::failure::Failure;
use crate::host::Results;
use crate::module::{Field, Method};

const FORMAT: u8 = 2;
const HEADER: usize = size_of::<chi_task>();
/// The largest task, with its strings and vectors, in bytes.
pub(super) const MOST: usize = 128 << 20;
/// The bytes of a task before its body.
const HEAD: usize = 57;
/// The longest message of a task that failed, in bytes.
const MOST_MESSAGE: usize = 4096;

const EMPTY: u8 = 0;
const SAME: u8 = 1;
const BYTES: u8 = 2;
/// The bytes of a field before those of its vector.
const BYTES_HEAD: usize = 9;

/// Instead of a task: asks whether the container is there.
const QUESTION: u8 = 0;

/// Bytes that ask whether a container is there. The answer means yes.
pub(super) fn question() -> Vec<u8> {
    vec![QUESTION]
}

/// Whether this is such a question.
pub(super) fn is_question(bytes: &[u8]) -> bool {
    bytes == [QUESTION]
}

/// What a task says besides its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: u32,
    /// The layout by which it was packed.
    pub(super) layout: chi_status,
    pub(super) query: chi_domain_query,
    pub(super) flags: u32,
    /// The root of the task that called.
    pub(super) root: Root,
    /// The number of the call, in the life of the node that called.
    pub(super) call: u64,
}

/// Sums of the strings and vectors of a task as it came, by which a change is seen: one for each field of the
/// body, 0 for those with fields of their own.
pub(super) type Sums = Vec<u64>;

fn malformed() -> Failure {
    Failure::new(
        CHI_INTERNAL,
        "what another node has sent makes no sense: is it of another version?",
    )
}

fn too_large() -> Failure {
    Failure::new(
        CHI_TOO_LARGE,
        "a task for another node has at most 128 MiB, with its strings and vectors",
    )
}

/// Writes a task.
///
/// # Safety
/// `body` must be a task of this method, as methods see it, that does not change meanwhile.
pub(super) unsafe fn pack(
    head: Head,
    body: *const chi_task,
    method: &Method,
) -> Result<Vec<u8>, Failure> {
    let mut to = Vec::with_capacity(HEAD + method.task_size);
    to.push(FORMAT);
    to.extend(head.method.to_le_bytes());
    to.extend(head.layout.to_le_bytes());
    to.extend(head.query.kind_.to_le_bytes());
    to.extend(head.query.value_.to_le_bytes());
    to.extend(head.flags.to_le_bytes());
    let Root { home, number } = head.root;
    for number in [home.node.0, home.boot.0, number, head.call] {
        to.extend(number.to_le_bytes());
    }
    // SAFETY: by the caller's promise.
    unsafe { pack_body(&mut to, body, method, None)? };
    Ok(to)
}

/// Writes what came of a task that was unpacked with these sums, and how many tasks are in its container now.
///
/// # Safety
/// As for `pack`.
pub(super) unsafe fn pack_results(
    (status, message): (chi_status, &str),
    tasks: u32,
    body: *const chi_task,
    method: &Method,
    sums: &Sums,
) -> Result<Vec<u8>, Failure> {
    let mut to = outcome(status, message, tasks);
    // SAFETY: by the caller's promise.
    unsafe { pack_body(&mut to, body, method, Some(sums))? };
    Ok(to)
}

/// The results of a task that did not run here.
pub(super) fn refusal(status: chi_status, message: &str) -> Vec<u8> {
    outcome(status, message, 0)
}

fn outcome(status: chi_status, message: &str, tasks: u32) -> Vec<u8> {
    let mut to = vec![FORMAT];
    to.extend(status.to_le_bytes());
    to.extend(tasks.to_le_bytes());
    let mut end = message.len().min(MOST_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    to.extend((end as u32).to_le_bytes());
    to.extend(&message.as_bytes()[..end]);
    to
}

/// # Safety
/// As for `pack`.
unsafe fn pack_body(
    to: &mut Vec<u8>,
    body: *const chi_task,
    method: &Method,
    sums: Option<&Sums>,
) -> Result<(), Failure> {
    let size = method.task_size - HEADER;
    to.extend((size as u32).to_le_bytes());
    let at = to.len();
    // SAFETY: by the caller's promise the body has `task_size` bytes.
    to.extend(unsafe { std::slice::from_raw_parts(body.cast::<u8>().add(HEADER), size) });
    for field in &method.fields {
        // Addresses mean nothing elsewhere.
        let start = at + field.offset - HEADER;
        to[start..start + size_of::<chi_shm_vector>()].fill(0);
    }
    for (index, field) in method.fields.iter().enumerate() {
        // SAFETY: the field is inside the body, and aligned to 8.
        let vector = unsafe { body.cast::<u8>().add(field.offset).cast::<chi_shm_vector>().read() };
        let sum = sums.map(|sums| sums[index]);
        // SAFETY: by the contract of methods the vector's bytes are readable.
        unsafe { pack_field(to, &vector, field, sum)? };
    }
    Ok(())
}

/// # Safety
/// The vector must be one of a task, as methods see it.
unsafe fn pack_field(
    to: &mut Vec<u8>,
    vector: &chi_shm_vector,
    field: &Field,
    sum: Option<u64>,
) -> Result<(), Failure> {
    let size = match field.inner.is_empty() {
        true => vector.size_,
        false => vector.size_ - vector.size_ % field.elem_size,
    };
    if vector.data_.is_null() || size == 0 {
        to.push(EMPTY);
        return Ok(());
    }
    let size =
        usize::try_from(size).ok().filter(|size| to.len() + size <= MOST).ok_or_else(too_large)?;
    // SAFETY: by the caller's promise, `size` bytes at `data_` are readable.
    if field.inner.is_empty() && sum.is_some_and(|sum| sum == unsafe { sum_at(vector, size) }) {
        to.push(SAME);
        return Ok(());
    }
    to.reserve(BYTES_HEAD + size);
    large::expect(to.spare_capacity_mut().as_mut_ptr().cast(), size);
    to.push(BYTES);
    to.extend((size as u64).to_le_bytes());
    let at = to.len();
    // SAFETY: by the caller's promise, `size` bytes at `data_` are readable, and this writes all of the room that was
    // made just now. The client may write them meanwhile.
    unsafe {
        copy::bytes_from_shared(
            vector.data_.cast(),
            to.spare_capacity_mut().as_mut_ptr().cast(),
            size,
        );
        to.set_len(at + size);
    }
    if field.inner.is_empty() {
        return Ok(());
    }
    let step = field.elem_size as usize;
    for element in (0..size).step_by(step) {
        for inner in &field.inner {
            let from = at + element + inner.offset;
            let descriptor = to[from..from + size_of::<chi_shm_vector>()].to_vec();
            to[from..from + size_of::<chi_shm_vector>()].fill(0);
            // SAFETY: the bytes are those of a descriptor, which is plain data.
            let vector = unsafe { descriptor.as_ptr().cast::<chi_shm_vector>().read_unaligned() };
            // SAFETY: it is one of the task's, as methods see them.
            unsafe { pack_field(to, &vector, inner, None)? };
        }
    }
    Ok(())
}

/// Never 0.
fn sum_of(bytes: &[u8]) -> u64 {
    sum(crc32c::crc32c(bytes), bytes.len())
}

fn sum(crc: u32, size: usize) -> u64 {
    u64::from(crc) << 32 | (size as u64 & 0xffff_ffff) | 1 << 63
}

/// The sum of the first `size` bytes of a vector, which may change meanwhile.
///
/// # Safety
/// They must be readable.
unsafe fn sum_at(vector: &chi_shm_vector, size: usize) -> u64 {
    let mut piece = [0; 4096];
    let mut crc = 0;
    for at in (0..size).step_by(piece.len()) {
        let piece = &mut piece[..(size - at).min(4096)];
        // SAFETY: by the caller's promise.
        unsafe {
            copy::bytes_from_shared(
                vector.data_.cast::<u8>().add(at),
                piece.as_mut_ptr(),
                piece.len(),
            );
        }
        crc = crc32c::crc32c_append(crc, piece);
    }
    sum(crc, size)
}

/// Bytes that are taken from the front.
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader(bytes)
    }

    fn bytes(&mut self, size: usize) -> Result<&'b [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Failure> {
        Ok(self.bytes(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, Failure> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Result<u64, Failure> {
        Ok(u64::from_le_bytes(self.bytes(8)?.try_into().expect("eight bytes")))
    }

    fn format(&mut self) -> Result<(), Failure> {
        match self.u8()? {
            FORMAT => Ok(()),
            _ => Err(malformed()),
        }
    }

    fn end(&self) -> Result<(), Failure> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(malformed()),
        }
    }

    /// What a task says besides its body.
    pub(super) fn head(&mut self) -> Result<Head, Failure> {
        self.format()?;
        let (method, layout) = (self.u32()?, self.u32()? as chi_status);
        let query = chi_domain_query { kind_: self.u32()?, value_: self.u32()? };
        let flags = self.u32()?;
        let home = Life { node: NodeId(self.u64()?), boot: BootId(self.u64()?) };
        // No root has one of these numbers, which mean something else to locks.
        let number = self.u64()?;
        if [0, u64::MAX].contains(&number) {
            return Err(malformed());
        }
        let root = Root { home, number };
        Ok(Head { method, layout, query, flags, root, call: self.u64()? })
    }

    /// How a task has ended, and how many tasks were in its container then.
    pub(super) fn outcome(&mut self) -> Result<(chi_status, String, u32), Failure> {
        self.format()?;
        let status = self.u32()? as chi_status;
        let tasks = self.u32()?;
        let length = self.u32()? as usize;
        let message = self.bytes(length.min(MOST_MESSAGE + 1))?;
        Ok((status, String::from_utf8_lossy(message).into_owned(), tasks))
    }

    /// Whether a body follows.
    pub(super) fn has_body(&self) -> bool {
        !self.0.is_empty()
    }

    /// Puts what was packed into a task, from which it came if it is a result.
    ///
    /// # Errors
    /// The bytes make no sense, or there is no room. Then the body is as it was, but for bytes of its strings
    /// and vectors.
    ///
    /// # Safety
    /// `body` must be a task of this method, as methods see it, and nobody else may use it.
    pub(super) unsafe fn body(
        &mut self,
        body: *mut chi_task,
        method: &Method,
        results: &mut dyn Results,
    ) -> Result<Sums, Failure> {
        let size = method.task_size - HEADER;
        if self.u32()? as usize != size {
            return Err(malformed());
        }
        let mut own = self.bytes(size)?.to_vec();
        let mut sums = Sums::new();
        for field in &method.fields {
            // SAFETY: the field is inside the body, and aligned to 8.
            let before =
                unsafe { body.cast::<u8>().add(field.offset).cast::<chi_shm_vector>().read() };
            // SAFETY: by the caller's promise.
            let (mut vector, sum) = unsafe { self.field(before, field, results)? };
            // C++ methods find the task by it. That of a new body is all zero.
            vector.offset_in_task_ = field.offset as u32;
            sums.push(sum);
            put(&mut own, field.offset - HEADER, &vector);
        }
        self.end()?;
        // SAFETY: by the caller's promise the body has `task_size` bytes.
        unsafe { body.cast::<u8>().add(HEADER).copy_from_nonoverlapping(own.as_ptr(), size) };
        Ok(sums)
    }

    /// The vector that takes the place of `before`.
    ///
    /// # Safety
    /// `before` must be one of a task, as methods see it, or empty.
    unsafe fn field(
        &mut self,
        before: chi_shm_vector,
        field: &Field,
        results: &mut dyn Results,
    ) -> Result<(chi_shm_vector, u64), Failure> {
        match self.u8()? {
            EMPTY => {
                let empty = chi_shm_vector {
                    shm_: CHI_SHM_NULL,
                    data_: std::ptr::null_mut(),
                    size_: 0,
                    capacity_: 0,
                    reserved_: 0,
                    ..before
                };
                return Ok((empty, 0));
            }
            SAME => return Ok((before, 0)),
            BYTES => {}
            _ => return Err(malformed()),
        }
        let size =
            usize::try_from(self.u64()?).ok().filter(|size| *size <= MOST).ok_or_else(malformed)?;
        let bytes = self.bytes(size)?;
        let elements = match field.inner.is_empty() {
            true => None,
            false if !size.is_multiple_of(field.elem_size as usize) => return Err(malformed()),
            false => Some(self.elements(bytes, field, results)?),
        };
        let vector = match !before.data_.is_null() && size as u64 <= before.capacity_ {
            true => chi_shm_vector { size_: size as u64, ..before },
            false => {
                let buffer = results.alloc(size as u64, elements.is_some())?;
                let (shm_, data_, capacity_) = (buffer.shm_, buffer.data_, buffer.size_);
                chi_shm_vector {
                    shm_,
                    data_,
                    size_: size as u64,
                    capacity_,
                    reserved_: 0,
                    ..before
                }
            }
        };
        let own = elements.as_deref().unwrap_or(bytes);
        // SAFETY: by the contract of methods `capacity_` bytes at `data_` are writable.
        unsafe { copy::bytes_to_shared(own, vector.data_.cast()) };
        Ok((vector, if elements.is_some() { 0 } else { sum_of(bytes) }))
    }

    /// The elements of a vector, with new strings and vectors.
    fn elements(
        &mut self,
        bytes: &[u8],
        field: &Field,
        results: &mut dyn Results,
    ) -> Result<Vec<u8>, Failure> {
        let mut own = bytes.to_vec();
        for element in (0..own.len()).step_by(field.elem_size as usize) {
            for inner in &field.inner {
                let none = chi_shm_vector {
                    shm_: CHI_SHM_NULL,
                    data_: std::ptr::null_mut(),
                    size_: 0,
                    capacity_: 0,
                    offset_in_task_: 0,
                    reserved_: 0,
                };
                // SAFETY: it is empty.
                let (vector, _) = unsafe { self.field(none, inner, results)? };
                put(&mut own, element + inner.offset, &vector);
            }
        }
        Ok(own)
    }
}

/// Writes a descriptor.
fn put(to: &mut [u8], at: usize, vector: &chi_shm_vector) {
    let place = &mut to[at..at + size_of::<chi_shm_vector>()];
    // SAFETY: the place has the size of a descriptor, which is plain data.
    unsafe { place.as_mut_ptr().cast::<chi_shm_vector>().write_unaligned(*vector) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u64) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        [7, 0, 0, 0, 0].iter().for_each(|it: &u32| bytes.extend(it.to_le_bytes()));
        [2, 3, number, 9].iter().for_each(|it: &u64| bytes.extend(it.to_le_bytes()));
        bytes
    }

    #[test]
    fn no_task_is_of_a_root_that_cannot_be() {
        let good = head(5);
        assert_eq!(good.len() + 4, HEAD, "the size of the body follows");
        let read = Reader::new(&good).head().expect("it is one");
        assert_eq!((read.method, read.root.number, read.call), (7, 5, 9));
        for end in 0..good.len() {
            assert!(Reader::new(&good[..end]).head().is_err(), "{end} bytes");
        }
        for number in [0, u64::MAX] {
            assert!(Reader::new(&head(number)).head().is_err(), "{number}");
        }
    }
}
