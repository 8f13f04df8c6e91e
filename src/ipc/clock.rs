//! Times that are passed between processes. A deadline is a time of `CLOCK_MONOTONIC`, which may
//! have another offset in each time namespace; `CLOCK_REALTIME` is the same in all.

/// Smaller offsets are noise: nobody creates a time namespace for a millisecond.
const NOISE_NS: u64 = 1_000_000;

/// The time of `CLOCK_MONOTONIC`, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC) as u64
}

/// The processor time that this process has taken, in nanoseconds.
pub fn cpu_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID) as u64
}

/// How far `CLOCK_REALTIME` is ahead of this process's `CLOCK_MONOTONIC`, in nanoseconds. It
/// changes only when the system time is set.
pub fn ahead_ns() -> i64 {
    let sample = |_| {
        let before = read(libc::CLOCK_MONOTONIC);
        let real = read(libc::CLOCK_REALTIME);
        let after = read(libc::CLOCK_MONOTONIC);
        (after - before, real - before.midpoint(after))
    };
    // The thread may be preempted in the middle of a sample.
    let best = (0..5).map(sample).min_by_key(|(took, _)| *took);
    best.expect("there are some").1
}

/// The number to add to a monotonic time of one process to get that of another, from what
/// [`ahead_ns`] returns in both.
pub fn offset_ns(own: i64, others: i64) -> i64 {
    let offset = own.wrapping_sub(others);
    if offset.unsigned_abs() < NOISE_NS {
        0
    } else {
        offset
    }
}

/// Uses the C library: under valgrind the vDSO is not mapped, and `rustix` crashes.
fn read(clock: libc::clockid_t) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer outlives the call, which cannot fail for a clock that every kernel has.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_clock_has_no_offset() {
        assert_eq!(offset_ns(ahead_ns(), ahead_ns()), 0);
    }

    #[test]
    fn an_offset_leads_to_the_others_time() {
        // Both see 1000 s of real time; their monotonic clocks show 10 s and 4000 s.
        let second = 1_000_000_000;
        let (own, others) = (990 * second, -3000 * second);
        assert_eq!(10 * second + offset_ns(own, others), 4000 * second);
        assert_eq!(4000 * second + offset_ns(others, own), 10 * second);
    }
}
