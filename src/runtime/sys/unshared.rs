//! Descriptors that a forked child must not keep: while it lived, an instance whose process has
//! ended would look as if it were running, and its clients would not learn of the end. A program
//! that is executed does not get them anyway, so this matters for children that execute none.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Once;

/// Descriptors with higher numbers are kept. The limit on open descriptors is seldom higher.
const MOST: usize = 1 << 16;

/// A bit for each descriptor. The handler runs in a child in which no other thread exists, so it
/// may take no lock that one of them might have held.
static UNSHARED: [AtomicU64; MOST / 64] = [const { AtomicU64::new(0) }; MOST / 64];

fn bit(descriptor: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(descriptor).ok()?;
    Some((UNSHARED.get(number / 64)?, 1 << (number % 64)))
}

/// A descriptor that is closed in every forked child, as soon as the child exists.
pub(crate) struct Unshared(OwnedFd);

impl Unshared {
    pub(crate) fn new(descriptor: OwnedFd) -> Unshared {
        static ONCE: Once = Once::new();
        // SAFETY: the handler does only what a child of a process with several threads may. A
        // failure means that there is no memory; children then keep the descriptors.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(close_all));
        });
        if let Some((word, bit)) = bit(descriptor.as_raw_fd()) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Unshared(descriptor)
    }

    /// The descriptor, which children keep from now on.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.forget();
        let own = ManuallyDrop::new(self);
        // SAFETY: `own` is never used or dropped again.
        unsafe { std::ptr::read(&own.0) }
    }

    /// The number may soon be that of another file.
    fn forget(&self) {
        if let Some((word, bit)) = bit(self.0.as_raw_fd()) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

impl Drop for Unshared {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Deref for Unshared {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.0
    }
}

impl AsFd for Unshared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

unsafe extern "C" fn close_all() {
    for (index, word) in UNSHARED.iter().enumerate() {
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            let number = index * 64 + bits.trailing_zeros() as usize;
            // SAFETY: in the child, whose only thread is here, nothing uses the descriptor.
            unsafe { libc::close(number as RawFd) };
            bits &= bits - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a descriptor is open in a forked child.
    fn is_open_in_child(descriptor: &OwnedFd) -> bool {
        let number = descriptor.as_raw_fd();
        // SAFETY: the child only makes system calls.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(libc::fcntl(number, libc::F_GETFD) >= 0));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            libc::WEXITSTATUS(status) == 1
        }
    }

    #[test]
    fn a_child_does_not_keep_it() {
        let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let (own, other) = (Unshared::new(open()), open());
        assert!(!is_open_in_child(&own) && is_open_in_child(&other));
        let shared = own.into_inner();
        assert!(is_open_in_child(&shared));
    }
}
