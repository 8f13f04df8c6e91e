//! Pollers: what a module has a worker look at between its tasks, such as the completions of a device.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use chimaera_abi::*;
use rustix::event::epoll;

use crate::aside::What;
use crate::lock;
use crate::shared::Shared;
use crate::worker::{self, Worker};

/// A poller, as modules hold it behind `chi_poller`.
pub(crate) struct Poller {
    shared: Arc<Shared>,
    worker: u32,
    fd: i32,
    /// Written by its worker only.
    armed: AtomicBool,
    /// `None` once it is removed. Held during a call.
    target: Mutex<Option<Target>>,
}

/// What is called.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    poll: chi_poll_fn,
    context: *mut c_void,
}

// SAFETY: the context is the module's, which says that its function may be called on the worker with it,
// wherever it is removed.
unsafe impl Send for Target {}

impl Poller {
    /// Calls the module's function; `None` when it is removed.
    fn call(&self, worker: &Worker) -> Option<bool> {
        let guard = lock(&self.target);
        let Target { poll, context } = (*guard)?;
        // SAFETY: the guard is used only as long as it is in this frame, whose caller keeps the poller.
        let guard: MutexGuard<'static, Option<Target>> = unsafe { std::mem::transmute(guard) };
        let mut guard = ManuallyDrop::new(guard);
        let what = What::Poller(&mut guard);
        // SAFETY: the module's function and context, which it has not removed.
        let busy = worker.aside(what, || unsafe { poll(context) });
        drop(ManuallyDrop::into_inner(guard));
        Some(busy)
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
}

impl Worker {
    /// Calls the pollers that are armed. True when one of them had something to do.
    #[cold]
    pub(crate) fn poll(&self) -> bool {
        self.pollers.rounds.set(0);
        let mut busy = false;
        let mut gone = false;
        let mut index = 0;
        while let Some(poller) = self.pollers.get(index) {
            index += 1;
            if poller.armed.load(Ordering::Relaxed) {
                match poller.call(self) {
                    Some(had) => busy |= had,
                    None => gone = true,
                }
            }
        }
        if gone {
            self.pollers.sweep();
        }
        busy
    }

    fn add_poller(&self, fd: i32, target: Target) -> Result<Arc<Poller>, chi_status> {
        if fd >= 0 {
            // SAFETY: the module's descriptor, which it keeps open until it removes the poller.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(self.desk().epoll(), fd, epoll::EventData::new_u64(0), flags)
                .map_err(|_| CHI_INVALID)?;
        }
        self.pollers.sweep();
        let poller = Arc::new(Poller {
            shared: self.shared.clone(),
            worker: self.index,
            fd,
            armed: AtomicBool::new(false),
            target: Mutex::new(Some(target)),
        });
        self.pollers.all.borrow_mut().push(poller.clone());
        Ok(poller)
    }
}

// The functions of `chi_host` --------------------------------------------------------------------------

pub(crate) unsafe extern "C" fn poller_add(
    _: *const chi_host,
    fd: i32,
    poll: chi_poll_fn,
    context: *mut c_void,
    poller: *mut *mut chi_poller,
) -> chi_status {
    let Some(worker) = worker::current() else { return CHI_INVALID };
    match worker.add_poller(fd, Target { poll, context }) {
        Ok(made) => {
            // SAFETY: the module's pointer.
            unsafe { *poller = Arc::into_raw(made).cast_mut().cast() };
            CHI_OK
        }
        Err(status) => status,
    }
}

pub(crate) unsafe extern "C" fn poller_remove(_: *const chi_host, poller: *mut chi_poller) {
    if poller.is_null() {
        return;
    }
    // SAFETY: what `poller_add` returned, removed once.
    let poller = unsafe { Arc::from_raw(poller.cast::<Poller>()) };
    *lock(&poller.target) = None;
    if poller.fd >= 0 {
        // SAFETY: the module keeps it open until this call is over.
        let fd = unsafe { BorrowedFd::borrow_raw(poller.fd) };
        // It was added with the poller, so it is there.
        let _ = epoll::delete(poller.shared.desks[poller.worker as usize].epoll(), fd);
    }
}

pub(crate) unsafe extern "C" fn poller_arm(
    _: *const chi_host,
    poller: *mut chi_poller,
    armed: bool,
) -> chi_status {
    // SAFETY: null, or what `poller_add` returned and is not removed.
    let Some(poller) = (unsafe { poller.cast::<Poller>().as_ref() }) else { return CHI_INVALID };
    let worker = worker::current().filter(|worker| {
        worker.index == poller.worker && Arc::ptr_eq(&worker.shared, &poller.shared)
    });
    let Some(worker) = worker else { return CHI_INVALID };
    if poller.armed.swap(armed, Ordering::Relaxed) != armed {
        let count = &worker.pollers.armed;
        count.set(if armed { count.get() + 1 } else { count.get() - 1 });
    }
    CHI_OK
}
