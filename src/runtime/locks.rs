//! Locks that suspend the task that waits for them, and never its worker.
//!
//! A lock is held by a root, with all tasks that it led to. A task of a client is a root of its own,
//! whatever number it has in its `task_node_`: that is the client's to write, and must not let it into
//! what another task holds. Tasks that methods make belong to their maker's root.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::about::{log_about, About};
use crate::host;
use crate::lock_core::{Core, Entry, Inside, Mode, Standing};
use crate::record::{Record, Waiter};
use crate::throttle::Kind;
use crate::wait::WaitsFor;
use crate::worker::{self, Worker};

/// A lock, as modules hold it behind `chi_lock`.
pub(crate) struct Lock {
    core: Core<Waiter>,
    /// For the log.
    number: u64,
    /// The name of the pool for whose container it was made; empty when that is not known.
    pool: String,
}

/// In a message: `lock 2 of pool 'store'`.
impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lock { number, pool, .. } = self;
        match pool.is_empty() {
            true => write!(f, "lock {number}"),
            false => write!(f, "lock {number} of pool '{pool}'"),
        }
    }
}

impl Lock {
    pub(crate) fn new(pool: &str) -> Arc<Lock> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Lock { core: Core::new(), number, pool: pool.to_owned() })
    }

    /// Its number, unique in the process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The roots that hold it, and with how many tasks.
    pub(crate) fn holders(&self) -> Vec<(u64, Inside)> {
        self.core.inside()
    }
}

/// What a task has of one lock.
struct Held {
    lock: Arc<Lock>,
    /// How often it entered.
    times: Inside,
}

/// What a task has to do with locks.
#[derive(Default)]
pub(crate) struct Holdings {
    /// The number of the task's root, unique in the runtime; 0 until somebody asks.
    root: Cell<u64>,
    held: RefCell<Vec<Held>>,
}

impl Holdings {
    /// Holdings of a task whose root is known, or not yet known with 0.
    #[inline]
    pub(crate) fn renew(&self, root: u64) {
        self.root.set(root);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }

    /// The numbers of the locks that the task has.
    pub(crate) fn locks(&self) -> impl Iterator<Item = u64> {
        self.held.borrow().iter().map(|held| held.lock.number()).collect::<Vec<_>>().into_iter()
    }

    /// Counts the task in once more. False when it is not inside in this mode.
    fn enter_again(&self, lock: &Lock, mode: Mode) -> bool {
        let mut held = self.held.borrow_mut();
        let times = held.iter_mut().find(|held| std::ptr::eq(&*held.lock, lock));
        match times.map(|held| held.times.of(mode)) {
            Some(times) if *times > 0 => {
                *times += 1;
                true
            }
            _ => false,
        }
    }

    fn enter(&self, lock: Arc<Lock>, mode: Mode) {
        let mut held = self.held.borrow_mut();
        let index = held.iter().position(|held| Arc::ptr_eq(&held.lock, &lock));
        let index = index.unwrap_or_else(|| {
            held.push(Held { lock, times: Inside::default() });
            held.len() - 1
        });
        *held[index].times.of(mode) += 1;
    }

    /// Counts the task out once. `None` when it is not inside in this mode; the lock, when this was the
    /// last time.
    fn leave(&self, lock: &Lock, mode: Mode) -> Option<Option<Arc<Lock>>> {
        let mut held = self.held.borrow_mut();
        let index = held.iter().position(|held| std::ptr::eq(&*held.lock, lock))?;
        let times = held[index].times.of(mode);
        *times = times.checked_sub(1)?;
        if *times > 0 {
            return Some(None);
        }
        if held[index].times == Inside::default() {
            return Some(Some(held.swap_remove(index).lock));
        }
        Some(Some(held[index].lock.clone()))
    }
}

impl Worker {
    /// The root of a task.
    pub(crate) fn root_of(&self, record: &Record) -> u64 {
        let root = &record.holdings.root;
        if root.get() == 0 {
            root.set(self.fresh_root());
        }
        root.get()
    }

