//! Copies a task's body from a segment into private memory, and back.
//!
//! Each byte of the segment that decides anything is read once, into the private copy, and checked
//! there. Strings and vectors of the copy point directly to the shared leaf bytes; blocks that
//! themselves hold descriptors are copied as well.

use std::sync::atomic::Ordering;

use chimaera_abi::*;
use chimaera_ipc::layout::offset_of;
use chimaera_ipc::{copy, word};

use super::block::PrivateBlock;
use super::borrowed;
use super::copies::{self, counted, NotTaken, BLOCK_COST};
use super::lent::is_published;
use super::on_lease;
use super::record::{Origin, Record, Taken};
use crate::failure::Failure;
use crate::module::Field;
use crate::pool::PoolMethod;
use crate::session::{NoRoom, Session};
use crate::sys::Use;

/// The limit on a message that is returned to a client, in bytes.
const MAX_MESSAGE: usize = 4096;

const HEADER: usize = std::mem::size_of::<chi_task>();

/// Reads the first 64 bytes of the task at `offset` into the record. The caller has checked that
/// they are inside the segment.
#[inline]
pub(crate) fn take_header(record: &mut Record, session: &Session, offset: u64) {
    // SAFETY: the caller has checked that the header at `offset` is inside the segment, and a body
    // has at least 64 bytes.
    unsafe {
        copy::from_shared(session.mapping.address(offset).as_ptr(), record.body().cast(), HEADER)
    }
}

/// Reads the rest of the body, and checks every string and vector in it.
pub(crate) fn take_body(
    record: &mut Record,
    session: &Session,
    offset: u64,
    size: usize,
    fields: &[Field],
) -> Result<(), NotTaken> {
    if size as u64 > session.mapping.layout().runtime_arena - offset {
        let why = "the task reaches beyond the client's arena";
        return Err(Failure::new(CHI_INVALID, why).into());
    }
    let room = Record::room_for(size) as u64;
    if room > 0 {
        let take = |record: &mut Record| record.make_room(size, Use::Tasks);
        counted(record, session, room + BLOCK_COST, take)?;
    }
    record.moved = 0;
    let body = record.body().cast::<u8>();
    // SAFETY: the segment holds `size` bytes from `offset` and the body has room for as many, as
    // was checked above; a task is aligned to 64.
    unsafe {
        let from = session.mapping.address(offset).as_ptr().add(HEADER);
        copy::from_shared(from, body.add(HEADER), size - HEADER);
        take_fields(record, session, body, fields, true)
    }
}

