//! The roll of a runtime's clients: a page in memory that the runtime writes, and its module hosts read, where
//! modules ask whether a client is there.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// For how many sessions there is a place.
const PLACES: usize = 4096;

#[repr(C)]
struct Page {
    /// What is added to the number of a session.
    base: AtomicU64,
    /// The highest number of a session that there has been.
    last: AtomicU64,
    /// While it is not 0, a session that has no place may be there all the same.
    unsure: AtomicU64,
    /// The numbers of sessions that are there; 0 for none.
    there: [AtomicU64; PLACES],
}

/// A mapping of the page.
struct Mapped(NonNull<Page>);

// SAFETY: the page consists of atomic words.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(memfd: BorrowedFd<'_>, protection: ProtFlags) -> std::io::Result<Mapped> {
        let size = size_of::<Page>();
        // SAFETY: the kernel chooses the address.
        let at = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size, protection, MapFlags::SHARED, memfd, 0)
        };
        let at = NonNull::new(at?.cast::<Page>());
        at.map(Mapped).ok_or_else(|| std::io::Error::other("it is mapped at 0"))
    }

    fn page(&self) -> &Page {
        // SAFETY: it is mapped as long as this lives, and as large as the sealed memfd; zero bytes are a
        // page.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and no reference is left. An error leaves it mapped.
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), size_of::<Page>()) };
    }
}

/// The runtime's end. One thread at a time may write.
pub(super) struct Roll {
    mapped: Mapped,
    memfd: OwnedFd,
}

impl Roll {
    /// An empty one, whose readers cannot write it.
    pub(super) fn new(base: u64) -> std::io::Result<Roll> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memfd = rustix::fs::memfd_create("chimaera-roll", flags)?;
        rustix::fs::ftruncate(&memfd, size_of::<Page>() as u64)?;
        let mapped = Mapped::new(memfd.as_fd(), ProtFlags::READ | ProtFlags::WRITE)?;
        let size = SealFlags::SHRINK | SealFlags::GROW;
        rustix::fs::fcntl_add_seals(&memfd, size | SealFlags::FUTURE_WRITE | SealFlags::SEAL)?;
        mapped.page().base.store(base, Ordering::Relaxed);
        Ok(Roll { mapped, memfd })
    }

    /// What a reader is made from.
    pub(super) fn memfd(&self) -> std::io::Result<OwnedFd> {
        self.memfd.try_clone()
    }

    /// Writes down those who are there already. `last` is the highest number of a session that there has
    /// been.
    pub(super) fn begin(&self, there: &HashSet<u64>, last: u64) {
        there.iter().for_each(|session| self.enter(*session));
        self.mapped.page().last.fetch_max(last, Ordering::Release);
    }

    /// Writes down a session.
    pub(super) fn enter(&self, session: u64) {
        let page = self.mapped.page();
        match page.there.iter().find(|place| place.load(Ordering::Relaxed) == 0) {
            Some(place) => place.store(session, Ordering::Release),
            None => drop(page.unsure.fetch_add(1, Ordering::Release)),
        }
        // Only now may its absence mean anything.
        page.last.fetch_max(session, Ordering::Release);
    }

    /// Strikes out a session that was written down.
    pub(super) fn leave(&self, session: u64) {
        let page = self.mapped.page();
        match page.there.iter().find(|place| place.load(Ordering::Relaxed) == session) {
            Some(place) => place.store(0, Ordering::Release),
            None => drop(page.unsure.fetch_sub(1, Ordering::Release)),
        }
    }
}

/// A module host's end.
pub(super) struct RollReader(Mapped);

impl RollReader {
    pub(super) fn new(memfd: &OwnedFd) -> std::io::Result<RollReader> {
        if rustix::fs::fstat(memfd)?.st_size as usize != size_of::<Page>() {
            return Err(std::io::Error::other("the roll of clients has another size"));
        }
        Mapped::new(memfd.as_fd(), ProtFlags::READ).map(RollReader)
    }

    /// As `Clients::is_there` of the runtime.
    pub(super) fn is_there(&self, client: u64) -> Option<bool> {
        let page = self.0.page();
        let session = client.wrapping_sub(page.base.load(Ordering::Acquire));
        if !(1..=page.last.load(Ordering::Acquire)).contains(&session) {
            return None;
        }
        let is_unsure = page.unsure.load(Ordering::Acquire) > 0;
        let is_there = page.there.iter().any(|place| place.load(Ordering::Acquire) == session);
        (is_there || !is_unsure).then_some(is_there)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_reader_knows_who_is_there_and_cannot_write() {
        let roll = Roll::new(1000).unwrap();
        let memfd = roll.memfd().unwrap();
        let reader = RollReader::new(&memfd).unwrap();
        assert_eq!(reader.is_there(1001), None);
        [1, 3].iter().for_each(|session| roll.enter(*session));
        let there = || [1000, 1001, 1002, 1003, 1004].map(|client| reader.is_there(client));
        assert_eq!(there(), [None, Some(true), Some(false), Some(true), None]);
        roll.leave(1);
        assert_eq!(there(), [None, Some(false), Some(false), Some(true), None]);
        assert!(Mapped::new(memfd.as_fd(), ProtFlags::READ | ProtFlags::WRITE).is_err());
        assert!(rustix::fs::ftruncate(&memfd, 0).is_err());
        assert!(RollReader::new(&std::fs::File::open("/dev/null").unwrap().into()).is_err());
    }

    #[test]
    fn beyond_its_places_nobody_counts_as_gone() {
        let roll = Roll::new(0).unwrap();
        let reader = RollReader::new(&roll.memfd().unwrap()).unwrap();
        let all = PLACES as u64;
        (1..=all + 2).for_each(|session| roll.enter(session));
        assert_eq!(
            [1, all, all + 1].map(|one| reader.is_there(one)),
            [Some(true), Some(true), None]
        );
        roll.leave(1);
        assert_eq!(reader.is_there(1), None);
        [all + 1, all + 2].iter().for_each(|session| roll.leave(*session));
        assert_eq!(
            [1, 2, all + 1].map(|one| reader.is_there(one)),
            [Some(false), Some(true), Some(false)]
        );
    }
}
