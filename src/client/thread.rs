//! A thread's own state: a ring of the current session.

use std::cell::UnsafeCell;
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use chimaera_ipc::ring::{Entry, Full, Producer};

use crate::process;
use crate::session::Session;

pub(crate) struct Thread {
    epoch: u64,
    session: Option<Arc<Session>>,
    ring: Option<Producer>,
    next_root: u64,
}

thread_local! {
    static THREAD: UnsafeCell<Thread> =
        const { UnsafeCell::new(Thread { epoch: 0, session: None, ring: None, next_root: 0 }) };
}

/// Calls `f` with this thread's state, which belongs to the current session. `f` must not call this
/// again.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut Thread, &Session) -> Result<R>) -> Result<R> {
    process::check_fork()?;
    THREAD
        .try_with(|cell| {
            // SAFETY: the cell belongs to this thread, and `f` does not call this function again.
            let thread = unsafe { &mut *cell.get() };
            if thread.epoch != process::epoch()
                || thread.session.as_ref().is_none_or(|session| session.is_dead())
            {
                thread.renew()?;
            }
            let session: *const Session = &**thread.session.as_ref().expect("renewed above");
            // SAFETY: the session lives as long as the `Arc` in `thread`, which only `renew`
            // replaces.
            f(thread, unsafe { &*session })
        })
        .unwrap_or_else(|_| Err(Failure::new(CHI_UNAVAILABLE, "this thread is exiting")))
}

/// This thread's session, and the offset of an address in its segment, if the segment contains it.
/// The thread keeps the session alive until it next makes a task.
#[inline]
pub(crate) fn own_session(address: *const u8) -> Option<(*const Session, u64)> {
    THREAD
        .try_with(|cell| {
            // SAFETY: the cell belongs to this thread, and no reference into it is live here: no
            // code that `with` runs calls this function.
            let session = unsafe { (*cell.get()).session.as_ref()? };
            Some((Arc::as_ptr(session), session.mapping().offset_of(address)?))
        })
        .ok()
        .flatten()
}

impl Thread {
    #[cold]
    fn renew(&mut self) -> Result<()> {
        let (session, epoch) = process::current()?;
        self.retire();
        self.session = Some(session);
        self.epoch = epoch;
        Ok(())
    }

    fn retire(&mut self) {
        if let (Some(session), Some(ring)) = (self.session.take(), self.ring.take()) {
            session.give_ring(ring);
        }
    }

    /// A number for a root task, unique in this process while it lives.
    #[inline]
    pub(crate) fn root(&mut self) -> u64 {
        if self.next_root & 0xffff_ffff == 0 {
            static BLOCKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
            self.next_root = BLOCKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed) << 32;
        }
        self.next_root += 1;
        self.next_root
    }

    /// Pushes an entry into the ring, and rings the doorbell when the worker is asleep.
    #[inline]
    pub(crate) fn push(
        &mut self,
        session: &Session,
        entry: Entry,
    ) -> Result<std::result::Result<(), Full>> {
        let pushed = self.push_quietly(session, entry)?;
        self.wake_runtime(session);
        Ok(pushed)
    }

    /// Rings the doorbell when the worker of this thread's ring is asleep. Call it after pushing.
    #[inline]
    pub(crate) fn wake_runtime(&self, session: &Session) {
        if self.ring.as_ref().is_some_and(Producer::consumer_parked) {
            session.ring_doorbell();
        }
    }

    /// Pushes an entry into the ring.
    #[inline]
    pub(crate) fn push_quietly(
        &mut self,
        session: &Session,
        entry: Entry,
    ) -> Result<std::result::Result<(), Full>> {
        let ring = match &mut self.ring {
            Some(ring) => ring,
            none => none.insert(session.ring()?),
        };
        if session.has_unsent() {
            send_unsent(session, ring);
        }
        Ok(ring.push(entry))
    }
}

#[cold]
fn send_unsent(session: &Session, ring: &mut Producer) {
    while let Some(hold) = session.take_unsent() {
        if ring.push(Entry::Release { hold }).is_err() {
            session.release_later(hold);
            return;
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if process::check_fork().is_ok() {
            self.retire();
        }
    }
}
