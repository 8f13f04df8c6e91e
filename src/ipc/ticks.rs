//! A clock that is read in a few nanoseconds, without a system call or the vDSO: the processor's own
//! counter, where it runs at one speed on all cores.

use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const COUNTER: u8 = 1;
const SYSTEM: u8 = 2;

static SOURCE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The time in ticks, since some moment and of some length that are the same in all processes of the
/// machine for which [`are_cheap`] is true. May be called on any thread, and in signal handlers.
///
/// Two threads that read it in turn may see it go backwards by a few ticks.
#[inline]
pub fn now() -> u64 {
    match SOURCE.load(Ordering::Relaxed) {
        COUNTER => counter(),
        _ => other(),
    }
}

#[cold]
fn other() -> u64 {
    match are_cheap() {
        true => counter(),
        false => crate::clock::monotonic_ns(),
    }
}

/// Whether ticks are those of the processor's counter. Otherwise they are nanoseconds of
/// `CLOCK_MONOTONIC`, which other processes may count from another moment.
#[inline]
pub fn are_cheap() -> bool {
    match SOURCE.load(Ordering::Relaxed) {
        UNKNOWN => find_source(),
        source => source == COUNTER,
    }
}

#[cold]
fn find_source() -> bool {
    let steady = has_steady_counter();
    SOURCE.store(if steady { COUNTER } else { SYSTEM }, Ordering::Relaxed);
    steady
}

/// Bit 8 of EDX of leaf 0x8000_0007 says that the time-stamp counter is invariant: see the Intel 64 and
/// IA-32 Architectures Software Developer's Manual, volume 3, section 19.17.1.
#[cfg(target_arch = "x86_64")]
fn has_steady_counter() -> bool {
    use std::arch::x86_64::__cpuid;
    const ADVANCED_POWER: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= ADVANCED_POWER && __cpuid(ADVANCED_POWER).edx & 1 << 8 != 0
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: all processors of this architecture have the instruction, and Linux lets programs use it unless
    // they ask for the opposite.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "aarch64")]
fn has_steady_counter() -> bool {
    true
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn counter() -> u64 {
    let ticks;
    // SAFETY: reads the virtual counter, which Linux lets programs read, and touches no memory.
    unsafe {
        std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
    };
    ticks
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_steady_counter() -> bool {
    false
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter() -> u64 {
    crate::clock::monotonic_ns()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn ticks_pass_as_time_does() {
        let take = || {
            let (begin, ticks) = (Instant::now(), now());
            std::thread::sleep(Duration::from_millis(20));
            (now() - ticks) as f64 / begin.elapsed().as_nanos() as f64
        };
        // The thread may be preempted between the two clocks.
        let close = (0..20).any(|_| (take() / take() - 1.0).abs() < 0.01);
        assert!(close);
    }
}
