//! Leases of sessions that have ended. Their clients may still read what they have mapped, as long as their processes
//! live: the leases are kept until then.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{pidfd_open, test_kill_process, Pid, PidfdFlags};

use super::leases::Lease;
use crate::sys::lock;

/// The leases that a process had in a session.
struct Parked {
    pid: i32,
    /// `None` if it could not be opened.
    process: Option<OwnedFd>,
    leases: Vec<Lease>,
}

/// Those of all sessions of this process. They are not freed with a runtime that ends: the memory stays until this process
/// ends, and what clients have mapped even longer.
static PARKED: Mutex<Vec<Parked>> = Mutex::new(Vec::new());
/// The bytes of all of them.
static BYTES: AtomicU64 = AtomicU64::new(0);
/// How many sessions have ended with something on lease, and are not gone yet.
static ENDING: AtomicU64 = AtomicU64::new(0);

impl Parked {
    fn is_over(&self) -> bool {
        match &self.process {
            Some(process) => {
                let mut polled = [PollFd::new(process, PollFlags::IN)];
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
            }
            None => Pid::from_raw(self.pid).is_none_or(|pid| {
                test_kill_process(pid).is_err_and(|error| error == rustix::io::Errno::SRCH)
            }),
        }
    }

    fn bytes(&self) -> u64 {
        self.leases.iter().map(Lease::bytes).sum()
    }
}

/// Keeps leases until the process has ended.
#[cold]
pub(super) fn park(pid: i32, leases: Vec<Lease>) {
    let bytes: u64 = leases.iter().map(Lease::bytes).sum();
    let mut all = lock(&PARKED);
    // One entry for each process, and one descriptor.
    if let Some(known) = all.iter_mut().find(|known| known.pid == pid && !known.is_over()) {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
        known.leases.extend(leases);
        return;
    }
    let process = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let parked = Parked { pid, process, leases };
    if parked.is_over() {
        // Without the lock: the leases end.
        drop(all);
        return;
    }
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    all.push(parked);
}

/// Whether there are any, or will be soon.
#[inline]
pub(crate) fn any() -> bool {
    BYTES.load(Ordering::Relaxed) + ENDING.load(Ordering::Relaxed) > 0
}

/// A session that has something on lease ends, or is gone.
pub(super) fn count_ending(begins: bool) {
    match begins {
        true => ENDING.fetch_add(1, Ordering::Relaxed),
        false => ENDING.fetch_sub(1, Ordering::Relaxed),
    };
}

/// The bytes that are kept for a process.
pub(super) fn bytes_of(pid: i32) -> u64 {
    match BYTES.load(Ordering::Relaxed) > 0 {
        true => lock(&PARKED).iter().filter(|it| it.pid == pid).map(Parked::bytes).sum(),
        false => 0,
    }
}

/// Ends the leases of processes that have ended.
pub(crate) fn look() {
    let ended: Vec<Parked> = lock(&PARKED).extract_if(.., |parked| parked.is_over()).collect();
    let bytes = ended.iter().map(Parked::bytes).sum();
    BYTES.fetch_sub(bytes, Ordering::Relaxed);
}
