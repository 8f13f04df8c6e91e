//! A thread's own state: a ring of the current session.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};

use chimaera_front::Result;
use chimaera_ipc::ring::{Entry, Full, Producer};

use crate::process;
use crate::session::Session;
use crate::watcher::User;

/// The epoch of a thread that is ending: never the process's, so each call looks for the session
/// anew.
const NEVER: u64 = u64::MAX;

pub(crate) struct Thread {
    epoch: u64,
    session: Option<User>,
    ring: Option<Producer>,
    next_root: u64,
    /// The thread is ending, or its end cannot be observed: nothing is kept after a call.
    ending: bool,
}

thread_local! {
    // Never dropped, so destructors can use it in whatever order they run.
    static THREAD: UnsafeCell<ManuallyDrop<Thread>> = const {
        UnsafeCell::new(ManuallyDrop::new(Thread {
            epoch: 0,
            session: None,
            ring: None,
            next_root: 0,
            ending: false,
        }))
    };
}

/// Calls `f` with this thread's state, which belongs to the current session. `f` must not call this
/// again.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut Thread, &Session) -> Result<R>) -> Result<R> {
    process::check_fork()?;
    // Only the address is taken inside `LocalKey::with`, so that the compiler inlines it.
    let thread = THREAD.with(UnsafeCell::get);
    // SAFETY: the state is this thread's own and never dropped, and `f` does not call this again.
    let thread = unsafe { &mut *thread };
    let mut ending = false;
    if thread.epoch != process::epoch()
        || thread.session.as_ref().is_none_or(|session| session.is_dead())
    {
        ending = thread.renew()?;
    }
    let session: *const Session = &**thread.session.as_ref().expect("renewed above");
    // SAFETY: the session lives as long as the `Arc` in `thread`, which only `renew` replaces.
    let result = f(thread, unsafe { &*session });
    if ending {
        thread.retire();
    }
    result
}

/// This thread's session, and the offset of an address in its segment, if the segment contains it.
/// The thread keeps the session alive until it next makes a task.
#[inline]
pub(crate) fn own_session(address: *const u8) -> Option<(*const Session, u64)> {
    let thread = THREAD.with(UnsafeCell::get);
    // SAFETY: the state is this thread's own and never dropped, and no reference into it is live
    // here: nothing that `with` runs calls this function.
    let session = unsafe { (&*thread).session.as_ref()?.session() };
    Some((Arc::as_ptr(session), session.mapping().offset_of(address)?))
}

/// In a forked child, forgets the parent's state of this thread, which lives on in the parent.
pub(crate) fn forget() {
    THREAD.with(|cell| {
        // SAFETY: the cell is this thread's own, and nothing that `with` runs calls fork.
        let thread = unsafe { &mut *cell.get() };
        std::mem::forget(thread.session.take());
        thread.ring = None;
        thread.epoch = 0;
    });
}

impl Thread {
    /// Takes the process's session. True when the thread is ending.
    #[cold]
    fn renew(&mut self) -> Result<bool> {
        let (session, epoch) = process::current()?;
        self.retire();
        self.session = Some(User::new(session)?);
        self.ending |= !register();
        self.epoch = if self.ending { NEVER } else { epoch };
        Ok(self.ending)
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
    pub(crate) fn wake_runtime(&mut self, session: &Session) {
        if self.ring.as_mut().is_some_and(Producer::must_ring) {
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
        let pushed = ring.push(entry);
        if pushed.is_err() {
            self.wake_for_room(session);
        }
        Ok(pushed)
    }

    /// Wakes the runtime because the ring is full. Entries that need not be seen at once, such as releases, may
    /// have filled it while the worker slept.
    #[cold]
    fn wake_for_room(&mut self, session: &Session) {
        self.wake_runtime(session);
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

/// Arranges for `at_end` to run when this thread ends. It uses a pthread key and not a Rust
/// destructor: those do not run when `main` ends its thread with `pthread_exit`, and they run
/// before other destructors that may still make calls.
fn register() -> bool {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    let key = *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the key outlives the call, and the function lives as long as the library, which
        // the watcher keeps loaded.
        let result = unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
        (result == 0).then_some(key)
    });
    // The destructor of a key runs for any value other than null.
    let value = std::ptr::NonNull::<libc::c_void>::dangling().as_ptr();
    // SAFETY: the key was created, and nothing dereferences the value.
    key.is_some_and(|key| unsafe { libc::pthread_setspecific(key, value) } == 0)
}

/// The thread is ending. Destructors of other keys may still make calls.
unsafe extern "C" fn at_end(_: *mut libc::c_void) {
    if process::check_fork().is_err() {
        return;
    }
    THREAD.with(|cell| {
        // SAFETY: the cell is this thread's own, and no destructor of a key runs inside `with`.
        let thread = unsafe { &mut *cell.get() };
        thread.retire();
        thread.ending = true;
        thread.epoch = NEVER;
    });
}
