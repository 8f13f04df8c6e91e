//! Strings and vectors of a task that are in published memory: what methods lend it, results that a client gets on lease,
//! and those that it gives to another task.

use std::sync::Arc;

use chimaera_abi::*;
use chimaera_ipc::copy;

use super::block::PrivateBlock;
use super::copies::{self, NotTaken};
use super::lent::is_published;
use super::record::{Origin, Record, Taken};
use crate::failure::Failure;
use crate::module::Field;
use crate::published::Block;
use crate::session::Session;
use crate::sys::Use;

impl Record {
    /// Whether methods may lend the running task published memory. Whoever has sent it without saying so may write to
    /// results. A client that does not take leases gets a copy when the task ends.
    pub(crate) fn may_be_lent(&self) -> bool {
        matches!(self.origin, Origin::Client { .. }) || self.takes_leases()
    }

    fn takes_leases(&self) -> bool {
        // SAFETY: the body is private, and has at least a header.
        let flags = unsafe { (*self.body()).task_flags_.bits_ };
        flags & CHI_TASK_TAKES_LEASES != 0
    }

    /// Makes a string or vector of the running task refer to `len` bytes at `offset` of a block, which the task keeps.
    /// False if they are not in the block.
    pub(crate) fn lend(
        &mut self,
        block: Arc<Block>,
        offset: u64,
        len: u64,
        vector: &mut chi_shm_vector,
    ) -> bool {
        let body = self.body().cast::<u8>();
        // SAFETY: the pointer is null, or points to a method of the pool of the task's container, in which the task is counted.
        let fields = unsafe { self.method.as_ref() }.map_or(&[][..], |method| &method.fields);
        let session = match &self.origin {
            Origin::Client { session, .. } => Some(&**session),
            Origin::Internal => None,
        };
        // SAFETY: the body is private, and laid out as the fields describe.
        self.lent.prune(|is_needed| unsafe { each_leaf(session, body, fields, is_needed) });
        self.lent.lend(block, offset, len, vector)
    }
}

/// Calls `f` with the address of each string's and vector's bytes, as far as they are described in private memory.
///
/// # Safety
/// `base` must point to private memory that holds an element or body laid out as `fields` describe; `session` is the one
/// that the task came from.
unsafe fn each_leaf(
    session: Option<&Session>,
    base: *const u8,
    fields: &[Field],
    f: &mut dyn FnMut(*const u8),
) {
    for field in fields {
        // SAFETY: the field is inside what `base` holds and aligned to 8.
        let vector = unsafe { &*base.add(field.offset).cast::<chi_shm_vector>() };
        let data = vector.data_.cast::<u8>().cast_const();
        if data.is_null() {
            continue;
        }
        f(data);
        // By mistake, a module may have lent bytes where vectors belong, or put vectors where the client can change them.
        let is_exposed = session.is_some_and(|session| session.mapping.offset_of(data).is_some());
        if field.inner.is_empty() || is_published(vector.shm_) || is_exposed {
            continue;
        }
        for index in 0..vector.size_ / field.elem_size {
            // SAFETY: the element is inside the vector's `size_` bytes, which are private.
            unsafe {
                let element = data.add((index * field.elem_size) as usize);
                each_leaf(session, element, &field.inner, f);
            }
        }
    }
}

/// Where the client reads a result that lies in published memory, if it may have it on lease: as a shared pointer, and
/// as an address in its process. Otherwise the result has to be copied.
#[inline]
pub(super) fn give(
    record: &mut Record,
    session: &Session,
    data: *const u8,
    len: u64,
) -> Option<(chi_shm_ptr, u64)> {
    // Other runtimes are told of results in messages.
    if record.lent.is_empty()
        || !record.takes_leases()
        || session.completions().is_some()
        || session.is_dead()
    {
        return None;
    }
    record.lent.lease(session, data, len)
}

/// Takes a string or vector that the client has on lease. The method gets a copy: it may write to what it gets, and
/// others read the block. A result of an earlier run is not needed.
#[cold]
pub(super) fn take(
    record: &mut Record,
    session: &Session,
    vector: &mut chi_shm_vector,
    field: &Field,
) -> Result<(), NotTaken> {
    let given = *vector;
    (vector.shm_, vector.data_) = (CHI_SHM_NULL, std::ptr::null_mut());
    (vector.size_, vector.capacity_) = (0, 0);
    if given.size_ == 0 || !field.sent.to_method {
        return Ok(());
    }
    let len = given.size_;
    record.moved = record.moved.saturating_add(len);
    let found = match field.inner.is_empty() {
        true => session.leases.find(given.shm_, given.data_ as u64, len),
        false => None,
    };
    let Some((from, segment)) = found else {
        let at = field.offset;
        let why = format!(
            "the string or vector at offset {at} of the task refers to published memory that the client does not have"
        );
        return Err(Failure::new(CHI_INVALID, why).into());
    };
    copies::check(record, len)?;
    let block = copies::counted(record, session, len + copies::BLOCK_COST, |record| {
        PrivateBlock::new(len as usize, record.budget(), Use::Tasks)
    })?;
    let data = block.data();
    // SAFETY: `len` bytes are readable there as long as the segment is mapped, which the reference keeps so; the block
    // has room for them.
    unsafe { copy::bytes_from_shared(from, data, len as usize) };
    drop(segment);
    (vector.data_, vector.size_, vector.capacity_) = (data.cast(), len, len);
    record.private.push(block);
    record.copies.push(Taken { data, original: given, segment: None });
    Ok(())
}

/// An input that the client has sent, if the method has got a copy of it at this address. What was taken must be sorted.
pub(super) fn sent(record: &Record, data: *mut u8) -> Option<chi_shm_vector> {
    let taken = record.taken_at(data)?;
    is_published(taken.original.shm_).then_some(taken.original)
}
