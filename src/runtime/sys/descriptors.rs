//! Descriptors through which the runtime hears from its clients. A module's code may close one by
//! mistake, by closing a number twice or by closing every descriptor that it does not know, and another
//! file may get its number.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};

use super::lock;

/// What identifies a file.
type Identity = (u64, u64, u32);

struct Known {
    number: RawFd,
    file: Identity,
    /// Two more descriptors of the same file, if the identity does not tell it from others: all eventfds have one
    /// inode, and all epolls. Two, because other code may close one of these by mistake, too.
    same: Option<[OwnedFd; 2]>,
    what: String,
}

impl Known {
    /// The descriptor, if it is open.
    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the number is that of a descriptor; asking about one that is closed only fails.
        unsafe { BorrowedFd::borrow_raw(self.number) }
    }

    fn is_open(&self) -> bool {
        identity(self.descriptor()).is_some()
    }

    fn is_socket(&self) -> bool {
        self.file.2 & libc::S_IFMT == libc::S_IFSOCK
    }

    fn is_lost(&self) -> bool {
        identity(self.descriptor()) != Some(self.file)
            || self.same.as_ref().is_some_and(|[one, other]| {
                let is_another = |of: &OwnedFd| is_another(self.number, of.as_raw_fd());
                is_another(one) && is_another(other)
            })
            || self.is_socket() && is_shut_down(self.descriptor())
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let Some(same) = self.same.take() else { return };
        for descriptor in same {
            if is_another(self.number, descriptor.as_raw_fd()) {
                // The number is another file's by now, which is not to be closed here.
                let _ = descriptor.into_raw_fd();
            }
        }
    }
}

/// Whether two descriptors are of different files, as far as the kernel tells.
fn is_another(one: RawFd, other: RawFd) -> bool {
    const KCMP_FILE: libc::c_long = 0;
    let own = std::process::id();
    // SAFETY: the call reads no memory, and fails for numbers that are not descriptors.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, one, other) };
    // Containers may forbid the call.
    order > 0
}

/// Whether a socket takes no connections any more.
fn is_shut_down(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(&descriptor, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok()
        && polled[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::NVAL)
}

/// The descriptors that must stay open.
#[derive(Default)]
pub(crate) struct Descriptors {
    known: Mutex<Vec<Known>>,
}

impl Descriptors {
    /// Adds an open descriptor, which its owner closes when the runtime stops and not before.
    pub(crate) fn add(&self, descriptor: impl AsFd, what: String) {
        let descriptor = descriptor.as_fd();
        if let Some(file) = identity(descriptor) {
            let is_nameless = file.2 & libc::S_IFMT == 0;
            let same = || rustix::io::fcntl_dupfd_cloexec(descriptor, 0).ok();
            let same = is_nameless.then(|| Some([same()?, same()?])).flatten();
            let number = descriptor.as_raw_fd();
            lock(&self.known).push(Known { number, file, same, what });
        }
    }

    /// Describes a descriptor that is no longer open or of use, or that now refers to another file. Occupies
    /// the numbers of all closed descriptors, so that their owners' later close does not hit an
    /// unrelated file.
    pub(crate) fn find_lost(&self) -> Option<String> {
        let known = lock(&self.known);
        let Known { number, what, .. } = known.iter().find(|it| it.is_lost())?;
        known.iter().filter(|it| !it.is_open()).for_each(|it| take_number(it.number));
        Some(format!("{what} ({number})"))
    }
}

/// Occupies this number, if it is free, with a file that never becomes readable.
fn take_number(number: RawFd) {
    let Ok(nothing) = eventfd(0, EventfdFlags::CLOEXEC) else { return };
    let taken = match nothing.as_raw_fd() == number {
        true => nothing,
        false => match rustix::io::fcntl_dupfd_cloexec(&nothing, number) {
            Ok(taken) if taken.as_raw_fd() == number => taken,
            _ => return,
        },
    };
    let _ = taken.into_raw_fd();
}

fn identity(descriptor: BorrowedFd<'_>) -> Option<Identity> {
    let found = rustix::fs::fstat(descriptor).ok()?;
    Some((found.st_dev, found.st_ino, found.st_mode))
}

#[cfg(test)]
mod tests {
    use std::os::fd::FromRawFd;

    use super::*;

    #[test]
    fn one_that_was_replaced_by_its_like_is_found() {
        let new = || eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let (first, mut second) = (new(), new());
        let descriptors = Descriptors::default();
        descriptors.add(&first, "the first".into());
        descriptors.add(&second, "the second".into());
        assert_eq!(descriptors.find_lost(), None);
        let number = second.as_raw_fd();
        rustix::io::dup2(new(), &mut second).unwrap();
        assert_eq!(descriptors.find_lost(), Some(format!("the second ({number})")));
    }

    #[test]
    fn a_duplicate_that_was_replaced_is_no_loss() {
        let new = || eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let first = new();
        let descriptors = Descriptors::default();
        descriptors.add(&first, "the first".into());
        for at in 0..2 {
            let known = lock(&descriptors.known);
            let duplicate = known[0].same.as_ref().unwrap()[at].as_raw_fd();
            drop(known);
            // SAFETY: the number is open, and stays so.
            let mut duplicate =
                std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(duplicate) });
            rustix::io::dup2(new(), &mut duplicate).unwrap();
            assert_eq!(descriptors.find_lost().is_some(), at == 1, "both are others");
        }
    }

    #[test]
    fn one_that_was_shut_down_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let socket =
            std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
        let descriptors = Descriptors::default();
        descriptors.add(&socket, "the socket".into());
        assert_eq!(descriptors.find_lost(), None);
        // Already half of that refuses clients.
        rustix::net::shutdown(&socket, rustix::net::Shutdown::Read).unwrap();
        let number = socket.as_raw_fd();
        assert_eq!(descriptors.find_lost(), Some(format!("the socket ({number})")));
    }

    #[test]
    fn one_that_was_replaced_is_found() {
        let (first, second) = std::io::pipe().unwrap();
        let descriptors = Descriptors::default();
        descriptors.add(&first, "the first".into());
        descriptors.add(&second, "the second".into());
        assert_eq!(descriptors.find_lost(), None);
        let number = second.as_raw_fd();
        let mut second = OwnedFd::from(second);
        rustix::io::dup2(eventfd(0, EventfdFlags::CLOEXEC).unwrap(), &mut second).unwrap();
        assert_eq!(descriptors.find_lost(), Some(format!("the second ({number})")));
    }
}
