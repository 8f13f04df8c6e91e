//! Pollers: module functions that a worker calls between tasks, for example to check a device for
//! completions.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use chimaera_abi::{chi_poll_fn, chi_pool_id};
use rustix::event::epoll;

use super::callback::{run_callback, CallbackKind};
use super::coroutine::Context;
use crate::pool::CrashPolicy;
use crate::sys::lock;

/// The functions of a poller and their argument.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) poll: chi_poll_fn,
    pub(crate) context: *mut c_void,
    /// Called before the worker parks: has whoever makes progress write the descriptor. False if there is
    /// something to do already. Without it, the descriptor is written whether or not the worker is parked.
    pub(crate) rest: Option<fn(*mut c_void) -> bool>,
}

// SAFETY: the context is only passed to the module's function, which only the poller's worker
// calls; other threads at most discard it when the poller is removed.
unsafe impl Send for Target {}

/// The container whose code added a poller.
#[derive(Clone)]
pub(crate) struct PollerOwner {
    pub(crate) pool: chi_pool_id,
    pub(crate) container: u32,
    /// The pool's name, and the module's file: for last words.
    pub(crate) name: String,
    pub(crate) file: Option<PathBuf>,
    pub(crate) on_crash: Arc<CrashPolicy>,
}

/// The lock on a poller's target, held while its function runs.
pub(super) type TargetGuard = MutexGuard<'static, Option<Target>>;

/// A poller, to which a module's `chi_poller` pointer refers.
pub(crate) struct Poller {
    /// The epoll instance of the worker that calls the poller.
    epoll: Arc<OwnedFd>,
    fd: i32,
    /// Written only by the poller's worker.
    armed: AtomicBool,
    /// It waits for another process, which may need this worker's core.
    is_far: bool,
    pub(crate) owner: Option<PollerOwner>,
    /// `None` once the poller is removed. Locked during a call.
    target: Mutex<Option<Target>>,
}

impl Poller {
    /// Calls the module's function within `around`; `None` if the poller has been removed.
    fn call(&self, context: &Context, around: impl Fn(Around)) -> Option<bool> {
        let guard = lock(&self.target);
        let Target { poll, context: own, .. } = (*guard)?;
        // SAFETY: the guard is used only in this frame, or by the overflow handler in its place,
        // and the caller keeps the poller alive that long.
        let guard: TargetGuard = unsafe { std::mem::transmute(guard) };
        let mut guard = ManuallyDrop::new(guard);
        let kind = CallbackKind::Poller(&mut guard, self);
        around(Around::Enter(self.owner.as_ref().map_or(0, |owner| owner.pool.major_)));
        // SAFETY: the module has not removed the poller, so its function and context are valid.
        let busy = run_callback(context, kind, || unsafe { poll(own) });
        around(Around::Leave);
        drop(ManuallyDrop::into_inner(guard));
        Some(busy)
    }

    /// Prepares the worker's parking. False if there is something to do.
    fn rest(&self) -> bool {
        let target = *lock(&self.target);
        target.is_none_or(|target| target.rest.is_none_or(|rest| rest(target.context)))
    }

    /// Removes the poller: its function is not called again. Waits until the function is not
    /// running, so that function itself must not call this.
    pub(crate) fn remove(&self) {
        *lock(&self.target) = None;
        if self.fd >= 0 {
            // SAFETY: by the contract, the module keeps the descriptor open until this call
            // returns.
            let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
            // The descriptor was added together with the poller, so it is registered.
            let _ = epoll::delete(&*self.epoll, fd);
        }
    }
}

/// What happens around a call of a poller.
#[derive(Clone, Copy)]
pub(crate) enum Around {
    /// A poller is about to be called: one of the pool in this slot, or of no pool if it is 0.
    Enter(u32),
    /// The module code has returned.
    Leave,
}

/// A worker's pollers.
#[derive(Default)]
pub(crate) struct Pollers {
    all: RefCell<Vec<Arc<Poller>>>,
    armed: Cell<u32>,
    /// How many of the armed ones wait for another process.
    far: Cell<u32>,
    /// Rounds since the pollers were last called.
    rounds: Cell<u32>,
}

impl Pollers {
    /// How many rounds with work pass between two calls, so that the device requests of many rounds
    /// are submitted together.
    const ROUNDS: u32 = 16;