/// # Safety
/// `base` must point to private memory that holds an element or body laid out as `fields` describe.
unsafe fn take_fields(
    record: &mut Record,
    session: &Session,
    base: *mut u8,
    fields: &[Field],
    in_body: bool,
) -> Result<(), NotTaken> {
    for field in fields {
        // SAFETY: the field is inside what `base` holds and aligned to 8: `Method::read` checked
        // it.
        let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
        vector.offset_in_task_ = if in_body { field.offset as u32 } else { 0 };
        vector.reserved_ = 0;
        if is_published(vector.shm_) {
            on_lease::take(record, session, vector, field)?;
            continue;
        }
        if vector.shm_ == CHI_SHM_NULL || vector.capacity_ == 0 {
            vector.shm_ = CHI_SHM_NULL;
            (vector.data_, vector.size_, vector.capacity_) = (std::ptr::null_mut(), 0, 0);
            continue;
        }
        let layout = session.mapping.layout();
        let start = offset_of(vector.shm_).filter(|&at| {
            at >= layout.client_arena
                && vector.size_ <= vector.capacity_
                && at.checked_add(vector.capacity_).is_some_and(|end| end <= layout.size)
                && at.is_multiple_of(field.elem_align)
        });
        if field.sent.to_method {
            record.moved = record.moved.saturating_add(vector.size_);
        }
        let Some(start) = start else {
            borrowed::take(record, session, vector, field)?;
            continue;
        };
        // SAFETY: `start` is inside the segment, as was just checked.
        vector.data_ = unsafe { session.mapping.address(start) }.as_ptr().cast();
        if field.inner.is_empty() {
            if start >= layout.runtime_arena {
                // A result of another task, or of an earlier run of this one, whose block may have
                // been freed since. A method may read it, but when it writes, a new block is
                // allocated.
                vector.capacity_ = 0;
            }
            continue;
        }
        let count = vector.size_ / field.elem_size;
        if count == 0 {
            // Descriptors that a method put there could be changed by the client.
            vector.shm_ = CHI_SHM_NULL;
            (vector.data_, vector.size_, vector.capacity_) = (std::ptr::null_mut(), 0, 0);
            continue;
        }
        let bytes = count * field.elem_size;
        let cost = bytes + BLOCK_COST;
        copies::check(record, cost)?;
        let original = *vector;
        let block = counted(record, session, cost, |record| {
            PrivateBlock::new(bytes as usize, record.budget(), Use::Tasks)
        })?;
        let data = block.data();
        // SAFETY: `bytes` bytes at `start` are inside the segment and aligned as the elements are,
        // to 8 or more; the block holds as many.
        unsafe { copy::from_shared(session.mapping.address(start).as_ptr(), data, bytes as usize) };
        (vector.data_, vector.size_, vector.capacity_) = (data.cast(), bytes, bytes);
        record.private.push(block);
        record.copies.push(Taken { data, original, segment: None });
        for index in 0..count {
            // SAFETY: `index` is less than `count`, so the element is inside the block.
            unsafe {
                let element = data.add((index * field.elem_size) as usize);
                take_fields(record, session, element, &field.inner, false)?;
            }
        }
    }
    Ok(())
}

/// Writes the body, the outcome and finally the completion word of a client's task. `count` is told, before the
/// client is, how many bytes the task returns.
pub(crate) fn complete(
    record: &mut Record,
    status: chi_status,
    message: &str,
    count: impl FnOnce(&Session, &PoolMethod, u64),
) {
    let Origin::Client { session, offset } = &record.origin else {
        unreachable!("only clients' tasks are in segments");
    };
    // SAFETY: the record's origin keeps the session alive, and does not change until the end of
    // this function.
    let (session, offset) = (unsafe { &*std::ptr::from_ref::<Session>(session) }, *offset);
    let (mut status, mut message) = (status, message);
    let body = record.body();
    // SAFETY: the pointer is null, or points to a method of the pool of the task's container, in
    // which the task is still counted.
    if let Some(method) = unsafe { record.method.as_ref() } {
        if method.task_size > HEADER {
            // SAFETY: the private body holds `task_size` bytes, and so does the segment from
            // `offset`: `take_body` checked it before the method ran.
            let given = unsafe {
                give_body(record, session, body.cast(), offset, method.task_size, &method.fields)
            };
            count(session, method, record.moved.saturating_add(method.bytes_out.into()));
            if let (Err(lost), CHI_OK) = (given, status) {
                (status, message) = lost.outcome();
            }
        }
    }
    let mut shm = CHI_SHM_NULL;
    if status != CHI_OK && !message.is_empty() {
        let end =
            (0..=message.len().min(MAX_MESSAGE)).rev().find(|&at| message.is_char_boundary(at));
        let text = &message.as_bytes()[..end.unwrap_or(0)];
        if let Ok((block, _)) = session.alloc(text.len() as u64 + 4) {
            let mut told = (text.len() as u32).to_ne_bytes().to_vec();
            told.extend_from_slice(text);
            // SAFETY: the block was just allocated for the length and the text, and is aligned to 8
            // or more.
            unsafe {
                copy::to_shared(told.as_ptr(), session.mapping.address(block).as_ptr(), told.len())
            };
            record.blocks.push(block);
            shm = block;
        }
    }
    let mut bits = 0;
    if !record.blocks.is_empty() || !record.lent.is_empty() {
        match hold(record, session) {
            Some(held) => bits = held,
            // The blocks have been freed, so neither the results nor the message exist any more.
            None => (status, shm) = (CHI_NO_SPACE, CHI_SHM_NULL),
        }
    }
    let field = |at: usize| offset + at as u64;
    // SAFETY: the header is inside the segment and aligned to 64.
    unsafe {
        if status != CHI_OK {
            let message =
                session.mapping.double_word(field(std::mem::offset_of!(chi_task, message_)));
            message.store(shm, Ordering::Relaxed);
        }
        // Written even on success: the client may have left its layout there.
        let outcome = session.mapping.word(field(std::mem::offset_of!(chi_task, status_)));
        outcome.store(status as u32, Ordering::Relaxed);
        let state = session.mapping.word(field(std::mem::offset_of!(chi_task, state_)));
        let waiters = word::complete(state, bits);
        if waiters.any() {
            session.wake_client(state, offset, waiters);
        }
    }
}

