//! A number that one thread writes, and others read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only one thread writes.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Adds to it. Only for the thread that writes it: no other one's addition is kept.
    #[inline(always)]
    pub(super) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// Replaces it. Only for the thread that writes it.
    #[inline(always)]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[inline(always)]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
