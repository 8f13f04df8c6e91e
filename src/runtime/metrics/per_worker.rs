//! One value for each worker, once any of them needs its own.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::Arc;

use once_cell::race::OnceBox;

use super::worker::OwnMetrics;

/// One value for each worker of a runtime. Clones have the same values.
pub(super) struct PerWorker<T> {
    /// Null, or the first of those in `all`: workers come here with every task.
    first: AtomicPtr<T>,
    count: AtomicUsize,
    all: Arc<OnceBox<Box<[T]>>>,
}

impl<T> Default for PerWorker<T> {
    fn default() -> PerWorker<T> {
        PerWorker::of_all(Arc::default())
    }
}

impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> PerWorker<T> {
        PerWorker::of_all(self.all.clone())
    }
}

impl<T> PerWorker<T> {
    fn of_all(all: Arc<OnceBox<Box<[T]>>>) -> PerWorker<T> {
        PerWorker { first: AtomicPtr::new(ptr::null_mut()), count: AtomicUsize::new(0), all }
    }
}

impl<T: Default> PerWorker<T> {
    /// That of a worker.
    #[inline(always)]
    pub(super) fn of(&self, own: OwnMetrics<'_>) -> &T {
        let first = self.first.load(Ordering::Acquire);
        if first.is_null() || own.worker >= self.count.load(Ordering::Relaxed) {
            return self.begin(own);
        }
        // SAFETY: `begin` set both to those of the values, of which there are `count`, and which live as long as
        // `self`.
        unsafe { &*first.add(own.worker) }
    }

    #[cold]
    fn begin(&self, own: OwnMetrics<'_>) -> &T {
        let make = || Box::new((0..own.workers()).map(|_| T::default()).collect::<Box<[T]>>());
        let all = self.all.get_or_init(make);
        self.count.store(all.len(), Ordering::Relaxed);
        self.first.store(all.as_ptr().cast_mut(), Ordering::Release);
        &all[own.worker]
    }

    /// Those of all workers; none if no worker has needed its own yet.
    pub(super) fn all(&self) -> &[T] {
        self.all.get().map_or(&[], |all| all)
    }
}
