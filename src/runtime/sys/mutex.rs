//! Mutexes of the runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex; nothing that is done under the runtime's locks panics halfway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
