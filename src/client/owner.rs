//! Whose an address is: the session in whose segment a task or a buffer lies.

use std::ptr::NonNull;
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_front::{Failure, Result};

use crate::session::Session;
use crate::{process, thread};

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

/// The session in whose segment an address lies, and its offset there.
#[inline]
pub(crate) fn session_of(address: *const u8) -> Result<(SessionRef, u64)> {
    match thread::own_session(address) {
        Some((session, offset)) => Ok((SessionRef::Mine(session), offset)),
        None => other_session_of(address),
    }
}

#[cold]
fn other_session_of(address: *const u8) -> Result<(SessionRef, u64)> {
    let found = process::find(address);
    found.map(|(session, offset)| (SessionRef::Shared(session), offset)).ok_or_else(in_no_segment)
}

/// An address is of nothing that the table gave.
pub(crate) fn in_no_segment() -> Failure {
    Failure::new(CHI_INVALID, "this address lies in no segment of this process's sessions")
}

/// Runs `f` with the session of a task and the task's offset.
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

/// Fails for an offset at which no task lies.
#[inline]
pub(crate) fn check_alignment(offset: u64) -> Result<()> {
    if !offset.is_multiple_of(u64::from(CHI_TASK_ALIGN)) {
        return Err(Failure::new(CHI_INVALID, "there is no task at this address"));
    }
    Ok(())
}