/// Keeps what the client's results need until it releases them. Returns what to add to the completion word; `None` if it
/// cannot be kept.
#[inline(never)]
fn hold(record: &mut Record, session: &Session) -> Option<u32> {
    let mut bits = if record.lent.take_offer() { CHI_TASK_PUBLISHED } else { 0 };
    let leases = record.lent.take_leases();
    if record.blocks.is_empty() && leases.is_empty() {
        return Some(bits);
    }
    if !leases.is_empty() {
        bits |= CHI_TASK_ON_LEASE;
    }
    let hold = session.hold(std::mem::take(&mut record.blocks), leases)?;
    Some(bits | CHI_TASK_HAS_BLOCKS | hold << CHI_TASK_HOLD_SHIFT)
}

/// Why a task's results cannot be returned.
#[derive(Clone, Copy)]
enum Lost {
    /// The session's segment is full.
    NoRoom,
    /// The runtime's memory budget is used up.
    NoBudget,
    /// The module put descriptors of strings or vectors where the client can change them.
    Exposed,
}

impl Lost {
    fn outcome(self) -> (chi_status, &'static str) {
        match self {
            Lost::NoRoom => (
                CHI_NO_SPACE,
                "the segment has no room for the method's results; delete tasks whose results \
                 are done with, or ask for a larger segment",
            ),
            Lost::NoBudget => (
                CHI_NO_SPACE,
                "the runtime's memory budget has no room for the method's results; delete tasks whose \
                 results are done with, or raise limits.memory",
            ),
            Lost::Exposed => (
                CHI_INTERNAL,
                "the module took the memory for strings in a vector from chi_ipc.alloc or \
                 chi_publishing.alloc; it must take it from chi_ipc.alloc_elements",
            ),
        }
    }
}

/// # Safety
/// `body` must hold `size` bytes laid out as `fields` describe, and so must the segment from
/// `offset`.
unsafe fn give_body(
    record: &mut Record,
    session: &Session,
    body: *mut u8,
    offset: u64,
    size: usize,
    fields: &[Field],
) -> Result<(), Lost> {
    record.moved = 0;
    // Sorted for binary search: the client decides how many there are.
    record.copies.sort_unstable_by_key(|taken| taken.data);
    // SAFETY: by the caller's promise.
    let given = unsafe { give_fields(record, session, body, fields) };
    // SAFETY: by the caller's promise.
    unsafe {
        let to = session.mapping.address(offset).as_ptr().add(HEADER);
        copy::to_shared(body.add(HEADER), to, size - HEADER);
    }
    given
}