    #[inline]
    pub(crate) fn are_armed(&self) -> bool {
        self.armed.get() > 0
    }

    /// True if an armed poller waits for another process.
    pub(crate) fn are_far(&self) -> bool {
        self.far.get() > 0
    }

    /// Counts a round. True if it is time to call the pollers.
    #[inline]
    pub(crate) fn is_time(&self) -> bool {
        self.are_armed() && {
            self.rounds.set(self.rounds.get() + 1);
            self.rounds.get() >= Pollers::ROUNDS
        }
    }

    fn get(&self, index: usize) -> Option<Arc<Poller>> {
        self.all.borrow().get(index).cloned()
    }

    /// Drops the pollers that have been removed. A poller whose target is locked is being called,
    /// perhaps further up on this worker's stack, or removed: it stays until the next sweep.
    fn sweep(&self) {
        self.all.borrow_mut().retain(|poller| {
            let stays = match poller.target.try_lock() {
                Ok(target) => target.is_some(),
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().is_some(),
                Err(TryLockError::WouldBlock) => true,
            };
            if !stays && poller.armed.load(Ordering::Relaxed) {
                self.count(poller, false);
            }
            stays
        });
    }

    /// Calls the armed pollers on the coroutine with this context, and `around` before and after
    /// each. True if any of them had something to do.
    #[cold]
    pub(crate) fn poll(&self, context: &Context, around: impl Fn(Around)) -> bool {
        self.rounds.set(0);
        let mut busy = false;
        let mut gone = false;
        let mut index = 0;
        while let Some(poller) = self.get(index) {
            index += 1;
            if poller.armed.load(Ordering::Relaxed) {
                match poller.call(context, &around) {
                    Some(had) => busy |= had,
                    None => gone = true,
                }
            }
        }
        if gone {
            self.sweep();
        }
        busy
    }

    /// Prepares the armed pollers for the worker's parking. False if one of them has something to do.
    pub(crate) fn rest(&self) -> bool {
        let mut all_rest = true;
        let mut index = 0;
        while let Some(poller) = self.get(index) {
            index += 1;
            all_rest &= !poller.armed.load(Ordering::Relaxed) || poller.rest();
        }
        all_rest
    }

    /// Adds a poller, to be called by the worker with this epoll instance. Events on its descriptor
    /// wake the worker.
    pub(crate) fn add(
        &self,
        epoll: &Arc<OwnedFd>,
        fd: i32,
        target: Target,
        owner: Option<PollerOwner>,
    ) -> rustix::io::Result<Arc<Poller>> {
        if fd >= 0 {
            // SAFETY: by the contract, the module keeps the descriptor open until it removes the
            // poller.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&**epoll, fd, epoll::EventData::new_u64(0), flags)?;
        }
        self.sweep();
        let poller = Arc::new(Poller {
            epoll: epoll.clone(),
            fd,
            armed: AtomicBool::new(false),
            is_far: target.rest.is_some(),
            owner,
            target: Mutex::new(Some(target)),
        });
        self.all.borrow_mut().push(poller.clone());
        Ok(poller)
    }

    /// Removes the pollers of a container, whose code must not be called again.
    pub(crate) fn remove_of(&self, pool: chi_pool_id, container: u32) {
        let is_of = |owner: &PollerOwner| owner.pool == pool && owner.container == container;
        let all = self.all.borrow();
        all.iter().filter(|it| it.owner.as_ref().is_some_and(is_of)).for_each(|it| it.remove());
        drop(all);
        self.sweep();
    }

    /// Arms or disarms a poller. False if it does not belong to the worker with this epoll
    /// instance.
    pub(crate) fn arm(&self, epoll: &Arc<OwnedFd>, poller: &Poller, armed: bool) -> bool {
        if !Arc::ptr_eq(epoll, &poller.epoll) {
            return false;
        }
        if poller.armed.swap(armed, Ordering::Relaxed) != armed {
            self.count(poller, armed);
        }
        true
    }

    /// Counts a poller that has been armed, or out if it no longer is.
    fn count(&self, poller: &Poller, armed: bool) {
        let change = |count: &Cell<u32>| {
            count.set(if armed { count.get() + 1 } else { count.get() - 1 });
        };
        change(&self.armed);
        if poller.is_far {
            change(&self.far);
        }
    }
}
