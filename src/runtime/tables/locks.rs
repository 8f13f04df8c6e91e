//! Taking and releasing locks. A task that waits for a lock is suspended, never its worker.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;

use super::host;
use crate::coroutine::WaitsFor;
use crate::log::{log_anyway, LineKind};
use crate::scheduler::{with_current, Worker};
use crate::sync::{Entry, Lock, Mode, Standing};
use crate::task::Record;

/// Takes a lock for the running task, which waits if necessary.
fn take_lock(
    worker: &Worker,
    record: &Record,
    lock: &Arc<Lock>,
    mode: Mode,
    timeout_ns: u64,
) -> chi_status {
    if record.holdings.enter_again(lock, mode) {
        return CHI_OK;
    }
    // A separate reference, because the module may free the lock while the task waits.
    let lock = lock.clone();
    if !lock.core.try_enter(worker.root_of(record), mode) {
        let status = wait_for_lock(worker, record, &lock, mode, timeout_ns);
        if status != CHI_OK {
            return status;
        }
    }
    record.holdings.enter(lock, mode);
    CHI_OK
}

/// Takes a lock for the running task if no wait is necessary.
fn try_enter(worker: &Worker, record: &Record, lock: &Arc<Lock>, mode: Mode) -> chi_status {
    if record.holdings.enter_again(lock, mode) {
        return CHI_OK;
    }
    if !lock.core.try_enter(worker.root_of(record), mode) {
        return CHI_BUSY;
    }
    record.holdings.enter(lock.clone(), mode);
    CHI_OK
}

#[cold]
fn wait_for_lock(
    worker: &Worker,
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
    let mut waiter = worker.prepare_wait();
    let ticket = match lock.core.enter(worker.root_of(record), mode, waiter) {
        Entry::Queued(ticket) => ticket,
        Entry::Inside => {
            worker.forget_wait();
            return CHI_OK;
        }
        Entry::Closed => {
            worker.forget_wait();
            return CHI_CANCELLED;
        }
    };
    loop {
        let late = until.is_some_and(|until| Instant::now() >= until);
        if late || worker.must_give_up(record) {
            worker.forget_wait();
            break match lock.core.give_up(ticket) {
                None => CHI_OK,
                Some(woken) => {
                    worker.wake_all(woken);
                    if late {
                        CHI_TIMEOUT
                    } else {
                        CHI_CANCELLED
                    }
                }
            };
        }
        if let Some(until) = until {
            worker.set_timer(until);
        }
        worker.context().bounded.set(until.is_some());
        worker.suspend(WaitsFor::Lock(Arc::as_ptr(lock)));
        waiter = worker.prepare_wait();
        match lock.core.stand(ticket, waiter) {
            Standing::Waiting => {}
            Standing::Inside => {
                worker.forget_wait();
                break CHI_OK;
            }
            Standing::Closed => {
                worker.forget_wait();
                lock.core.give_up(ticket);
                break CHI_CANCELLED;
            }
        }
    }
}

/// Releases a lock that the running task holds.
fn leave_lock(worker: &Worker, record: &Record, lock: &Lock, mode: Mode) -> chi_status {
    match record.holdings.leave(lock, mode) {
        None => CHI_INVALID,
        Some(None) => CHI_OK,
        Some(Some(lock)) => {
            worker.wake_all(lock.core.leave(worker.root_of(record), mode));
            CHI_OK
        }
    }
}

// The functions of `chi_host` --------------------------------------------------------------------------

pub(super) unsafe extern "C" fn lock_new(_: *const chi_host) -> *mut chi_lock {
    let lock = with_current(|worker| {
        let pool = worker.and_then(|worker| host::speaker(worker).pool);
        Lock::new(pool.unwrap_or_default())
    });
    Arc::into_raw(lock).cast_mut().cast()
}

pub(super) unsafe extern "C" fn lock_free(_: *const chi_host, lock: *mut chi_lock) {
    if lock.is_null() {
        return;
    }
    // SAFETY: the module passes what `lock_new` returned, and frees it once.
    let lock = unsafe { Arc::from_raw(lock.cast::<Lock>()) };
    let roots = lock.core.inside().len();
    if roots > 0 {
        let (pool, lock) = (lock.pool().to_owned(), lock.number());
        let pass = with_current(|worker| {
            worker.map_or(Some(None), |worker| {
                worker.shared.rate_limit.pass(LineKind::LockFreed, host::speaks_for(worker))
            })
        });
        if let Some(left_out) = pass {
            log_anyway(move || {
                tracing::warn!(pool, lock, roots, left_out, "a lock was freed while tasks held it");
            });
        }
    }
    let woken = lock.core.close();
    with_current(|worker| match worker {
        Some(worker) => worker.wake_all(woken),
        None => debug_assert!(
            woken.is_empty(),
            "tasks wait only on workers, and a worker frees a lock that has waiters"
        ),
    });
}

/// Calls `f` with the running task, the lock and the mode.
///
/// # Safety
/// `lock` must be null, or have been returned by `lock_new` and not yet freed.
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
    with_current(|worker| {
        let worker = worker.filter(|worker| !lock.is_null() && worker.may_wait());
        let Some((worker, record)) = worker.and_then(|worker| Some((worker, worker.running()?)))
        else {
            return CHI_INVALID;
        };
        // SAFETY: by the caller's promise the module's own reference exists; `ManuallyDrop` leaves
        // it in place.
        let lock = unsafe { ManuallyDrop::new(Arc::from_raw(lock.cast::<Lock>())) };
        f(worker, record, &lock, mode)
    })
}

pub(super) unsafe extern "C" fn lock(
    _: *const chi_host,
    lock: *mut chi_lock,
    mode: u32,
    timeout_ns: u64,
) -> chi_status {
    // SAFETY: by the contract, the lock is null, or was returned by `lock_new` and is not freed
    // yet.
    unsafe {
        with_lock(lock, mode, |worker, record, lock, mode| {
            take_lock(worker, record, lock, mode, timeout_ns)
        })
    }
}

pub(super) unsafe extern "C" fn try_lock(
    _: *const chi_host,
    lock: *mut chi_lock,
    mode: u32,
) -> chi_status {
    // SAFETY: by the contract, the lock is null, or was returned by `lock_new` and is not freed
    // yet.
    unsafe { with_lock(lock, mode, try_enter) }
}

pub(super) unsafe extern "C" fn unlock(
    _: *const chi_host,
    lock: *mut chi_lock,
    mode: u32,
) -> chi_status {
    // SAFETY: by the contract, the lock is null, or was returned by `lock_new` and is not freed
    // yet.
    unsafe {
        with_lock(lock, mode, |worker, record, lock, mode| leave_lock(worker, record, lock, mode))
    }
}
