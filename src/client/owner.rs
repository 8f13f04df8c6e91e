//! Finds the session whose segment contains a task or a buffer.

use std::ptr::NonNull;

use chimaera_abi::*;
use chimaera_front::{Failure, Result};

use crate::session::Session;
use crate::watcher::User;
use crate::{process, thread};

/// The session that this thread already holds, or one that was looked up.
pub(crate) enum SessionRef {
    Mine(*const Session),
    Shared(User),
}

impl std::ops::Deref for SessionRef {
    type Target = Session;

    #[inline]
    fn deref(&self) -> &Session {
        match self {
            // SAFETY: the thread's state keeps the session alive; a call does not outlive its
            // thread, and only calls that make tasks replace the state.
            SessionRef::Mine(session) => unsafe { &**session },
            SessionRef::Shared(user) => user,
        }
    }
}

/// The session whose segment contains an address, and the offset in it.
#[inline]
pub(crate) fn session_of(address: *const u8) -> Result<(SessionRef, u64)> {
    match thread::own_session(address) {
        Some((session, offset)) => Ok((SessionRef::Mine(session), offset)),
        None => other_session_of(address),
    }
}

#[cold]
fn other_session_of(address: *const u8) -> Result<(SessionRef, u64)> {
    let (session, offset) = process::find(address).ok_or_else(in_no_segment)?;
    Ok((SessionRef::Shared(User::new(session)?), offset))
}

/// The error for an address that this table never returned.
pub(crate) fn in_no_segment() -> Failure {
    Failure::new(CHI_INVALID, "this address is not in a segment of this process's sessions")
}

/// Calls `f` with the session of a task and the task's offset.
#[inline]
pub(crate) fn with_task<R>(
    task: NonNull<chi_task>,
    f: impl FnOnce(&Session, u64) -> Result<R>,
) -> Result<R> {
    process::check_fork()?;
    let (session, offset) = session_of(task.as_ptr().cast())?;
    check_alignment(offset)?;
    f(&session, offset)
}

/// Fails unless there is a task at the offset.
#[inline]
pub(crate) fn check_alignment(offset: u64) -> Result<()> {
    if !offset.is_multiple_of(u64::from(CHI_TASK_ALIGN)) {
        return Err(Failure::new(CHI_INVALID, "there is no task at this address"));
    }
    Ok(())
}
