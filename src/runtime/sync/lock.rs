//! Locks that suspend the tasks that wait for them, and the record of which locks a task holds.
//!
//! A lock is held by a root task together with all tasks that descend from it. Each client's task
//! is a root of its own, whatever number is in its `task_node_`: the client can write there, and
//! must not enter a lock that another task holds. Tasks that methods create belong to the root
//! of their creator.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::lock_core::{Core, Inside, Mode};
use super::waiter::Waiter;

/// A lock, to which a module's `chi_lock` pointer refers.
pub(crate) struct Lock {
    pub(crate) core: Core<Waiter>,
    /// Identifies the lock in the log.
    number: u64,
    /// The name of the pool for whose container the lock was created; empty if unknown.
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

    /// The lock's number, unique in the process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The name of the pool for whose container the lock was created; empty if unknown.
    pub(crate) fn pool(&self) -> &str {
        &self.pool
    }
}

/// A task's hold on one lock.
pub(crate) struct Held {
    pub(crate) lock: Arc<Lock>,
    /// How many times the task has entered.
    pub(crate) times: Inside,
}

/// The locks that a task holds, and the root on whose behalf it holds them.
#[derive(Default)]
pub(crate) struct Holdings {
    /// The number of the task's root, unique in the runtime; 0 until one is needed.
    root: Cell<u64>,
    held: RefCell<Vec<Held>>,
}

impl Holdings {
    /// Sets the task's root; 0 if it has none yet.
    #[inline]
    pub(crate) fn renew(&self, root: u64) {
        self.root.set(root);
    }

    /// The number of the task's root; 0 if it has none yet.
    #[inline]
    pub(crate) fn root(&self) -> u64 {
        self.root.get()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }

    /// The numbers of the locks that the task holds.
    pub(crate) fn locks(&self) -> impl Iterator<Item = u64> {
        self.held.borrow().iter().map(|held| held.lock.number()).collect::<Vec<_>>().into_iter()
    }

    /// Takes all locks that the task holds.
    pub(crate) fn take(&self) -> Vec<Held> {
        self.held.take()
    }

    /// Counts a nested entry. False if the task is not inside in this mode.
    pub(crate) fn enter_again(&self, lock: &Lock, mode: Mode) -> bool {
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

    /// Records that the task has entered the lock.
    pub(crate) fn enter(&self, lock: Arc<Lock>, mode: Mode) {
        let mut held = self.held.borrow_mut();
        let index = held.iter().position(|held| Arc::ptr_eq(&held.lock, &lock));
        let index = index.unwrap_or_else(|| {
            held.push(Held { lock, times: Inside::default() });
            held.len() - 1
        });
        *held[index].times.of(mode) += 1;
    }

    /// Records that the task has left once. `None` if it is not inside in this mode; the lock, if
    /// the task has now left as often as it had entered.
    pub(crate) fn leave(&self, lock: &Lock, mode: Mode) -> Option<Option<Arc<Lock>>> {
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