    /// True when a task that waits for a lock or an event must not wait any longer.
    pub(crate) fn must_give_up(&self, record: &Record) -> bool {
        self.shared.is_stopping() || record.look_for_cancellation().is_some()
    }

    /// Takes a lock for the running task.
    pub(crate) fn take_lock(
        &self,
        record: &Record,
        lock: &Arc<Lock>,
        mode: Mode,
        timeout_ns: u64,
    ) -> chi_status {
        if record.holdings.enter_again(lock, mode) {
            return CHI_OK;
        }
        // Its own, because the module may free the lock while the task waits.
        let lock = lock.clone();
        if !lock.core.try_enter(self.root_of(record), mode) {
            let status = self.wait_for_lock(record, &lock, mode, timeout_ns);
            if status != CHI_OK {
                return status;
            }
        }
        record.holdings.enter(lock, mode);
        CHI_OK
    }

    /// Takes a lock for the running task if that needs no waiting.
    pub(crate) fn try_lock(&self, record: &Record, lock: &Arc<Lock>, mode: Mode) -> chi_status {
        if record.holdings.enter_again(lock, mode) {
            return CHI_OK;
        }
        if !lock.core.try_enter(self.root_of(record), mode) {
            return CHI_BUSY;
        }
        record.holdings.enter(lock.clone(), mode);
        CHI_OK
    }

    #[cold]
    fn wait_for_lock(
        &self,
        record: &Record,
        lock: &Arc<Lock>,
        mode: Mode,
        timeout_ns: u64,
    ) -> chi_status {
        if timeout_ns == 0 {
            return CHI_TIMEOUT;
        }
        let until = (timeout_ns != CHI_WAIT_FOREVER)
            .then(|| Instant::now().checked_add(Duration::from_nanos(timeout_ns)))
            .flatten();
        let mut waiter = self.prepare_wait();
        let ticket = match lock.core.enter(self.root_of(record), mode, waiter) {
            Entry::Queued(ticket) => ticket,
            Entry::Inside => {
                self.forget_wait();
                return CHI_OK;
            }
            Entry::Closed => {
                self.forget_wait();
                return CHI_CANCELLED;
            }
        };
        let context = self.context();
        context.lock.set(Arc::as_ptr(lock));
        let status = loop {
            let late = until.is_some_and(|until| Instant::now() >= until);
            if late || self.must_give_up(record) {
                self.forget_wait();
                break match lock.core.give_up(ticket) {
                    None => CHI_OK,
                    Some(woken) => {
                        self.wake_all(woken);
                        if late {
                            CHI_TIMEOUT
                        } else {
                            CHI_CANCELLED
                        }
                    }
                };
            }
            if let Some(until) = until {
                self.set_timer(until, waiter);
            }
            context.bounded.set(until.is_some());
            self.wait(WaitsFor::Anyone);
            waiter = self.prepare_wait();
            match lock.core.stand(ticket, waiter) {
                Standing::Waiting => {}
                Standing::Inside => {
                    self.forget_wait();
                    break CHI_OK;
                }
                Standing::Closed => {
                    self.forget_wait();
                    lock.core.give_up(ticket);
                    break CHI_CANCELLED;
                }
            }
        };
        context.lock.set(std::ptr::null());
        status
    }

    /// Gives a lock back that the running task took.
    pub(crate) fn leave_lock(&self, record: &Record, lock: &Lock, mode: Mode) -> chi_status {
        match record.holdings.leave(lock, mode) {
            None => CHI_INVALID,
            Some(None) => CHI_OK,
            Some(Some(lock)) => {
                self.wake_all(lock.core.leave(self.root_of(record), mode));
                CHI_OK
            }
        }
    }

