//! Tasks and buffers that code in methods creates, and access to what tasks hold.

use std::ffi::c_void;
use std::ptr::NonNull;

use chimaera_abi::*;
use chimaera_front::Block;
use chimaera_ipc::arena::Failed;

use crate::failure::Failure;
use crate::log::{log_task, LineKind};
use crate::scheduler::Worker;
use crate::session::NoRoom;
use crate::sync::Deleted;
use crate::sys::Use;
use crate::task::{CancelReason, NoMemory, Origin, PrivateBlock, Record};

/// Marks a shared pointer, as methods see it, as an address in the runtime's private memory.
const PRIVATE_SEGMENT: u64 = 0xffff << CHI_SHM_OFFSET_BITS;

/// The position in the tree of tasks for a task that the running method creates.
#[inline]
pub(super) fn child_node(worker: &Worker) -> chi_task_node {
    match worker.running().map(Record::node) {
        Some(node) => chi_task_node { depth_: node.depth_.saturating_add(1), ..node },
        None => chi_task_node::default(),
    }
}

/// Creates a task of `size` bytes.
#[inline]
pub(super) fn new_task(worker: &Worker, size: u32) -> Result<NonNull<chi_task>, Failure> {
    let mut record = worker.spare.take_for_module()?;
    if let Err(why) = record.make_room(size as usize, Use::Modules) {
        worker.recycle(record);
        return Err(why.into());
    }
    if let Some(parent) = worker.running() {
        record.holdings.renew(worker.root_of(parent));
        record.session = parent.session;
    }
    let body = record.body();
    let record = Box::into_raw(record);
    // SAFETY: the body holds `size` bytes, and nothing else refers to it until it is returned.
    unsafe {
        debug_assert_eq!(Record::of(body), record);
        body.cast::<u8>().write_bytes(0, size as usize);
        (*body).task_node_ = child_node(worker);
    }
    Ok(NonNull::new(body).expect("a body has an address"))
}

/// Deletes a task; if it is in flight, the deletion takes effect at its completion.
///
/// # Safety
/// `task` must have been returned by `new_task`, and the caller must not use it afterwards.
#[inline]
pub(super) unsafe fn del_task(worker: &Worker, task: NonNull<chi_task>) {
    let task = task.as_ptr();
    // SAFETY: by the caller's promise.
    unsafe {
        let record = Record::of(task);
        let is_periodic = (*task).task_flags_.bits_ & CHI_TASK_PERIODIC != 0;
        // A periodic task in flight would run for ever, because nothing could stop it after this.
        // It is cancelled before it is deleted, because it may be freed as soon as it is deleted.
        if is_periodic
            && (*record).completion.is_in_flight()
            && (*record).cancel(CancelReason::Asked)
        {
            worker.shared.cancel_marked();
        }
        match (*record).completion.delete() {
            Deleted::Now => worker.recycle(Box::from_raw(record)),
            Deleted::AtCompletion => {}
            Deleted::Again => deleted_again(worker),
        }
    }
}

/// Tells of a module's mistake. Nothing comes of it as long as the task's record is kept, and has not become that of a
/// new task; after that, it cannot be told.
#[cold]
fn deleted_again(worker: &Worker) {
    let Some(record) = worker.running() else {
        return tracing::error!("a callback of a module has deleted a task twice");
    };
    if let Some(left_out) = worker.shared.rate_limit.pass(LineKind::Deleted, record.log_subject()) {
        log_task!(error, record.log_context(), left_out, "the method has deleted a task twice");
    }
}

/// Returns the message of a task that failed.
///
/// # Safety
/// `task` must have been returned by `new_task`, and must not have been deleted.
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

/// A buffer without an owner is preceded by its block, in a space that keeps the buffer aligned to
/// 64.
const BACK: usize = 64;
const _: () = assert!(size_of::<PrivateBlock>() <= BACK);

/// Allocates a block of private memory, which belongs to the record or, without one, to the caller.
fn private(
    worker: &Worker,
    record: Option<&mut Record>,
    size: u64,
) -> Result<(*mut c_void, u64), Failure> {
    let before = if record.is_some() { 0 } else { BACK };
    let no_memory = |why| match why {
        NoMemory::Budget(exhausted) => Failure::new(CHI_NO_SPACE, exhausted.to_string()),
        NoMemory::System => {
            Failure::new(CHI_NO_SPACE, format!("the runtime has no memory for {size} bytes"))
        }
    };
    let all = usize::try_from(size).ok().and_then(|size| size.checked_add(before));
    let all = all.ok_or_else(|| no_memory(NoMemory::System))?;
    let block = PrivateBlock::new(all, worker.shared.budget, Use::Modules).map_err(no_memory)?;
    let found = (block.data().wrapping_add(before).cast(), (block.size() - before) as u64);
    match record {
        Some(record) => record.private.push(block),
        // SAFETY: the block has this space before the buffer, and is aligned to 64.
        None => unsafe { block.data().cast::<PrivateBlock>().write(block) },
    }
    Ok(found)
}

/// Allocates a buffer, which belongs to `owner` or, without one, to the caller.
///
/// # Safety
/// `owner`, if given, must be the body of a live record.
pub(super) unsafe fn alloc(
    worker: &Worker,
    owner: Option<NonNull<chi_task>>,
    size: u64,
    block: Block,
) -> Result<chi_buffer, Failure> {
    // SAFETY: by the caller's promise.
    let mut record = owner.map(|owner| unsafe { &mut *Record::of(owner.as_ptr()) });
    if let (Some(record), Block::Bytes) = (&mut record, block) {
        if let Origin::Client { session, .. } = &record.origin {
            let (shm_, size_) = session.alloc(size).map_err(|failed| no_room(failed, size))?;
            // SAFETY: a block of the session's arena is inside its segment.
            let data_ = unsafe { session.mapping.address(shm_) }.as_ptr().cast();
            record.blocks.push(shm_);
            return Ok(chi_buffer { shm_, data_, size_ });
        }
    }
    let (data, capacity) = private(worker, record, size)?;
    Ok(chi_buffer { shm_: PRIVATE_SEGMENT | data as u64, data_: data, size_: capacity })
}

fn no_room(why: NoRoom, size: u64) -> Failure {
    match why {
        NoRoom::Budget(exhausted) => Failure::new(CHI_NO_SPACE, exhausted.to_string()),
        NoRoom::Segment(Failed::Full) => Failure::new(
            CHI_NO_SPACE,
            format!(
                "the client's segment has no room for {size} bytes of results; delete tasks whose \
                 results are done with, or open the session with a larger segment"
            ),
        ),
        NoRoom::Segment(Failed::TooLarge) => Failure::new(
            CHI_TOO_LARGE,
            format!(
                "{size} bytes of results are more than the client's segment can hold; open the \
                 session with a larger segment"
            ),
        ),
    }
}

/// Frees a buffer that has no owner.
///
/// # Safety
/// The buffer must have been allocated by `alloc` without an owner.
pub(super) unsafe fn free(buffer: chi_buffer) {
    // SAFETY: by the caller's promise, `private` has put the block before the buffer, and the block
    // is read only once.
    drop(unsafe { buffer.data_.byte_sub(BACK).cast::<PrivateBlock>().read() });
}

/// Returns the address for a shared pointer as methods see it.
pub(super) fn resolve(shm: chi_shm_ptr) -> *mut c_void {
    if shm & PRIVATE_SEGMENT == PRIVATE_SEGMENT {
        return (shm & !PRIVATE_SEGMENT) as *mut c_void;
    }
    std::ptr::null_mut()
}
