//! Blocks of the segment: allocating and freeing tasks and buffers.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use chimaera_ipc::layout::offset_of;
use chimaera_ipc::ring::Entry;

use crate::ipc_tasks::ask_to_cancel;
use crate::owner::{session_of, with_task};
use crate::session::{hold_of, Session, What};
use crate::{process, thread};

#[inline]
pub(crate) fn new_task(size: u32) -> Result<NonNull<chi_task>> {
    thread::with(|thread, session| {
        if session.must_sweep() {
            session.sweep();
        }
        let (offset, _) = session.alloc(size.into(), What::Task)?;
        // SAFETY: the arena lies inside the segment, and so does every block of it.
        let task: NonNull<chi_task> = unsafe { session.mapping().address(offset) }.cast();
        // SAFETY: the block belongs to this task, has at least `size` bytes and is aligned to 64.
        unsafe {
            task.cast::<u8>().write_bytes(0, size as usize);
            (*task.as_ptr()).task_node_.root_ = thread.root();
        }
        Ok(task)
    })
}

/// # Safety
/// As `chi_ipc.del_task`.
#[inline]
pub(crate) unsafe fn del_task(task: NonNull<chi_task>) -> Result<()> {
    with_task(task, |session, offset| {
        let state = session.state(offset).load(Ordering::Acquire);
        if state & CHI_TASK_IN_FLIGHT != 0 && !session.is_dead() {
            // SAFETY: the task is freed only once it is complete and swept; its flags are the
            // client's.
            let flags = unsafe { (*task.as_ptr()).task_flags_.bits_ };
            session.defer_free(offset);
            if session.is_dead() {
                // The runtime has stopped meanwhile, which ended the task too.
                session.end();
                return Ok(());
            }
            return if flags & CHI_TASK_PERIODIC != 0 {
                ask_to_cancel(session, offset)
            } else {
                Ok(())
            };
        }
        if state & CHI_TASK_PUBLISHED != 0 {
            session.map_published();
        }
        let kept = session.replace_kept(offset, None);
        hold_of(state).into_iter().chain(kept).for_each(|hold| release(session, hold));
        let freed = session.free(offset);
        if session.is_dead() && (state & CHI_TASK_ON_LEASE != 0 || kept.is_some()) {
            session.unmap_published();
        }
        if freed {
            Ok(())
        } else {
            Err(Failure::new(CHI_INVALID, "del_task: not a task, or already deleted"))
        }
    })
}

/// Tells the runtime that it may free the blocks that it holds for a task.
fn release(session: &Session, hold: u32) {
    if session.is_dead() {
        return;
    }
    let sent = thread::with(|thread, current| {
        if !std::ptr::eq(current, session) {
            return Ok(true);
        }
        Ok(thread.push(session, Entry::Release { hold })?.is_ok())
    });
    if !matches!(sent, Ok(true)) {
        session.release_later(hold);
    }
}

/// # Safety
/// As `chi_ipc.task_message`.
pub(crate) unsafe fn task_message(task: NonNull<chi_task>) -> Option<NonNull<[u8]>> {
    let found = with_task(task, |session, offset| {
        // SAFETY: by the contract of this function the task is complete, so it belongs to the
        // caller.
        let (message, status) = unsafe { ((*task.as_ptr()).message_, (*task.as_ptr()).status_) };
        let complete = session.state(offset).load(Ordering::Acquire) & CHI_TASK_COMPLETE != 0;
        if !complete || status == CHI_OK {
            return Ok(None);
        }
        let text = text_at(session, message).unwrap_or_else(|| {
            // The session lasts as long as the task, and so does the text in it.
            let ended = status == CHI_UNAVAILABLE && session.is_dead();
            let text = if ended { &session.gone().message } else { status_text(status) };
            NonNull::from(text.as_bytes())
        });
        Ok(Some(text))
    });
    found.ok().flatten()
}

/// The text in a message's block: a `u32` length, then that many bytes.
fn text_at(session: &Session, message: chi_shm_ptr) -> Option<NonNull<[u8]>> {
    const LENGTH: u64 = size_of::<u32>() as u64;
    let block = offset_of(message).filter(|&at| at != 0 && at.is_multiple_of(LENGTH))?;
    let length = session.mapping().find(block, LENGTH)?;
    // SAFETY: inside the segment and aligned; the runtime, which wrote the length, keeps the block
    // until the release.
    let length = unsafe { AtomicU32::from_ptr(length.as_ptr().cast()) }.load(Ordering::Relaxed);
    let text = session.mapping().find(block + LENGTH, length.into())?;
    Some(NonNull::slice_from_raw_parts(text, length as usize))
}

/// # Safety
/// As `chi_ipc.alloc`, for a size that is not 0.
pub(crate) unsafe fn alloc(owner: Option<NonNull<chi_task>>, size: u64) -> Result<chi_buffer> {
    let alloc = |session: &Session, what: What| {
        let (shm_, size_) = session.alloc(size, what)?;
        // SAFETY: the arena lies inside the segment, and so does every block of it.
        let data = unsafe { session.mapping().address(shm_) };
        Ok(chi_buffer { shm_, data_: data.as_ptr().cast(), size_ })
    };
    match owner {
        None => thread::with(|_, session| alloc(session, What::Buffer)),
        Some(owner) => with_task(owner, |session, offset| alloc(session, What::BlockOf(offset))),
    }
}

/// # Safety
/// As `chi_ipc.free`.
pub(crate) unsafe fn free(buffer: chi_buffer) -> Result<()> {
    process::check_fork()?;
    let (session, offset) = session_of(buffer.data_.cast())?;
    if session.free(offset) {
        Ok(())
    } else {
        Err(Failure::new(CHI_INVALID, "free: not a buffer, or already freed"))
    }
}

pub(crate) fn resolve(shm: chi_shm_ptr) -> *mut c_void {
    let found = thread::with(|_, session| {
        Ok(offset_of(shm).and_then(|offset| session.mapping().find(offset, 1)))
    });
    found.ok().flatten().map_or(std::ptr::null_mut(), |address| address.as_ptr().cast())
}

pub(crate) fn make_task_node() -> chi_task_node {
    let root_ = thread::with(|thread, _| Ok(thread.root())).unwrap_or(0);
    chi_task_node { root_, depth_: 0, node_: 0 }
}
