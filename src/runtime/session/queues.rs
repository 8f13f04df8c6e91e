//! The completion queues of a session: where a client is told which of its tasks are complete.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use chimaera_abi::{CHI_COMPLETIONS_PLACE_BITS, CHI_INVALID, CHI_IO, CHI_MAX_COMPLETIONS};
use chimaera_ipc::marks::{self, Marks};
use chimaera_ipc::segment::Mapping;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType};

use crate::failure::Failure;
use crate::sys::{refuse_descriptors, Unshared};

/// A completion queue.
struct Queue {
    /// Where its marks are in the segment.
    offset: u64,
    places: u32,
    /// What the client polls is the other end. A socket, because sending to it does not wait, whatever the client does
    /// with its end. It receives nothing: what a client could send, closing it could take long. A forked child must not
    /// keep it, because the client learns from it that the runtime has ended.
    bell: Unshared,
}

/// The completion queues of a session. They are never removed: the client uses them again.
#[derive(Default)]
pub(crate) struct Queues(OnceLock<Box<[OnceLock<Queue>; CHI_MAX_COMPLETIONS as usize]>>);

/// What a successor of this process needs to know of a completion queue: its number, the offset of its marks, and how
/// many places it has.
pub(crate) type QueueRecord = (u32, u64, u32);

