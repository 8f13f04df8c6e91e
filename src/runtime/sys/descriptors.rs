//! Descriptors through which the runtime hears from its clients. A module's code may close one by
//! mistake, by closing a number twice or by closing every descriptor that it does not know.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::Mutex;

use rustix::event::{eventfd, EventfdFlags};

use super::lock;

/// What identifies a file.
type Identity = (u64, u64, u32);

struct Known {
    number: RawFd,
    file: Identity,
    what: String,
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
            lock(&self.known).push(Known { number: descriptor.as_raw_fd(), file, what });
        }
    }

    /// Describes a descriptor that is no longer open, or that now refers to another file. Occupies
    /// the numbers of all closed descriptors, so that their owners' later close does not hit an
    /// unrelated file.
    pub(crate) fn find_lost(&self) -> Option<String> {
        let known = lock(&self.known);
        let now = |known: &Known| {
            // SAFETY: the number is that of a descriptor; asking about one that is closed only
            // fails.
            identity(unsafe { BorrowedFd::borrow_raw(known.number) })
        };
        let Known { number, what, .. } = known.iter().find(|it| now(it) != Some(it.file))?;
        known.iter().filter(|it| now(it).is_none()).for_each(|it| take_number(it.number));
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
    use std::os::fd::OwnedFd;

    use super::*;

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