/// Rewrites the strings and vectors in private memory to what the client reads. Those for which
/// there is no room become empty.
///
/// # Safety
/// `base` must point to private memory that holds an element or body laid out as `fields` describe.
unsafe fn give_fields(
    record: &mut Record,
    session: &Session,
    base: *mut u8,
    fields: &[Field],
) -> Result<(), Lost> {
    let mut result = Ok(());
    for field in fields {
        // SAFETY: the field is inside what `base` holds and aligned to 8.
        let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
        // SAFETY: the vector is private, so by the contract of methods its `size_` bytes at `data_`
        // are readable.
        match unsafe { give_vector(record, session, *vector, field) } {
            Ok(given) => *vector = given,
            Err(lost) => {
                (vector.shm_, vector.data_) = (CHI_SHM_NULL, std::ptr::null_mut());
                (vector.size_, vector.capacity_) = (0, 0);
                result = Err(lost);
            }
        }
    }
    result
}

/// # Safety
/// `vector` must be as a method may leave it: `data_` is null, or points to `size_` readable bytes.
unsafe fn give_vector(
    record: &mut Record,
    session: &Session,
    vector: chi_shm_vector,
    field: &Field,
) -> Result<chi_shm_vector, Lost> {
    let at = |offset: u64, size: u64, capacity: u64| chi_shm_vector {
        shm_: offset,
        data_: (session.client_base.wrapping_add(offset)) as *mut std::ffi::c_void,
        size_: size,
        capacity_: capacity,
        ..vector
    };
    if vector.data_.is_null() {
        return Ok(chi_shm_vector { data_: std::ptr::null_mut(), ..at(CHI_SHM_NULL, 0, 0) });
    }
    if field.sent.back {
        record.moved = record.moved.saturating_add(vector.size_);
    }
    let data = vector.data_.cast::<u8>();
    if field.inner.is_empty() {
        if let Some(offset) = session.mapping.offset_of(data) {
            return Ok(at(offset, vector.size_, vector.capacity_.max(vector.size_)));
        }
        if let Some(shm) = borrowed::reference_to(record, data) {
            return Ok(at(shm, vector.size_, vector.capacity_.max(vector.size_)));
        }
        if field.sent.back {
            if let Some((shm, address)) = on_lease::give(record, session, data, vector.size_) {
                return Ok(chi_shm_vector { data_: address as *mut _, ..at(shm, vector.size_, 0) });
            }
        } else if let Some(sent) = on_lease::sent(record, data) {
            return Ok(sent);
        }
        let (offset, capacity) = room(record, session, vector.size_)?;
        // SAFETY: the block was just allocated with room for `size_` bytes, aligned to 8 or more;
        // the bytes at `data` are readable by the caller's promise.
        unsafe {
            copy::to_shared(data, session.mapping.address(offset).as_ptr(), vector.size_ as usize)
        };
        return Ok(at(offset, vector.size_, capacity));
    }
    if session.mapping.offset_of(data).is_some() || record.lent.has(data) {
        return Err(Lost::Exposed);
    }
    for index in 0..vector.size_ / field.elem_size {
        // SAFETY: the element is inside the vector's `size_` bytes, which are private.
        unsafe {
            let element = data.add((index * field.elem_size) as usize);
            give_fields(record, session, element, &field.inner)?;
        }
    }
    let original = record.taken_at(data).map(|taken| taken.original);
    let (offset, capacity) = match original {
        // A block in the runtime's arena belongs to another task, or has been freed.
        Some(own)
            if vector.size_ <= own.capacity_
                && own.shm_ < session.mapping.layout().runtime_arena =>
        {
            (own.shm_, own.capacity_)
        }
        _ => room(record, session, vector.size_)?,
    };
    // SAFETY: the client's own block was checked when the task was taken; a new one was just
    // allocated. Both hold `size_` bytes and are aligned to 8.
    unsafe {
        copy::to_shared(data, session.mapping.address(offset).as_ptr(), vector.size_ as usize)
    };
    Ok(at(offset, vector.size_, capacity))
}

fn room(record: &mut Record, session: &Session, size: u64) -> Result<(u64, u64), Lost> {
    let (offset, capacity) = session.alloc(size.max(1)).map_err(|why| match why {
        NoRoom::Segment(_) => Lost::NoRoom,
        NoRoom::Budget(_) => Lost::NoBudget,
    })?;
    record.blocks.push(offset);
    Ok((offset, capacity))
}