impl Queues {
    /// Adds a completion queue, if `check` has nothing against the descriptors of its bell. Returns the end that the
    /// client gets.
    ///
    /// # Errors
    /// `CHI_INVALID` if there cannot be such a queue; `CHI_IO`; those of `check`.
    pub(crate) fn add(
        &self,
        mapping: &Mapping,
        record: QueueRecord,
        check: impl FnOnce(&OwnedFd) -> Result<(), Failure>,
    ) -> Result<OwnedFd, Failure> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let ends = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (bell, theirs) = ends.map_err(|error| {
            Failure::new(CHI_IO, format!("cannot make the bell of a completion queue: {error}"))
        })?;
        check(&theirs)?;
        refuse_descriptors(&bell);
        refuse_descriptors(&theirs);
        rustix::net::shutdown(&bell, Shutdown::Read).map_err(|error| {
            Failure::new(
                CHI_IO,
                format!("cannot close half of the bell of a completion queue: {error}"),
            )
        })?;
        self.adopt(mapping, record, bell)?;
        Ok(theirs)
    }

    /// Adds one that has a bell already.
    ///
    /// # Errors
    /// `CHI_INVALID` if there cannot be such a queue.
    pub(crate) fn adopt(
        &self,
        mapping: &Mapping,
        (number, offset, places): QueueRecord,
        bell: OwnedFd,
    ) -> Result<(), Failure> {
        let layout = mapping.layout();
        let bytes = 8 * marks::words(places) as u64;
        let is_inside = offset.is_multiple_of(64)
            && offset >= layout.client_arena
            && offset.checked_add(bytes).is_some_and(|end| end <= layout.runtime_arena);
        let most = 1 << CHI_COMPLETIONS_PLACE_BITS;
        let queue = self.0.get_or_init(Box::default).get(number as usize);
        match queue.filter(|_| is_inside && (1..=most).contains(&places)) {
            Some(place) => {
                place.set(Queue { offset, places, bell: Unshared::new(bell) }).map_err(|_| {
                    Failure::new(
                        CHI_INVALID,
                        format!("there is a completion queue {number} already"),
                    )
                })
            }
            None => Err(Failure::new(CHI_INVALID, "there cannot be such a completion queue")),
        }
    }

    /// All of them, each with its bell.
    pub(crate) fn all(&self) -> Vec<(QueueRecord, BorrowedFd<'_>)> {
        let all = self.0.get().into_iter().flat_map(|all| all.iter()).zip(0..);
        all.filter_map(|(queue, number)| {
            let queue = queue.get()?;
            Some(((number, queue.offset, queue.places), queue.bell.as_fd()))
        })
        .collect()
    }

    /// Tells the client that its session is over, although some of its tasks may not be.
    pub(crate) fn hang_up(&self) {
        for (_, bell) in self.all() {
            // The client may have closed its end.
            let _ = rustix::net::shutdown(bell, Shutdown::Both);
        }
    }

    /// Marks the place of a task that is complete, as the client has left it in its word.
    #[cold]
    pub(super) fn mark(&self, mapping: &Mapping, place: u32) {
        let (number, place) = marks::split(place);
        let queue = self.0.get().and_then(|all| all.get(number as usize)?.get());
        let Some(queue) = queue.filter(|queue| place < queue.places) else { return };
        // SAFETY: `adopt` has checked that the marks of so many places are inside the client's arena, and aligned.
        let memory = unsafe { mapping.double_words(queue.offset, marks::words(queue.places)) };
        if Marks::over(memory, queue.places).set(place) {
            // If there is no room, the client has not looked, and its end is readable.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let _ = rustix::net::send(&*queue.bell, &[1], flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use chimaera_ipc::layout::{Layout, MIN_SEGMENT};
    use chimaera_ipc::segment;

    use super::*;

    fn mapping() -> Mapping {
        let layout = Layout::of(MIN_SEGMENT);
        Mapping::new(segment::create(&layout).unwrap().as_fd(), layout).unwrap()
    }

    #[test]
    fn a_queue_outside_of_the_clients_arena_is_refused() {
        let (mapping, queues) = (mapping(), Queues::default());
        let layout = *mapping.layout();
        let cases = [
            (0, layout.client_arena - 64, 64),
            (0, layout.client_arena + 8, 64),
            (0, layout.runtime_arena - 64, 64),
            (0, layout.client_arena, 0),
            (0, layout.client_arena, (1 << CHI_COMPLETIONS_PLACE_BITS) + 1),
            (0, layout.client_arena, u32::MAX),
            (0, !63, 64),
            (CHI_MAX_COMPLETIONS, layout.client_arena, 64),
        ];
        for record in cases {
            let why = queues.add(&mapping, record, |_| Ok(())).unwrap_err();
            assert!(why.message.contains("cannot be such"), "{record:?}: {}", why.message);
        }
        let _first = queues.add(&mapping, (3, layout.client_arena, 64), |_| Ok(())).unwrap();
        let why = queues.add(&mapping, (3, layout.client_arena, 64), |_| Ok(())).unwrap_err();
        assert!(why.message.contains("already"), "{}", why.message);
        assert_eq!(queues.all().len(), 1);
    }

    /// Whatever the place in the word of a task is, and whatever the client does with its end of the bell.
    #[test]
    fn marks_are_set_where_they_are_and_never_wait() {
        let (mapping, queues) = (mapping(), Queues::default());
        let start = mapping.layout().client_arena;
        let theirs = queues.add(&mapping, (1, start, 100), |_| Ok(())).unwrap();
        rustix::io::ioctl_fionbio(&theirs, false).unwrap();
        // SAFETY: aligned, and inside the client's arena.
        let memory = unsafe { mapping.double_words(start, marks::words(100)) };
        let marks = Marks::over(memory, 100);
        for place in [marks::join(1, 100), marks::join(0, 1), marks::join(2, 1), u32::MAX >> 8] {
            queues.mark(&mapping, place);
        }
        assert!(marks.rest(), "nothing is marked");
        // It rests again after each: until the socket is full.
        for _ in 0..10_000 {
            queues.mark(&mapping, marks::join(1, 99));
            let _ = marks.rest();
        }
        let mut taken = Vec::new();
        marks.take(|place| taken.push(place));
        assert_eq!(taken, [99]);
        let mut byte = [0];
        assert_eq!(rustix::io::read(&theirs, &mut byte).unwrap(), 1);
        // Nothing can be queued in the runtime's end.
        let sent = rustix::net::send(&theirs, &[1], SendFlags::NOSIGNAL).unwrap_err();
        assert_eq!(sent, rustix::io::Errno::PIPE);
        queues.hang_up();
        let left = std::iter::repeat_with(|| rustix::io::read(&theirs, &mut byte).unwrap());
        assert!(left.take(20_000).any(|read| read == 0), "it does not learn of the end");
        drop(theirs);
        let _ = marks.rest();
        queues.mark(&mapping, marks::join(1, 0));
    }
}
