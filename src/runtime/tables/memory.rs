//! The tasks and buffers that code in methods makes, and what it reads of tasks.

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;

use chimaera_abi::*;
use chimaera_front::Block;
use chimaera_ipc::arena::Failed;

use crate::failure::Failure;
use crate::scheduler::Worker;
use crate::task::{CancelReason, Origin, PrivateBlock, Record};

/// In the shared pointers that methods see: an address in the runtime's private memory.
const PRIVATE_SEGMENT: u64 = 0xffff << CHI_SHM_OFFSET_BITS;

/// The node of a task that the running method makes.
#[inline]
pub(super) fn child_node(worker: &Worker) -> chi_task_node {
    match worker.running().map(Record::node) {
        Some(node) => chi_task_node { depth_: node.depth_.saturating_add(1), ..node },
        None => chi_task_node::default(),
    }
}

/// A task of so many bytes.
#[inline]
pub(super) fn new_task(worker: &Worker, size: u32) -> Result<NonNull<chi_task>, Failure> {
    let mut record = worker.spare.take(Origin::Internal);
    if !record.make_room(size as usize) {
        return Err(Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task"));
    }
    if let Some(parent) = worker.running() {
        record.holdings.renew(worker.root_of(parent));
        record.session = parent.session;
    }
    let body = record.body();
    let record = Box::into_raw(record);
    // SAFETY: the body holds `size` bytes and is the caller's from now on.
    unsafe {
        debug_assert_eq!(Record::of(body), record);
        body.cast::<u8>().write_bytes(0, size as usize);
        (*body).task_node_ = child_node(worker);
    }
    Ok(NonNull::new(body).expect("a body has an address"))
}

/// Deletes a task, or has it deleted at its completion.
///
/// # Safety
/// `task` must be a task that `new_task` made, and is given up.
#[inline]
pub(super) unsafe fn del_task(worker: &Worker, task: NonNull<chi_task>) {
    let task = task.as_ptr();
    // SAFETY: by the caller's promise.
    unsafe {
        let record = Record::of(task);
        let is_periodic = (*task).task_flags_.bits_ & CHI_TASK_PERIODIC != 0;
        // A periodic one that is in flight goes on for ever unless it is told: nobody is left who could
        // stop it. Before it is deleted, for then it may be gone at once.
        if is_periodic
            && (*record).completion.is_in_flight()
            && (*record).cancel(CancelReason::Asked)
        {
            worker.shared.cancel_marked();
        }
        if (*record).completion.delete() {
            worker.recycle(Box::from_raw(record));
        }
    }
}

/// The message of a task that failed.
///
/// # Safety
/// `task` must be a task that `new_task` made.
pub(super) unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>> {
    // SAFETY: by the caller's promise.
    let (record, status) = unsafe { (&*Record::of(task.as_ptr()), (*task.as_ptr()).status_) };
    if !record.completion.is_complete() || status == CHI_OK {
        return None;
    }
    let (text, len) = record.texts.message().unwrap_or_else(|| {
        let text = status_text(status);
        (text.as_ptr().cast(), text.len())
    });
    let text = NonNull::new(text.cast_mut().cast::<u8>())?;
    Some(NonNull::slice_from_raw_parts(text, len))
}

/// A block of private memory, the record's or, without one, its caller's.
fn private(record: Option<&mut Record>, size: u64) -> Result<(*mut c_void, u64), Failure> {
    let block = usize::try_from(size).ok().and_then(PrivateBlock::new).ok_or_else(|| {
        Failure::new(CHI_NO_SPACE, format!("the runtime has no memory for {size} bytes"))
    })?;
    let found = (block.data().cast(), block.size() as u64);
    match record {
        Some(record) => record.private.push(block),
        None => std::mem::forget(block),
    }
    Ok(found)
}

/// A buffer, which its owner keeps if it has one.
///
/// # Safety
/// `owner` must be the body of a live record, if there is one.
pub(super) unsafe fn alloc(
    owner: Option<NonNull<chi_task>>,
    size: u64,
    block: Block,
) -> Result<chi_buffer, Failure> {
    // SAFETY: by the caller's promise.
    let mut record = owner.map(|owner| unsafe { &mut *Record::of(owner.as_ptr()) });
    if let (Some(record), Block::Bytes) = (&mut record, block) {
        if let Origin::Client { session, .. } = &record.origin {
            let (shm_, size_) = session.alloc(size).map_err(|failed| no_room(failed, size))?;
            // SAFETY: a block of the session's arena lies in its segment.
            let data_ = unsafe { session.mapping.address(shm_) }.as_ptr().cast();
            record.blocks.push(shm_);
            return Ok(chi_buffer { shm_, data_, size_ });
        }
    }
    let (data, capacity) = private(record, size)?;
    Ok(chi_buffer { shm_: PRIVATE_SEGMENT | data as u64, data_: data, size_: capacity })
}

fn no_room(failed: Failed, size: u64) -> Failure {
    match failed {
        Failed::Full => Failure::new(
            CHI_NO_SPACE,
            format!(
                "the client's segment has no room for {size} bytes of results; delete tasks whose \
                 results are done with, or ask for a larger segment in chi_init"
            ),
        ),
        Failed::TooLarge => Failure::new(
            CHI_TOO_LARGE,
            format!(
                "{size} bytes of results are more than the client's segment can hold; ask for a \
                 larger segment in chi_init"
            ),
        ),
    }
}

/// Gives a buffer back that has no owner.
///
/// # Safety
/// The buffer must come from `alloc` without an owner.
pub(super) unsafe fn free(buffer: chi_buffer) {
    // SAFETY: private memory of this size, aligned to 64, by the caller's promise.
    unsafe {
        let layout = Layout::from_size_align_unchecked(buffer.size_ as usize, 64);
        std::alloc::dealloc(buffer.data_.cast(), layout);
    }
}

/// The address of a shared pointer that a method sees.
pub(super) fn resolve(shm: chi_shm_ptr) -> *mut c_void {
    if shm & PRIVATE_SEGMENT == PRIVATE_SEGMENT {
        return (shm & !PRIVATE_SEGMENT) as *mut c_void;
    }
    std::ptr::null_mut()
}
