//! Sleeping on a word of shared memory.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::futex;

/// Sleeps while `word` is `expected`, at most `timeout`. May return early.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let timeout = futex::Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()) as _,
    };
    // Every outcome (woken, changed, timed out, interrupted) means the same to the caller, which
    // checks the word again.
    let _ = futex::wait(word, futex::Flags::empty(), expected, Some(&timeout));
}

/// Wakes every thread in any process that sleeps on `word`.
pub fn wake_all(word: &AtomicU32) {
    // This fails only for an address that is no longer mapped, on which no thread can sleep.
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}
