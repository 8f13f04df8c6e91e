//! Pollers: what a module has a worker look at between its tasks, such as the completions of a device.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use chimaera_abi::chi_poll_fn;
use rustix::event::epoll;

use super::callback::{run_callback, CallbackKind};
use super::coroutine::Context;
use crate::sys::lock;

/// What is called.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) poll: chi_poll_fn,
    pub(crate) context: *mut c_void,
}

// SAFETY: the context is the module's, which says that its function may be called on the worker with it,
// wherever it is removed.
unsafe impl Send for Target {}

/// The target of a poller while its function runs.
pub(super) type TargetGuard = MutexGuard<'static, Option<Target>>;

/// A poller, as modules hold it behind `chi_poller`.
pub(crate) struct Poller {
    /// Of the worker that calls it.
    epoll: Arc<OwnedFd>,
    fd: i32,
    /// Written by its worker only.
    armed: AtomicBool,
    /// `None` once it is removed. Held during a call.
    target: Mutex<Option<Target>>,
}

impl Poller {
    /// Calls the module's function; `None` when it is removed.
    fn call(&self, context: &Context) -> Option<bool> {
        let guard = lock(&self.target);
        let Target { poll, context: own } = (*guard)?;
        // SAFETY: the guard is used only as long as it is in this frame, whose caller keeps the poller.
        let guard: TargetGuard = unsafe { std::mem::transmute(guard) };
        let mut guard = ManuallyDrop::new(guard);
        let kind = CallbackKind::Poller(&mut guard);
        // SAFETY: the module's function and context, which it has not removed.
        let busy = run_callback(context, kind, || unsafe { poll(own) });
        drop(ManuallyDrop::into_inner(guard));
        Some(busy)
    }

    /// Never calls it again. It may be called right now, on its worker, unless the caller is that worker.
    pub(crate) fn remove(&self) {
        *lock(&self.target) = None;
        if self.fd >= 0 {
            // SAFETY: the module keeps it open until this call is over.
            let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
            // It was added with the poller, so it is there.
            let _ = epoll::delete(&*self.epoll, fd);
        }
    }
}

/// The pollers of a worker.
#[derive(Default)]
pub(crate) struct Pollers {
    all: RefCell<Vec<Arc<Poller>>>,
    armed: Cell<u32>,
    /// Rounds since the last look.
    rounds: Cell<u32>,
}

impl Pollers {
    /// Rounds with work between two looks, so that what the tasks of many rounds ask of a device goes
    /// out at once.
    const ROUNDS: u32 = 16;

    #[inline]
    pub(crate) fn are_armed(&self) -> bool {
        self.armed.get() > 0
    }

    /// Counts a round in which there was work. True when it is time to look.
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

    fn sweep(&self) {
        self.all.borrow_mut().retain(|poller| {
            let stays = lock(&poller.target).is_some();
            if !stays && poller.armed.load(Ordering::Relaxed) {
                self.armed.set(self.armed.get() - 1);
            }
            stays
        });
    }

    /// Calls those that are armed, on the coroutine of this context. True when one of them had something
    /// to do.
    #[cold]
    pub(crate) fn poll(&self, context: &Context) -> bool {
        self.rounds.set(0);
        let mut busy = false;
        let mut gone = false;
        let mut index = 0;
        while let Some(poller) = self.get(index) {
            index += 1;
            if poller.armed.load(Ordering::Relaxed) {
                match poller.call(context) {
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

    /// Adds one, which the worker with this epoll calls; what its descriptor tells of wakes the worker.
    pub(crate) fn add(
        &self,
        epoll: &Arc<OwnedFd>,
        fd: i32,
        target: Target,
    ) -> rustix::io::Result<Arc<Poller>> {
        if fd >= 0 {
            // SAFETY: the module's descriptor, which it keeps open until it removes the poller.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&**epoll, fd, epoll::EventData::new_u64(0), flags)?;
        }
        self.sweep();
        let poller = Arc::new(Poller {
            epoll: epoll.clone(),
            fd,
            armed: AtomicBool::new(false),
            target: Mutex::new(Some(target)),
        });
        self.all.borrow_mut().push(poller.clone());
        Ok(poller)
    }

    /// Arms a poller or disarms it. False when it is not one of these, whose worker has this epoll.
    pub(crate) fn arm(&self, epoll: &Arc<OwnedFd>, poller: &Poller, armed: bool) -> bool {
        if !Arc::ptr_eq(epoll, &poller.epoll) {
            return false;
        }
        if poller.armed.swap(armed, Ordering::Relaxed) != armed {
            let count = self.armed.get();
            self.armed.set(if armed { count + 1 } else { count - 1 });
        }
        true
    }
}
