//! Times that pass between processes. A deadline is a time of `CLOCK_MONOTONIC`, which each time
//! namespace may count from somewhere else; `CLOCK_REALTIME` is the same for all.

/// Offsets below are noise: nobody makes a time namespace for a millisecond.
const NOISE_NS: u64 = 1_000_000;

/// What `CLOCK_MONOTONIC` says, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC) as u64
}

/// How far `CLOCK_REALTIME` is ahead of this process's `CLOCK_MONOTONIC`, in nanoseconds. It
/// changes only when somebody sets the time.
pub fn ahead_ns() -> i64 {
    let sample = |_| {
        let before = read(libc::CLOCK_MONOTONIC);
        let real = read(libc::CLOCK_REALTIME);
        let after = read(libc::CLOCK_MONOTONIC);
        (after - before, real - before.midpoint(after))
    };
    // A thread may be interrupted in the midst of a sample.
    let best = (0..5).map(sample).min_by_key(|(took, _)| *took);
    best.expect("there are some").1
}

/// What is to be added to a monotonic time of one process so that it is one of another's, by what
/// [`ahead_ns`] says in both.
pub fn offset_ns(own: i64, others: i64) -> i64 {
    let offset = own.wrapping_sub(others);
    if offset.unsigned_abs() < NOISE_NS {
        0
    } else {
        offset
    }
}

/// By the C library: under valgrind, `rustix` falls over the kernel's page of functions, which is
/// not mapped.
fn read(clock: libc::clockid_t) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place lives through the call, which fails for no clock that every kernel has.
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
        // Both read 1000 s of real time; one has counted 10 s and the other 4000 s.
        let second = 1_000_000_000;
        let (own, others) = (990 * second, -3000 * second);
        assert_eq!(10 * second + offset_ns(own, others), 4000 * second);
        assert_eq!(4000 * second + offset_ns(others, own), 10 * second);
    }
}
