//! Memory to which no thread can write for a short time: a thread that tries to faults, waits in the
//! handler of the fault, and then tries again.

use std::fs;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once};
use std::time::Duration;

use chimaera_ipc::clock::monotonic_ns;

use super::fault::Fault;
use super::{lock, signal, thread};

/// For how long after the end of a freeze a fault may be the consequence of it: the thread may have
/// been kept from running since.
const GRACE_NS: u64 = 5_000_000_000;
const FROZEN: u64 = u64::MAX;
/// How long the creation of a thread may take.
const CREATION_BOUND_NS: u64 = 1_000_000_000;

/// `FROZEN`, or the time until which faults may be the consequence of an earlier freeze.
static UNTIL: AtomicU64 = AtomicU64::new(0);
/// The thread that has frozen memory.
static FREEZER: AtomicI32 = AtomicI32::new(0);

/// Ranges that cannot be written until it is dropped.
pub(crate) struct Frozen<'a> {
    /// Each with its protection.
    ranges: &'a [(Range<usize>, libc::c_int)],
    _one_at_a_time: MutexGuard<'static, ()>,
}

impl Frozen<'_> {
    /// Freezes mapped ranges, each of which has the protection that is given with it. System calls
    /// of other threads that write there fail with EFAULT.
    ///
    /// # Safety
    /// The protections must be the current ones, nobody else may change them, and this thread must
    /// not write there.
    pub(crate) unsafe fn new(ranges: &[(Range<usize>, libc::c_int)]) -> io::Result<Frozen<'_>> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let one = lock(&ONE_AT_A_TIME);
        install();
        if !ranges.is_empty() {
            FREEZER.store(thread::number(), Ordering::Relaxed);
            UNTIL.store(FROZEN, Ordering::Release);
        }
        let frozen = Frozen { ranges, _one_at_a_time: one };
        for (range, protection) in ranges {
            // SAFETY: by the caller's promise; other threads wait until it can be written again.
            unsafe { protect(range, protection & !libc::PROT_WRITE)? };
        }
        Ok(frozen)
    }

    /// Whether a thread of this process can wait for the end of a freeze: not if it blocks the
    /// signal, for then the fault ends the process. True if the thread has ended.
    pub(crate) fn is_survived_by(thread: i32) -> bool {
        /// A signal that the C library keeps for itself: no program can block it.
        const INTERNAL: u64 = 1 << (33 - 1);
        let until = monotonic_ns() + CREATION_BOUND_NS;
        loop {
            let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
            let Ok(status) = status else { return true };
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            let Some(blocked) = blocked else { return false };
            // The C library blocks all signals until a new thread is set up.
            if blocked & INTERNAL == 0 || monotonic_ns() >= until {
                return blocked & 1 << (libc::SIGSEGV - 1) == 0;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if self.ranges.is_empty() {
            return;
        }
        for (range, protection) in self.ranges {
            // Not an error for a range that has been mapped anew meanwhile, with this protection.
            // SAFETY: the range had this protection before.
            let thawed = unsafe { protect(range, *protection) };
            debug_assert!(thawed.is_ok(), "{thawed:?}");
        }
        UNTIL.store(monotonic_ns() + GRACE_NS, Ordering::Release);
    }
}

/// # Safety
/// As for `mprotect`: whatever uses the range must tolerate the protection.
unsafe fn protect(range: &Range<usize>, protection: libc::c_int) -> io::Result<()> {
    let at = range.start as *mut libc::c_void;
    // SAFETY: by the caller's promise.
    match unsafe { libc::mprotect(at, range.len(), protection) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Installs the handler, once per process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| signal::handle(libc::SIGSEGV, wait));
}

/// Waits if the fault may be the consequence of a freeze.
unsafe fn wait(fault: &mut Fault) -> bool {
    if !fault.is_denied() || FREEZER.load(Ordering::Relaxed) == thread::number() {
        return false;
    }
    loop {
        let until = UNTIL.load(Ordering::Acquire);
        if until != FROZEN && monotonic_ns() >= until {
            return false;
        }
        let time = libc::timespec { tv_sec: 0, tv_nsec: 100_000 };
        // SAFETY: the time lives through the call.
        unsafe { libc::nanosleep(&time, std::ptr::null_mut()) };
        if until != FROZEN {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicPtr};

    use super::*;

    /// A page that can be written.
    fn page() -> Range<usize> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses free addresses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        at as usize..at as usize + 4096
    }

    #[test]
    fn a_thread_that_writes_to_frozen_memory_waits() {
        let range = page();
        let word = AtomicPtr::new(range.start as *mut u64);
        let is_over = AtomicBool::new(false);
        // SAFETY: mapped, and never unmapped.
        let word = || unsafe { AtomicU64::from_ptr(word.load(Ordering::Relaxed)) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    word().fetch_add(1, Ordering::Relaxed);
                }
            });
            while word().load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            for _ in 0..100 {
                let ranges = [(range.clone(), libc::PROT_READ | libc::PROT_WRITE)];
                // SAFETY: the page was mapped with this protection.
                let frozen = unsafe { Frozen::new(&ranges).unwrap() };
                let before = word().load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(300));
                assert_eq!(word().load(Ordering::Relaxed), before);
                drop(frozen);
                while word().load(Ordering::Relaxed) == before {
                    std::thread::yield_now();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
