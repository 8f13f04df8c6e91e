//! Copies out of and into memory that another process may write to at the same time.

use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};

/// Copies `len` bytes from shared memory, word by word with relaxed atomic loads: each word is read
/// once, and what another process writes meanwhile gives old or new words, never undefined behaviour.
///
/// # Safety
/// `from` must be mapped and `to` writable and private for `len` bytes; both aligned to 8.
#[inline]
pub unsafe fn from_shared(from: *const u8, to: *mut u8, len: usize) {
    debug_assert!((from as usize).is_multiple_of(8) && (to as usize).is_multiple_of(8));
    for word in 0..len / 8 {
        // SAFETY: inside the caller's range, and aligned because both starts are.
        unsafe {
            let value = (*from.cast::<AtomicU64>().add(word)).load(Ordering::Relaxed);
            to.cast::<u64>().add(word).write(value);
        }
    }
    for byte in len / 8 * 8..len {
        // SAFETY: inside the caller's range.
        unsafe { to.add(byte).write((*from.add(byte).cast::<AtomicU8>()).load(Ordering::Relaxed)) }
    }
}

/// Copies `len` bytes from shared memory, byte by byte: for text, which lies at any address.
///
/// # Safety
/// `from` must be mapped and `to` writable and private for `len` bytes.
pub unsafe fn bytes_from_shared(from: *const u8, to: *mut u8, len: usize) {
    for byte in 0..len {
        // SAFETY: inside the caller's range.
        unsafe { to.add(byte).write((*from.add(byte).cast::<AtomicU8>()).load(Ordering::Relaxed)) }
    }
}

/// Copies `len` bytes into shared memory, word by word with relaxed atomic stores.
///
/// # Safety
/// `from` must be readable and private and `to` mapped and writable for `len` bytes; `to` aligned to 8.
#[inline]
pub unsafe fn to_shared(from: *const u8, to: *mut u8, len: usize) {
    debug_assert!((to as usize).is_multiple_of(8));
    for word in 0..len / 8 {
        // SAFETY: inside the caller's range, and aligned because both starts are.
        unsafe {
            let value = from.cast::<u64>().add(word).read_unaligned();
            (*to.cast::<AtomicU64>().add(word)).store(value, Ordering::Relaxed);
        }
    }
    for byte in len / 8 * 8..len {
        // SAFETY: inside the caller's range.
        unsafe {
            (*to.add(byte).cast::<AtomicU8>()).store(from.add(byte).read(), Ordering::Relaxed)
        }
    }
}