    /// Gives all locks back that a task has not, now that it has ended.
    #[cold]
    pub(crate) fn leave_locks(&self, record: &Record) {
        for Held { lock, times } in record.holdings.held.take() {
            if let Some(left_out) = self.shared.throttle.pass(Kind::LockLeft, record) {
                log_about!(
                    warn,
                    About::task(record),
                    lock = lock.number(),
                    left_out,
                    "the method ended with a lock that it took; it is released"
                );
            }
            for (times, mode) in [(times.shared, Mode::Shared), (times.exclusive, Mode::Exclusive)]
            {
                if times > 0 {
                    self.wake_all(lock.core.leave(self.root_of(record), mode));
                }
            }
        }
    }

    fn wake_all(&self, woken: Vec<Waiter>) {
        woken.into_iter().for_each(|waiter| self.wake_waiter(waiter));
    }
}

// The functions of `chi_host` --------------------------------------------------------------------------

pub(crate) unsafe extern "C" fn lock_new(_: *const chi_host) -> *mut chi_lock {
    let pool = worker::current().and_then(|worker| host::speaker(worker).pool);
    Arc::into_raw(Lock::new(pool.unwrap_or_default())).cast_mut().cast()
}

pub(crate) unsafe extern "C" fn lock_free(_: *const chi_host, lock: *mut chi_lock) {
    if lock.is_null() {
        return;
    }
    // SAFETY: what `lock_new` returned, freed once.
    let lock = unsafe { Arc::from_raw(lock.cast::<Lock>()) };
    let holders = lock.holders();
    if !holders.is_empty() {
        let (pool, lock, roots) = (&lock.pool, lock.number, holders.len());
        tracing::warn!(pool, lock, roots, "a lock is freed that tasks hold");
    }
    let woken = lock.core.close();
    match worker::current() {
        Some(worker) => worker.wake_all(woken),
        None => debug_assert!(woken.is_empty(), "no task waits for a lock that no worker frees"),
    }
}

/// Calls `f` for the running task, with the lock and the mode.
///
/// # Safety
/// `lock` must be what `lock_new` returned, and not freed.
unsafe fn with_lock(
    lock: *mut chi_lock,
    mode: u32,
    f: impl FnOnce(&Worker, &Record, &Arc<Lock>, Mode) -> chi_status,
) -> chi_status {
    let mode = match mode {
        CHI_LOCK_SHARED => Mode::Shared,
        CHI_LOCK_EXCLUSIVE => Mode::Exclusive,
        _ => return CHI_INVALID,
    };
    let worker = worker::current().filter(|worker| !lock.is_null() && worker.may_wait());
    let Some(worker) = worker else { return CHI_INVALID };
    // SAFETY: null, or the record of the task that runs on this fiber, which outlives the call.
    let Some(record) = (unsafe { worker.context().record.get().as_ref() }) else {
        return CHI_INVALID;
    };
    // SAFETY: by the caller's promise there is a reference that is the module's; this one is not
    // dropped.
    let lock = unsafe { ManuallyDrop::new(Arc::from_raw(lock.cast::<Lock>())) };
    f(worker, record, &lock, mode)
}

pub(crate) unsafe extern "C" fn lock(
    _: *const chi_host,
    lock: *mut chi_lock,
    mode: u32,
    timeout_ns: u64,
) -> chi_status {
    // SAFETY: the module's promise.
    unsafe {
        with_lock(lock, mode, |worker, record, lock, mode| {
            worker.take_lock(record, lock, mode, timeout_ns)
        })
    }
}

pub(crate) unsafe extern "C" fn try_lock(
    _: *const chi_host,
    lock: *mut chi_lock,
    mode: u32,
) -> chi_status {
    // SAFETY: the module's promise.
    unsafe { with_lock(lock, mode, Worker::try_lock) }
}

pub(crate) unsafe extern "C" fn unlock(
    _: *const chi_host,
    lock: *mut chi_lock,
    mode: u32,
) -> chi_status {
    // SAFETY: the module's promise.
    unsafe {
        with_lock(lock, mode, |worker, record, lock, mode| worker.leave_lock(record, lock, mode))
    }
}
