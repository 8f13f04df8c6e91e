//! Signals that a thread waits for.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use rustix::event::{eventfd, EventfdFlags};
use rustix::io::Errno;

/// Signals that arrive after this was created. The handler announces each without allocating, so
/// none is lost when the system is out of memory.
pub(crate) struct Arrivals {
    /// Each signal, with the number of arrivals not returned yet.
    pending: Vec<(i32, Arc<AtomicU32>)>,
    bell: Arc<OwnedFd>,
}

impl Arrivals {
    /// Handles these signals from now on.
    pub(crate) fn of(signals: &[i32]) -> io::Result<Arrivals> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let pending: Vec<_> =
            signals.iter().map(|signal| (*signal, Arc::<AtomicU32>::default())).collect();
        for (signal, count) in &pending {
            let (count, bell) = (count.clone(), bell.clone());
            let announce = move || {
                count.fetch_add(1, Ordering::Release);
                // The write fails only if the counter is full, and then an event is already
                // pending.
                let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
            };
            // SAFETY: the handler only makes a system call, which leaves errno alone, and changes
            // an atomic.
            unsafe { signal_hook::low_level::register(*signal, announce)? };
        }
        Ok(Arrivals { pending, bell })
    }

    /// Waits for a signal.
    ///
    /// # Errors
    /// Other code has closed the descriptor that announces signals.
    pub(crate) fn next(&self) -> io::Result<i32> {
        loop {
            for (signal, count) in &self.pending {
                let one_less = |count: u32| count.checked_sub(1);
                if count.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less).is_ok() {
                    return Ok(*signal);
                }
            }
            match rustix::io::read(&self.bell, &mut [0; 8]) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGUSR1, SIGUSR2};

    #[test]
    fn each_is_returned_as_often_as_it_arrives() {
        let arrivals = Arrivals::of(&[SIGUSR1, SIGUSR2]).unwrap();
        for signal in [SIGUSR1, SIGUSR2, SIGUSR1] {
            signal_hook::low_level::raise(signal).unwrap();
        }
        let mut found: Vec<i32> = (0..3).map(|_| arrivals.next().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [SIGUSR1, SIGUSR1, SIGUSR2]);
    }
}
