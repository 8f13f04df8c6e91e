//! The IPC manager of an application: the functions behind `chi_ipc`.

use std::ffi::{c_char, c_void, CStr};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_ipc::admin;
use chimaera_ipc::layout::offset_of;
use chimaera_ipc::ring::Entry;

use crate::error::{keep, last, Failure, Result};
use crate::flight::{
    ask_to_cancel, cancel, enqueue, enqueue_batch, sleep, try_enqueue, wait, wait_all, yield_now,
};
use crate::session::{hold_of, Session};
use crate::{process, thread};

/// The table of this process. Before `init` its functions answer `CHI_NOT_INITIALIZED`.
pub static TABLE: chi_ipc = chi_ipc {
    size: std::mem::size_of::<chi_ipc>() as u32,
    reserved: 0,
    new_task,
    del_task,
    enqueue,
    try_enqueue,
    wait,
    task_message,
    alloc,
    free,
    resolve,
    make_task_node,
    create_pool,
    find_pool,
    destroy_pool,
    last_error,
    alloc_elements: alloc,
    create_pool_with,
    enqueue_batch,
    wait_all,
    cancel,
    sleep,
    yield_now,
};

/// The table of this process.
pub fn ipc_manager() -> *const chi_ipc {
    &TABLE
}

pub(crate) fn answer(result: Result<()>) -> chi_status {
    match result {
        Ok(()) => CHI_OK,
        Err(failure) => keep(failure),
    }
}

unsafe extern "C" fn new_task(_: *const chi_ipc, size: u32, out: *mut *mut chi_task) -> chi_status {
    answer(thread::with(|thread, session| {
        place(out, "the place for the task")?;
        if size < std::mem::size_of::<chi_task>() as u32 || size > CHI_MAX_TASK_SIZE {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a task has 64 to {CHI_MAX_TASK_SIZE} bytes, not {size}"),
            ));
        }
        if session.must_sweep() {
            session.sweep();
        }
        let (offset, _) = session.alloc(size.into(), None)?;
        let task: *mut chi_task = session.mapping().at(offset).cast();
        // SAFETY: the block is this task's own, `size` bytes or more, aligned to 64; `out` is the
        // caller's.
        unsafe {
            task.cast::<u8>().write_bytes(0, size as usize);
            (*task).task_node_.root_ = thread.root();
            *out = task;
        }
        Ok(())
    }))
}

/// Runs `f` with the session of a task and the task's offset.
#[inline]
pub(crate) fn with_task<R>(
    task: *const chi_task,
    f: impl FnOnce(&Session, u64) -> Result<R>,
) -> Result<R> {
    process::check_fork()?;
    let session = session_of(task.cast())?;
    let offset = session.mapping().offset_of(task.cast()).expect("the task lies in its session");
    if offset % u64::from(CHI_TASK_ALIGN) != 0 {
        return Err(Failure::new(CHI_INVALID, "this pointer is to no task"));
    }
    f(&session, offset)
}

/// The session in whose segment an address lies.
fn session_of(address: *const u8) -> Result<SessionRef> {
    let mine = thread::mine(address);
    if let Some(session) = mine {
        return Ok(session);
    }
    let found = process::find(address).map(SessionRef::Shared);
    found.ok_or_else(|| {
        Failure::new(CHI_INVALID, "this pointer lies in no segment of this process's sessions")
    })
}

/// A session that this thread holds anyway, or one that had to be looked up.
pub(crate) enum SessionRef {
    Mine(*const Session),
    Shared(Arc<Session>),
}

impl std::ops::Deref for SessionRef {
    type Target = Session;

    #[inline]
    fn deref(&self) -> &Session {
        match self {
            // SAFETY: the thread's state holds the session; a call does not outlive its thread, and
            // the state is renewed only by calls that make tasks.
            SessionRef::Mine(session) => unsafe { &**session },
            SessionRef::Shared(session) => session,
        }
    }
}

unsafe extern "C" fn del_task(_: *const chi_ipc, task: *mut chi_task) {
    if task.is_null() {
        return;
    }
    let done = with_task(task, |session, offset| {
        let state = session.state(offset).load(Ordering::Acquire);
        if state & CHI_TASK_IN_FLIGHT != 0 && !session.is_dead() {
            session.bury(offset);
            // SAFETY: the task lies in the segment until the burial is over; its flags are the client's.
            let flags = unsafe { (*task).task_flags_.bits_ };
            return if flags & CHI_TASK_PERIODIC != 0 {
                ask_to_cancel(session, offset)
            } else {
                Ok(())
            };
        }
        let kept = session.replace_kept(offset, None);
        hold_of(state).into_iter().chain(kept).for_each(|hold| release(session, hold));
        if session.free(offset) {
            Ok(())
        } else {
            Err(Failure::new(CHI_INVALID, "del_task of something that is no task, or not any more"))
        }
    });
    // There is no status to return; the message tells who asks.
    answer(done);
}

/// Tells the runtime that it may free what it holds for a task.
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

unsafe extern "C" fn task_message(
    _: *const chi_ipc,
    task: *const chi_task,
    len: *mut u64,
) -> *const c_char {
    let found = with_task(task, |session, offset| {
        // SAFETY: the task is complete by the contract of this function, and so the caller's.
        let (message, status) = unsafe { ((*task).message_, (*task).status_) };
        let complete = session.state(offset).load(Ordering::Acquire) & CHI_TASK_COMPLETE != 0;
        if !complete || status == CHI_OK {
            return Ok((c"".as_ptr(), 0));
        }
        let block =
            offset_of(message).filter(|&at| at != 0 && at < session.mapping().layout().size - 8);
        let Some(block) = block else {
            let text = status_text(status);
            return Ok((text.as_ptr().cast(), text.len() as u64));
        };
        let at = session.mapping().at(block);
        // SAFETY: the runtime wrote a length and the text there, and keeps both until the release.
        Ok(unsafe { (at.add(4).cast::<c_char>().cast_const(), u64::from(at.cast::<u32>().read())) })
    });
    let (text, bytes) = found.unwrap_or((c"".as_ptr(), 0));
    // SAFETY: the caller's pointer.
    unsafe { *len = bytes };
    text
}

