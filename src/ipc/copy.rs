//! Copies out of and into memory that another process may write to at the same time.

use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};

/// Copies `len` bytes from shared memory, word by word with relaxed atomic loads. Each word is read
/// once; if another process writes meanwhile, the copy has old or new words, and there is no
/// undefined behaviour.
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

/// Copies `len` bytes into shared memory, word by word with relaxed atomic stores.
///
/// # Safety
/// `from` must be readable and private and `to` mapped and writable for `len` bytes; `to` aligned
/// to 8.
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

/// From how many bytes on the processor's own instruction for copies is faster than a loop.
const MANY: usize = 1024;

/// Copies many bytes, if the machine has an instruction for that. What it does to memory that another process writes
/// meanwhile is defined by the machine: the copy has old or new bytes.
///
/// # Safety
/// `from` must be mapped, and `to` mapped and writable, for `len` bytes, and they must not overlap.
#[inline]
unsafe fn copy_many(from: *const u8, to: *mut u8, len: usize) -> bool {
    if len < MANY {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    if !std::is_x86_feature_detected!("ermsb") {
        // It would copy byte by byte.
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: by the caller's promise. The direction flag is clear, as everywhere in Rust.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rsi") from => _,
            inout("rdi") to => _,
            inout("rcx") len => _,
            options(nostack, preserves_flags)
        );
        true
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (from, to);
        false
    }
}

/// Copies `len` bytes from shared memory at any address, with relaxed atomic loads as
/// [`from_shared`] does.
///
/// # Safety
/// `from` must be mapped and `to` writable and private for `len` bytes.
pub unsafe fn bytes_from_shared(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: by the caller's promise; private memory and shared memory do not overlap.
    if unsafe { copy_many(from, to, len) } {
        return;
    }
    let head = from.align_offset(8).min(len);
    let words = (len - head) / 8;
    for byte in (0..head).chain(head + words * 8..len) {
        // SAFETY: inside the caller's range.
        unsafe { to.add(byte).write((*from.add(byte).cast::<AtomicU8>()).load(Ordering::Relaxed)) }
    }
    for word in 0..words {
        // SAFETY: inside the caller's range, and aligned after the head.
        unsafe {
            let value = (*from.add(head).cast::<AtomicU64>().add(word)).load(Ordering::Relaxed);
            to.add(head).cast::<u64>().add(word).write_unaligned(value);
        }
    }
}

/// Copies `len` bytes from shared memory to other shared memory, both at any address, with relaxed
/// atomic loads and stores.
///
/// # Safety
/// `from` must be mapped, and `to` mapped and writable, for `len` bytes.
pub unsafe fn between_shared(from: *const u8, to: *mut u8, len: usize) {
    let apart = from.addr().abs_diff(to.addr()) >= len;
    // SAFETY: by the caller's promise, and they do not overlap.
    if apart && unsafe { copy_many(from, to, len) } {
        return;
    }
    let words = match (from as usize | to as usize).is_multiple_of(8) {
        true => len / 8,
        false => 0,
    };
    for word in 0..words {
        // SAFETY: inside the caller's ranges, and aligned, as both starts are.
        unsafe {
            let value = (*from.cast::<AtomicU64>().add(word)).load(Ordering::Relaxed);
            (*to.cast::<AtomicU64>().add(word)).store(value, Ordering::Relaxed);
        }
    }
    for byte in words * 8..len {
        // SAFETY: inside the caller's ranges.
        unsafe {
            let value = (*from.add(byte).cast::<AtomicU8>()).load(Ordering::Relaxed);
            (*to.add(byte).cast::<AtomicU8>()).store(value, Ordering::Relaxed);
        }
    }
}

/// A private copy of `len` bytes of shared memory at any address.
///
/// # Safety
/// `from` must be mapped for `len` bytes.
pub unsafe fn vec_from_shared(from: *const u8, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    // SAFETY: guaranteed by the caller; the vector has capacity for `len` bytes, which are then
    // initialised.
    unsafe {
        bytes_from_shared(from, bytes.as_mut_ptr(), len);
        bytes.set_len(len);
    }
    bytes
}

/// Copies bytes to shared memory at any address, with relaxed atomic stores as [`to_shared`] does.
///
/// # Safety
/// `to` must be mapped and writable for `bytes.len()` bytes.
pub unsafe fn bytes_to_shared(bytes: &[u8], to: *mut u8) {
    // SAFETY: by the caller's promise; private memory and shared memory do not overlap.
    if unsafe { copy_many(bytes.as_ptr(), to, bytes.len()) } {
        return;
    }
    let head = to.align_offset(8).min(bytes.len());
    let words = (bytes.len() - head) / 8;
    let tail = head + words * 8;
    for at in (0..head).chain(tail..bytes.len()) {
        // SAFETY: inside the caller's range.
        unsafe { (*to.add(at).cast::<AtomicU8>()).store(bytes[at], Ordering::Relaxed) }
    }
    for (word, value) in bytes[head..tail].chunks_exact(8).enumerate() {
        let value = u64::from_ne_bytes(value.try_into().expect("a chunk has eight bytes"));
        // SAFETY: inside the caller's range, and aligned after the head.
        unsafe { (*to.add(head).cast::<AtomicU64>().add(word)).store(value, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_bytes_come_back() {
        let bytes: Vec<u8> = (0..3 * MANY).map(|at| at as u8 ^ (at >> 8) as u8).collect();
        for (start, len) in [(0, MANY), (1, MANY + 1), (7, 2 * MANY - 3)] {
            let memory = [const { AtomicU64::new(0) }; MANY / 2];
            let other = [const { AtomicU64::new(0) }; MANY / 2];
            let base = memory.as_ptr().cast_mut().cast::<u8>();
            let other_base = other.as_ptr().cast_mut().cast::<u8>();
            // SAFETY: both have `4 * MANY` bytes, and are only accessed so.
            let back = unsafe {
                bytes_to_shared(&bytes[..len], base.add(start));
                between_shared(base.add(start), other_base.add(3), len);
                vec_from_shared(other_base.add(3), len)
            };
            assert_eq!(back, bytes[..len]);
        }
    }

    #[test]
    fn bytes_of_every_length_at_every_address_come_back() {
        let memory = [const { AtomicU64::new(0) }; 8];
        let base = memory.as_ptr().cast_mut().cast::<u8>();
        for start in 0..9 {
            for len in 0..40 {
                let bytes: Vec<u8> = (1..=len as u8).collect();
                // SAFETY: the memory has 64 bytes, and is only accessed atomically.
                let back = unsafe {
                    bytes_to_shared(&bytes, base.add(start));
                    vec_from_shared(base.add(start), len)
                };
                assert_eq!(back, bytes, "{len} bytes at {start}");
                // SAFETY: as above.
                let around = unsafe { vec_from_shared(base, 64) };
                let outside = around[..start].iter().chain(&around[start + len..]);
                assert!(outside.copied().all(|byte| byte == 0), "{len} bytes at {start}");
                let other = [const { AtomicU64::new(0) }; 8];
                let other_base = other.as_ptr().cast_mut().cast::<u8>();
                for shift in 0..9 {
                    // SAFETY: both have 64 bytes, and are only accessed atomically.
                    let back = unsafe {
                        between_shared(base.add(start), other_base.add(shift), len);
                        vec_from_shared(other_base.add(shift), len)
                    };
                    assert_eq!(back, bytes, "{len} bytes from {start} to {shift}");
                }
                // SAFETY: as above.
                unsafe { bytes_to_shared(&[0; 64], base) };
            }
        }
    }
}
