//! Locks that suspend the task that waits for them, and what a task holds of them.
//!
//! A lock is held by a root, with all tasks that it led to. A task of a client is a root of its own,
//! whatever number it has in its `task_node_`: that is the client's to write, and must not let it into
//! what another task holds. Tasks that methods make belong to their maker's root.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::lock_core::{Core, Inside, Mode};
use super::waiter::Waiter;

/// A lock, as modules hold it behind `chi_lock`.
pub(crate) struct Lock {
    pub(crate) core: Core<Waiter>,
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

    /// The name of the pool for whose container it was made; empty when that is not known.
    pub(crate) fn pool(&self) -> &str {
        &self.pool
    }
}

/// What a task has of one lock.
pub(crate) struct Held {
    pub(crate) lock: Arc<Lock>,
    /// How often it entered.
    pub(crate) times: Inside,
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

    /// The number of the task's root; 0 while nobody has asked for it.
    #[inline]
    pub(crate) fn root(&self) -> u64 {
        self.root.get()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }

    /// The numbers of the locks that the task has.
    pub(crate) fn locks(&self) -> impl Iterator<Item = u64> {
        self.held.borrow().iter().map(|held| held.lock.number()).collect::<Vec<_>>().into_iter()
    }

    /// Takes away all that the task has.
    pub(crate) fn take(&self) -> Vec<Held> {
        self.held.take()
    }

    /// Counts the task in once more. False when it is not inside in this mode.
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

    /// Counts the task in, which has just entered.
    pub(crate) fn enter(&self, lock: Arc<Lock>, mode: Mode) {
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