unsafe extern "C" fn alloc(
    _: *const chi_ipc,
    owner: *mut chi_task,
    size: u64,
    buffer: *mut chi_buffer,
) -> chi_status {
    let alloc = |session: &Session, owner: Option<u64>| {
        place(buffer, "the place for the buffer")?;
        let (shm_, capacity) =
            if size == 0 { (CHI_SHM_NULL, 0) } else { session.alloc(size, owner)? };
        let data_: *mut c_void =
            if size == 0 { std::ptr::null_mut() } else { session.mapping().at(shm_).cast() };
        // SAFETY: the caller's pointer.
        unsafe { *buffer = chi_buffer { shm_, data_, size_: capacity } };
        Ok(())
    };
    answer(if owner.is_null() {
        thread::with(|_, session| alloc(session, None))
    } else {
        with_task(owner, |session, offset| alloc(session, Some(offset)))
    })
}

unsafe extern "C" fn free(_: *const chi_ipc, buffer: *const chi_buffer) {
    // SAFETY: the caller's pointer.
    let Some(data) =
        (unsafe { buffer.as_ref() }).map(|buffer| buffer.data_).filter(|d| !d.is_null())
    else {
        return;
    };
    let freed = process::check_fork().and_then(|()| session_of(data.cast())).and_then(|session| {
        let offset = session.mapping().offset_of(data.cast()).expect("it lies in its session");
        if session.free(offset) {
            Ok(())
        } else {
            Err(Failure::new(CHI_INVALID, "free of something that is no buffer, or not any more"))
        }
    });
    // There is no status to return; the message tells who asks.
    answer(freed);
}

unsafe extern "C" fn resolve(_: *const chi_ipc, shm: chi_shm_ptr) -> *mut c_void {
    thread::with(|_, session| {
        let offset = offset_of(shm).filter(|&at| at != 0 && at < session.mapping().layout().size);
        Ok(offset.map_or(std::ptr::null_mut(), |offset| session.mapping().at(offset).cast()))
    })
    .unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn make_task_node(_: *const chi_ipc, node: *mut chi_task_node) {
    let root_ = thread::with(|thread, _| Ok(thread.root())).unwrap_or(0);
    // SAFETY: the caller's pointer.
    unsafe { *node = chi_task_node { root_, depth_: 0, node_: 0 } };
}

/// The bytes of a C string, or a failure that names the argument when it is null.
///
/// # Safety
/// `text` must be null or a C string that outlives the result.
unsafe fn bytes<'a>(text: *const c_char, what: &str) -> Result<&'a [u8]> {
    if text.is_null() {
        return Err(Failure::new(CHI_INVALID, format!("{what} is null")));
    }
    // SAFETY: by the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// A failure that names the place for a result when it is null.
pub(crate) fn place<T>(pointer: *const T, what: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Failure::new(CHI_INVALID, format!("{what} is null")));
    }
    Ok(())
}

fn failed((status, message): admin::Failure) -> Failure {
    Failure::new(status, message)
}

unsafe extern "C" fn create_pool(
    ipc: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    id: *mut chi_pool_id,
) -> chi_status {
    let one =
        chi_pool_options { size: std::mem::size_of::<chi_pool_options>() as u32, containers: 1 };
    // SAFETY: the caller's promise.
    unsafe { create_pool_with(ipc, module, name, params, params_len, &one, id) }
}

unsafe extern "C" fn create_pool_with(
    ipc: *const chi_ipc,
    module: *const c_char,
    name: *const c_char,
    params: *const c_void,
    params_len: u64,
    options: *const chi_pool_options,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: strings, parameters, options and the place for the id are the caller's.
    answer((|| unsafe {
        place(id, "the place for the pool's id")?;
        let containers = admin::containers(options).map_err(failed)?;
        let (module, name) = (bytes(module, "the module's name")?, bytes(name, "the pool's name")?);
        let params = if params_len == 0 {
            &[]
        } else {
            place(params, "the address of the parameters")?;
            std::slice::from_raw_parts(params.cast::<u8>(), params_len as usize)
        };
        *id = admin::create_pool(ipc, module, name, params, containers).map_err(failed)?.0;
        Ok(())
    })())
}

unsafe extern "C" fn find_pool(
    ipc: *const chi_ipc,
    name: *const c_char,
    id: *mut chi_pool_id,
) -> chi_status {
    // SAFETY: the string and the place for the id are the caller's.
    answer((|| unsafe {
        place(id, "the place for the pool's id")?;
        *id = admin::find_pool(ipc, bytes(name, "the pool's name")?).map_err(failed)?;
        Ok(())
    })())
}

unsafe extern "C" fn destroy_pool(ipc: *const chi_ipc, id: *const chi_pool_id) -> chi_status {
    // SAFETY: the id is the caller's.
    answer(
        place(id, "the pool's id")
            .and_then(|()| unsafe { admin::destroy_pool(ipc, *id) }.map_err(failed)),
    )
}

unsafe extern "C" fn last_error(_: *const chi_ipc) -> *const c_char {
    last()
}
