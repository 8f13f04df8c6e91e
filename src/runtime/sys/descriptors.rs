//! Descriptors through which the runtime hears from its clients. A module's code may close one by
//! mistake, by closing a number twice or by closing every descriptor that it does not know, and another
//! file may get its number.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::Mutex;

use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};

use super::lock;

/// What identifies a file.
type Identity = (u64, u64, u32);

struct Known {
    number: RawFd,
    file: Identity,
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

    fn is_lost(&self) -> bool {
        let is_socket = self.file.2 & libc::S_IFMT == libc::S_IFSOCK;
        identity(self.descriptor()) != Some(self.file)
            || is_socket && is_shut_down(self.descriptor())
    }
}

/// What an epoll must go on watching. The identities of files do not tell one epoll or eventfd from another: all have
/// one inode.
struct Watch {
    epoll: RawFd,
    target: RawFd,
    what: String,
}

impl Watch {
    /// Whether the epoll does not watch the file any more that the target is, as far as the kernel tells.
    fn is_lost(&self) -> bool {
        const KCMP_EPOLL_TFD: libc::c_long = 7;
        #[repr(C)]
        struct Slot {
            epoll: u32,
            target: u32,
            nth: u32,
        }
        let own = std::process::id();
        let slot = Slot { epoll: self.epoll as u32, target: self.target as u32, nth: 0 };
        // SAFETY: the call only reads the slot, and fails for numbers that are not descriptors.
        let order = unsafe {
            libc::syscall(libc::SYS_kcmp, own, own, KCMP_EPOLL_TFD, self.target, &raw const slot)
        };
        let gone = [rustix::io::Errno::NOENT, rustix::io::Errno::BADF, rustix::io::Errno::INVAL];
        // Containers may forbid the call, and kernels lack it.
        order > 0 || order < 0 && gone.contains(&last_error())
    }
}

fn last_error() -> rustix::io::Errno {
    let error = std::io::Error::last_os_error().raw_os_error();
    rustix::io::Errno::from_raw_os_error(error.unwrap_or_default())
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
    watches: Mutex<Vec<Watch>>,
}

impl Descriptors {
    /// Adds an open descriptor, which its owner closes when the runtime stops and not before.
    pub(crate) fn add(&self, descriptor: impl AsFd, what: String) {
        let descriptor = descriptor.as_fd();
        if let Some(file) = identity(descriptor) {
            lock(&self.known).push(Known { number: descriptor.as_raw_fd(), file, what });
        }
    }

    /// Adds an epoll and what it watches, both of which stay as they are until the runtime stops.
    pub(crate) fn add_watch(&self, epoll: impl AsFd, target: impl AsFd, what: String) {
        let (epoll, target) = (epoll.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
        let watch = Watch { epoll, target, what };
        // Where the kernel cannot tell now, it never can.
        if !watch.is_lost() {
            lock(&self.watches).push(watch);
        }
    }

    /// Describes a descriptor that is no longer open or of use, or that now refers to another file. Occupies
    /// the numbers of all closed descriptors, so that their owners' later close does not hit an
    /// unrelated file.
    pub(crate) fn find_lost(&self) -> Option<String> {
        let known = lock(&self.known);
        if let Some(Known { number, what, .. }) = known.iter().find(|it| it.is_lost()) {
            known.iter().filter(|it| !it.is_open()).for_each(|it| take_number(it.number));
            return Some(format!("{what} ({number})"));
        }
        let watches = lock(&self.watches);
        let Watch { epoll, target, what } = watches.iter().find(|watch| watch.is_lost())?;
        Some(format!("{what} ({epoll} or {target})"))
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
    use std::os::fd::OwnedFd;

    use rustix::event::epoll;

    use super::*;

    /// An epoll that watches an eventfd.
    fn watching() -> (OwnedFd, OwnedFd) {
        let target = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        epoll::add(&epoll, &target, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
        (epoll, target)
    }

    #[test]
    fn one_that_was_replaced_by_its_like_is_found() {
        for which in ["neither", "epoll", "target", "both", "watch"] {
            let (mut epoll, mut target) = watching();
            let descriptors = Descriptors::default();
            descriptors.add(&epoll, "the epoll".into());
            descriptors.add(&target, "the target".into());
            descriptors.add_watch(&epoll, &target, "the watch".into());
            if lock(&descriptors.watches).is_empty() {
                eprintln!("SKIPPED: the kernel does not compare files here");
                return;
            }
            assert_eq!(descriptors.find_lost(), None);
            let (other, like) = watching();
            if ["epoll", "both"].contains(&which) {
                rustix::io::dup2(&other, &mut epoll).unwrap();
            }
            if ["target", "both"].contains(&which) {
                rustix::io::dup2(&like, &mut target).unwrap();
            }
            if which == "watch" {
                epoll::delete(&epoll, &target).unwrap();
            }
            let lost = descriptors.find_lost();
            assert_eq!(lost.is_some(), which != "neither", "{which}: {lost:?}");
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
