//! A fence that costs the frequent side nothing.
//!
//! Two threads each write a word and then read the other's; at least one must see the other's
//! write. A full fence on both sides ensures that, but here one side runs for every task and the
//! other hardly ever. So the rare side has the kernel run a fence on all threads of the process
//! (the membarrier system call), and the frequent side only keeps the compiler from reordering.
//! Where the kernel does not support that call, and in loom's models, which cannot make it, both
//! sides use a full fence.

#[cfg(all(loom, test))]
use loom::sync::atomic::fence;
#[cfg(not(all(loom, test)))]
use std::sync::atomic::fence;
use std::sync::atomic::{compiler_fence, AtomicBool, Ordering};
use std::sync::Once;

static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call takes two numbers and writes nothing.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0_u32, 0) == 0 }
}

/// Registers the process with the kernel, once. Must be called before any thread uses the fences.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let registered = membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        ASYMMETRIC.store(registered, Ordering::SeqCst);
    });
}

/// The fence of the frequent side, between its write and its read.
#[inline]
pub(crate) fn light() {
    if ASYMMETRIC.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The fence of the rare side, between its write and its read. False if it did not take place,
/// because the kernel had no memory for it.
#[must_use]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    !ASYMMETRIC.load(Ordering::Relaxed) || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}
