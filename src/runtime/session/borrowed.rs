//! In a module host, the segments of clients that the daemon has lent it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chimaera_ipc::segment::Mapping;

use crate::sys::{lock, Guard};

/// The segment of a client of the daemon, mapped in this process.
pub(crate) struct BorrowedSegment {
    /// Declared before the mapping, so that it is dropped first.
    guard: Guard,
    pub(crate) mapping: Mapping,
    /// The daemon has been told of a fault.
    is_told: AtomicBool,
}

impl BorrowedSegment {
    pub(crate) fn new(guard: Guard, mapping: Mapping) -> BorrowedSegment {
        BorrowedSegment { guard, mapping, is_told: AtomicBool::new(false) }
    }
}

/// The segments, by the numbers by which tasks of the daemon refer to them. A segment stays mapped until
/// it has been taken back and no task here refers to it.
#[derive(Default)]
pub(crate) struct Borrowed(Mutex<HashMap<u16, Arc<BorrowedSegment>>>);

impl Borrowed {
    /// Adds a segment. False if the number is in use.
    pub(crate) fn add(&self, number: u16, segment: BorrowedSegment) -> bool {
        let mut segments = lock(&self.0);
        let is_free = !segments.contains_key(&number);
        if is_free {
            segments.insert(number, Arc::new(segment));
        }
        is_free
    }

    /// Removes a segment, if there is one with this number.
    pub(crate) fn remove(&self, number: u64) {
        let Ok(number) = u16::try_from(number) else { return };
        // It is unmapped only after the lock has been released.
        let removed = lock(&self.0).remove(&number);
        drop(removed);
    }

    /// The segment with this number.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<BorrowedSegment>> {
        let number = u16::try_from(number).ok()?;
        lock(&self.0).get(&number).cloned()
    }

    /// The numbers of those in which there was no memory for a page, each only once.
    pub(crate) fn take_faulted(&self) -> Vec<u16> {
        let segments = lock(&self.0);
        let has = |segment: &BorrowedSegment| {
            segment.guard.has_faulted() && !segment.is_told.swap(true, Ordering::Relaxed)
        };
        segments.iter().filter(|(_, segment)| has(segment)).map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::session::Session;
    use crate::sys::segment_fault;

    #[test]
    fn a_fault_is_reported_once_and_only_for_its_segment() {
        segment_fault::install();
        let borrowed = Borrowed::default();
        let clients =
            [3, 4].map(|number| (number, Session::without_client(number.into()).unwrap()));
        for (number, client) in &clients {
            let mapping = Mapping::new(client.segment.as_fd(), *client.mapping.layout()).unwrap();
            mapping.hide_rings().unwrap();
            let guard = Guard::new(&mapping, client.doorbell.as_fd()).unwrap();
            assert!(borrowed.add(*number, BorrowedSegment::new(guard, mapping)));
        }
        assert_eq!(borrowed.take_faulted(), [0; 0]);
        let segment = borrowed.get(4).unwrap();
        let at = segment.mapping.find(segment.mapping.layout().client_arena, 4096).unwrap();
        let nothing = rustix::fs::memfd_create("nothing", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let (prot, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        // SAFETY: the page is a part of the mapping, and nothing else uses it.
        unsafe {
            let page = at.as_ptr().cast();
            assert_eq!(libc::mmap(page, 4096, prot, flags, nothing.as_raw_fd(), 0), page);
            at.as_ptr().write_volatile(1);
        }
        assert_eq!((borrowed.take_faulted(), borrowed.take_faulted()), (vec![4], vec![]));
    }
}
